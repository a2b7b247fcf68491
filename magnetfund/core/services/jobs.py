"""Scheduled jobs that are safe to run zero, one or many times.

A job owns a slot (job, scheduled_for) by inserting its row; whoever loses the insert does nothing,
unless the owner died at work: then the slot is begun again, once.
Slots are multiples of the period since 1970 in UTC, so clocks with daylight saving do not matter.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from django.db import transaction

from magnetfund.core.commits import commit_early
from magnetfund.core.locks import AdvisoryLock, release_session_lock, try_session_lock
from magnetfund.core.models import Heartbeat, JobRun
from magnetfund.kernel.clock import utc_now

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
KEEP = timedelta(days=14)
#: What a row says while its second process is at work: a job that kills its worker is left then.
BEGUN_AGAIN = "begun again"


def slot_of(instant: datetime, period: timedelta) -> datetime:
    """Start of the slot that holds ``instant``."""
    return instant - (instant - _EPOCH) % period


def run_slot(*, job: str, period: timedelta, work: Callable[[datetime], str]) -> JobRun | None:
    """Run ``work(slot)`` if this time slot is free; None if another process holds it.

    ``work`` returns one line that says what was done.  An exception marks the row failed and is
    raised again, so that the worker reports it.
    """
    row = _own_slot(job, slot_of(utc_now(), period))
    if row is None:
        return None
    try:
        row.detail = work(row.scheduled_for)[:500]
        row.state = JobRun.State.DONE
    except Exception as error:
        row.detail = f"{type(error).__name__}: {error}"[:500]
        row.state = JobRun.State.FAILED
        raise
    finally:
        row.finished_at = utc_now()
        row.save(update_fields=["state", "finished_at", "detail"])
        release_session_lock(AdvisoryLock.JOB_RUN, _key(row))
    return row


def _own_slot(job: str, slot: datetime) -> JobRun | None:
    """The row of a slot, with its lock held by this session; None where it is another's or done.

    A row that says running while no session holds its lock was left by a process that died: a
    restart, or a machine that lost its power, would else cost a daily job its day.
    """
    with transaction.atomic():
        row, is_new = JobRun.objects.get_or_create(job=job, scheduled_for=slot)
        if row.state != JobRun.State.RUNNING or row.detail == BEGUN_AGAIN:
            return None
        # A new row is seen by others once it is locked, since this commits after it.
        if not try_session_lock(AdvisoryLock.JOB_RUN, _key(row)):
            return None
        if is_new:
            return row
        row.refresh_from_db()
        if row.state == JobRun.State.RUNNING and row.detail != BEGUN_AGAIN:
            row.detail = BEGUN_AGAIN
            row.save(update_fields=["detail"])
            return row
        release_session_lock(AdvisoryLock.JOB_RUN, _key(row))
    return None


def _key(row: JobRun) -> int:
    return row.pk % 2**31


def purge_old_runs() -> int:
    return JobRun.objects.filter(scheduled_for__lt=utc_now() - KEEP).delete()[0]


def beat_heart(*, part: str, instance: str, build_id: str = "", **detail: object) -> None:
    """Record a heartbeat of a process.

    In one statement and without waiting for the disk: a trader's prices wait for it.
    """
    row = Heartbeat(
        part=part, instance=instance, build_id=build_id, seen_at=utc_now(), detail=detail
    )
    with commit_early():
        Heartbeat.objects.bulk_create(
            [row],
            update_conflicts=True,
            unique_fields=["part", "instance"],
            update_fields=["build_id", "seen_at", "detail"],
        )


def note_start(*, part: str, instance: str, build_id: str = "", **progress: object) -> None:
    """Say how far a process has come with its start, which is no heartbeat.

    What it last reported keeps its time; its next heartbeat ends the start.
    """
    row, _ = Heartbeat.objects.get_or_create(
        part=part, instance=instance, defaults={"build_id": build_id, "seen_at": utc_now()}
    )
    row.detail = {**row.detail, "starting": progress}
    row.save(update_fields=["detail"])
