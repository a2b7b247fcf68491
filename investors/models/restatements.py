"""Packages that put wrong NAVs right: measured by one person, signed by two others, then booked."""

from __future__ import annotations

import uuid
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from magnetfund.core.fields import ExactField, in_range
from magnetfund.kernel.clock import utc_now


class Restatement(models.Model):
    """What net assets of published NAVs lacked, and what every deal at a wrong price is due.

    ``content`` is the package as it is signed: prices, deals, and what each holder is owed.  It
    never changes; a controller approves it, a director signs too, and then it is booked.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    fund = models.ForeignKey(
        "investors.Fund", on_delete=models.PROTECT, related_name="restatements"
    )
    first = models.DateField(help_text="Day of the first wrong NAV.")
    last = models.DateField(
        null=True, blank=True, help_text="Day of the last wrong NAV; empty: every later one."
    )
    amount = ExactField(help_text="What net assets of each lacked, in the fund's currency.")
    material_from = ExactField(help_text="Share of the right price from which an error counts.")
    is_borne_by_manager = models.BooleanField(
        default=False, help_text="The manager, not the fund, bears what holders are owed."
    )
    cause = models.CharField(max_length=300)
    evidence = models.CharField(max_length=500)
    content = models.JSONField()
    content_hash = models.CharField(max_length=64)
    prepared_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    prepared_at = models.DateTimeField(default=utc_now)
    approved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    approved_at = models.DateTimeField(null=True, blank=True)
    directed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    directed_at = models.DateTimeField(null=True, blank=True)
    declined_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    declined_at = models.DateTimeField(null=True, blank=True)
    declined_reason = models.CharField(max_length=300, blank=True)
    booked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-prepared_at"]
        constraints = [
            *in_range("investors_restatement", "amount", "material_from"),
            models.CheckConstraint(
                condition=(Q(approved_by=None) | ~Q(approved_by=F("prepared_by")))
                & (Q(directed_by=None) | ~Q(directed_by=F("prepared_by")))
                & (Q(directed_by=None) | Q(approved_by=None) | ~Q(directed_by=F("approved_by"))),
                name="investors_restatement_six_eyes",
            ),
            models.CheckConstraint(
                condition=Q(booked_at=None)
                | Q(approved_by__isnull=False, directed_by__isnull=False, declined_at=None),
                name="investors_restatement_signed_first",
            ),
        ]

    @property
    def reference(self) -> str:
        return f"R-{self.pk.hex[:8].upper()}"

    @property
    def is_open(self) -> bool:
        """Whether it still waits for a signature."""
        return self.booked_at is None and self.declined_at is None

    @property
    def owed(self) -> str:
        total: dict[str, Any] = self.content
        return str(total["owed"])

    def __str__(self) -> str:
        return f"Restatement {self.reference}"
