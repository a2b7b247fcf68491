"""The processes of the platform: what each runs, which settings it sees and when it is up."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from magnetfund.operations.schedule import RESEARCH_QUEUE

#: The signer listens this far above the web, at an origin of its own.
SIGN_PORT_ABOVE = 1000


STOP_URL = "DATABASE_STOP_URL"


BUCKET_SECRET = "BACKUP_S3_SECRET"  # noqa: S105 - the name of a variable

#: Variables that no part is given as they are: passwords of roles, and keys that one part needs.
PASSWORDS = (
    "*DATABASE*URL", "FA_*_PASSWORD", "POSTGRES_PASSWORD", "PGPASS*", "SIGNER_KEY", BUCKET_SECRET,
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A process of the platform."""

    name: str
    command: tuple[str, ...]
    #: Of its session with the database, and of which variable its URL is: it is given no other,
    #: but for the stop's.  Beat asks no database and has neither.
    role: str = ""
    url: str = ""
    holds_stop: bool = False
    #: Nobody waits for it at a start: it begins once the web answers, and a demo trades, both of
    #: which are sooner that way.
    follows_web: bool = False


def count_research_processes() -> int:
    """Processes that work on research here: one a core, so that a sweep is shared, at most four."""
    return min(os.cpu_count() or 1, 4)


def platform_parts(port: int, sign_port: int) -> tuple[Part, ...]:
    python = sys.executable
    return (
        Part(
            name="web",
            command=(
                python, "-m", "magnetfund.operations.web_server", "--host", "127.0.0.1",
                "--port", str(port),
            ),
            role="app",
            url="DATABASE_URL",
            holds_stop=True,
        ),
        Part(
            name="worker",
            command=(
                python, "-m", "celery", "-A", "magnetfund", "worker", "--concurrency", "1",
                "--loglevel", "warning", "--without-mingle", "--without-gossip",
            ),
            role="worker",
            url="DATABASE_WORKER_URL",
            follows_web=True,
        ),
        Part(
            name="research",
            command=(
                python, "-m", "celery", "-A", "magnetfund", "worker",
                "--concurrency", str(count_research_processes()), "--prefetch-multiplier", "1",
                "--queues", RESEARCH_QUEUE, "--hostname", "research@%h", "--loglevel", "warning",
                "--without-mingle", "--without-gossip",
            ),
            role="worker",
            url="DATABASE_WORKER_URL",
            follows_web=True,
        ),
        Part(
            name="beat",
            command=(python, "-m", "celery", "-A", "magnetfund.beat", "beat"),
            follows_web=True,
        ),
        Part(
            name="trader",
            command=(python, "manage.py", "run_trader", "--wait"),
            role="gateway",
            url="DATABASE_GATEWAY_URL",
            holds_stop=True,
        ),
        Part(
            name="watchdog",
            command=(python, "-m", "magnetfund.operations.watchdog"),
            role="watchdog",
            url="DATABASE_WATCHDOG_URL",
        ),
        Part(
            name="signer",
            command=(
                python, "-m", "magnetfund.operations.web_server", "--port", str(sign_port),
                "--application", "magnetfund.signer.asgi:application",
            ),
            role="signer",
            url="DATABASE_SIGNER_URL",
        ),
        Part(
            name="backups",
            command=(python, "manage.py", "run_backups"),
            role="backup",
            url="DATABASE_BACKUP_URL",
            follows_web=True,
        ),
    )  # fmt: skip


def environment_of(part: Part, environment: Mapping[str, str]) -> dict[str, str]:
    """The variables of one part: the database password of its own role alone, and its own key."""
    own = {
        name: value
        for name, value in environment.items()
        if not any(fnmatchcase(name, pattern) for pattern in PASSWORDS)
    }
    if part.role in ("", "watchdog"):  # without Django
        own.pop("SECRET_KEY", None)
        if part.url:
            own[part.url] = environment[part.url]
        return own
    own["DATABASE_URL"] = environment[part.url]
    own["MAGNET_DB_ROLE"] = part.role
    if part.holds_stop:
        own[STOP_URL] = environment[STOP_URL]
    if part.role == "backup" and BUCKET_SECRET in environment:
        own[BUCKET_SECRET] = environment[BUCKET_SECRET]
    if part.role == "signer":
        own["DJANGO_SETTINGS_MODULE"] = "magnetfund.settings_signer"
        own["SECRET_KEY"] = environment["SIGNER_KEY"]
    return own
