"""NAV strikes, their results by class and by lot.

A strike is prepared by one person and approved by another; the approval stores the hash of what
was seen.  Published rows are frozen by a trigger; a correction is a further version.
"""

from __future__ import annotations

import uuid
from decimal import Decimal

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from magnetfund.core.fields import ExactField, in_range, not_negative, positive
from magnetfund.kernel.clock import utc_now


class NavStrike(models.Model):
    class State(models.TextChoices):
        PREPARED = "prepared"
        APPROVED = "approved"
        DEALT = "dealt"
        REJECTED = "rejected", "Returned"
        SUPERSEDED = "superseded", "Replaced by a later version"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    fund = models.ForeignKey("investors.Fund", on_delete=models.PROTECT, related_name="strikes")
    valuation_at = models.DateTimeField()
    known_at = models.DateTimeField()
    version = models.PositiveSmallIntegerField(default=1)
    dealing_day = models.ForeignKey(
        "investors.DealingDay", on_delete=models.PROTECT, null=True, blank=True
    )
    state = models.CharField(max_length=10, choices=State.choices, default=State.PREPARED)
    gross_assets = ExactField()
    nav = ExactField()
    inputs = models.JSONField(help_text="Frozen prices, cash, positions, policies.")
    input_hash = models.CharField(max_length=64)
    result_hash = models.CharField(max_length=64)
    balances = models.JSONField(
        default=list,
        help_text="[account, amount] before this NAV's fees and dealing, as shown to the preparer.",
    )
    waterfall = models.JSONField(default=list)
    checklist = models.JSONField(default=list)
    second_engine = models.JSONField(default=dict)
    prepared_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    prepared_at = models.DateTimeField(default=utc_now)
    approved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    approved_at = models.DateTimeField(null=True, blank=True)
    approved_hash = models.CharField(max_length=64, blank=True)
    rejected_reason = models.CharField(max_length=300, blank=True)
    dealt_at = models.DateTimeField(null=True, blank=True)
    recorded_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["valuation_at", "version"]
        constraints = [
            models.UniqueConstraint(
                fields=["fund", "valuation_at", "version"], name="investors_navstrike_version"
            ),
            models.UniqueConstraint(
                fields=["fund", "valuation_at"],
                condition=Q(state__in=["approved", "dealt"]),
                name="investors_navstrike_one_in_force",
            ),
            models.CheckConstraint(
                condition=Q(approved_by=None) | ~Q(approved_by=F("prepared_by")),
                name="investors_navstrike_four_eyes",
            ),
            models.CheckConstraint(
                condition=~Q(state__in=["approved", "dealt"])
                | (Q(approved_by__isnull=False) & Q(approved_hash=F("result_hash"))),
                name="investors_navstrike_approved_what_was_seen",
            ),
            *in_range("investors_navstrike", "gross_assets", "nav"),
        ]

    def __str__(self) -> str:
        return f"NAV {self.valuation_at:%Y-%m-%d} v{self.version}"


class ClassNav(models.Model):
    """One class at one strike.  ``price`` is g: what dealing uses before per-lot fees."""

    strike = models.ForeignKey(NavStrike, on_delete=models.PROTECT, related_name="classes")
    share_class = models.ForeignKey("investors.ShareClass", on_delete=models.PROTECT)
    units = ExactField(help_text="Units in issue before dealing at this NAV.")
    gav = ExactField()
    price = ExactField(null=True, help_text="None while the class has no units.")
    price_unrounded = ExactField(null=True)
    nav = ExactField()
    management_fee = ExactField()
    performance_fee_accrued = ExactField(
        help_text="Accrued performance fee of all lots, not yet crystallised."
    )
    expenses = ExactField(default=0)
    nav_per_unit = ExactField(
        null=True, help_text="NAV after every accrued fee divided by units, to six decimals."
    )
    detail = models.JSONField(default=dict)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["strike", "share_class"], name="investors_classnav_one"
            ),
            *not_negative("investors_classnav", "units", "performance_fee_accrued"),
            *positive("investors_classnav", "price", "price_unrounded"),
            *in_range("investors_classnav", "gav", "nav", "management_fee", "expenses"),
        ]

    @property
    def issue_price(self) -> Decimal:
        """What a new unit costs at this NAV: the dealing price, at first the launch price."""
        return self.share_class.launch_price if self.price is None else self.price

    @property
    def rounding(self) -> Decimal:
        """NAV less the lots' values in cents: what the rounding of the price left."""
        return Decimal(self.detail.get("rounding", "0"))

    def __str__(self) -> str:
        return f"{self.share_class_id} {self.price}"


class LotNav(models.Model):
    """One lot at one strike: fee accrued per unit and net value per unit."""

    strike = models.ForeignKey(NavStrike, on_delete=models.PROTECT, related_name="lots")
    lot = models.ForeignKey("investors.UnitLot", on_delete=models.PROTECT, related_name="navs")
    units = ExactField()
    high_water_mark = ExactField()
    performance_fee_per_unit = ExactField()
    net_value_per_unit = ExactField()
    net_value = ExactField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["strike", "lot"], name="investors_lotnav_one"),
            *not_negative("investors_lotnav", "units", "performance_fee_per_unit"),
            *in_range("investors_lotnav", "net_value_per_unit", "net_value"),
        ]

    def __str__(self) -> str:
        return f"{self.lot_id} {self.net_value_per_unit}"
