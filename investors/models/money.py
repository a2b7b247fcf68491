"""Accounts of the fund and of those it pays, statements read from banks and chains, and what each
receipt was used for."""

from __future__ import annotations

import uuid
from decimal import Decimal

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from magnetfund.core.fields import ExactField, in_range
from magnetfund.kernel.clock import utc_now

ACCOUNT_KINDS = [("bank", "bank account"), ("wallet", "wallet")]


class FundAccount(models.Model):
    """An account of the fund's own; statements are read into it once two people have signed it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    fund = models.ForeignKey("investors.Fund", on_delete=models.PROTECT, related_name="accounts")
    code = models.CharField(max_length=20)
    kind = models.CharField(max_length=6, choices=ACCOUNT_KINDS)
    bank = models.CharField(max_length=120, help_text="Name of the bank, or of the chain.")
    number = models.CharField(max_length=120, help_text="IBAN, account number or address.")
    currency = models.CharField(max_length=8)
    confirmations = models.PositiveIntegerField(
        default=0, help_text="Blocks after which a transfer of the chain counts as final."
    )
    opened_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    opened_at = models.DateTimeField(default=utc_now)
    approved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    approved_at = models.DateTimeField(null=True, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["code"]
        constraints = [
            models.UniqueConstraint(fields=["fund", "code"], name="investors_fundaccount_code"),
            models.CheckConstraint(
                condition=Q(approved_by=None) | ~Q(approved_by=F("opened_by")),
                name="investors_fundaccount_four_eyes",
            ),
            models.CheckConstraint(
                condition=Q(approved_by=None, approved_at=None)
                | Q(approved_by__isnull=False, approved_at__isnull=False),
                name="investors_fundaccount_approved",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.code} {self.number}"


class PayeeAccount(models.Model):
    """Where money of the fund may go, and whose money an arriving payment is.

    Without an investor it belongs to a supplier or to the manager.  It is paid from ``usable_from``
    on, after a second person approved it.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    fund = models.ForeignKey("investors.Fund", on_delete=models.PROTECT, related_name="payees")
    investor = models.ForeignKey(
        "investors.Investor",
        on_delete=models.PROTECT,
        related_name="accounts",
        null=True,
        blank=True,
    )
    kind = models.CharField(max_length=6, choices=ACCOUNT_KINDS)
    name = models.CharField(max_length=200, help_text="Name of the account's holder.")
    number = models.CharField(max_length=120, help_text="IBAN, account number or address.")
    bank = models.CharField(max_length=120, blank=True, help_text="BIC, or name of the chain.")
    currency = models.CharField(max_length=8)
    evidence = models.CharField(
        max_length=300, help_text="How it was proved: call-back, test transfer, signed message."
    )
    added_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    added_at = models.DateTimeField(default=utc_now)
    approved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    approved_at = models.DateTimeField(null=True, blank=True)
    usable_from = models.DateTimeField(null=True, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["name", "added_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["fund", "investor", "number"],
                condition=Q(closed_at=None),
                nulls_distinct=False,
                name="investors_payeeaccount_once",
            ),
            models.CheckConstraint(
                condition=Q(approved_by=None) | ~Q(approved_by=F("added_by")),
                name="investors_payeeaccount_four_eyes",
            ),
            models.CheckConstraint(
                condition=Q(approved_by=None, approved_at=None, usable_from=None)
                | Q(
                    approved_by__isnull=False, approved_at__isnull=False, usable_from__isnull=False
                ),
                name="investors_payeeaccount_approved",
            ),
        ]
        indexes = [models.Index(fields=["investor"], name="investors_payee_of")]

    def __str__(self) -> str:
        return f"{self.name} {self.number}"


