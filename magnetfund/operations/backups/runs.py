"""Making and proving backups, with a row for each attempt and each restore.

The only writers of ``Backup`` and ``BackupCheck``.  Times are the wall clock's.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import psycopg
from django.conf import settings
from django.db import connection
from psycopg.conninfo import make_conninfo

from magnetfund.core.actors import Actor
from magnetfund.core.services.audit import record_audit
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import FundError, NotAllowed, NotFound, Unavailable
from magnetfund.operations.backups.container import read_key
from magnetfund.operations.backups.log import BASE_BEGINS
from magnetfund.operations.backups.make import file_digest, make_backup
from magnetfund.operations.backups.restore import RestoreResult, verify_in_scratch
from magnetfund.operations.backups.storage import Folder, remove_expired
from magnetfund.operations.models import Backup, BackupCheck
from magnetfund.operations.servers.home import LaunchError

#: Without a backup proven by a restore for this long, an alarm is raised.
PROVEN_WITHIN = timedelta(hours=26)


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupHealth:
    """``proven_at`` is when the newest backup that restored cleanly was made."""

    newest: Backup | None
    check: BackupCheck | None
    proven_at: datetime | None
    is_alarm: bool
    words: str


def say_failure(error: Exception) -> str:
    """First line of what a server or the disk said; a path or a statement is not in it."""
    return str(error).strip().partition("\n")[0] or type(error).__name__


def backup_folder() -> Path:
    """Folder of the encrypted files."""
    return Path(settings.BACKUP_FOLDER)


def dump_dsn() -> str:
    """Connection string of the role that reads the whole database for a backup."""
    values = settings.DUMP_DATABASE
    named = {
        "dbname": values["NAME"], "user": values["USER"], "password": values["PASSWORD"],
        "host": values["HOST"], "port": values["PORT"],
    }  # fmt: skip
    return make_conninfo("", **{name: str(value) for name, value in named.items() if value})


def require_recorder() -> None:
    """Raise :class:`NotAllowed` (``needs_backup_role``) where this process may record no backup."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT has_table_privilege('operations_backupcheck', 'INSERT')")
        (may_record,) = cursor.fetchone()
    if not may_record:
        raise NotAllowed(
            "the backups' role alone records backups: set MAGNET_DB_ROLE=backup and its "
            "DATABASE_BACKUP_URL",
            code="needs_backup_role",
        )


def record_backup(*, reason: str, actor: Actor) -> Backup:
    """Make a backup now, record it, and remove what retention no longer keeps.

    ``reason`` is "schedule", "command" or "migration".  A failure is recorded and raised again.
    Raises what :func:`require_recorder` raises.
    """
    require_recorder()
    at, began = utc_now().replace(microsecond=0), time.monotonic()
    try:
        made = make_backup(
            dsn=dump_dsn(),
            root=Path(settings.MAGNET_HOME),
            folder=backup_folder(),
            key=read_key(Path(settings.BACKUP_KEY_FILE)),
            at=at,
            version=settings.VERSION,
            mode=settings.MAGNET_ENV,
        )
    except (FundError, psycopg.Error, OSError) as error:
        words = error.message if isinstance(error, FundError) else say_failure(error)
        Backup.objects.create(
            name="", reason=reason, made_at=at, is_complete=False, detail=words[:500],
            seconds=time.monotonic() - began,
        )  # fmt: skip
        if isinstance(error, FundError):
            raise
        raise Unavailable(words, code="backup_failed") from error
    row = Backup.objects.create(
        name=made.path.name,
        reason=reason,
        made_at=at,
        is_complete=True,
        size=made.size,
        sha256=made.sha256,
        manifest_sha256=made.manifest.digest,
        row_count=sum(table.rows for table in made.manifest.tables.values()),
        seconds=time.monotonic() - began,
    )
    gone = remove_expired(Folder(backup_folder()))
    record_audit(
        action="backup.made",
        actor=actor,
        subject=("backup", row.pk),
        body={"name": row.name, "sha256": row.sha256, "removed": gone},
    )
    return row


def record_check(*, path: Path) -> tuple[BackupCheck, RestoreResult]:
    """Restore ``path`` into a scratch server and record what was found.

    A damaged file, and a scratch server that does not start, are recorded as not clean and raised
    again.  Raises what :func:`require_recorder` raises.
    """
    require_recorder()
    began = time.monotonic()
    try:
        digest = file_digest(path)
    except OSError:
        raise NotFound(f"there is no backup {path}", code="no_backup") from None
    try:
        result = verify_in_scratch(path=path, key=read_key(Path(settings.BACKUP_KEY_FILE)))
    except (FundError, LaunchError, psycopg.Error, OSError) as error:
        words = error.message if isinstance(error, FundError) else say_failure(error)
        BackupCheck.objects.create(
            name=path.name, sha256=digest, seconds=time.monotonic() - began, is_clean=False,
            differences=[words],
        )  # fmt: skip
        if isinstance(error, FundError):
            raise
        raise Unavailable(words, code="restore_test_failed") from error
    row = BackupCheck.objects.create(
        name=path.name,
        sha256=digest,
        seconds=result.seconds,
        is_clean=result.is_clean,
        table_count=len(result.manifest.tables),
        row_count=sum(table.rows for table in result.manifest.tables.values()),
        differences=list(result.differences)[:200],
    )
    return row, result


def find_unproven() -> Path | None:
    """The newest kept backup that no restore was tried of; None when each was."""
    tried = BackupCheck.objects.values("sha256")
    rows = Backup.objects.filter(is_complete=True).exclude(sha256__in=tried)
    kept = {found.name for found in Folder(backup_folder()).list()}
    names = rows.order_by("-made_at").values_list("name", flat=True)
    return next((backup_folder() / name for name in names if name in kept), None)


def read_health(*, at: datetime) -> BackupHealth:
    """Whether a backup made within the last 26 hours was restored cleanly."""
    newest = Backup.objects.order_by("-made_at").first()
    check = (
        BackupCheck.objects.exclude(name__startswith=BASE_BEGINS).order_by("-checked_at").first()
    )
    proven = (
        Backup.objects.filter(sha256__in=BackupCheck.objects.filter(is_clean=True).values("sha256"))
        .order_by("-made_at")
        .values_list("made_at", flat=True)
        .first()
    )
    is_alarm = proven is None or at - proven > PROVEN_WITHIN
    if newest is None:
        words = "No backup has been made yet."
    elif not newest.is_complete:
        words = f"The last backup failed: {newest.detail}"
    elif check is not None and not check.is_clean:
        words = f"The last restore test of {check.name} failed."
    elif proven is None:
        words = "No backup has been proven by a restore yet."
    else:
        words = f"Newest backup proven by a restore: {proven:%d %b %Y, %H:%M} UTC."
    return BackupHealth(
        newest=newest, check=check, proven_at=proven, is_alarm=is_alarm, words=words
    )
