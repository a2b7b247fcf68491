"""What a receipt is probably for, told beside it and never decided here."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from django.db.models import F, Q, QuerySet

from investors.domain.receipts import (
    Arrival,
    Suggestion,
    WaitingOrder,
    suggest_match,
)
from investors.models import DealingOrder, Fund, PayeeAccount, StatementLine

ZERO = Decimal(0)
#: Final money that has no use yet.
IS_OPEN = Q(amount__gt=F("allocated"), final_at__isnull=False) & ~Q(
    outcome=StatementLine.Outcome.RETURNED
)


def open_receipts(fund: Fund) -> QuerySet[StatementLine]:
    """Receipts with money that has no use yet, the oldest first."""
    return (
        StatementLine.objects.filter(IS_OPEN, fund=fund)
        .select_related("account", "owner")
        .order_by("booked_at", "pk")
    )


def waiting_orders(fund: Fund) -> list[WaitingOrder]:
    """Subscriptions that still want money."""
    rows = (
        DealingOrder.objects.filter(
            share_class__fund=fund, kind=DealingOrder.Kind.SUBSCRIPTION, state="accepted"
        )
        .select_related("investor", "dealing_day")
        .order_by("received_at", "pk")
    )
    return [describe_order(row, fund) for row in rows]


def describe_order(row: DealingOrder, fund: Fund) -> WaitingOrder:
    return WaitingOrder(
        order=str(row.pk),
        reference=row.reference,
        investor=str(row.investor_id),
        name=row.investor.legal_name,
        amount=row.amount or ZERO,
        paid=row.funded_amount,
        currency=fund.currency,
        deadline_at=row.dealing_day.funding_deadline_at if row.dealing_day else None,
    )


def known_accounts(fund: Fund) -> dict[str, str]:
    """Approved accounts of investors: number to investor."""
    rows = PayeeAccount.objects.filter(
        fund=fund, investor__isnull=False, approved_at__isnull=False, closed_at=None
    )
    return {row.number: str(row.investor_id) for row in rows}


def suggest(line: StatementLine) -> Suggestion:
    """What to do with one receipt now."""
    return suggest_match(
        arrival=describe_arrival(line),
        orders=waiting_orders(line.fund),
        accounts=known_accounts(line.fund),
        currency=line.fund.currency,
    )


def suggest_all(fund: Fund, lines: list[StatementLine]) -> list[Suggestion]:
    """The same for many receipts, reading orders and accounts once."""
    orders, accounts = waiting_orders(fund), known_accounts(fund)
    return [
        suggest_match(
            arrival=describe_arrival(line), orders=orders, accounts=accounts, currency=fund.currency
        )
        for line in lines
    ]


def describe_arrival(line: StatementLine) -> Arrival:
    return Arrival(
        text=line.text,
        party=line.party,
        party_account=line.party_account,
        open_amount=line.open_amount,
        currency=line.currency,
        cleared_at=read_cleared_at(line),
    )


def read_cleared_at(line: StatementLine) -> datetime:
    return min(line.booked_at, line.final_at) if line.final_at else line.booked_at


def note_outcome(line: StatementLine) -> Suggestion:
    """Keep what a receipt looked like when it came."""
    found = suggest(line)
    StatementLine.objects.filter(pk=line.pk).update(outcome=found.outcome.value)
    return found
