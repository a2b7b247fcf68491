"""The stop by command: trip the fuse, have the trader close everything, and say what closed.

Django takes a second to start and several on a busy machine, so this needs psycopg and the standard
library alone.  It signs in as the role that may stop and nothing else; where that role has no
session left, by the next road that this machine knows.  A server that is starting again is waited
for.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

import psycopg

from magnetfund.core.failure_words import INTERRUPTED, refused, rejected, unreachable
from magnetfund.core.roles import Capability, capabilities_of, refusal_of
from magnetfund.core.stop_session import OPTIONS
from magnetfund.core.who import label_of, unknown_person
from magnetfund.env import PROJECT
from magnetfund.kernel.errors import FundError
from magnetfund.operations.servers.home import SECRETS, LaunchError, role_url, socket_folder
from risk.services.stop_statements import (
    BARRIER,
    STOP,
    Barrier,
    facts_of_manual_stop,
    stop_values,
)
from trading.services.closing import RING, wait_until_flat

HELP = (
    "Stop the fund at once: trip the fuse, have the trader close every position, and say what "
    "closed. Needs neither Redis, a worker nor a free session of the web. --by names the person of "
    "the staff who stops; it needs the right to."
)
CONNECT_SECONDS, REACH_SECONDS = 2, 10.0
#: By whom a home's fund is stopped where the stop's own role has no session left.
ROLES = ("fa_stop", "fa_gateway")
_PERSON = """SELECT u.id, u.name, u.is_simulated, coalesce((SELECT array_agg(g.role::text)
  FROM core_rolegrant g WHERE g.user_id = u.id AND g.revoked_at IS NULL), '{}')
  FROM core_user u WHERE u.email = %s AND u.is_active AND u.is_staff"""


class NobodyRuns(Exception):
    """No server answers, and the home says that none was started."""


class Out(Protocol):
    def write(self, text: str, /) -> object: ...


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("--json", action="store_true", help="print the result as one JSON line")
    parser.add_argument("--reason", required=True, help="why, for the record")
    parser.add_argument("--by", required=True, help="e-mail address of who stops")
    parser.add_argument("--book", default=os.environ.get("MAGNET_BOOK", "").strip() or "main")


class StopLine:
    """A session over the first road that answers; one that is lost is opened again.

    A cursor for :func:`trading.services.closing.wait_until_flat`.  Raises the last
    :class:`psycopg.OperationalError` after :data:`REACH_SECONDS`, and :class:`NobodyRuns` at once.
    """

    def __init__(
        self,
        urls: Sequence[str],
        *,
        is_idle: Callable[[], bool] = lambda: False,
    ) -> None:
        self._urls, self._is_idle = urls, is_idle
        self._session: psycopg.Connection[Any] | None = None
        self._row: tuple[Any, ...] | None = None

    def execute(self, query: str, params: Sequence[Any] = ()) -> None:
        """Run one statement, committed when this returns; its first row is kept."""
        deadline = time.monotonic() + REACH_SECONDS
        while True:
            try:
                cursor = self._open().execute(query.encode(), params)
                self._row = cursor.fetchone() if cursor.description else None
            except psycopg.OperationalError:
                self.close()
                if self._is_idle():
                    raise NobodyRuns from None
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
            else:
                return

    def fetchone(self) -> tuple[Any, ...] | None:
        return self._row

    def close(self) -> None:
        if self._session is not None:
            self._session.close()
        self._session = None

    def _open(self) -> psycopg.Connection[Any]:
        for left, url in enumerate(self._urls, 1 - len(self._urls)):
            if self._session is not None:
                break
            try:
                self._session = psycopg.connect(
                    url,
                    autocommit=True,
                    connect_timeout=CONNECT_SECONDS,
                    application_name="magnetfund stop",
                    options=OPTIONS,
                )
            except psycopg.OperationalError:
                if not left:
                    raise
        assert self._session is not None
        return self._session


def find_urls(environment: Mapping[str, str]) -> tuple[list[str], Path | None]:
    """The roads to the database, and the home that they belong to where no URL is set.

    Raises :class:`LaunchError` where there is no installation to stop.
    """
    if environment.get("DATABASE_URL"):
        found = [environment.get(f"DATABASE_{word}URL", "").strip() for word in ("STOP_", "")]
        return [url for url in found if url], None
    root = Path(environment.get("MAGNET_HOME") or PROJECT / "var").expanduser().resolve()
    try:
        words = json.loads((root / SECRETS).read_text())
    except FileNotFoundError:
        raise LaunchError(f"there is no installation in {root}; set MAGNET_HOME") from None
    except OSError as error:
        raise LaunchError(f"{root / SECRETS} cannot be read: {error.strerror}") from None
    sockets = socket_folder(root)
    known = [role for role in ROLES if role in words]
    return [role_url(sockets=sockets, role=role, password=words[role]) for role in known], root


def is_idle(root: Path | None) -> bool:
    """Whether nothing runs on a home: its lock is free.  Asked only when no server answered."""
    if root is None:
        return False
    try:
        with (root / "instance.lock").open("a") as handle:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise LaunchError(f"{root} cannot be read: {error.strerror}") from None
    return True


def trip(line: StopLine, *, book: str, reason: str, by: str) -> UUID:
    """Trip the fuse in a person's name; raises :class:`FundError` where a rule says no."""
    facts = facts_of_manual_stop(reason)
    line.execute(_PERSON, [by])
    row = line.fetchone()
    if row is None:
        raise unknown_person(by)
    user, name, is_simulated, roles = row
    if Capability.TRADING_STOP not in capabilities_of(roles):
        raise refusal_of(Capability.TRADING_STOP)
    label = label_of(name=name, email=by, is_simulated=is_simulated)
    line.execute(STOP, stop_values(book=book, facts=facts, user=user, label=label))
    made = line.fetchone()
    assert made is not None
    return UUID(str(made[0]))


