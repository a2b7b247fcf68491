"""Records of the platform's own upkeep: backups made, copied and proven by a restore."""

from __future__ import annotations

from django.db import models

from magnetfund.kernel.clock import utc_now


class Backup(models.Model):
    """One attempt to make a backup; append-only."""

    name = models.CharField(max_length=80, help_text="File name; empty when the attempt failed.")
    reason = models.CharField(max_length=20, help_text="schedule, command or migration.")
    made_at = models.DateTimeField(help_text="Instant of the database snapshot.")
    recorded_at = models.DateTimeField(default=utc_now)
    is_complete = models.BooleanField()
    size = models.BigIntegerField(default=0, help_text="Bytes of the encrypted file.")
    sha256 = models.CharField(max_length=64, blank=True)
    manifest_sha256 = models.CharField(max_length=64, blank=True)
    row_count = models.BigIntegerField(default=0, help_text="Rows of all tables.")
    seconds = models.FloatField(default=0.0)
    detail = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ["-made_at"]
        indexes = [models.Index(fields=["-made_at"], name="operations_backup_newest")]

    def __str__(self) -> str:
        return self.name or f"failed {self.made_at:%Y-%m-%d %H:%M}"


class BackupCheck(models.Model):
    """One restore of a backup into a scratch server, with what it found; append-only."""

    name = models.CharField(max_length=80)
    sha256 = models.CharField(max_length=64, help_text="Of the file that was restored.")
    checked_at = models.DateTimeField(default=utc_now)
    seconds = models.FloatField()
    is_clean = models.BooleanField()
    table_count = models.IntegerField(default=0)
    row_count = models.BigIntegerField(default=0)
    differences = models.JSONField(default=list)

    class Meta:
        ordering = ["-checked_at"]
        indexes = [models.Index(fields=["-checked_at"], name="operations_check_newest")]

    def __str__(self) -> str:
        return f"{self.name} {'clean' if self.is_clean else 'not clean'}"


class BackupCopy(models.Model):
    """One attempt to keep a backup in a bucket and to read it back from there; append-only."""

    name = models.CharField(max_length=80)
    sha256 = models.CharField(max_length=64, help_text="Of the file that was to be copied.")
    made_at = models.DateTimeField(help_text="Instant of the backup's snapshot.")
    place = models.CharField(max_length=300, help_text="Host, bucket and prefix.")
    tried_at = models.DateTimeField(default=utc_now)
    is_verified = models.BooleanField(help_text="The bucket gave back the same bytes.")
    size = models.BigIntegerField(default=0)
    seconds = models.FloatField(default=0.0)
    detail = models.CharField(max_length=500, blank=True)

    class Meta:
        verbose_name_plural = "backup copies"
        ordering = ["-tried_at"]
        indexes = [models.Index(fields=["place", "-made_at"], name="operations_copy_newest")]

    def __str__(self) -> str:
        return f"{self.name} in {self.place}{'' if self.is_verified else ' failed'}"
