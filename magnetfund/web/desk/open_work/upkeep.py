"""Tasks of the house: backups that failed, did not restore, lack a copy or are too old; roles."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.db.models import (
    Case,
    Exists,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    TextField,
    Value,
    When,
)
from django.db.models.functions import Concat, Replace

from magnetfund.core.models import RoleProposal
from magnetfund.core.roles import Role
from magnetfund.operations.backups.copies import log_place
from magnetfund.operations.backups.log import BASE_BEGINS
from magnetfund.operations.backups.runs import PROVEN_WITHIN
from magnetfund.operations.backups.server_log import PLACE
from magnetfund.operations.models import Backup, BackupCheck, BackupCopy
from magnetfund.web.desk.open_work.tasks import Source, columns_of, name_of


def _select_failed(book: str, now: datetime) -> QuerySet[Any, dict[str, Any]]:
    newest = Backup.objects.order_by("-made_at").values("pk")[:1]
    rows = Backup.objects.filter(pk=Subquery(newest), is_complete=False)
    return columns_of(rows, since="made_at", words="detail")


def _select_unclean(book: str, now: datetime) -> QuerySet[Any, dict[str, Any]]:
    # The newest restore of a whole backup, and the newest of a copy with its log.
    copies = Q(name__startswith=BASE_BEGINS)
    newest = [
        BackupCheck.objects.filter(kind).order_by("-checked_at").values("pk")[:1]
        for kind in (copies, ~copies)
    ]
    rows = BackupCheck.objects.filter(
        Q(pk=Subquery(newest[0])) | Q(pk=Subquery(newest[1])), is_clean=False
    )
    return columns_of(rows, since="checked_at", words="name")


def _select_old(book: str, now: datetime) -> QuerySet[Any, dict[str, Any]]:
    checks = BackupCheck.objects.filter(sha256=OuterRef("sha256"), is_clean=True)
    proven = Backup.objects.filter(Exists(checks)).order_by("-made_at")
    rows = Backup.objects.filter(
        pk=Subquery(proven.values("pk")[:1]), made_at__lt=now - PROVEN_WITHIN
    )
    return columns_of(rows, since="made_at", words="name")


def _select_uncopied(book: str, now: datetime) -> QuerySet[Any, dict[str, Any]]:
    return _newest_if_failed(_bucket())


def _select_log_unsent(book: str, now: datetime) -> QuerySet[Any, dict[str, Any]]:
    return _newest_if_failed(log_place())


def _select_log_not_archived(book: str, now: datetime) -> QuerySet[Any, dict[str, Any]]:
    return _newest_if_failed(PLACE)


def _newest_if_failed(place: str) -> QuerySet[Any, dict[str, Any]]:
    rows = BackupCopy.objects.filter(place=place)
    newest = rows.order_by("-tried_at").values("pk")[:1]
    return columns_of(
        rows.filter(pk=Subquery(newest), is_verified=False), since="tried_at", words="detail"
    )


def _select_copied_long_ago(book: str, now: datetime) -> QuerySet[Any, dict[str, Any]]:
    rows = BackupCopy.objects.filter(place=_bucket(), is_verified=True)
    newest = rows.order_by("-made_at").values("pk")[:1]
    old = rows.filter(pk=Subquery(newest), made_at__lt=now - PROVEN_WITHIN)
    return columns_of(old, since="made_at", words="name")


def _select_roles(book: str, now: datetime) -> QuerySet[Any, dict[str, Any]]:
    rows = RoleProposal.objects.filter(decided_at=None).annotate(
        asked=Concat(
            Case(When(is_grant=True, then=Value("give ")), default=Value("end ")),
            Replace("role", Value("_"), Value(" ")),
            Case(When(is_grant=True, then=Value(" to ")), default=Value(" of ")),
            "email",
            output_field=TextField(),
        )
    )
    return columns_of(rows, since="proposed_at", who=name_of("proposed_by"), words="asked")


def _bucket() -> str:
    """Where copies go; no row is of the empty place that stands for no bucket."""
    return settings.BACKUP_BUCKET.place if settings.BACKUP_BUCKET else ""


SOURCES = {
    "role_proposed": Source(
        kind="People",
        role=Role.DIRECTOR,
        url_name="desk_people",
        select=_select_roles,
        describe=lambda row: (
            f"Sign or decline: {row['words']}",
            f"proposed by {row['who']}",
        ),
    ),
    "copy_failed": Source(
        kind="Backup",
        role=Role.ADMINISTRATOR,
        url_name="desk_books",
        anchor="backups",
        select=_select_uncopied,
        describe=lambda row: ("The last copy of a backup failed", row["words"]),
    ),
    "log_unsent": Source(
        kind="Backup",
        role=Role.ADMINISTRATOR,
        url_name="desk_books",
        anchor="backups",
        select=_select_log_unsent,
        describe=lambda row: ("The log does not reach the bucket", row["words"]),
    ),
    "log_late": Source(
        kind="Backup",
        role=Role.ADMINISTRATOR,
        url_name="desk_books",
        anchor="backups",
        select=_select_log_not_archived,
        describe=lambda row: ("The database server does not archive its log", row["words"]),
    ),
    "copy_old": Source(
        kind="Backup",
        role=Role.ADMINISTRATOR,
        url_name="desk_books",
        anchor="backups",
        select=_select_copied_long_ago,
        describe=lambda row: (
            "No backup of the last 26 hours is in the bucket",
            f"the newest that was read back from there: {row['words']}",
        ),
    ),
    "backup_failed": Source(
        kind="Backup",
        role=Role.ADMINISTRATOR,
        url_name="desk_books",
        anchor="backups",
        select=_select_failed,
        describe=lambda row: ("The last backup failed", row["words"]),
    ),
    "backup_unclean": Source(
        kind="Backup",
        role=Role.ADMINISTRATOR,
        url_name="desk_books",
        anchor="backups",
        select=_select_unclean,
        describe=lambda row: (
            "The last restore test failed",
            f"{row['words']} did not restore to the same rows",
        ),
    ),
    "backup_old": Source(
        kind="Backup",
        role=Role.ADMINISTRATOR,
        url_name="desk_books",
        anchor="backups",
        select=_select_old,
        describe=lambda row: (
            "No backup of the last 26 hours is proven by a restore",
            f"the newest that is: {row['words']}",
        ),
    ),
}
