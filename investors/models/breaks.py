"""Differences between the books and a bank, a venue or a custodian, worked to closure."""

from __future__ import annotations

import uuid
from decimal import Decimal

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from investors.domain.reconciliation import BreakKind, BreakState
from magnetfund.core.fields import ExactField, in_range
from magnetfund.kernel.clock import utc_now


class BookBreak(models.Model):
    """One difference by its name; what it is about never changes, its state does.

    ``ours`` and ``theirs`` are signed as on an account of the fund: what left is negative.
    """

    class Source(models.TextChoices):
        BANK = "bank"
        VENUE = "venue"
        CUSTODIAN = "custodian"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    fund = models.ForeignKey("investors.Fund", on_delete=models.PROTECT, related_name="breaks")
    source = models.CharField(max_length=10, choices=Source.choices)
    kind = models.CharField(
        max_length=16,
        choices=[(kind.value, kind.value.replace("_", " ").capitalize()) for kind in BreakKind],
    )
    reference = models.CharField(max_length=100)
    asset = models.CharField(max_length=16)
    ours = ExactField()
    theirs = ExactField()
    day = models.DateField(help_text="Of the older line; the age counts from it.")
    text = models.CharField(max_length=300, blank=True)
    line = models.OneToOneField(
        "investors.StatementLine",
        on_delete=models.PROTECT,
        related_name="found_break",
        null=True,
        blank=True,
    )
    is_blocking = models.BooleanField(default=True)
    found_at = models.DateTimeField(default=utc_now)
    found_by = models.CharField(max_length=120)
    state = models.CharField(
        max_length=10,
        choices=[(state.value, state.value.capitalize()) for state in BreakState],
        default=BreakState.OPEN.value,
    )
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    cause = models.CharField(max_length=300, blank=True)
    explained_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    closed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    closed_at = models.DateTimeField(null=True, blank=True)
    resolution = models.CharField(max_length=300, blank=True)
    entry = models.ForeignKey(
        "investors.Entry", on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )

    class Meta:
        ordering = ["day", "found_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["fund", "source", "asset", "reference"],
                condition=Q(closed_at=None),
                name="investors_bookbreak_once",
            ),
            *in_range("investors_bookbreak", "ours", "theirs"),
            models.CheckConstraint(
                condition=Q(closed_by=None) | ~Q(closed_by=F("explained_by")),
                name="investors_bookbreak_four_eyes",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["open", "explained"], closed_at=None, closed_by=None)
                | Q(
                    state__in=["adjusted", "accepted"],
                    closed_at__isnull=False,
                    closed_by__isnull=False,
                    explained_by__isnull=False,
                ),
                name="investors_bookbreak_closed",
            ),
        ]

    @property
    def difference(self) -> Decimal:
        """Ours less theirs: what must be posted so that the books say what they say."""
        return self.ours - self.theirs

    def __str__(self) -> str:
        return f"{self.source} {self.reference}"
