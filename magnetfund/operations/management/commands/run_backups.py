"""Make and prove backups: at 00:00 UTC, and soon after a start without a recent one."""

from __future__ import annotations

import logging
import signal
import threading
from datetime import datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connection

from magnetfund.core.actors import Actor
from magnetfund.core.commands import FundCommand
from magnetfund.core.services.jobs import beat_heart
from magnetfund.kernel.clock import utc_midnight, utc_now
from magnetfund.kernel.errors import FundError
from magnetfund.operations.backups.bucket import Bucket, open_bucket
from magnetfund.operations.backups.copies import copy_if_due, record_log_copy
from magnetfund.operations.backups.log_bucket import BASES, FOLDER, SEGMENTS, LogSender
from magnetfund.operations.backups.log_runs import (
    LogKeeper,
    copy_cluster_if_due,
    handed_over,
    own_log,
    prove_if_due,
)
from magnetfund.operations.backups.runs import find_unproven, record_backup, record_check
from magnetfund.operations.backups.server_log import record_archive
from magnetfund.operations.models import Backup

_log = logging.getLogger("magnetfund.backups")
FIRST_AFTER = timedelta(minutes=10)
BEAT_SECONDS = 30.0
#: A failed attempt is tried again this often, not only on the next day.
RETRY_AFTER = timedelta(minutes=15)


def choose_next(*, now: datetime, started_at: datetime, last: datetime | None) -> datetime:
    """When the next backup is due.

    ``last`` is when the newest complete one was made.  Every UTC midnight is due; a platform whose
    last backup is older than the last midnight gets one ten minutes after its start.
    """
    midnight = utc_midnight(now)
    if last is None or last < midnight:
        return max(started_at + FIRST_AFTER, midnight)
    return midnight + timedelta(days=1)


def run_due(*, now: datetime, started_at: datetime) -> bool:
    """Make the backup that is due, then restore the newest one that was never restored, whoever
    made it; False where either failed."""
    last = (
        Backup.objects.filter(is_complete=True)
        .order_by("-made_at")
        .values_list("made_at", flat=True)
        .first()
    )
    try:
        if now >= choose_next(now=now, started_at=started_at, last=last):
            record_backup(reason="schedule", actor=Actor.system("backup"))
        path = find_unproven()
        if path is None:
            return True
        check, _ = record_check(path=path)
    except FundError as error:
        _log.error("backup failed: %s", error.message)
        return False
    _log.info("backup %s proven: %s", path.name, check.is_clean)
    return check.is_clean


def keep_elsewhere() -> bool:
    """Copy what the bucket lacks, the newest first, one at a time; False on failure."""
    try:
        copied = copy_if_due()
    except FundError as error:
        _log.error("the backup was not copied: %s", error.message)
        return False
    if copied:
        _log.info("backup %s read back from %s", copied.name, copied.place)
    return True


def start_senders(waiting: Path | None, stop: threading.Event) -> list[LogSender]:
    """Send the log to the bucket, where there are both: segments, and copies beside them."""
    if waiting is None or settings.BACKUP_BUCKET is None:
        return []
    folder = own_log(waiting)

    def open_place() -> Bucket:
        return open_bucket(settings.BACKUP_BUCKET).within(f"{FOLDER}/{folder.name}")

    senders = [
        LogSender(folder, kinds=kinds, open_place=open_place, stop=stop)
        for kinds in (SEGMENTS, BASES)
    ]
    for sender in senders:
        sender.start()
    return senders


def copy_cluster(waiting: Path | None, *, now: datetime, started_at: datetime) -> bool:
    """Make the copy that a restore to a minute begins with, where it is due; False on failure."""
    try:
        made = waiting and copy_cluster_if_due(waiting, now=now, started_at=started_at)
    except (FundError, OSError) as error:
        _log.error("the cluster was not copied: %s", error)
        return False
    if made:
        _log.info("cluster copied: %s", made.path.name)
    return True


def prove_log(waiting: Path | None, *, now: datetime) -> bool:
    """Restore the copy and its log where that is due; False where it did not come back clean."""
    try:
        check = waiting and prove_if_due(waiting, now=now)
    except (FundError, OSError) as error:
        _log.error("the log was not restored: %s", error)
        return False
    if check and not check.is_clean:
        _log.error("the log did not restore: %s", "; ".join(check.differences)[:300])
    return not check or check.is_clean


class Command(FundCommand):
    help = __doc__

    def work(self, **options: Any) -> dict[str, Any]:
        stop = threading.Event()

        def ask_to_stop(number: int, frame: FrameType | None) -> None:
            stop.set()

        signal.signal(signal.SIGTERM, ask_to_stop)
        signal.signal(signal.SIGINT, ask_to_stop)
        started_at = utc_now()
        failed_at: datetime | None = None
        waiting = handed_over()
        senders = start_senders(waiting, stop)
        if waiting is not None:
            LogKeeper(waiting, stop).start()
        while not stop.is_set():
            now = utc_now()
            try:
                beat_heart(part="backups", instance="main", build_id=settings.BUILD_ID)
                record_log_copy(senders, now=now)
                record_archive(now=now)
                if failed_at is None or now - failed_at >= RETRY_AFTER:
                    copied = copy_cluster(waiting, now=now, started_at=started_at)
                    proven = run_due(now=now, started_at=started_at)
                    proven = prove_log(waiting, now=now) and proven
                    proven = keep_elsewhere() and proven
                    failed_at = None if copied and proven else now
            except DatabaseError as error:
                _log.error("database unavailable, retrying: %s", str(error).splitlines()[0])
                connection.close()
            stop.wait(BEAT_SECONDS)
        return {"stopped": True}
