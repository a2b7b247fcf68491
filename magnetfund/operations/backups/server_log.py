"""The log of the database server, as the server itself tells: whether its archiving comes through.

The embedded server's segments are sealed by :mod:`log_runs`.  A server of one's own archives them
with a tool of its own (``deploy/pgbackrest.conf`` for the containers), which alone can restore
them; what is seen from here is whether segments leave in time.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection

from magnetfund.kernel.clock import utc_midnight, utc_now
from magnetfund.operations.models import BackupCopy

#: A server that is written to hands a segment over every 60 s; this much later is an alarm.
LATE_AFTER = timedelta(minutes=5)
#: The place of the rows about it.
PLACE = "archive of the database server"

ARCHIVER = """
SELECT current_setting('archive_mode') <> 'off', last_archived_wal, last_archived_time,
       last_failed_wal, last_failed_time,
       greatest(pg_postmaster_start_time(), stats_reset)
FROM pg_stat_archiver
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveHealth:
    """``is_on`` where the server archives at all, ``is_late`` where segments do not leave in time;
    ``segment`` is the newest that left, at ``archived_at``."""

    is_on: bool
    is_late: bool
    segment: str
    archived_at: datetime | None
    words: str


def read_archive_health(*, at: datetime | None = None) -> ArchiveHealth:
    """What the server says of its archiving; ``at`` is now if absent."""
    at = at or utc_now()
    with connection.cursor() as cursor:
        cursor.execute(ARCHIVER)
        is_on, segment, archived_at, failed, failed_at, since = cursor.fetchone()
    if not is_on:
        words = "The server archives no log: what was written since the last backup would be lost."
        return ArchiveHealth(
            is_on=False, is_late=False, segment="", archived_at=None, words=words
        )  # fmt: skip
    is_late = at - (archived_at or since) > LATE_AFTER
    is_failing = failed_at is not None and (archived_at is None or failed_at > archived_at)
    if is_failing:
        words = f"{failed} could not be archived, the last time at {failed_at:%d %b %Y, %H:%M} UTC."
    elif archived_at is None:
        words = "No segment of the log was archived yet."
    else:
        words = f"The newest segment was archived at {archived_at:%d %b %Y, %H:%M:%S} UTC."
    return ArchiveHealth(
        is_on=True,
        is_late=is_late,
        segment=segment or "",
        archived_at=archived_at,
        words=words,
    )


def record_archive(*, now: datetime) -> BackupCopy | None:
    """A row where archiving began to fail or comes through again, and the first of each UTC day.

    None where there is nothing new, or the server archives nothing (``doctor`` says so).
    """
    health = read_archive_health(at=now)
    if not health.is_on or (health.archived_at is None and not health.is_late):
        return None
    last = BackupCopy.objects.filter(place=PLACE).order_by("-tried_at").first()
    if last and last.is_verified is not health.is_late and last.tried_at >= utc_midnight(now):
        return None
    return BackupCopy.objects.create(
        name=health.segment,
        made_at=health.archived_at or now,
        place=PLACE,
        is_verified=not health.is_late,
        size=0,
        detail=health.words if health.is_late else "",
    )
