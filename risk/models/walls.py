"""Rows that PostgreSQL's own walls read: latch, barrier, instance, the clock of a told story."""

from __future__ import annotations

from django.db import models

from magnetfund.kernel.clock import utc_now


class FuseLatch(models.Model):
    """One row per book, share-locked by each order that adds exposure until its commit.

    Only functions of the owner touch it, so no run-time role can hold it by a statement of its own.
    """

    book = models.CharField(max_length=20, primary_key=True)
    passed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "fuse latches"

    def __str__(self) -> str:
        return f"latch of {self.book}"


class FuseBarrier(models.Model):
    """How long a stop waited for the orders before it, and which sessions it ended for that."""

    book = models.CharField(max_length=20)
    has_passed = models.BooleanField()
    waited_ms = models.FloatField()
    ended = models.JSONField(default=list)
    recorded_at = models.DateTimeField(default=utc_now)

    def __str__(self) -> str:
        return f"barrier of {self.book} after {self.waited_ms:.1f} ms"


class WallInstance(models.Model):
    """What this database is for (production, demo, test) and its live book; written once."""

    kind = models.CharField(max_length=10)
    live_book = models.CharField(max_length=20)
    recorded_at = models.DateTimeField(default=utc_now)

    def __str__(self) -> str:
        return f"{self.kind} of {self.live_book}"


class ScenarioClock(models.Model):
    """A book whose authority rows take the times of a story that is told; closed for ever after.

    Every other book's rows take the server's clock.  Never the live book of a production.
    """

    book = models.CharField(max_length=20, primary_key=True)
    opened_at = models.DateTimeField(default=utc_now)
    closed_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"scenario clock of {self.book}"
