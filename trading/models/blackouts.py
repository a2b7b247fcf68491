"""Dated events around which the book opens nothing."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from magnetfund.kernel.clock import utc_now


class EventBlackout(models.Model):
    """An event with the minutes before and after it in which no position is opened.

    A row is never edited: who wants another span withdraws it and enters a new one.  Without an
    instrument it bars the whole book.
    """

    book = models.CharField(max_length=20, default="main")
    title = models.CharField(max_length=120)
    instrument = models.ForeignKey(
        "trading.Instrument", on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    event_at = models.DateTimeField()
    before_minutes = models.PositiveIntegerField()
    after_minutes = models.PositiveIntegerField()
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    actor_label = models.CharField(max_length=120)
    created_at = models.DateTimeField(default=utc_now)
    withdrawn_at = models.DateTimeField(null=True, blank=True)
    withdrawn_label = models.CharField(max_length=120, blank=True)
    withdrawn_reason = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ["event_at", "id"]
        indexes = [
            models.Index(
                fields=["book", "ends_at"],
                condition=Q(withdrawn_at=None),
                name="trading_blackout_open",
            )
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(ends_at__gt=F("starts_at")), name="trading_blackout_order"
            )
        ]

    def __str__(self) -> str:
        return f"{self.title} {self.event_at:%Y-%m-%d %H:%M}"
