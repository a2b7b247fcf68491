"""The dealing calendar and the orders of investors."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from magnetfund.core.fields import ExactField, not_negative, positive
from magnetfund.kernel.clock import utc_now


class DealingDay(models.Model):
    fund = models.ForeignKey(
        "investors.Fund", on_delete=models.PROTECT, related_name="dealing_days"
    )
    day = models.DateField()
    cutoff_at = models.DateTimeField()
    funding_deadline_at = models.DateTimeField()
    valuation_at = models.DateTimeField()
    settlement_day = models.DateField()
    is_suspended = models.BooleanField(default=False)

    class Meta:
        ordering = ["day"]
        constraints = [
            models.UniqueConstraint(fields=["fund", "day"], name="investors_dealingday_once"),
            models.CheckConstraint(
                condition=Q(cutoff_at__lt=F("valuation_at")),
                name="investors_dealingday_forward",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.day}"


class DealingOrder(models.Model):
    """A subscription (by amount) or a redemption (by units); priced forward, never back."""

    class Kind(models.TextChoices):
        SUBSCRIPTION = "subscription"
        REDEMPTION = "redemption"

    class State(models.TextChoices):
        SUBMITTED = "submitted"
        ACCEPTED = "accepted"
        FUNDED = "funded", "Funds cleared"
        ALLOTTED = "allotted", "Units issued"
        DEFERRED = "deferred", "Deferred to the next dealing day"
        PAYABLE = "payable", "Payment due"
        SETTLED = "settled"
        SET_ASIDE = "set_aside", "Set aside"
        CANCELLED = "cancelled"
        REJECTED = "rejected"
        REFUNDED = "refunded"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    kind = models.CharField(max_length=12, choices=Kind.choices)
    investor = models.ForeignKey(
        "investors.Investor", on_delete=models.PROTECT, related_name="orders"
    )
    share_class = models.ForeignKey("investors.ShareClass", on_delete=models.PROTECT)
    amount = ExactField(null=True, blank=True)
    units = ExactField(null=True, blank=True)
    is_all = models.BooleanField(
        default=False, help_text="A redemption of whatever the lots are when it is dealt."
    )
    first_day = models.DateField(
        null=True, blank=True, help_text="The dealing day on which the order first queued."
    )
    funded_at = models.DateTimeField(null=True, blank=True)
    funded_amount = ExactField(default=0, help_text="Cleared money of a subscription so far.")
    is_part_taken = models.BooleanField(
        default=False, help_text="The investor asked to deal what was paid, below the amount."
    )
    rolls = models.PositiveSmallIntegerField(default=0)
    state = models.CharField(max_length=10, choices=State.choices, default=State.SUBMITTED)
    dealing_day = models.ForeignKey(
        DealingDay, on_delete=models.PROTECT, related_name="orders", null=True, blank=True
    )
    strike = models.ForeignKey(
        "investors.NavStrike",
        on_delete=models.PROTECT,
        related_name="orders_dealt",
        null=True,
        blank=True,
    )
    dealt_units = ExactField(null=True, blank=True)
    dealt_price = ExactField(null=True, blank=True)
    dealt_amount = ExactField(null=True, blank=True)
    fee_amount = ExactField(default=0)
    paid_amount = ExactField(default=0, help_text="Proceeds that the bank confirmed.")
    held_amount = ExactField(default=0, help_text="Proceeds held back until the audit.")
    reason = models.CharField(max_length=300, blank=True)
    submitted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    received_at = models.DateTimeField(default=utc_now)
    updated_at = models.DateTimeField(default=utc_now)
    recorded_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["received_at", "id"]
        constraints = [
            *positive("investors_dealingorder", "amount", "units", "dealt_price"),
            *not_negative(
                "investors_dealingorder",
                "dealt_units",
                "dealt_amount",
                "fee_amount",
                "paid_amount",
                "held_amount",
            ),
            models.CheckConstraint(
                condition=Q(kind="subscription", amount__isnull=False)
                | Q(kind="redemption", units__isnull=False, is_all=False)
                | Q(kind="redemption", units__isnull=True, is_all=True),
                name="investors_dealingorder_measured",
            ),
            models.CheckConstraint(
                condition=Q(funded_amount=0)
                | Q(kind="subscription", funded_amount__gt=0, funded_amount__lte=F("amount")),
                name="investors_dealingorder_funded",
            ),
            models.CheckConstraint(
                condition=Q(paid_amount=0, held_amount=0)
                | Q(kind="redemption", dealt_amount__gte=F("paid_amount") + F("held_amount")),
                name="investors_dealingorder_paid",
            ),
        ]
        indexes = [
            models.Index(fields=["state", "dealing_day"], name="investors_order_queue"),
            models.Index(
                fields=["received_at"],
                condition=Q(kind="subscription", state="accepted"),
                name="investors_order_unpaid",
            ),
        ]

    @property
    def reference(self) -> str:
        """What a payer quotes and a bank line is found by: the kind and the head of the id."""
        return f"{self.kind[:1].upper()}-{self.pk.hex[:8].upper()}"

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"
