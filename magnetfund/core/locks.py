"""The register of advisory locks: every key has its name here, and is taken from here.

A lock is a pair of numbers: its kind, and a key of that kind (a row's id, or the hash of a text).
It ends with its transaction, a session lock with its session.  Triggers in PostgreSQL take some of
them too, under the same numbers.  The single 64-bit keys of PostgreSQL are a space of their own;
only idempotency uses it.
"""

from __future__ import annotations

from enum import IntEnum

from django.db import connection


class AdvisoryLock(IntEnum):
    """Kinds of locks."""

    #: The end of a hash chain: the audit trail or the ledger of a fund.
    CHAIN = 7002
    #: States of the engine of a book.
    ENGINE_OF_BOOK = 7005
    #: Entries by hand of a book: each is judged with the one before it in the book.
    ENTRIES_BY_HAND = 7035
    #: Strikes of a fund.
    STRIKE_OF_FUND = 7006
    #: Setting up the funds of this home and their holders.
    FOUNDING = 7012
    #: Numbers of a fund's payments.
    PAYMENTS_OF_FUND = 7014
    #: Members of a book.
    BOOK_MEMBERS = 7013
    #: Candles of one instrument and timeframe.
    CANDLE_SERIES = 7011
    #: Funding rates of one instrument.
    FUNDING_RATES = 7037
    #: Option chains of one instrument.
    OPTION_CHAIN = 7034
    #: A run of research: held by its worker's session, so that a dead worker lets go of it.
    RESEARCH_RUN = 7031
    #: A run of a job: held by its worker's session, so that a dead worker lets go of it.
    JOB_RUN = 7036
    #: Derived figures of one sleeve.
    PERFORMANCE = 7033


#: Held by the administrator's session on the maintenance database while the empty template of
#: scratch databases is made; the number of the register does not matter there.
HOLD_SCRATCH_TEMPLATE = "SELECT pg_advisory_lock(hashtext('scratch template'))"


def take_lock(lock: AdvisoryLock, key: int | str) -> None:
    """Wait for a lock and hold it to the end of the transaction."""
    place = "%s" if isinstance(key, int) else "hashtext(%s)"
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT pg_advisory_xact_lock(%s, {place})", [int(lock), key])


def try_lock_text(text: str) -> bool:
    """Take the lock of a text in the 64-bit space, unless another transaction holds it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))", [text])
        row = cursor.fetchone()
    return bool(row and row[0])


def try_session_lock(lock: AdvisoryLock, key: int) -> bool:
    """Take a lock for the session, unless another session holds it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", [int(lock), key])
        row = cursor.fetchone()
    return bool(row and row[0])


def release_session_lock(lock: AdvisoryLock, key: int) -> None:
    """Give a session's lock back."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [int(lock), key])
