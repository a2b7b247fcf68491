"""What statements of a period are made from, read once for everybody who is asked about.

Values and units come from the strikes, money from the postings of a holder's own lots, transfers
from what was signed.  A strike's dealing belongs to the period that begins at it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection

from investors.domain.exact import ZERO
from investors.domain.ledger.chart import (
    CLIENT_MONEY,
    DEALING_FEES,
    PERFORMANCE_PAYABLE,
    REDEMPTIONS_PAYABLE,
    UNIT_CAPITAL,
)
from investors.domain.reconciliation import UnitRoll
from investors.domain.statements import RESULT_LINES, ClassPeriod, FundPeriod, share_by_weight
from investors.models import (
    ClassNav,
    DealingOrder,
    DealingProposal,
    Distribution,
    Fund,
    NavStrike,
)
from investors.services.pocket_books import (
    PocketHolding,
    group_by_holder,
    read_pocket_holdings,
    read_set_apart,
)
from investors.services.statement_periods import Period
from investors.services.statement_rebates import RebateMove, read_rebates

#: What a holder's own postings are in the bridge, by account; payables by kind of entry.
MONEY_LINES: Mapping[str, str] = {
    CLIENT_MONEY: "subscriptions",
    PERFORMANCE_PAYABLE: "performance_fee_crystallised",
    DEALING_FEES: "dealing_fees",
}
PAYABLE_LINES: Mapping[str, str] = {
    "redemption_dealt": "redemptions",
    "exit_fee": "redemptions",
    "distribution_reinvested": "distributions",
}
FLOW_LINES = ("subscriptions", "redemptions", "distributions", "transfers", "side_pockets")
ISSUES = ("issue", "switch_in", "compensation")
POCKETS = ("side_pocket_out", "merge")
TRANSFERS = ("transfer_in", "transfer_out")


@dataclass(slots=True, kw_only=True)
class HolderBook:
    """One holder: by number of the strike, values, accrued fees, units by class, and money."""

    values: dict[int, Decimal] = field(default_factory=dict)
    accrued: dict[int, Decimal] = field(default_factory=dict)
    units: dict[int, dict[str, Decimal]] = field(default_factory=dict)
    money: dict[int, dict[str, Decimal]] = field(default_factory=dict)
    #: Accrued fee that came with units by transfer (negative: left with them).
    fee_moved: dict[int, Decimal] = field(default_factory=dict)
    moves: list[UnitMove] = field(default_factory=list)
    rebates: list[RebateMove] = field(default_factory=list)

    def add_money(self, at: int, line: str, amount: Decimal) -> None:
        found = self.money.setdefault(at, {})
        found[line] = found.get(line, ZERO) + amount

    def flow(self, at: int) -> Decimal:
        """Money in (positive) or out at a strike, transfers at the strike before them."""
        return sum((self.money.get(at, {}).get(line, ZERO) for line in FLOW_LINES), ZERO)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitMove:
    """One movement of units as a statement lists it."""

    at: datetime
    strike: int
    share_class: str
    kind: str
    units: Decimal
    price: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodBooks:
    """Everything that the statements of a period need; strikes are numbered from the first."""

    fund: Fund
    period: Period
    strikes: tuple[NavStrike, ...]
    first: int | None
    last: int
    periods: tuple[FundPeriod, ...]
    holders: dict[UUID, HolderBook]
    capital: dict[UUID, Decimal]
    #: Units of side pockets at the close, by holder.
    pockets: Mapping[UUID, Sequence[PocketHolding]]


def read_books(
    fund: Fund, period: Period, *, investors: Collection[UUID] | None = None
) -> PeriodBooks:
    """Read a period for some investors, or for everybody who held or moved anything in it."""
    strikes = tuple(
        NavStrike.objects.filter(
            fund=fund,
            state=NavStrike.State.DEALT,
            valuation_at__lte=period.closing.valuation_at,
        )
        .defer("inputs", "checklist", "second_engine", "balances", "waterfall")
        .order_by("valuation_at")
    )
    last = len(strikes) - 1
    first = next((k for k, row in enumerate(strikes) if row == period.opening), None)
    holders: dict[UUID, HolderBook] = {}
    asked = None if investors is None else list(investors)
    _read_values(strikes, holders, asked)
    _read_money(fund, strikes, holders, asked)
    _read_distributions(fund, strikes, holders, asked)
    _read_transfers(fund, strikes, holders, asked)
    for who, at, net, gross in read_set_apart(fund, until=strikes[-1].valuation_at, asked=asked):
        book, k = holders.setdefault(who, HolderBook()), _place(strikes, at)
        book.add_money(k, "side_pockets", net)
        book.fee_moved[k] = book.fee_moved.get(k, ZERO) + gross - net
    _read_moves(fund, strikes, holders, asked)
    for who, rebates in read_rebates(fund, until=period.closing.valuation_at, asked=asked).items():
        holders.setdefault(who, HolderBook()).rebates = rebates
    pockets = group_by_holder(
        read_pocket_holdings(fund, at=strikes[-1].valuation_at - timedelta(microseconds=1))
    )
    begin = 0 if first is None else first
    present = {
        who: book
        for who, book in holders.items()
        if book.values.get(last)
        or who in pockets
        or (first is not None and book.values.get(first))
        or any(begin <= at < last for at in book.money)
    }
    return PeriodBooks(
        fund=fund,
        period=period,
        strikes=strikes,
        first=first,
        last=last,
        periods=tuple(
            _read_fund_period(fund, strikes[k], strikes[k + 1]) for k in range(begin, last)
        ),
        holders=present,
        capital=_read_capital(fund, strikes[last]),
        pockets=pockets,
    )


def _read_values(
    strikes: Sequence[NavStrike], holders: dict[UUID, HolderBook], asked: list[UUID] | None
) -> None:
    number = {row.pk: k for k, row in enumerate(strikes)}
    for who, strike, code, units, value, fee in _rows(
        """SELECT h.investor_id, n.strike_id, c.code, sum(n.units), sum(n.net_value),
                  sum(n.units * n.performance_fee_per_unit)
           FROM investors_lotnav n JOIN investors_unitlot l ON l.id = n.lot_id
           JOIN investors_holding h ON h.id = l.holding_id
           JOIN investors_shareclass c ON c.id = h.share_class_id
           WHERE n.strike_id = ANY(%s) AND (%s::uuid[] IS NULL OR h.investor_id = ANY(%s))
           GROUP BY 1, 2, 3""",
        [list(number), asked, asked],
    ):
        book, k = holders.setdefault(who, HolderBook()), number[strike]
        book.values[k] = book.values.get(k, ZERO) + value
        book.accrued[k] = book.accrued.get(k, ZERO) + fee
        book.units.setdefault(k, {})[code] = units


def _read_money(
    fund: Fund,
    strikes: Sequence[NavStrike],
    holders: dict[UUID, HolderBook],
    asked: list[UUID] | None,
) -> None:
    for who, at, account, kind, amount in _rows(
        """SELECT h.investor_id, e.effective_at, p.account_id, e.kind, sum(p.amount)
           FROM investors_posting p JOIN investors_entry e ON e.id = p.entry_id
           JOIN investors_unitlot l ON l.id = p.lot
           JOIN investors_holding h ON h.id = l.holding_id
           WHERE e.fund_id = %s AND e.effective_at < %s AND p.currency = %s
             AND p.account_id = ANY(%s)
             AND e.kind NOT IN ('side_pocket_realised', 'side_pocket_merged')
             AND (%s::uuid[] IS NULL OR h.investor_id = ANY(%s))
           GROUP BY 1, 2, 3, 4""",
        [
            fund.pk, strikes[-1].valuation_at, fund.currency,
            [*MONEY_LINES, REDEMPTIONS_PAYABLE], asked, asked,
        ],
    ):  # fmt: skip
        line = PAYABLE_LINES.get(kind) if account == REDEMPTIONS_PAYABLE else MONEY_LINES[account]
        if line is not None:
            holders.setdefault(who, HolderBook()).add_money(_place(strikes, at), line, amount)


def _read_distributions(
    fund: Fund,
    strikes: Sequence[NavStrike],
    holders: dict[UUID, HolderBook],
    asked: list[UUID] | None,
) -> None:
    """A distribution goes out when it is declared, also where it buys units at the next NAV."""
    orders = DealingOrder.objects.filter(
        distribution__share_class__fund=fund, received_at__lt=strikes[-1].valuation_at
    )
    if asked is not None:
        orders = orders.filter(investor__in=asked)
    for who, at, amount in orders.values_list("investor_id", "received_at", "amount"):
        if amount is not None:
            book = holders.setdefault(who, HolderBook())
            book.add_money(_place(strikes, at), "distributions", -amount)


def _read_transfers(
    fund: Fund,
    strikes: Sequence[NavStrike],
    holders: dict[UUID, HolderBook],
    asked: list[UUID] | None,
) -> None:
    """Units that moved count at the strike before, at whose value they were taken, less what was
    distributed since: that went to who held them at the strike."""
    gross: dict[tuple[UUID, datetime], tuple[Decimal, Decimal]] = {}
    for who, at, worth, units in _rows(
        """SELECT h.investor_id, u.effective_at, sum(u.units * u.price), sum(u.units)
           FROM investors_unitentry u JOIN investors_unitlot l ON l.id = u.lot_id
           JOIN investors_holding h ON h.id = l.holding_id
           WHERE u.fund_id = %s AND u.effective_at < %s AND u.kind = ANY(%s) GROUP BY 1, 2""",
        [fund.pk, strikes[-1].valuation_at, list(TRANSFERS)],
    ):
        gross[who, at] = worth, units
    paid: dict[tuple[int, int], Decimal] = {}
    for item, per_unit, at in Distribution.objects.filter(
        share_class__fund=fund, is_approved=True, lowers_marks_by__gt=0
    ).values_list("share_class_id", "lowers_marks_by", "decided_at"):
        if at is not None and per_unit is not None:
            key = item, _place(strikes, at)
            paid[key] = paid.get(key, ZERO) + per_unit
    signed = DealingProposal.objects.filter(
        share_class__fund=fund,
        kind=DealingProposal.Kind.TRANSFER,
        is_approved=True,
        decided_at__lt=strikes[-1].valuation_at,
    ).values_list("investor_id", "receiver_id", "decided_at", "value", "share_class_id")
    for giver, receiver, at, value, item in signed:
        if at is None or value is None:
            continue
        for who, sign in ((giver, -1), (receiver, 1)):
            if who is None or (asked is not None and who not in asked):
                continue
            book, k = holders.setdefault(who, HolderBook()), _place(strikes, at)
            worth, units = gross.get((who, at), (sign * value, ZERO))
            book.add_money(k, "transfers", sign * value - units * paid.get((item, k), ZERO))
            book.fee_moved[k] = book.fee_moved.get(k, ZERO) + worth - sign * value


def _read_moves(
    fund: Fund,
    strikes: Sequence[NavStrike],
    holders: dict[UUID, HolderBook],
    asked: list[UUID] | None,
) -> None:
    for who, at, code, kind, units, price in _rows(
        """SELECT h.investor_id, u.effective_at, c.code, u.kind, u.units, u.price
           FROM investors_unitentry u JOIN investors_unitlot l ON l.id = u.lot_id
           JOIN investors_holding h ON h.id = l.holding_id
           JOIN investors_shareclass c ON c.id = h.share_class_id
           WHERE u.fund_id = %s AND u.effective_at <= %s AND u.units <> 0
             AND (%s::uuid[] IS NULL OR h.investor_id = ANY(%s)) ORDER BY u.effective_at, u.id""",
        [fund.pk, strikes[-1].valuation_at, asked, asked],
    ):
        holders.setdefault(who, HolderBook()).moves.append(
            UnitMove(
                at=at,
                strike=_place(strikes, at),
                share_class=code,
                kind=kind,
                units=units,
                price=price,
            )
        )


def _read_capital(fund: Fund, closing: NavStrike) -> dict[UUID, Decimal]:
    """Capital that each lot of the closing strike still holds, by the ledger."""
    return {
        lot: -amount
        for lot, amount in _rows(
            """SELECT p.lot, sum(p.amount)
               FROM investors_posting p JOIN investors_entry e ON e.id = p.entry_id
               WHERE e.fund_id = %s AND e.effective_at < %s AND p.account_id = %s
                 AND p.currency = %s AND p.lot IS NOT NULL GROUP BY 1""",
            [fund.pk, closing.valuation_at, UNIT_CAPITAL, fund.currency],
        )
    }


def _read_fund_period(fund: Fund, before: NavStrike, after: NavStrike) -> FundPeriod:
    result: dict[str, Decimal] = {}
    for account, sleeve, amount in _rows(
        """SELECT p.account_id, p.strategy, -sum(p.amount)
           FROM investors_posting p JOIN investors_entry e ON e.id = p.entry_id
           WHERE e.fund_id = %s AND e.effective_at >= %s AND e.effective_at < %s
             AND p.currency = %s AND p.account_id = ANY(%s) GROUP BY 1, 2""",
        [
            fund.pk, before.valuation_at, after.valuation_at, fund.currency,
            list(RESULT_LINES),
        ],
    ):  # fmt: skip
        line = RESULT_LINES[account] + (f":{sleeve}" if sleeve else "")
        result[line] = result.get(line, ZERO) + amount
    rows = list(ClassNav.objects.filter(strike=after).select_related("share_class"))
    weights = {
        row.share_class.code: Decimal(row.detail["nav_before"]) if row.units > 0 else ZERO
        for row in rows
    }
    shares = share_by_weight(weights)
    return FundPeriod(
        classes=tuple(
            ClassPeriod(
                code=row.share_class.code,
                units=row.units,
                share=shares[row.share_class.code],
                management_fee=row.management_fee,
            )
            for row in rows
        ),
        result=result,
    )


def roll_units(books: PeriodBooks, holder: HolderBook) -> dict[str, UnitRoll]:
    """The units of each class over the period, by their movements."""
    before = holder.units.get(books.first, {}) if books.first is not None else {}
    after = holder.units.get(books.last, {})
    begin = 0 if books.first is None else books.first
    inside = [move for move in holder.moves if begin <= move.strike < books.last]
    rolls = {}
    for code in sorted({*before, *after, *(move.share_class for move in inside)}):
        sums: dict[str, Decimal] = {}
        for move in inside:
            if move.share_class == code:
                name = _roll_name(move.kind)
                sums[name] = sums.get(name, ZERO) + move.units
        rolls[code] = UnitRoll(
            opening=before.get(code, ZERO),
            issued=sums.get("issued", ZERO),
            redeemed=-sums.get("redeemed", ZERO),
            fee_units=-sums.get("fee_units", ZERO),
            transferred=sums.get("transferred", ZERO),
            closing=after.get(code, ZERO),
            set_apart=-sums.get("set_apart", ZERO),
        )
    return rolls


def _roll_name(kind: str) -> str:
    if kind in ISSUES:
        return "issued"
    if kind in TRANSFERS:
        return "transferred"
    if kind in POCKETS:
        return "set_apart"
    return "fee_units" if kind == "fee_cancel" else "redeemed"


def _place(strikes: Sequence[NavStrike], at: datetime) -> int:
    """The number of the last strike at or before an instant; 0 where there is none."""
    return max(0, bisect_right(strikes, at, key=lambda row: row.valuation_at) - 1)


def _rows(sql: str, params: list[Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        found: list[tuple[Any, ...]] = cursor.fetchall()
    return found
