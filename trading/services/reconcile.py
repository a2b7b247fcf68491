"""Our books against the venue's: positions, resting orders, cash.  The venue wins."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import Q, Sum

from trading.models import Fill, Order, Position, Reconciliation
from trading.services.engine import record_reconciliation
from trading.services.paper_book import PaperBook
from trading.services.paper_orders import quantity_of


def find_differences(paper: PaperBook) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """What differs between our rows and the venue's memory, and how much was compared."""
    differences: list[dict[str, Any]] = []
    ours = {
        (row.strategy, row.instrument_id): row.quantity
        for row in Position.objects.filter(book=paper.code)
    }
    held = 0
    for sleeve, position in zip(paper.sleeves, paper.book.positions, strict=True):
        theirs = Decimal(0)
        if position is not None:
            theirs = quantity_of(sleeve.instrument, position.lots) * position.side
            held += 1
        booked = ours.pop((sleeve.strategy, sleeve.instrument.pk), Decimal(0))
        if booked != theirs:
            differences.append(
                {
                    "what": "position",
                    "instrument": sleeve.instrument.symbol,
                    "strategy": sleeve.strategy,
                    "ours": f"{booked.normalize():f}",
                    "venue": f"{theirs.normalize():f}",
                }
            )
    for (strategy, instrument), quantity in ours.items():
        if quantity:
            differences.append(
                {
                    "what": "position without a sleeve",
                    "instrument": str(instrument),
                    "strategy": strategy,
                    "ours": f"{quantity.normalize():f}",
                    "venue": "0",
                }
            )
    unknown = Order.objects.filter(book=paper.code, state="UNKNOWN").count()
    if unknown:
        differences.append({"what": "orders of unknown outcome", "ours": unknown, "venue": 0})
    compared = {"positions": held, "sleeves": len(paper.sleeves), "unknown_orders": unknown}
    return differences, compared


def reconcile(paper: PaperBook, *, at: datetime) -> Reconciliation:
    """Compare and keep the outcome."""
    differences, compared = find_differences(paper)
    return record_reconciliation(book=paper.code, differences=differences, compared=compared, at=at)


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
