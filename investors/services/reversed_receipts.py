"""Receipts that the bank took back: which debit names which receipt, and what that holds.

A debit names a receipt of its amount on its account by the payer's end-to-end reference, or by the
bank's reference of the receipt in its place.  Until it is booked the receipt is not used.
"""

from __future__ import annotations

from datetime import timedelta

from django.db.models import Q, QuerySet

from investors.models import DealingOrder, Fund, StatementLine
from magnetfund.kernel.errors import Conflict

#: A receipt may be dated by the end of its day, its reversal by the minute.
DAY = timedelta(days=1)
SHOWN = 50


def open_reversals(fund: Fund) -> QuerySet[StatementLine]:
    """Debits that no payment of ours explains and that end no receipt yet, the oldest first."""
    return StatementLine.objects.filter(
        fund=fund, amount__lt=0, outcome=StatementLine.Outcome.PAYMENT, final_at=None
    ).order_by("booked_at", "pk")


def receipts_of(reversal: StatementLine) -> QuerySet[StatementLine]:
    """Receipts that a debit can have taken back: of its amount, on its account, not yet ended."""
    return (
        StatementLine.objects.filter(
            Q(account=reversal.account_id) | Q(account=None),
            fund=reversal.fund_id,
            currency=reversal.currency,
            amount=-reversal.amount,
            final_at__isnull=False,
            booked_at__lt=reversal.booked_at + DAY,
        )
        .exclude(outcome=StatementLine.Outcome.RETURNED)
        .exclude(allocations__use="reversed")
        .order_by("booked_at", "pk")
    )


def is_named(receipt: StatementLine, reversal: StatementLine) -> bool:
    """Whether a debit names a receipt by its reference."""
    said = reversal.end_to_end
    return said != "" and said in (receipt.end_to_end, receipt.reference)


def find_reversal(receipt: StatementLine) -> StatementLine | None:
    """The debit by which the bank took a receipt back, not booked yet.

    A return that names no receipt holds each that it can mean, while its break is open.
    """
    if receipt.amount <= 0:
        return None
    for row in open_reversals(receipt.fund).filter(
        currency=receipt.currency, amount=-receipt.amount
    ):
        if is_named(receipt, row):
            return row
        if not row.return_code or receipt.account_id not in (None, row.account_id):
            continue
        found = getattr(row, "found_break", None)
        is_worked = found is not None and found.closed_at is not None
        if not is_worked and not any(is_named(other, row) for other in receipts_of(row)):
            return row
    return None


def is_taken_back(order: DealingOrder) -> bool:
    """Whether the bank took back money that an order stands on."""
    lines = StatementLine.objects.filter(allocations__order=order).distinct()
    return order.funded_amount > 0 and any(find_reversal(line) is not None for line in lines)


def require_not_reversed(receipt: StatementLine) -> None:
    """Raise :class:`Conflict` (``receipt_reversed``) for a receipt that the bank took back."""
    if receipt.allocations.filter(use="reversed").exists():
        raise Conflict(f"the bank took receipt {receipt.reference} back", code="receipt_reversed")
    found = find_reversal(receipt)
    if found is not None:
        raise Conflict(
            f"the bank took receipt {receipt.reference} back by its line {found.reference}: "
            "book that first, on the money page",
            code="receipt_reversed",
        )
