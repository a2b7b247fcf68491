"""Papers given to investors and kept of the fund: as they were made, never made twice."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q

from magnetfund.kernel.clock import utc_now


class Paper(models.Model):
    """A document of one investor, or of the fund where it names none.

    ``content`` is the PDF, byte for byte as it was first made, and ``data`` what it prints.  A
    monthly statement whose books changed since has a further version; the older one stays.
    """

    class Kind(models.TextChoices):
        CONTRACT_NOTE = "contract_note", "Contract note"
        STATEMENT = "statement", "Monthly statement"
        REGISTER = "register", "Unit register"
        TRIAL_BALANCE = "trial_balance", "Trial balance"
        NAV_PACK = "nav_pack", "NAV pack"
        CAPITAL = "capital", "Capital activity"
        ESTATE = "estate", "Valuation for an estate"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    kind = models.CharField(max_length=16, choices=Kind.choices)
    number = models.CharField(max_length=60, unique=True)
    investor = models.ForeignKey(
        "investors.Investor",
        on_delete=models.PROTECT,
        related_name="papers",
        null=True,
        blank=True,
    )
    order = models.ForeignKey(
        "investors.DealingOrder",
        on_delete=models.PROTECT,
        related_name="papers",
        null=True,
        blank=True,
    )
    strike = models.ForeignKey("investors.NavStrike", on_delete=models.PROTECT, related_name="+")
    period = models.CharField(max_length=7, blank=True, help_text="Month of a statement, YYYY-MM.")
    version = models.PositiveSmallIntegerField(default=1)
    data = models.JSONField(default=dict, help_text="What the paper prints, as text.")
    books_hash = models.CharField(
        max_length=64, blank=True, help_text="Of the figures; other books give another version."
    )
    content = models.BinaryField()
    sha256 = models.CharField(max_length=64)
    made_at = models.DateTimeField(default=utc_now)

    class Meta:
        ordering = ["-made_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "order", "strike"], name="investors_paper_once"
            ),
            models.UniqueConstraint(
                fields=["kind", "investor", "period", "version"],
                condition=~Q(period=""),
                name="investors_paper_period_version",
            ),
        ]
        indexes = [
            models.Index(fields=["investor", "-made_at"], name="investors_paper_vault"),
        ]

    def __str__(self) -> str:
        return self.number
