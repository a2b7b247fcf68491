"""Investors, their holdings, unit lots and every movement of units.

``UnitEntry`` is the append-only truth; ``UnitLot.units`` and ``Holding.units`` are balances kept in
the same transaction under the holding's row lock, and never negative.
"""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from investors.domain.onboarding import KycState
from magnetfund.core.fields import ExactField, in_range, not_negative, positive
from magnetfund.kernel.clock import utc_now

#: Every state of a file, in the order of its life, as pages say it.
KYC_CHOICES = [
    (state.value, words)
    for state, words in (
        (KycState.NOT_STARTED, "Not Started"),
        (KycState.COLLECTING, "Documents requested"),
        (KycState.SUBMITTED, "Submitted"),
        (KycState.SCREENING, "Sanctions screening"),
        (KycState.REVIEW, "Under review"),
        (KycState.MORE_INFO, "More information requested"),
        (KycState.ENHANCED_REVIEW, "Enhanced review"),
        (KycState.SENIOR_APPROVAL, "Waits for a director"),
        (KycState.APPROVED, "Approved"),
        (KycState.DUE_FOR_REFRESH, "Periodic review due"),
        (KycState.DECLINED, "Declined"),
        (KycState.RESTRICTED, "Restricted"),
        (KycState.EXITED, "Relationship ended"),
    )
]


class Investor(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    number = models.CharField(max_length=20, unique=True)
    user = models.OneToOneField(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="investor",
    )
    kind = models.CharField(
        max_length=8,
        choices=[(kind, kind) for kind in ("person", "joint", "company", "trust")],
        default="person",
    )
    legal_name = models.CharField(max_length=200)
    email = models.EmailField()
    country = models.CharField(max_length=2, blank=True)
    kyc_state = models.CharField(
        max_length=16, choices=KYC_CHOICES, default=KycState.NOT_STARTED.value
    )
    kyc_approved_at = models.DateTimeField(null=True, blank=True)
    is_fictitious = models.BooleanField(default=False)
    joined_at = models.DateTimeField(default=utc_now)

    class Meta:
        ordering = ["number"]

    def __str__(self) -> str:
        return f"{self.number} {self.legal_name}"


class Holding(models.Model):
    """Units of one class that one investor has; the row that every change locks."""

    investor = models.ForeignKey(Investor, on_delete=models.PROTECT, related_name="holdings")
    share_class = models.ForeignKey(
        "investors.ShareClass", on_delete=models.PROTECT, related_name="holdings"
    )
    units = ExactField(default=0)
    reserved_units = ExactField(default=0, help_text="Units reserved by pending redemption orders.")
    updated_at = models.DateTimeField(default=utc_now)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["investor", "share_class"], name="investors_holding_once"
            ),
            *not_negative("investors_holding", "units", "reserved_units"),
            models.CheckConstraint(
                condition=Q(reserved_units__lte=F("units")), name="investors_holding_reserved"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.investor_id} {self.units}"


class UnitLot(models.Model):
    """The units of one dealt subscription, with their own high-water mark."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    number = models.BigIntegerField(
        unique=True, help_text="Number of issue; decides between lots of the same day."
    )
    holding = models.ForeignKey(Holding, on_delete=models.PROTECT, related_name="lots")
    share_class = models.ForeignKey("investors.ShareClass", on_delete=models.PROTECT)
    dealing_day = models.DateField()
    strike = models.ForeignKey(
        "investors.NavStrike", on_delete=models.PROTECT, null=True, related_name="lots_issued"
    )
    entry_price = ExactField()
    units = ExactField()
    high_water_mark = ExactField()
    hurdle_start = models.DateField()
    cost = ExactField()
    lockup_until = models.DateField(null=True, blank=True)
    parent = models.ForeignKey("self", on_delete=models.PROTECT, null=True, blank=True)
    opened_at = models.DateTimeField()

    class Meta:
        ordering = ["dealing_day", "number"]
        constraints = [
            *not_negative("investors_unitlot", "units", "cost"),
            *positive("investors_unitlot", "entry_price", "high_water_mark"),
        ]

    def __str__(self) -> str:
        return f"lot {self.number}"


class UnitEntry(models.Model):
    """One movement of units of one lot; positive adds.

    PostgreSQL sets ``fund``, ``seq`` and the hashes, which also cover the lot's class and holder.
    """

    class Kind(models.TextChoices):
        ISSUE = "issue", "Subscription"
        REDEEM = "redeem"
        FEE_CANCEL = "fee_cancel", "Performance fee, units cancelled"
        SWITCH_OUT = "switch_out", "Switch into another class"
        SWITCH_IN = "switch_in", "Switch from another class"
        TRANSFER_OUT = "transfer_out"
        TRANSFER_IN = "transfer_in"
        SIDE_POCKET_OUT = "side_pocket_out", "Set apart in a side pocket"
        SIDE_POCKET_IN = "side_pocket_in"
        MERGE = "merge", "Side pocket merged back"
        COMPENSATION = "compensation"
        CLOCK = "clock", "Hurdle period begins"
        DISTRIBUTION = "distribution", "High-water mark lowered by a distribution"

    lot = models.ForeignKey(UnitLot, on_delete=models.PROTECT, related_name="entries")
    kind = models.CharField(max_length=16, choices=Kind.choices)
    units = ExactField()
    price = ExactField()
    high_water_mark = ExactField(help_text="High-water mark of the lot after the movement.")
    hurdle_start = models.DateField(help_text="Start date of the lot's hurdle after the movement.")
    strike = models.ForeignKey("investors.NavStrike", on_delete=models.PROTECT, null=True)
    order = models.ForeignKey(
        "investors.DealingOrder", on_delete=models.PROTECT, null=True, blank=True
    )
    entry = models.ForeignKey("investors.Entry", on_delete=models.PROTECT, null=True, blank=True)
    effective_at = models.DateTimeField()
    recorded_at = models.DateTimeField(auto_now_add=True)
    fund = models.ForeignKey(
        "investors.Fund", on_delete=models.PROTECT, related_name="unit_entries", editable=False
    )
    seq = models.BigIntegerField(editable=False)
    prev_hash = models.BinaryField(editable=False)
    row_hash = models.BinaryField(editable=False)

    class Meta:
        verbose_name_plural = "unit entries"
        ordering = ["effective_at", "id"]
        constraints = [
            models.UniqueConstraint(fields=["fund", "seq"], name="investors_unitentry_seq"),
            *in_range("investors_unitentry", "units"),
            models.CheckConstraint(
                condition=Q(kind__in=("clock", "distribution"), units=0)
                | (~Q(kind__in=("clock", "distribution")) & ~Q(units=0)),
                name="investors_unitentry_not_zero",
            ),
            *positive("investors_unitentry", "price"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.units}"


class InvestorSnapshot(models.Model):
    """Daily value of one investor at the last published price, for the portal's curve."""

    investor = models.ForeignKey(Investor, on_delete=models.PROTECT, related_name="snapshots")
    day = models.DateField()
    units = ExactField()
    value = ExactField()
    net_invested = ExactField(help_text="Subscriptions less redemptions to date.")
    share_of_fund = models.FloatField()
    is_estimate = models.BooleanField(default=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["investor", "day"], name="investors_snapshot_once"),
            *in_range("investors_investorsnapshot", "units", "value", "net_invested"),
        ]

    def __str__(self) -> str:
        return f"{self.investor_id} {self.day}"
