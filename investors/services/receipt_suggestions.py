"""What a receipt is probably for, told beside it and never decided here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from django.db.models import F, Q, QuerySet

from investors.domain.receipts import (
    Arrival,
    NameBook,
    Suggestion,
    WaitingOrder,
    WaitingOrders,
    plain_number,
    suggest_match,
)
from investors.models import DealingOrder, Fund, PayeeAccount, StatementLine
from investors.models.dealing import of_heads, quoted_heads

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


def _waiting(fund: Fund) -> QuerySet[DealingOrder]:
    """Subscriptions that still want money."""
    return DealingOrder.objects.filter(
        share_class__fund=fund, kind=DealingOrder.Kind.SUBSCRIPTION, state="accepted"
    )


def _possible_orders(
    fund: Fund, arrivals: Sequence[Arrival], accounts: Mapping[str, str]
) -> WaitingOrders:
    """The waiting orders that any of these receipts can be for, by what it says: a reference, an
    investor's account, or just the amount that an order lacks."""
    quoted = [head for item in arrivals for head in quoted_heads(item.text)]
    rows = _waiting(fund).annotate(rest=F("amount") - F("funded_amount"))
    found = rows.filter(
        of_heads(quoted)
        | Q(investor__in=set(accounts.values()))
        | Q(rest__in={item.open_amount for item in arrivals})
    )
    return WaitingOrders(
        describe_order(row, fund) for row in found.select_related("investor", "dealing_day")
    )


def nearest_names(fund: Fund, parties: Iterable[str]) -> dict[str, tuple[str, float]]:
    """For each payer the investor with a waiting order whose name is most like his, and how much.

    The score is from 0 to 1; a payer whose name shares no letter with any is not there.
    """
    asked = set(parties)
    if not asked:
        return {}
    rows = _waiting(fund).order_by().values_list("investor__legal_name", flat=True).distinct()
    names = NameBook(rows)
    return {
        party: (name, round(score, 2))
        for party in asked
        for name, score in [names.nearest(party)]
        if name
    }


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


def known_accounts(fund: Fund, arrivals: Iterable[Arrival]) -> dict[str, str]:
    """The approved accounts of investors that these receipts came from: number to investor."""
    numbers = {plain_number(item.party_account) for item in arrivals if item.party_account}
    rows = PayeeAccount.objects.filter(
        fund=fund,
        number__in=numbers,
        investor__isnull=False,
        approved_at__isnull=False,
        closed_at=None,
    )
    return {row.number: str(row.investor_id) for row in rows}


def suggest(line: StatementLine) -> Suggestion:
    """What to do with one receipt now."""
    return suggest_all(line.fund, [line])[0]


def suggest_all(fund: Fund, lines: list[StatementLine]) -> list[Suggestion]:
    """The same for many receipts, with as many reads as for one."""
    arrivals = [describe_arrival(line) for line in lines]
    accounts = known_accounts(fund, arrivals)
    orders = _possible_orders(fund, arrivals, accounts)
    return [
        suggest_match(arrival=item, orders=orders, accounts=accounts, currency=fund.currency)
        for item in arrivals
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
