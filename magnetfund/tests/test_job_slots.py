"""A slot of a job is run by one process, and by a second one only where the first died at it."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from django.db import connection

from magnetfund.core.locks import AdvisoryLock
from magnetfund.core.models import JobRun
from magnetfund.core.services.jobs import BEGUN_AGAIN, run_slot, slot_of
from magnetfund.kernel.clock import VirtualClock, use_clock

pytestmark = pytest.mark.usefixtures("fresh_database")
DAY = timedelta(days=1)
EDGES = [
    (datetime(2027, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC), datetime(2027, 12, 31, tzinfo=UTC)),
    (datetime(2028, 1, 1, tzinfo=UTC), datetime(2028, 1, 1, tzinfo=UTC)),
    (datetime(2028, 2, 29, 12, tzinfo=UTC), datetime(2028, 2, 29, tzinfo=UTC)),
    (datetime(2028, 3, 1, tzinfo=UTC), datetime(2028, 3, 1, tzinfo=UTC)),
]


def count(done: list[datetime]) -> JobRun | None:
    def work(slot: datetime) -> str:
        done.append(slot)
        return "done"

    return run_slot(job="daily", period=DAY, work=work)


@pytest.mark.parametrize(("at", "slot"), EDGES)
def test_a_day_of_utc_is_one_slot(at: datetime, slot: datetime) -> None:
    done: list[datetime] = []
    with use_clock(VirtualClock(at)):
        count(done)
        count(done)
    assert done == [slot]


def test_three_days_of_outage_are_one_run() -> None:
    done: list[datetime] = []
    clock = VirtualClock(EDGES[0][0])
    with use_clock(clock):
        count(done)
        clock.move_to(EDGES[0][0] + 3 * DAY)
        count(done)
    assert done == [EDGES[0][1], EDGES[0][1] + 3 * DAY]


def test_what_a_dead_process_left_is_begun_again_once() -> None:
    done: list[datetime] = []
    with use_clock(VirtualClock(EDGES[2][0])):
        row = JobRun.objects.create(job="daily", scheduled_for=EDGES[2][1])
        count(done)
        assert len(done) == 1
        row.refresh_from_db()
        assert (row.state, row.detail) == (JobRun.State.DONE, "done")
        JobRun.objects.update(state=JobRun.State.RUNNING, detail=BEGUN_AGAIN)
        assert count(done) is None, "it died twice"
    assert len(done) == 1


def test_a_process_at_work_keeps_its_slot(fresh_database: Any) -> None:
    """Another session runs it, asks while it does, and after it."""
    done: list[datetime] = []
    given: list[JobRun | None] = []

    def ask() -> None:
        try:
            with use_clock(VirtualClock(EDGES[2][0])):
                given.append(count(done))
        finally:
            connection.close()

    def work(slot: datetime) -> str:
        other = threading.Thread(target=ask)
        other.start()
        other.join()
        return "first"

    with use_clock(VirtualClock(EDGES[2][0])):
        row = run_slot(job="daily", period=DAY, work=work)
        assert count(done) is None
    assert (row is not None, given, done) == (True, [None], [])
    with psycopg.connect(fresh_database.dsn("postgres", "fresh")) as session:
        held = session.execute(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = %s",
            [int(AdvisoryLock.JOB_RUN)],
        ).fetchone()
    assert held == (0,)


def test_a_slot_begins_at_its_multiple() -> None:
    assert slot_of(EDGES[0][0], timedelta(seconds=15)) == EDGES[0][0].replace(
        second=45, microsecond=0
    )