def close_all(line: StopLine, *, book: str, event: UUID) -> dict[str, Any]:
    """Wait for orders that began earlier, wake the trader, and count what it closes."""
    line.execute(BARRIER, [book])
    said = line.fetchone()
    assert said is not None
    line.execute(RING)
    held, left = wait_until_flat(line, book)
    return {
        "book": book,
        "event": str(event),
        "positions_closed": held - left,
        "positions_left": left,
        "barrier": Barrier.of(said[0]).measured,
    }


def run(line: StopLine, options: Mapping[str, Any], *, out: Out, err: Out) -> int:
    """Stop and say so; the exit status.  Raises :class:`NobodyRuns` and :class:`LaunchError`."""
    event: UUID | None = None
    try:
        book = options["book"]
        event = trip(line, book=book, reason=options["reason"], by=options["by"])
        answer = close_all(line, book=book, event=event)
    except FundError as error:
        words = refused(error)
    except psycopg.OperationalError as error:
        words = unreachable(error)
    except psycopg.Error as error:
        words = rejected(error)
    except KeyboardInterrupt:
        words = INTERRUPTED
    else:
        out.write(f"{json.dumps(answer) if options['json'] else in_words(answer)}\n")
        return 0
    finally:
        line.close()
    if event is not None:
        words = f"book {book} is stopped, but what was closed is not known: {words}"
    err.write(f"CommandError: {words}\n")
    return 1


def in_words(answer: Mapping[str, Any]) -> str:
    """What a person reads."""
    return (
        f"Book {answer['book']} is stopped. Positions closed: {answer['positions_closed']}, still "
        f"open: {answer['positions_left']}. Two risk officers arm it again."
    )


def main(arguments: Sequence[str]) -> int | None:
    """The exit status; None where nothing runs and somebody must start the servers first."""
    parser = argparse.ArgumentParser(prog="manage.py stop", description=HELP)
    add_arguments(parser)
    options = vars(parser.parse_args(arguments))
    try:
        urls, root = find_urls(os.environ)
        return run(
            StopLine(urls, is_idle=lambda: is_idle(root)), options, out=sys.stdout, err=sys.stderr
        )
    except NobodyRuns:
        return None
    except LaunchError as error:
        sys.stderr.write(f"magnetfund: {error}\n")
        return 1
