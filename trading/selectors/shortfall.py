"""Implementation shortfall of the book's entries: what trading cost against deciding."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from django.db.models import F, OuterRef, Subquery, Sum

from risk.domain.attribution import ExecutedOrder, Shortfall, compute_shortfall
from trading.models import Candle, Fill, Order

#: The newest entries that are looked at.
ORDERS_MAX = 1_000
HOUR = timedelta(hours=1)


class PlacedEntry(NamedTuple):
    """What is read of an order, of the proposal behind it and of its fills; quote currency."""

    strategy: str
    instrument_id: int
    side: str
    quantity: Decimal
    filled_quantity: Decimal
    reference_price: Decimal
    average_price: Decimal | None
    denial_codes: list[str]
    closed_at: datetime
    decided: Decimal | None
    fees: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShortfallRow:
    """Entries of one strategy, or all of them; money in quote currency, a cost positive.

    ``filled`` is the share of the ordered value that was filled.  ``unpriced`` counts entries left
    open for which no later price is stored: what was missed by them is not in the sums.
    """

    key: str
    orders: int
    filled: float
    delay: float
    impact: float
    opportunity: float
    fees: float
    value: float
    unpriced: int

    @property
    def total(self) -> float:
        """What the paper portfolio gained more than the real one."""
        return self.delay + self.impact + self.opportunity + self.fees

    @property
    def share(self) -> float:
        """The total over the value of the orders at the prices decided on."""
        return self.total / self.value


def view_shortfall(book: str, *, since: datetime | None = None) -> tuple[ShortfallRow, ...]:
    """Closed entries by strategy, the dearest first, led by the sum; empty without any.

    Decision: the price that the proposal was made on; arrival: the last price when the order was
    committed; closing, of what was not filled: the close of the hour in which it ended.
    """
    rows = Order.objects.filter(
        book=book,
        purpose=Order.Purpose.ENTRY,
        closed_at__isnull=False,
        pretrade_check__isnull=False,
    )
    if since is not None:
        rows = rows.filter(occurred_at__gte=since)
    paid = Fill.objects.filter(order=OuterRef("pk")).order_by().values("order")
    newest = rows.annotate(
        decided=F("proposal__entry_price"),
        # Of the orders that are shown alone: joined to them all, every fill would be summed.
        fees=Subquery(paid.annotate(total=Sum("fee")).values("total")),
    ).order_by("-occurred_at")
    found: dict[str, list[tuple[ExecutedOrder, bool]]] = {}
    for entry in map(PlacedEntry._make, newest.values_list(*PlacedEntry._fields)[:ORDERS_MAX]):
        if entry.denial_codes or entry.quantity <= 0 or entry.reference_price <= 0:
            continue
        closing = entry.reference_price
        is_priced = True
        if entry.filled_quantity < entry.quantity:
            known = _closing_price(entry)
            closing, is_priced = known or closing, known is not None
        found.setdefault(entry.strategy, []).append((execute(entry, closing), is_priced))
    parts = sorted((_sum(key, items) for key, items in found.items()), key=lambda r: -r.total)
    if not parts:
        return ()
    return (_sum("", [item for items in found.values() for item in items]), *parts)


def execute(entry: PlacedEntry, closing: Decimal) -> ExecutedOrder:
    """What became of an entry, ``closing`` being the price of what was not filled."""
    return ExecutedOrder(
        side=1 if entry.side == Order.Side.BUY else -1,
        size=float(entry.quantity),
        filled=float(entry.filled_quantity),
        decision_price=float(entry.decided or entry.reference_price),
        arrival_price=float(entry.reference_price),
        execution_price=float(entry.average_price or entry.reference_price),
        closing_price=float(closing),
        fees=float(entry.fees or 0),
    )


def _closing_price(entry: PlacedEntry) -> Decimal | None:
    ended = entry.closed_at
    close = (
        Candle.objects.filter(
            instrument=entry.instrument_id,
            timeframe="1h",
            open_time__gt=ended - HOUR,
            open_time__lte=ended,
        )
        .values_list("close", flat=True)
        .first()
    )
    return None if close is None else Decimal(str(close))


def _sum(key: str, items: list[tuple[ExecutedOrder, bool]]) -> ShortfallRow:
    costs: list[Shortfall] = [compute_shortfall(order=order) for order, _ in items]
    value = sum(item.value_at_decision for item in costs)
    filled = sum(order.filled * order.decision_price for order, _ in items)
    return ShortfallRow(
        key=key,
        orders=len(items),
        filled=filled / value,
        delay=sum(item.delay for item in costs),
        impact=sum(item.impact for item in costs),
        opportunity=sum(item.opportunity for item in costs),
        fees=sum(item.fees for item in costs),
        value=value,
        unpriced=sum(not is_priced for _, is_priced in items),
    )
