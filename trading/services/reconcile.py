"""Our books against the venue's: positions, resting orders, cash.  The venue wins."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import Q, Sum

from magnetfund.core.actors import Actor
from magnetfund.kernel.money import decimal_from_float
from risk.services.fuse import state_of, trip_fuse
from risk.services.stop_statements import FuseFacts
from trading.domain.engine.wants import account_of
from trading.domain.orders import OrderState
from trading.models import Fill, Order, Position, Reconciliation
from trading.services.book.trading_book import TradingBook
from trading.services.engine import DIFFERENCE, begin_reconciling, record_reconciliation

#: By how much the cash of the decision may differ from the venue's, in quote currency.
CASH_TOLERANCE = Decimal("0.01")


def find_differences(
    paper: TradingBook, *, at: datetime
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """What differs between our rows and the venue's, and how much was compared."""
    compared: dict[str, Any] = {"sleeves": len(paper.sleeves)}
    differences = [
        *_compare_positions(paper, compared),
        *_compare_memory(paper),
        *_compare_orders(paper, compared, at),
        *_compare_cash(paper, compared),
    ]
    return differences, compared


def _compare_positions(paper: TradingBook, compared: dict[str, Any]) -> list[dict[str, Any]]:
    ours = {
        (row.strategy, row.instrument.symbol): row.quantity
        for row in Position.objects.filter(book=paper.code).select_related("instrument")
        if row.quantity
    }
    theirs = {(held.account, held.symbol): held.quantity for held in paper.venue.positions()}
    compared["positions"] = len(theirs)
    return [
        {
            "what": "position",
            "instrument": symbol,
            "strategy": strategy,
            "ours": f"{ours.get((strategy, symbol), Decimal(0)).normalize():f}",
            "venue": f"{theirs.get((strategy, symbol), Decimal(0)).normalize():f}",
        }
        for strategy, symbol in sorted({*ours, *theirs})
        if ours.get((strategy, symbol), Decimal(0)) != theirs.get((strategy, symbol), Decimal(0))
    ]


def _compare_memory(paper: TradingBook) -> list[dict[str, Any]]:
    """What the engine decides on against the venue's accounts, to the tick."""
    return [
        {
            "what": "memory of a position",
            "instrument": sleeve.instrument.symbol,
            "strategy": sleeve.strategy,
            "ours": f"{held.lots if held else 0} lots",
            "venue": f"{theirs.lots} lots",
        }
        for sleeve, held, theirs in zip(
            paper.sleeves, paper.book.positions, paper.venue.book.accounts, strict=True
        )
        if account_of(held) != theirs
    ]


def _compare_orders(
    paper: TradingBook, compared: dict[str, Any], at: datetime
) -> list[dict[str, Any]]:
    """Orders that rest on one side alone; one that was never sent rests on neither."""
    theirs = set(paper.venue.open_orders(at=at))
    rows = Order.objects.filter(book=paper.code, closed_at=None).exclude(state=OrderState.INTENT)
    ours = {row.client_order_id: row for row in rows}
    compared["orders"] = len(theirs)
    found = [
        {"what": "order that the venue does not have", "ours": str(ours[name].id), "venue": ""}
        for name in sorted(ours.keys() - theirs)
    ]
    return found + [
        {"what": "order that we do not have", "ours": "", "venue": name}
        for name in sorted(theirs - ours.keys())
    ]


def _compare_cash(paper: TradingBook, compared: dict[str, Any]) -> list[dict[str, Any]]:
    """Cash of the decision is float64; the venue's is exact."""
    ours = decimal_from_float(paper.book.cash)
    (balance,) = paper.venue.balances()
    compared["cash"] = f"{balance.cash:.2f}"
    if abs(ours - balance.cash) <= CASH_TOLERANCE:
        return []
    return [{"what": "cash", "ours": f"{ours:.2f}", "venue": f"{balance.cash:.2f}"}]


def reconcile(paper: TradingBook, *, at: datetime) -> Reconciliation:
    """Compare and keep the outcome."""
    differences, compared = find_differences(paper, at=at)
    return record_reconciliation(book=paper.code, differences=differences, compared=compared, at=at)


def stop_for_difference(book: str, result: Reconciliation, *, actor: Actor, at: datetime) -> None:
    """Take nothing new while the two sides differ, and trip the fuse where it is armed."""
    begin_reconciling(book=book, actor=actor, reason=DIFFERENCE, at=at)
    if state_of(book) == "ARMED":
        trip_fuse(
            book=book,
            facts=FuseFacts(
                trigger="reconciliation",
                reason="Books and venue do not reconcile.",
                measured={"differences": len(result.differences)},
            ),
            actor=actor,
            at=at,
        )


def reconcile_with_executions(book: str, *, at: datetime) -> Reconciliation:
    """Compare each position with the sum of what the venue executed; keep the outcome.

    For a history that is told by itself: nobody else's memory is there to be asked.
    """
    executed = {
        (row["strategy"], row["instrument"]): row["bought"] - row["sold"]
        for row in Fill.objects.filter(book=book)
        .values("strategy", "instrument")
        .annotate(
            bought=Sum("quantity", filter=Q(side="buy"), default=Decimal(0)),
            sold=Sum("quantity", filter=Q(side="sell"), default=Decimal(0)),
        )
    }
    booked = {
        (row.strategy, row.instrument_id): row.quantity
        for row in Position.objects.filter(book=book)
    }
    differences = [
        {
            "what": "position",
            "instrument": str(instrument),
            "strategy": strategy,
            "ours": f"{booked.get((strategy, instrument), Decimal(0)).normalize():f}",
            "venue": f"{executed.get((strategy, instrument), Decimal(0)).normalize():f}",
        }
        for strategy, instrument in sorted({*executed, *booked})
        if booked.get((strategy, instrument), Decimal(0))
        != executed.get((strategy, instrument), Decimal(0))
    ]
    compared = {"sleeves": len({*executed, *booked}), "by": "executions"}
    return record_reconciliation(book=book, differences=differences, compared=compared, at=at)