class StatementFile(models.Model):
    """A file of a bank or chain as it came, unchanged; its lines exist once it is confirmed."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    account = models.ForeignKey(FundAccount, on_delete=models.PROTECT, related_name="files")
    format = models.CharField(
        max_length=8,
        choices=[("camt053", "camt.053"), ("csv", "bank CSV"), ("chain", "chain CSV")],
    )
    name = models.CharField(max_length=120)
    content = models.BinaryField()
    sha256 = models.CharField(max_length=64)
    closing = ExactField(null=True, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)
    uploaded_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    uploaded_at = models.DateTimeField(default=utc_now)
    confirmed_at = models.DateTimeField(null=True, blank=True)
    counts = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ["-uploaded_at"]
        constraints = in_range("investors_statementfile", "closing")

    def __str__(self) -> str:
        return f"{self.name} {self.uploaded_at:%Y-%m-%d}"


class StatementLine(models.Model):
    """One movement of money on an account of the fund; positive came in.

    Without an account it was recorded by hand.  ``allocated`` is the part of a receipt that has a
    use; the rest is owed to its sender.
    """

    class Outcome(models.TextChoices):
        EXACT = "exact"
        SHORT = "short"
        OVER = "over"
        LATE = "late"
        UNKNOWN = "unknown"
        THIRD_PARTY = "third_party", "Third party"
        WRONG_CURRENCY = "wrong_currency", "Wrong currency"
        PAYMENT = "payment", "Payment out"
        RETURNED = "returned", "Payment came back"
        REVERSED = "reversed", "Took a receipt back"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    fund = models.ForeignKey(
        "investors.Fund", on_delete=models.PROTECT, related_name="statement_lines"
    )
    account = models.ForeignKey(
        FundAccount, on_delete=models.PROTECT, related_name="lines", null=True, blank=True
    )
    file = models.ForeignKey(
        StatementFile, on_delete=models.PROTECT, related_name="lines", null=True, blank=True
    )
    reference = models.CharField(max_length=100)
    identity = models.CharField(max_length=64, help_text="Hash of amount, currency and party.")
    amount = ExactField()
    currency = models.CharField(max_length=8)
    party = models.CharField(max_length=200, blank=True)
    party_account = models.CharField(max_length=120, blank=True)
    text = models.CharField(max_length=300, blank=True)
    end_to_end = models.CharField(max_length=100, blank=True)
    return_code = models.CharField(max_length=4, blank=True)
    booked_at = models.DateTimeField()
    confirmations = models.PositiveIntegerField(null=True, blank=True)
    final_at = models.DateTimeField(
        null=True, blank=True, help_text="When the money was final and entered the books."
    )
    outcome = models.CharField(max_length=14, choices=Outcome.choices, blank=True)
    allocated = ExactField(default=0)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    recorded_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-booked_at", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["fund", "account", "reference"],
                nulls_distinct=False,
                name="investors_statementline_once",
            ),
            *in_range("investors_statementline", "amount"),
            models.CheckConstraint(condition=~Q(amount=0), name="investors_statementline_not_zero"),
            models.CheckConstraint(
                condition=Q(allocated=0)
                | (Q(allocated__gt=0) & Q(allocated__lte=F("amount")) & Q(final_at__isnull=False)),
                name="investors_statementline_allocated",
            ),
        ]
        indexes = [
            models.Index(fields=["fund", "-booked_at"], name="investors_line_newest"),
            models.Index(
                fields=["fund", "booked_at"],
                condition=Q(amount__gt=F("allocated")),
                name="investors_line_open",
            ),
        ]

    @property
    def open_amount(self) -> Decimal:
        """Money of a receipt that has no use yet; zero of a payment out."""
        left: Decimal = self.amount - self.allocated
        return max(left, Decimal(0))

    def __str__(self) -> str:
        return f"{self.reference} {self.amount} {self.currency}"


class LineAllocation(models.Model):
    """A part of a receipt that was put to a use; a negative amount takes it back."""

    class Use(models.TextChoices):
        ORDER = "order", "Funds an order"
        ADVANCE = "advance", "Kept for the investor's next order"
        REFUND = "refund", "Went back to its sender"
        POCKET = "pocket", "Paid for the claim of a side pocket"
        REVERSED = "reversed", "Taken back by the bank"

    line = models.ForeignKey(StatementLine, on_delete=models.PROTECT, related_name="allocations")
    use = models.CharField(max_length=8, choices=Use.choices)
    amount = ExactField()
    order = models.ForeignKey(
        "investors.DealingOrder",
        on_delete=models.PROTECT,
        related_name="receipt_parts",
        null=True,
        blank=True,
    )
    investor = models.ForeignKey(
        "investors.Investor", on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    payment = models.ForeignKey(
        "investors.Payment", on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    reversal = models.OneToOneField(
        StatementLine, on_delete=models.PROTECT, related_name="ended", null=True, blank=True
    )
    entry = models.ForeignKey("investors.Entry", on_delete=models.PROTECT, null=True, blank=True)
    reason = models.CharField(max_length=300, blank=True)
    made_by_label = models.CharField(max_length=120)
    made_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    made_at = models.DateTimeField(default=utc_now)

    class Meta:
        ordering = ["made_at", "id"]
        constraints = [
            *in_range("investors_lineallocation", "amount"),
            models.CheckConstraint(
                condition=~Q(amount=0), name="investors_lineallocation_not_zero"
            ),
            models.CheckConstraint(
                condition=Q(use="order", order__isnull=False)
                | Q(use="advance", order__isnull=True, investor__isnull=False)
                | Q(use="refund", order__isnull=True, payment__isnull=False)
                | Q(
                    use__in=["pocket", "reversed"],
                    order__isnull=True,
                    investor__isnull=True,
                    payment__isnull=True,
                ),
                name="investors_lineallocation_named",
            ),
            models.CheckConstraint(
                condition=Q(use="reversed", reversal__isnull=False)
                | (~Q(use="reversed") & Q(reversal__isnull=True)),
                name="investors_lineallocation_reversal",
            ),
            models.UniqueConstraint(
                fields=["line"],
                condition=Q(use="reversed"),
                name="investors_lineallocation_ended_once",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.use} {self.amount}"
