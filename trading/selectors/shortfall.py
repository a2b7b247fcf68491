"""Implementation shortfall of the book's entries: what trading cost against deciding."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.db.models import Sum

from risk.domain.attribution import ExecutedOrder, Shortfall, compute_shortfall
from trading.models import Candle, Fill, Order

#: The newest entries that are looked at.
ORDERS_MAX = 1_000
HOUR = timedelta(hours=1)


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
    found: dict[str, list[tuple[ExecutedOrder, bool]]] = {}
    newest = list(
        rows.select_related("proposal")
        .only(
            "strategy", "instrument_id", "side", "quantity", "filled_quantity", "reference_price",
            "average_price", "denial_codes", "closed_at", "proposal__entry_price",
        )
        .order_by("-occurred_at")[:ORDERS_MAX]
    )  # fmt: skip
    # By the orders that are shown: joined to them all, every fill of the book would be summed.
    paid = Fill.objects.filter(order__in=newest).values_list("order").annotate(fees=Sum("fee"))
    fees = {order: float(total) for order, total in paid.order_by()}
    for order in newest:
        if order.denial_codes or order.quantity <= 0 or order.reference_price <= 0:
            continue
        closing = order.reference_price
        is_priced = True
        if order.filled_quantity < order.quantity:
            known = _closing_price(order)
            closing, is_priced = known or closing, known is not None
        found.setdefault(order.strategy, []).append(
            (_executed(order, closing, fees=fees.get(order.pk, 0.0)), is_priced)
        )
    parts = sorted((_sum(key, items) for key, items in found.items()), key=lambda r: -r.total)
    if not parts:
        return ()
    return (_sum("", [item for items in found.values() for item in items]), *parts)


def _executed(order: Order, closing: Decimal, *, fees: float) -> ExecutedOrder:
    decided = order.proposal.entry_price if order.proposal is not None else None
    return ExecutedOrder(
        side=1 if order.side == Order.Side.BUY else -1,
        size=float(order.quantity),
        filled=float(order.filled_quantity),
        decision_price=float(decided or order.reference_price),
        arrival_price=float(order.reference_price),
        execution_price=float(order.average_price or order.reference_price),
        closing_price=float(closing),
        fees=fees,
    )


def _closing_price(order: Order) -> Decimal | None:
    ended = order.closed_at
    if ended is None:
        return None
    close = (
        Candle.objects.filter(
            instrument=order.instrument_id,
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
