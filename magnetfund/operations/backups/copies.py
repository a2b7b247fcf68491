"""Keeping each backup in the bucket too: sending it, reading it back, and a row for each attempt.

The only writer of ``BackupCopy``.  A copy counts once the bucket gave back the same bytes.  The log
of the embedded server goes by itself (:mod:`log_bucket`); its rows say when it began to fail, when
it came through again, and once a day that it does.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings

from magnetfund.core.actors import Actor
from magnetfund.core.services.audit import record_audit
from magnetfund.kernel.clock import utc_midnight
from magnetfund.kernel.errors import FundError, Unavailable
from magnetfund.operations.backups.bucket import open_bucket
from magnetfund.operations.backups.log_bucket import LogSender
from magnetfund.operations.backups.make import file_digest
from magnetfund.operations.backups.retention import choose_kept
from magnetfund.operations.backups.runs import PROVEN_WITHIN, backup_folder, say_failure
from magnetfund.operations.backups.storage import Folder, Storage, read_digest, remove_expired
from magnetfund.operations.models import Backup, BackupCopy

PLACES = ("disk", "bucket")
#: What the bucket lacks for longer than this is an alarm.
LATE_AFTER = timedelta(minutes=5)


def open_storage(word: str) -> Storage:
    """The storage that a person names, one of :data:`PLACES`."""
    return open_bucket(settings.BACKUP_BUCKET) if word == "bucket" else Folder(backup_folder())


def find_uncopied(storage: Storage) -> Backup | None:
    """The newest backup on disk that retention keeps and that was never read back from there."""
    there = {item.name: item for item in storage.list()}
    here = {item.name: item for item in Folder(backup_folder()).list()}
    kept = choose_kept(item.made_at for item in (*there.values(), *here.values()))
    verified = set(
        BackupCopy.objects.filter(place=storage.place, is_verified=True).values_list(
            "sha256", flat=True
        )
    )
    names = [name for name, item in here.items() if item.made_at in kept]
    rows = Backup.objects.filter(is_complete=True, name__in=names).order_by("-made_at")
    for row in rows:
        found = there.get(row.name)
        if found is None or found.size != row.size or row.sha256 not in verified:
            return row
    return None


def record_copy(*, backup: Backup, storage: Storage) -> BackupCopy:
    """Send a backup there, read it back whole, compare, and remove what retention drops there.

    A failure is recorded and raised again.
    """
    began = time.monotonic()
    try:
        _send(backup, storage)
    except (FundError, OSError) as error:
        words = error.message if isinstance(error, FundError) else say_failure(error)
        _record(backup, storage, began, is_verified=False, detail=words[:500])
        if isinstance(error, FundError):
            raise
        raise Unavailable(words, code="backup_copy_failed") from error
    row = _record(backup, storage, began, is_verified=True)
    gone = remove_expired(
        storage, only=set(Backup.objects.filter(is_complete=True).values_list("name", flat=True))
    )
    record_audit(
        action="backup.copied",
        actor=Actor.system("backup"),
        subject=("backup", backup.pk),
        body={"name": row.name, "sha256": row.sha256, "place": row.place, "removed": gone},
    )
    return row


def _send(backup: Backup, storage: Storage) -> None:
    with Folder(backup_folder()).borrow(backup.name) as path:
        if file_digest(path) != backup.sha256:
            raise Unavailable(
                f"{backup.name} on disk is not the file that was made", code="backup_copy_failed"
            )
        storage.put(path)
    if read_digest(storage, backup.name) != backup.sha256:
        raise Unavailable(
            f"{storage.place} gave back other bytes of {backup.name} than were sent",
            code="backup_copy_failed",
        )


def _record(
    backup: Backup, storage: Storage, began: float, *, is_verified: bool, detail: str = ""
) -> BackupCopy:
    return BackupCopy.objects.create(
        name=backup.name,
        sha256=backup.sha256,
        made_at=backup.made_at,
        place=storage.place,
        is_verified=is_verified,
        size=backup.size,
        seconds=time.monotonic() - began,
        detail=detail,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyHealth:
    """``verified`` is the copy of the newest backup that was read back; ``newest`` the newest
    attempt."""

    place: str
    verified: BackupCopy | None
    newest: BackupCopy | None
    is_alarm: bool
    words: str


def read_copy_health(*, at: datetime) -> CopyHealth | None:
    """Whether the bucket gave back a backup of the last 26 hours; None where no bucket is set."""
    if settings.BACKUP_BUCKET is None:
        return None
    place = settings.BACKUP_BUCKET.place
    rows = BackupCopy.objects.filter(place=place)
    newest = rows.order_by("-tried_at").first()
    verified = rows.filter(is_verified=True).order_by("-made_at", "-tried_at").first()
    if newest is None:
        words = f"No backup was sent to {place} yet."
    elif not newest.is_verified:
        words = f"The last copy to {place} failed: {newest.detail}"
    else:
        words = (
            f"{newest.name} was read back from {place} at {newest.tried_at:%d %b %Y, %H:%M} UTC."
        )
    is_alarm = verified is None or at - verified.made_at > PROVEN_WITHIN
    return CopyHealth(place=place, verified=verified, newest=newest, is_alarm=is_alarm, words=words)


def log_place() -> str:
    """The place of the rows about the log; empty where no bucket is set."""
    return f"{settings.BACKUP_BUCKET.place} (log)" if settings.BACKUP_BUCKET else ""


def record_log_copy(senders: Sequence[LogSender], *, now: datetime) -> BackupCopy | None:
    """A row where the log began to fail or comes through again, and the first one of each UTC day.

    It fails where a file waits longer than :data:`LATE_AFTER`; None where there is nothing new.
    """
    sent = max(
        (one.sent for one in senders if one.sent), key=lambda item: item.sealed_at, default=None
    )
    late = [one for one in senders if one.waits_since and now - one.waits_since > LATE_AFTER]
    if sent is None and not late:
        return None
    last = BackupCopy.objects.filter(place=log_place()).order_by("-tried_at").first()
    if last and last.is_verified is not bool(late) and last.tried_at >= utc_midnight(now):
        return None
    waits = min((one.waits_since for one in late if one.waits_since), default=None)
    why = next((one.error for one in late if one.error), "the line is too slow for it")
    detail = f"files of {waits:%d %b %Y, %H:%M} wait: {why}" if waits else ""
    return BackupCopy.objects.create(
        name=sent.name if sent else "", sha256=sent.sha256 if sent else "",
        made_at=sent.sealed_at if sent else waits or now, place=log_place(),
        is_verified=not late, size=sent.size if sent else 0, detail=detail[:500],
    )  # fmt: skip


def read_log_copy_health(*, at: datetime) -> CopyHealth | None:
    """Whether the log comes through to the bucket; None where none was sent there yet."""
    rows = BackupCopy.objects.filter(place=log_place())
    newest = rows.order_by("-tried_at").first() if log_place() else None
    if newest is None:
        return None
    verified = rows.filter(is_verified=True).order_by("-tried_at").first()
    words = (
        f"{newest.name} was read back from {newest.place} at {newest.tried_at:%d %b %Y, %H:%M} UTC."
        if newest.is_verified
        else f"The log does not reach {newest.place}: {newest.detail}"
    )
    is_alarm = not newest.is_verified or at - newest.tried_at > PROVEN_WITHIN
    return CopyHealth(
        place=log_place(), verified=verified, newest=newest, is_alarm=is_alarm, words=words
    )


def copy_if_due() -> BackupCopy | None:
    """Copy the newest backup that the bucket lacks; None where nothing is due or none is set."""
    if settings.BACKUP_BUCKET is None:
        return None
    storage = open_storage("bucket")
    row = find_uncopied(storage)
    return record_copy(backup=row, storage=storage) if row else None
