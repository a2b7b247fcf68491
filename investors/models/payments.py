"""Payments of the fund, the signatures on them, and the files that instruct a bank or wallet."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from magnetfund.core.fields import ExactField, positive
from magnetfund.kernel.clock import utc_now


class PaymentFile(models.Model):
    """Instructions as they were released: pain.001 for a bank, CSV for a wallet."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    account = models.ForeignKey("investors.FundAccount", on_delete=models.PROTECT)
    name = models.CharField(max_length=60, unique=True)
    content = models.BinaryField()
    sha256 = models.CharField(max_length=64)
    released_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    released_at = models.DateTimeField(default=utc_now)

    class Meta:
        ordering = ["-released_at"]

    def __str__(self) -> str:
        return self.name


class Payment(models.Model):
    """Money on its way out; ``to_*`` are the details that were approved, whatever changes later."""

    class Kind(models.TextChoices):
        REDEMPTION = "redemption", "Redemption proceeds"
        DISTRIBUTION = "distribution"
        COMPENSATION = "compensation", "Compensation of a wrong NAV"
        REFUND = "refund", "Refund to origin"
        MANAGEMENT_FEE = "management_fee", "Management fee"
        PERFORMANCE_FEE = "performance_fee", "Performance fee"
        EXPENSE = "expense"
        REBATE = "rebate", "Fee rebate"
        POCKET = "pocket", "Side-pocket proceeds"

    class State(models.TextChoices):
        PREPARED = "prepared"
        APPROVED = "approved"
        RELEASED = "released"
        CONFIRMED = "confirmed"
        RETURNED = "returned", "Came back"
        CANCELLED = "cancelled"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    fund = models.ForeignKey("investors.Fund", on_delete=models.PROTECT, related_name="payments")
    number = models.PositiveIntegerField()
    kind = models.CharField(max_length=16, choices=Kind.choices)
    amount = ExactField()
    currency = models.CharField(max_length=8)
    payee = models.ForeignKey(
        "investors.PayeeAccount", on_delete=models.PROTECT, null=True, blank=True
    )
    to_name = models.CharField(max_length=200)
    to_number = models.CharField(max_length=120)
    to_bank = models.CharField(max_length=120, blank=True)
    text = models.CharField(max_length=140)
    order = models.ForeignKey(
        "investors.DealingOrder",
        on_delete=models.PROTECT,
        related_name="payments",
        null=True,
        blank=True,
    )
    line = models.ForeignKey(
        "investors.StatementLine",
        on_delete=models.PROTECT,
        related_name="refunds",
        null=True,
        blank=True,
        help_text="The receipt that goes back.",
    )
    content_hash = models.CharField(max_length=64)
    state = models.CharField(max_length=9, choices=State.choices, default=State.PREPARED)
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
    file = models.ForeignKey(
        PaymentFile, on_delete=models.PROTECT, related_name="payments", null=True, blank=True
    )
    confirmed_at = models.DateTimeField(null=True, blank=True)
    bank_reference = models.CharField(max_length=100, blank=True)
    entry = models.ForeignKey(
        "investors.Entry", on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    closed_at = models.DateTimeField(null=True, blank=True)
    reason = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(fields=["fund", "number"], name="investors_payment_number"),
            *positive("investors_payment", "amount"),
            models.CheckConstraint(
                condition=Q(approved_by=None) | ~Q(approved_by=F("prepared_by")),
                name="investors_payment_four_eyes",
            ),
            models.CheckConstraint(
                condition=Q(directed_by=None)
                | (~Q(directed_by=F("prepared_by")) & ~Q(directed_by=F("approved_by"))),
                name="investors_payment_six_eyes",
            ),
            models.CheckConstraint(
                condition=~Q(state__in=["approved", "released", "confirmed", "returned"])
                | Q(approved_by__isnull=False),
                name="investors_payment_approved",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["prepared", "approved", "cancelled"])
                | Q(file__isnull=False),
                name="investors_payment_released",
            ),
            models.CheckConstraint(
                condition=~Q(state="confirmed") | Q(confirmed_at__isnull=False),
                name="investors_payment_confirmed",
            ),
        ]
        indexes = [models.Index(fields=["fund", "state"], name="investors_payment_state")]

    @property
    def reference(self) -> str:
        """What the instruction carries and the bank's line brings back."""
        return f"P-{self.number:05d}"

    def __str__(self) -> str:
        return f"{self.reference} {self.amount} {self.currency}"
