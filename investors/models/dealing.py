"""The dealing calendar and the orders of investors."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable
from decimal import Decimal

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


#: Kinds of order that reserve units and take them when they are dealt.
TAKING = ("redemption", "switch")
#: Kinds of order that a distribution makes; a person orders none of them.
DISTRIBUTED = ("distribution", "reinvestment")
#: Kinds that the house makes and nobody orders: distributions, and compensation of a wrong NAV.
MADE = (*DISTRIBUTED, "compensation")
#: Kinds whose money buys units.
BUYING = ("subscription", "reinvestment")


_LETTERS = {"switch": "X", "reinvestment": "U"}
#: Digits of the key that stand in a reference, after its letter.
_HEAD = 8


def quoted_heads(text: str) -> set[str]:
    """The heads of every subscription's reference that a text may quote, however it is spaced."""
    packed = re.sub(r"[^0-9A-Z]", "", text.upper())
    return set(re.findall(rf"S([0-9A-F]{{{_HEAD}}})", packed))


def of_heads(heads: Iterable[str]) -> Q:
    """Orders whose reference has one of these heads, found by their key."""
    found = Q(pk__in=[])
    for head in heads:
        rest = 32 - len(head)
        found |= Q(pk__range=(uuid.UUID(head + "0" * rest), uuid.UUID(head + "f" * rest)))
    return found


class DealingOrder(models.Model):
    """A subscription (by amount), a redemption or a switch (by units); priced forward, never back.

    A switch redeems ``share_class`` and subscribes ``into_class`` at one NAV; no cash leaves.
    A distribution is money that is owed; a reinvestment buys units with it at the next NAV; a
    compensation is owed for deals at a wrong NAV.
    """

    class Kind(models.TextChoices):
        SUBSCRIPTION = "subscription"
        REDEMPTION = "redemption"
        SWITCH = "switch"
        DISTRIBUTION = "distribution", "Distribution in cash"
        REINVESTMENT = "reinvestment", "Distribution in units"
        COMPENSATION = "compensation", "Compensation of a wrong NAV"

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
    into_class = models.ForeignKey(
        "investors.ShareClass", on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    amount = ExactField(null=True, blank=True)
    units = ExactField(null=True, blank=True)
    is_all = models.BooleanField(
        default=False, help_text="Takes whatever the lots are when it is dealt."
    )
    first_day = models.DateField(
        null=True, blank=True, help_text="The dealing day on which the order first queued."
    )
    funded_at = models.DateTimeField(null=True, blank=True)
    funded_amount = ExactField(default=0, help_text="Cleared money of a subscription so far.")
    is_part_taken = models.BooleanField(
        default=False, help_text="The investor asked to deal what was paid, below the amount."
    )
    is_compulsory = models.BooleanField(
        default=False, help_text="Ordered by the fund: no lock-up, and not the holder's to cancel."
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
    into_units = ExactField(default=0, help_text="Units that a switch bought.")
    into_price = ExactField(null=True, blank=True)
    into_fee = ExactField(default=0, help_text="Entry fee of the class switched into.")
    paid_amount = ExactField(default=0, help_text="Proceeds that the bank confirmed.")
    held_amount = ExactField(default=0, help_text="Proceeds held back until the audit.")
    distribution = models.ForeignKey(
        "investors.Distribution",
        on_delete=models.PROTECT,
        related_name="orders",
        null=True,
        blank=True,
    )
    restatement = models.ForeignKey(
        "investors.Restatement",
        on_delete=models.PROTECT,
        related_name="orders",
        null=True,
        blank=True,
    )
    reason = models.CharField(max_length=300, blank=True)
    submitted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    under_power = models.ForeignKey(
        "investors.PowerOfAttorney",
        on_delete=models.PROTECT,
        related_name="orders",
        null=True,
        blank=True,
        help_text="By which an attorney placed it.",
    )
    received_at = models.DateTimeField(default=utc_now)
    updated_at = models.DateTimeField(default=utc_now)
    recorded_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["received_at", "id"]
        constraints = [
            *positive("investors_dealingorder", "amount", "units", "dealt_price", "into_price"),
            *not_negative(
                "investors_dealingorder",
                "dealt_units",
                "dealt_amount",
                "fee_amount",
                "into_units",
                "into_fee",
                "paid_amount",
                "held_amount",
            ),
            models.CheckConstraint(
                condition=Q(kind__in=("subscription", *MADE), amount__isnull=False)
                | Q(kind__in=("redemption", "switch"), units__isnull=False, is_all=False)
                | Q(kind__in=("redemption", "switch"), units__isnull=True, is_all=True),
                name="investors_dealingorder_measured",
            ),
            models.CheckConstraint(
                condition=Q(kind="switch", into_class__isnull=False)
                & ~Q(into_class=F("share_class"))
                | ~Q(kind="switch") & Q(into_class=None, into_units=0, into_fee=0),
                name="investors_dealingorder_into",
            ),
            models.CheckConstraint(
                condition=Q(is_compulsory=False) | Q(kind="redemption"),
                name="investors_dealingorder_compulsory",
            ),
            models.CheckConstraint(
                condition=Q(funded_amount=0)
                | Q(
                    kind__in=("subscription", "reinvestment"),
                    funded_amount__gt=0,
                    funded_amount__lte=F("amount"),
                ),
                name="investors_dealingorder_funded",
            ),
            models.CheckConstraint(
                condition=Q(paid_amount=0, held_amount=0)
                | Q(
                    kind__in=("redemption", *MADE),
                    dealt_amount__gte=F("paid_amount") + F("held_amount"),
                ),
                name="investors_dealingorder_paid",
            ),
            models.CheckConstraint(
                condition=Q(kind__in=DISTRIBUTED, distribution__isnull=False)
                | ~Q(kind__in=DISTRIBUTED) & Q(distribution=None),
                name="investors_dealingorder_distributed",
            ),
            models.CheckConstraint(
                condition=Q(
                    kind="compensation", restatement__isnull=False, dealt_amount=F("amount")
                )
                | ~Q(kind="compensation") & Q(restatement=None),
                name="investors_dealingorder_restated",
            ),
            models.UniqueConstraint(
                fields=["restatement", "investor", "share_class"],
                name="investors_dealingorder_compensated_once",
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
    def units_asked(self) -> Decimal | None:
        """Units of the whole order with the parts that were dealt; none of an amount or of all."""
        if self.units is None or self.dealt_units is None:
            return self.units
        is_through = self.state in (self.State.PAYABLE, self.State.SETTLED)
        return self.dealt_units + (0 if is_through else self.units)

    @property
    def reference(self) -> str:
        """What a payer quotes and a bank line is found by: the kind and the head of the id."""
        letter = _LETTERS.get(self.kind) or self.kind[:1].upper()
        return f"{letter}-{self.pk.hex[:_HEAD].upper()}"

    @property
    def is_switch(self) -> bool:
        return self.kind == self.Kind.SWITCH

    @property
    def buys_units(self) -> bool:
        """Whether the order's money buys units when it is dealt."""
        return self.kind in BUYING

    @property
    def takes_units(self) -> bool:
        """Whether the order reserves units and takes them when it is dealt."""
        return self.kind in TAKING

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"
