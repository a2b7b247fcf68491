"""Rows that dealing writes for lots: journal entries, opened lots and movements of units."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from uuid import UUID

from django.db.models import Max

from investors.domain.dealing import compute_lockup_end
from investors.domain.exact import round_to_total
from investors.domain.fees import ClassTerms
from investors.domain.ledger import JointLine, JournalEntry, Tags, build_joint_entry
from investors.domain.strike import LotInput, RedemptionResult, SubscriptionResult
from investors.models import (
    ClassNav,
    DealingOrder,
    Entry,
    Holding,
    NavStrike,
    UnitEntry,
    UnitLot,
)
from investors.services.nav_dealing_book import DealingBook
from magnetfund.core.bulk import copy_rows
from magnetfund.kernel.identifiers import derived_uuid

ZERO, CENT = Decimal(0), Decimal("0.01")
BATCH = 5000
MOVED = (
    "lot_id", "kind", "units", "price", "high_water_mark", "hurdle_start", "strike_id", "order_id",
    "entry_id", "effective_at",
)  # fmt: skip
#: An order and what it bought.
Bought = tuple[DealingOrder, SubscriptionResult]


def entry_of(book: DealingBook, event: str, code: str, lines: Sequence[JointLine]) -> JournalEntry:
    """The entry of an event of a strike in one class, effective at its valuation instant."""
    strike = book.strike
    return build_joint_entry(
        event=event,
        source_ref=f"{event}:{strike.pk}:{code}",
        effective_at=strike.valuation_at,
        lines=lines,
        currency=strike.fund.currency,
        fund=strike.fund.code,
    )


def gross_of_cuts(result: RedemptionResult) -> list[Decimal]:
    """What each lot pays in cents; together the payout and the exit fee."""
    parts = list(round_to_total([cut.gross for cut in result.cuts], quantum=CENT))
    parts[0] += result.payout + result.exit_fee - sum(parts, ZERO)
    return parts


def open_lots(
    book: DealingBook, row: ClassNav, terms: ClassTerms, dealt: Sequence[Bought]
) -> list[UnitLot]:
    """One empty lot for each purchase, with its own mark, hurdle clock and lock-up from today."""
    at, day = book.strike.valuation_at, book.strike.valuation_at.date()
    buyers = [order.investor_id for order, _ in dealt]
    Holding.objects.bulk_create(
        [
            Holding(investor_id=who, share_class=row.share_class, updated_at=at)
            for who in dict.fromkeys(buyers)
        ],
        ignore_conflicts=True,
    )
    holdings = dict(
        Holding.objects.filter(share_class=row.share_class, investor__in=buyers).values_list(
            "investor_id", "pk"
        )
    )
    lockup_until = compute_lockup_end(terms=terms, dealing_day=day)
    newest = UnitLot.objects.aggregate(n=Max("number"))["n"] or 0
    lots = [
        UnitLot(
            id=_name_lot(book, order),
            number=newest + k,
            holding_id=holdings[order.investor_id],
            share_class=row.share_class,
            dealing_day=day,
            strike=book.strike,
            entry_price=row.issue_price,
            units=ZERO,
            high_water_mark=row.issue_price,
            hurdle_start=day,
            cost=result.consideration,
            lockup_until=lockup_until,
            opened_at=at,
        )
        for k, (order, result) in enumerate(dealt, start=1)
    ]
    UnitLot.objects.bulk_create(lots, batch_size=BATCH)
    return lots


def _name_lot(book: DealingBook, order: DealingOrder) -> UUID:
    """A subscription buys once; a switch that a gate defers buys at several strikes."""
    return derived_uuid("lot", f"{order.pk}:{book.strike.pk}" if order.is_switch else str(order.pk))


def record_issues(
    book: DealingBook,
    row: ClassNav,
    dealt: Sequence[Bought],
    lots: Sequence[UnitLot],
    *,
    kind: str,
    entry: Entry | None,
) -> None:
    """Units of the purchases come into their lots."""
    record_moves(
        book.strike,
        (
            (lot.pk, kind, result.units, row.issue_price, row.issue_price, lot.hurdle_start,
             order.pk, entry)
            for (order, result), lot in zip(dealt, lots, strict=True)
        ),
    )  # fmt: skip


def record_cuts(
    book: DealingBook,
    row: ClassNav,
    dealt: Sequence[RedemptionResult],
    lots: Mapping[str, LotInput],
    *,
    kind: str,
    entry: Entry | None,
) -> None:
    """Units leave the lots that the redemptions cut; what stays keeps its mark and clock."""
    record_moves(
        book.strike,
        (
            (UUID(cut.lot), kind, -cut.units, row.issue_price, lots[cut.lot].mark,
             lots[cut.lot].clock, book.orders[result.order].pk, entry)
            for result in dealt
            for cut in result.cuts
        ),
    )  # fmt: skip


#: A movement of units at a strike: lot, kind, units, price, mark and hurdle clock after it, the
#: order and the entry that it belongs to.
Move = tuple[UUID, str, Decimal, Decimal, Decimal, date, UUID | None, Entry | None]


def record_moves(strike: NavStrike, moves: Iterable[Move]) -> None:
    """Write movements of units at a strike; PostgreSQL moves the lots and holdings by them."""
    copy_rows(
        UnitEntry,
        MOVED,
        (
            (lot, kind, units, price, mark, clock, strike.pk, order,
             None if entry is None else entry.pk, strike.valuation_at)
            for lot, kind, units, price, mark, clock, order, entry in moves
        ),
    )  # fmt: skip


def lines_of_cuts(code: str, result: RedemptionResult, *, units: str = "units") -> list[JointLine]:
    """Capital, result, fee and units that each lot gives up; ``units`` names the event's part."""
    return [
        JointLine(
            amounts={
                "capital": cut.cost,
                "result": gross - cut.cost,
                "performance_fee": cut.fee,
                units: cut.units,
            },
            tags=Tags(share_class=code, lot=UUID(cut.lot)),
        )
        for cut, gross in zip(result.cuts, gross_of_cuts(result), strict=True)
    ]
