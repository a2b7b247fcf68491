"""Keeping the log of the embedded server while the platform runs: sealing, copies, what is old."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import psycopg
from django.conf import settings
from django.db.models import QuerySet

from magnetfund.kernel.clock import utc_midnight, utc_now
from magnetfund.kernel.errors import FundError
from magnetfund.operations.backups.container import read_key
from magnetfund.operations.backups.log import (
    BASE_BEGINS,
    StoredBase,
    find_newest,
    list_bases,
    log_folder,
    make_base,
    remove_old,
    seal_files,
    seal_waiting,
)
from magnetfund.operations.backups.make import file_digest
from magnetfund.operations.backups.point_in_time import choose_instant, prove_in_scratch
from magnetfund.operations.backups.runs import backup_folder, dump_dsn, say_failure
from magnetfund.operations.models import BackupCheck
from magnetfund.operations.servers.home import LaunchError

_log = logging.getLogger("magnetfund.backups")
LOOK_SECONDS = 2.0
FILES_SECONDS = 60.0
#: A start settles first; the copy reads the whole cluster.
FIRST_BASE_AFTER = timedelta(minutes=1)
#: What waits longer than this to be sealed is an alarm.
LATE_AFTER = timedelta(minutes=5)


def handed_over() -> Path | None:
    """Where the embedded server leaves its segments; None with a server of one's own."""
    return Path(settings.LOG_FOLDER) if settings.LOG_FOLDER else None


def own_log(waiting: Path) -> Path:
    """The folder of this cluster's sealed log."""
    return log_folder(backup_folder(), waiting.with_name("postgres"))


class LogKeeper(threading.Thread):
    """Seals segments as they come, beside whatever the process does; asks no database."""

    def __init__(self, waiting: Path, stop: threading.Event) -> None:
        super().__init__(name="log keeper", daemon=True)
        self._waiting, self._stop_asked = waiting, stop
        self._known: dict[str, int] = {}
        self._files_at = 0.0

    def run(self) -> None:
        while not self._stop_asked.is_set():
            try:
                self.look()
            except (FundError, OSError) as error:
                _log.error("the log is not kept: %s", error)
            self._stop_asked.wait(LOOK_SECONDS)

    def look(self) -> None:
        """One round: what waits, and once a minute the files that changed and what is old."""
        key, folder = read_key(Path(settings.BACKUP_KEY_FILE)), own_log(self._waiting)
        seal_waiting(handed_over=self._waiting, folder=folder, key=key)
        if time.monotonic() - self._files_at > FILES_SECONDS:
            self._files_at, now = time.monotonic(), utc_now()
            root = Path(settings.MAGNET_HOME)
            seal_files(root=root, folder=folder, key=key, known=self._known, at=now)
            remove_old(folder, now=now)


def copy_cluster_if_due(waiting: Path, *, now: datetime, started_at: datetime) -> StoredBase | None:
    """Copy the cluster where no copy is of today, or of the timeline that it is on."""
    if now < started_at + FIRST_BASE_AFTER:
        return None
    folder, dsn = own_log(waiting), dump_dsn()
    newest = next(iter(list_bases(folder)), None)
    with psycopg.connect(dsn) as connection:
        row = connection.execute("SELECT pg_walfile_name(pg_current_wal_lsn())").fetchone()
    assert row is not None
    is_current = newest is not None and newest.segment[:8] == row[0][:8]
    if newest is not None and is_current and newest.ended_at >= utc_midnight(now):
        return None
    key = read_key(Path(settings.BACKUP_KEY_FILE))
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return make_base(dsn=dsn, root=Path(settings.MAGNET_HOME), folder=folder, key=key)


def prove_if_due(waiting: Path, *, now: datetime) -> BackupCheck | None:
    """Restore the newest copy and the log after it into a scratch server, once a UTC day.

    The row says what was found; None where it is not due, or the log is too short yet.
    """
    folder = own_log(waiting)
    target = choose_instant(folder) if folder.is_dir() else None
    if target is None or log_checks().filter(checked_at__gte=utc_midnight(now)).exists():
        return None
    base = list_bases(folder)[0].path
    began, segments = time.monotonic(), 0
    try:
        result = prove_in_scratch(
            folder=folder, key=read_key(Path(settings.BACKUP_KEY_FILE)), target=target
        )
        differences, segments = list(result.differences), result.segments
    except (FundError, LaunchError, psycopg.Error, OSError) as error:
        differences = [error.message if isinstance(error, FundError) else say_failure(error)]
    seconds = time.monotonic() - began
    _log.info("%s and %d segments restored in %.0f s", base.name, segments, seconds)
    return BackupCheck.objects.create(
        name=f"{base.name} to {target:%H:%M:%S}", sha256=file_digest(base), seconds=seconds,
        is_clean=not differences, differences=differences[:200],
    )  # fmt: skip


def log_checks() -> QuerySet[BackupCheck]:
    """Restores of a copy of the cluster with its log; the others are of whole backups."""
    return BackupCheck.objects.filter(name__startswith=BASE_BEGINS)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogHealth:
    """``newest`` is when the last segment was sealed; ``is_late`` where older ones wait;
    ``proof`` is the newest restore of a copy and its log."""

    newest: datetime | None
    base: StoredBase | None
    is_late: bool
    proof: BackupCheck | None


def read_log_health(waiting: Path, *, at: datetime) -> LogHealth:
    """How far a restore to a minute reaches now."""
    folder = own_log(waiting)
    limit = (at - LATE_AFTER).timestamp()
    late = any(path.stat().st_mtime < limit for path in waiting.glob("*") if path.is_file())
    return LogHealth(
        newest=find_newest(folder),
        base=next(iter(list_bases(folder)), None),
        is_late=late,
        proof=log_checks().order_by("-checked_at").first(),
    )
