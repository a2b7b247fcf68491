"""Every advisory lock of the platform has its name in one register."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.db import connection, connections, transaction

from magnetfund.core.locks import AdvisoryLock, take_lock, try_lock_text

PROJECT = Path(__file__).resolve().parents[2]
TAKES = re.compile(r"pg_(?:try_)?advisory_(?:xact_)?lock(?:_shared)?\(\s*(\w+)?")
FOLDERS = ("magnetfund", "risk", "trading", "investors")


def test_code_takes_locks_through_the_register_alone() -> None:
    elsewhere = [
        str(path.relative_to(PROJECT))
        for folder in FOLDERS
        for path in sorted((PROJECT / folder).rglob("*.py"))
        if not {"tests", "migrations"} & set(path.parts)
        and path.name != "locks.py"
        and TAKES.search(path.read_text())
    ]
    assert elsewhere == []


@pytest.mark.django_db
def test_the_functions_of_the_database_take_registered_kinds_alone() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT p.proname, p.prosrc FROM pg_proc p JOIN pg_namespace n "
            "ON n.oid = p.pronamespace WHERE n.nspname = 'public' AND p.prosrc LIKE '%advisory%'"
        )
        functions = cursor.fetchall()
    taken = {(name, key) for name, source in functions for key in TAKES.findall(source)}
    known = {str(int(lock)) for lock in AdvisoryLock}
    assert {key for _, key in taken} <= known
    # Neither orders nor stops wait for a lock that any role can take.
    waits = {name for name, _ in taken if name.startswith(("trading_fuse", "risk_", "watchdog_"))}
    assert waits == set()


@pytest.mark.django_db
def test_a_lock_is_held_to_the_end_of_its_transaction(cluster: object) -> None:
    import psycopg

    dsn = cluster.dsn("fa_app", connections["default"].settings_dict["NAME"])  # type: ignore[attr-defined]
    kind = int(AdvisoryLock.STRIKE_OF_FUND)
    with psycopg.connect(dsn, autocommit=True) as other:
        ask = "SELECT pg_try_advisory_xact_lock(%s, hashtext(%s))"
        with transaction.atomic():
            take_lock(AdvisoryLock.STRIKE_OF_FUND, "a fund")
            assert try_lock_text("a request")
            assert other.execute(ask, [kind, "a fund"]).fetchone() == (False,)
            assert other.execute(ask, [kind, "another"]).fetchone() == (True,)
            assert other.execute(
                "SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))", ["a request"]
            ).fetchone() == (False,)
