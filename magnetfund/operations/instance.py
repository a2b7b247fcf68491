"""The servers for one manage.py command: those of the running instance, or our own for its time.

With ``DATABASE_URL`` in the environment nothing is started.  Without it the command joins the
instance that runs on ``MAGNET_HOME``; where none runs, the embedded servers are started, the schema
is brought up to date, and both are stopped when the command ends.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import MutableMapping, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from magnetfund.env import PROJECT
from magnetfund.operations.servers.home import Home, LaunchError

if TYPE_CHECKING:
    from magnetfund.operations.servers.postgres import Postgres


#: Commands that move positions, sum what the trader booked or take over what a venue states run as
#: the gateway; schema, staff and invitations are the owner's.
GATEWAY_COMMANDS = frozenset(
    {
        "run_trader",
        "settle_orders",
        "replay",
        "load_demo",
        "refresh_instruments",
        "recalculate_performance",
    }
)
OWNER_COMMANDS = frozenset({"migrate", "prepare", "add_person", "invite", "archive_candles"})
#: Only the role that reads whole databases says what became of a backup.
BACKUP_COMMANDS = frozenset({"backup", "verify_backup", "run_backups"})
#: Commands that touch no database.
FREE_COMMANDS = frozenset(
    {
        "help",
        "makemigrations",
        "collectstatic",
        "spectacular",
        "check",
        "wall_sql",
        "upgrade_postgres",
    }
)
PLACEHOLDER = "postgresql://fa_app@127.0.0.1:1/none"


def role_of(command: str) -> str:
    """The database role of a manage.py command."""
    if command in GATEWAY_COMMANDS:
        return "gateway"
    if command in BACKUP_COMMANDS:
        return "backup"
    return "owner" if command in OWNER_COMMANDS else "app"


def run_with_servers(arguments: Sequence[str]) -> int | None:
    """Run a manage.py command line in a child that has the servers; its exit code.

    Returns None where the caller should simply go on in this process: the environment names a
    database already, or the command needs none.
    """
    command = next((word for word in arguments if not word.startswith("-")), "help")
    environment = os.environ
    if environment.get("DATABASE_URL"):
        environment.setdefault("MAGNET_DB_ROLE", role_of(command))
        return None
    if command == "restore":
        _face_an_empty_place(environment)
        return None
    home = Home(Path(environment.get("MAGNET_HOME", PROJECT / "var")))
    environment.setdefault("MAGNET_ENV", home.mode() or "demo")
    environment["MAGNET_HOME"] = str(home.root)
    environment.setdefault("SECRET_KEY", home.secrets()["secret_key"])
    environment.setdefault("MAGNET_DB_ROLE", role_of(command))
    for name, address in home.addresses().items():
        environment.setdefault(name, address)
    if command in FREE_COMMANDS:
        environment["DATABASE_URL"] = PLACEHOLDER
        return None
    return _run_beside(home, arguments)


def _face_an_empty_place(environment: MutableMapping[str, str]) -> None:
    """Settings for a restore, which fills a folder that nobody has used: nothing is made in it."""
    environment.setdefault("MAGNET_ENV", "demo")
    environment.setdefault("SECRET_KEY", secrets.token_urlsafe(48))
    environment["DATABASE_URL"] = PLACEHOLDER


def _run_beside(home: Home, arguments: Sequence[str]) -> int:
    from magnetfund.operations.servers.postgres import Postgres
    from magnetfund.operations.servers.valkey import Valkey

    postgres, valkey = Postgres(home), Valkey(home)
    lock = _take_lock(home)
    environment = {**os.environ, **postgres.environment(), **valkey.environment()}
    if lock is None:
        return _run_command(arguments, environment, postgres)
    try:
        postgres.start()
        valkey.start()
        migrate = {**environment, "MAGNET_DB_ROLE": "owner"}
        code = _run(["prepare"], migrate)
        return code or _run_command(arguments, environment, postgres)
    finally:
        valkey.stop()
        postgres.stop()
        lock.close()


def _run_command(arguments: Sequence[str], environment: dict[str, str], postgres: Postgres) -> int:
    """Run the command; a replay of a production installation gets a scratch database."""
    command = next((word for word in arguments if not word.startswith("-")), "")
    needs = command == "replay" and environment.get("MAGNET_ENV") == "production"
    if not needs or environment.get("SCRATCH_DATABASE_URL"):
        return _run(arguments, environment)
    from magnetfund.operations.servers.scratch import ScratchServer

    def migrate(url: str) -> None:
        names = ("DATABASE_URL", "DATABASE_OWNER_URL", "DATABASE_GATEWAY_URL")
        owner = {**environment, **dict.fromkeys(names, url), "MAGNET_DB_ROLE": "owner"}
        if _run(["migrate", "--database", "owner", "--verbosity", "0"], owner):
            raise LaunchError("the template of scratch databases could not be migrated")

    with ScratchServer(postgres, migrate=migrate).database() as url:
        return _run(arguments, {**environment, "SCRATCH_DATABASE_URL": url})


def _take_lock(home: Home):  # type: ignore[no-untyped-def]  # an open file or None
    handle = (home.root / "instance.lock").open("a")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        handle.close()
        return None
    return handle


def _run(arguments: Sequence[str], environment: dict[str, str]) -> int:
    """Run a command to its end; Ctrl-C and SIGTERM reach it, and we outlive it to clean up."""
    command = [sys.executable, str(PROJECT / "manage.py"), *arguments]
    process = subprocess.Popen(command, env=environment)

    def forward(number: int, frame: FrameType | None) -> None:
        if process.poll() is None:
            process.send_signal(number)

    before = {s: signal.signal(s, forward) for s in (signal.SIGTERM, signal.SIGINT)}
    try:
        return process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


__all__ = ["LaunchError", "role_of", "run_with_servers"]
