"""Backups on the page Books: made, proven by a restore, copied."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from magnetfund.core.roles import Role
from magnetfund.env import parse_bucket_url
from magnetfund.kernel.clock import utc_now
from magnetfund.operations.models import Backup, BackupCheck, BackupCopy
from magnetfund.tests.test_desk_books import client_of

pytestmark = pytest.mark.usefixtures("fresh_database")


def test_backups_stand_with_their_restore_tests():
    at = utc_now()
    empty = client_of(Role.ADMINISTRATOR).get("/desk/books/").content.decode()
    assert "None proven within 26 hours" in empty
    assert "manage.py backup" in empty
    Backup.objects.using("owner").create(
        name="", reason="schedule", made_at=at - timedelta(hours=2), is_complete=False,
        detail="permission denied for table x",
    )  # fmt: skip
    Backup.objects.using("owner").create(
        name="magnetfund-1.mfbackup", reason="command", made_at=at - timedelta(hours=1),
        is_complete=True, size=3_000_000, sha256="a" * 64, row_count=12_345,
    )  # fmt: skip
    page = client_of(Role.AUDITOR).get("/desk/books/").content.decode()
    assert "permission denied for table x" in page
    assert "12,345" in page
    assert "Not restored yet" in page
    BackupCheck.objects.using("owner").create(
        name="magnetfund-1.mfbackup", sha256="a" * 64, seconds=4, is_clean=True
    )
    page = client_of(Role.AUDITOR).get("/desk/books/").content.decode()
    assert "Same rows" in page
    assert "Newest backup proven by a restore" in page
    assert "In the bucket" not in page, "none is set"


def test_copies_in_the_bucket_stand_beside_their_backups(settings: Any):
    settings.BACKUP_BUCKET = parse_bucket_url("X", "https://s3.example.com/b/f", region="r")
    at = utc_now()
    Backup.objects.using("owner").create(
        name="magnetfund-1.mfbackup", reason="schedule", made_at=at, is_complete=True,
        sha256="a" * 64,
    )  # fmt: skip
    client = client_of(Role.AUDITOR)
    page = client.get("/desk/books/").content.decode()
    assert "Not copied yet" in page
    assert "No backup was sent to s3.example.com/b/f yet" in page
    copy = {"name": "magnetfund-1.mfbackup", "sha256": "a" * 64, "made_at": at}
    place = "s3.example.com/b/f"
    sent = BackupCopy.objects.using("owner").create
    sent(**copy, place=place, is_verified=False, detail="does not answer")
    page = client.get("/desk/books/").content.decode()
    assert "The last copy to s3.example.com/b/f failed: does not answer" in page
    assert "No copy within 26 hours" in page
    sent(**copy, place=place, is_verified=True)
    page = client.get("/desk/books/").content.decode()
    assert "Read back" in page
    assert "Copied" in page
