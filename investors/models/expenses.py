"""Running costs of a fund and their changes: proposed by one person, decided by another."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.constraints import BaseConstraint

from investors.domain.ledger import ACCOUNTS
from investors.domain.ledger.chart import EXPENSES
from magnetfund.core.fields import ExactField, not_negative, positive
from magnetfund.kernel.clock import utc_now


class TwoPersonProposal(models.Model):
    """What one person proposes and another approves or declines, as it is."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    proposed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    proposed_at = models.DateTimeField(default=utc_now)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    decided_at = models.DateTimeField(null=True, blank=True)
    is_approved = models.BooleanField(null=True, blank=True)
    reason = models.CharField(max_length=300, blank=True, help_text="Why it was declined.")

    class Meta:
        abstract = True
        ordering = ["-proposed_at"]


#: A proposal that waits or was approved; what was declined may be proposed again.
STANDS = Q(is_approved=None) | Q(is_approved=True)


def checks_of_two(table: str) -> list[BaseConstraint]:
    """The checks of a proposal: decided whole, and by another account than proposed it."""
    return [
        models.CheckConstraint(
            condition=Q(decided_by=None) | ~Q(decided_by=F("proposed_by")),
            name=f"{table}_four_eyes",
        ),
        models.CheckConstraint(
            condition=Q(is_approved=None, decided_by=None, decided_at=None)
            | Q(is_approved__isnull=False, decided_by__isnull=False, decided_at__isnull=False),
            name=f"{table}_decided",
        ),
    ]


#: (code, name) of the accounts that an expense is booked to.
EXPENSE_ACCOUNTS = tuple((code, ACCOUNTS[code].name) for code in EXPENSES)


class Expense(TwoPersonProposal):
    """A sum that a supplier costs, for a period or a year, and its account of the ledger.

    What was proposed never changes: an end and a final invoice are rows of their own.
    """

    fund = models.ForeignKey("investors.Fund", on_delete=models.PROTECT, related_name="expenses")
    account = models.CharField(max_length=4, choices=EXPENSE_ACCOUNTS)
    supplier = models.CharField(max_length=120)
    reference = models.CharField(
        max_length=80, help_text="Of the contract, budget or invoice; once for each supplier."
    )
    amount = ExactField()
    is_yearly = models.BooleanField(default=False, verbose_name="a sum a year")
    first_day = models.DateField()
    last_day = models.DateField(null=True, blank=True)

    class Meta(TwoPersonProposal.Meta):
        constraints = [
            models.UniqueConstraint(
                fields=["fund", "supplier", "reference"],
                condition=STANDS,
                name="investors_expense_once",
            ),
            *positive("investors_expense", "amount"),
            *checks_of_two("investors_expense"),
            models.CheckConstraint(
                condition=Q(last_day=None, is_yearly=True) | Q(last_day__gte=F("first_day")),
                name="investors_expense_period",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.supplier} {self.reference}"


class ExpenseChange(TwoPersonProposal):
    """The end of a yearly expense, or the final invoice of one that has an end."""

    class Kind(models.TextChoices):
        END = "end", "Last day"
        INVOICE = "invoice", "Final invoice"

    expense = models.ForeignKey(Expense, on_delete=models.PROTECT, related_name="changes")
    kind = models.CharField(max_length=8, choices=Kind.choices)
    last_day = models.DateField(null=True, blank=True)
    amount = ExactField(null=True, blank=True)
    reference = models.CharField(max_length=80, blank=True, help_text="Number of the invoice.")

    class Meta(TwoPersonProposal.Meta):
        constraints = [
            models.UniqueConstraint(
                fields=["expense", "kind"], condition=STANDS, name="investors_expensechange_once"
            ),
            *not_negative("investors_expensechange", "amount"),
            *checks_of_two("investors_expensechange"),
            models.CheckConstraint(
                condition=Q(kind="end", last_day__isnull=False, amount=None, reference="")
                | Q(kind="invoice", last_day=None, amount__isnull=False) & ~Q(reference=""),
                name="investors_expensechange_kind",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} of {self.expense}"
