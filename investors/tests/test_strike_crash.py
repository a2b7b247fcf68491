"""PostgreSQL crashes in the middle of a strike: nothing of it stands, and the next try is whole.

The session's server process is killed at a statement, which makes the cluster restart from its log.
Twenty points with ``FULL=1``, four without.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.db import Error, OperationalError, connection, transaction

from investors.models import DealingOrder, Entry, Holding, NavStrike, Posting, UnitEntry
from investors.services.verification import verify_fund
from investors.tests.fund_support import FIRST, first_of, make_fund
from magnetfund.core.models import AuditEvent
from magnetfund.tests.drill_size import IS_SHORT

pytestmark = pytest.mark.usefixtures("fresh_database")
FEBRUARY = first_of(2025, 2)
POINTS = 2 if IS_SHORT else 10
RESTART_SECONDS = 120


class KillAt:
    """Kills the server process of this session before its ``number``-th statement; counts them."""

    def __init__(self, number: int | None = None) -> None:
        self.number = number
        self.seen = 0

    def __call__(self, execute: Callable[..., Any], sql: str, *args: Any) -> Any:
        # A work that is undone has savepoints where the real one has its transaction.
        self.seen += not sql.startswith(("SAVEPOINT", "RELEASE", "ROLLBACK"))
        if self.seen == self.number:
            os.kill(connection.connection.info.backend_pid, signal.SIGKILL)
        return execute(sql, *args)


def count_statements(work: Callable[[], object]) -> int:
    """Statements of a piece of work, which is undone."""
    meter = KillAt()
    with transaction.atomic(), connection.execute_wrapper(meter):
        work()
        transaction.set_rollback(True)
    return meter.seen


def connect() -> None:
    """A new session once PostgreSQL answers, whose commits outlive a crash."""
    end = time.monotonic() + RESTART_SECONDS
    while True:
        try:
            connection.close()
            with connection.cursor() as cursor:
                cursor.execute("SET synchronous_commit = on")
        except OperationalError:
            assert time.monotonic() < end, "PostgreSQL did not come back"
            time.sleep(0.1)
        else:
            return


def read_books() -> list[Any]:
    """What a strike writes."""
    tables = (Entry, Posting, UnitEntry, AuditEvent)
    return [
        *(table.objects.count() for table in tables),
        *NavStrike.objects.order_by("pk").values_list("pk", "state"),
        *DealingOrder.objects.order_by("pk").values_list("pk", "state", "dealt_units"),
        *Holding.objects.order_by("pk").values_list("pk", "units", "reserved_units"),
    ]


def test_a_crash_at_any_point_leaves_nothing_and_the_next_try_is_whole():
    connect()
    small = make_fund("main", management_rate="0.02", performance_rate="0.2")
    for at in (FIRST, FEBRUARY):
        small.day(at)
    for name in ("ann", "bob"):
        small.subscribe(name, "1000", before=FIRST)
    small.strike(FIRST)
    small.earn("300", at=FIRST.replace(day=10))
    small.redeem("ann", "3", before=FEBRUARY)
    small.subscribe("bob", "500", before=FEBRUARY)

    def prepare() -> object:
        return small.prepare(FEBRUARY)

    def approve() -> object:
        return small.approve(NavStrike.objects.get(state=NavStrike.State.PREPARED))

    for step in (prepare, approve):
        before, total = read_books(), count_statements(step)
        assert total > 2 * POINTS
        for k in range(POINTS):
            number = 2 + k * (total - 2) // (POINTS - 1)
            with pytest.raises(Error), connection.execute_wrapper(KillAt(number)):
                step()
            connect()
            assert read_books() == before, (step.__name__, number)
        step()
    assert NavStrike.objects.get(valuation_at=FEBRUARY).state == NavStrike.State.DEALT
    assert set(DealingOrder.objects.values_list("state", flat=True)) == {"settled", "payable"}
    assert verify_fund(small.fund) == []
