"""A database session that is held open for stopping the fund and used for nothing else.

It is a role of its own, signed in when the process starts, so a stop needs no free connection of a
pool, no new sign-in and no transaction of the caller.  A process without one (a replay, a command)
stops over its ordinary connection.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from typing import Any

import psycopg
from django.conf import settings
from django.db import connection

from magnetfund.core.stop_session import OPTIONS

_log = logging.getLogger("magnetfund.stop")
_lock = threading.Lock()
_session: psycopg.Connection[Any] | None = None
_is_held = False
CONNECT_SECONDS = 2


def hold_open() -> None:
    """Sign in now and keep the session; harmless where no role for stopping is configured."""
    global _is_held
    if not settings.DATABASE_STOP_URL:
        return
    _is_held = True
    with _lock:
        try:
            _connect()
        except psycopg.Error as error:
            _log.error("no session for stopping yet: %s", type(error).__name__)


def let_go() -> None:
    """Close the session; stops go over the ordinary connection again."""
    global _is_held, _session
    _is_held = False
    with _lock:
        if _session is not None:
            _session.close()
        _session = None


def call(statement: str, values: Sequence[Any] = ()) -> tuple[Any, ...]:
    """First row of one statement, committed when this returns.

    Goes over the held session, once more over a new one where it was lost, and over the process's
    ordinary connection where none can be had.  Raises the error of the last way.
    """
    if _is_held:
        with _lock:
            for _ in range(2):
                try:
                    return _row(_connect().execute(statement.encode(), values))
                except psycopg.Error as error:
                    # Also one that refuses to write: whoever holds the role may have spoilt it.
                    _log.error("the session for stopping is lost: %s", type(error).__name__)
                    _drop()
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        row: tuple[Any, ...] = cursor.fetchone()
        return row


def _connect() -> psycopg.Connection[Any]:
    global _session
    if _session is None or _session.closed:
        _session = psycopg.connect(
            settings.DATABASE_STOP_URL,
            autocommit=True,
            connect_timeout=CONNECT_SECONDS,
            application_name="magnetfund stop",
            options=OPTIONS,
        )
    return _session


def _drop() -> None:
    global _session
    if _session is not None:
        _session.close()
    _session = None


def _row(cursor: psycopg.Cursor[Any]) -> tuple[Any, ...]:
    row = cursor.fetchone()
    assert row is not None
    return tuple(row)
