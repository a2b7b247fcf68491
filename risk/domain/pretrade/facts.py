"""The figures of an order and its book that the controls share, computed once.

All values are exact Decimals in the fund's currency; a figure that cannot be computed from what was
given is 0 and :attr:`OrderFacts.problem` says why, which denies the order before anything else is
asked.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from risk.domain.limits import Limits
from risk.domain.pretrade.types import (
    BookOrder,
    BookPosition,
    BookSnapshot,
    OrderRequest,
    OrderType,
)

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderFacts:
    """One order in its book.

    ``price`` is what the order may cost at worst, ``unit_*`` what one unit of quantity adds.
    ``closable`` is what open closing orders leave of the position.  ``net_if_bought`` counts every
    open buy as filled and no sell, ``net_if_sold`` the other way round.  A position of the order's
    own sleeve counts without what market orders are closing of it (:func:`_leave_first`).
    """

    order: OrderRequest
    book: BookSnapshot
    limits: Limits
    now: datetime
    problem: str | None
    reduces: bool = False
    closable: Decimal = ZERO
    equity: Decimal = ZERO
    price: Decimal = ZERO
    unit_value: Decimal = ZERO
    unit_margin: Decimal = ZERO
    notional: Decimal = ZERO
    margin: Decimal = ZERO
    gap_loss: Decimal = ZERO
    loss_at_stop: Decimal | None = None
    gross: Decimal = ZERO
    net_if_bought: Decimal = ZERO
    net_if_sold: Decimal = ZERO
    notional_of_instrument: Decimal = ZERO
    margin_of_instrument: Decimal = ZERO
    margin_of_group: Decimal = ZERO
    margin_of_book: Decimal = ZERO
    gap_loss_of_instrument: Decimal = ZERO
    gap_loss_of_book: Decimal = ZERO

    @property
    def is_sound(self) -> bool:
        """Whether the numbers could be read at all."""
        return self.problem is None


def read_facts(
    *, order: OrderRequest, book: BookSnapshot, limits: Limits, now: datetime
) -> OrderFacts:
    """Every shared figure; never raises for the content of what it is given."""
    problem = _find_problem(order, book)
    if problem is not None:
        return OrderFacts(order=order, book=book, limits=limits, now=now, problem=problem)
    rules = book.instrument
    reference = book.reference.price if book.reference is not None else order.price or ZERO
    price = _worst_price(order, reference)
    unit_value = price * rules.multiplier
    notional = unit_value * order.quantity
    margin = notional / order.leverage
    gap_loss = _find_gap_loss(order, book, notional)
    held, closable = _find_closable(order, book)
    growing: list[BookOrder] = [
        other for other in book.orders if not other.reduces and not other.is_protective
    ]
    positions = _leave_first(order, book)
    same_positions = [p for p in positions if p.instrument == order.instrument]
    same_orders = [o for o in growing if o.instrument == order.instrument]
    group = rules.correlation_group
    committed: list[BookPosition | BookOrder] = [*positions, *growing]
    of_instrument: list[BookPosition | BookOrder] = [*same_positions, *same_orders]
    group_margin = sum(
        (item.margin for item in committed if group and item.correlation_group == group),
        ZERO,
    )
    margin_of_instrument = sum((item.margin for item in of_instrument), ZERO)
    net = sum((p.quantity * p.mark * p.multiplier for p in positions), ZERO)
    return OrderFacts(
        order=order,
        book=book,
        limits=limits,
        now=now,
        problem=None,
        reduces=held != 0 and (held > 0) != (order.side.sign > 0) and order.quantity <= closable,
        closable=closable,
        equity=book.equity,
        price=price,
        unit_value=unit_value,
        unit_margin=unit_value / order.leverage,
        notional=notional,
        margin=margin,
        gap_loss=gap_loss,
        loss_at_stop=_find_loss(order, book, price),
        gross=sum((abs(p.quantity) * p.mark * p.multiplier for p in positions), ZERO)
        + sum((_value_of(o) for o in growing), ZERO),
        net_if_bought=net + sum((_value_of(o) for o in growing if o.side.sign > 0), ZERO),
        net_if_sold=net - sum((_value_of(o) for o in growing if o.side.sign < 0), ZERO),
        notional_of_instrument=sum(
            (abs(p.quantity) * p.mark * p.multiplier for p in same_positions), ZERO
        )
        + sum((_value_of(o) for o in same_orders), ZERO),
        margin_of_instrument=margin_of_instrument,
        margin_of_group=max(group_margin, margin_of_instrument),
        margin_of_book=sum((item.margin for item in committed), ZERO),
        gap_loss_of_instrument=sum((item.gap_loss for item in of_instrument), ZERO),
        gap_loss_of_book=sum((item.gap_loss for item in committed), ZERO),
    )


def _find_problem(order: OrderRequest, book: BookSnapshot) -> str | None:
    """The first thing that makes the order or the book unreadable, in words."""
    rules = book.instrument
    numbers = {
        "quantity": order.quantity,
        "leverage": order.leverage,
        "equity": book.equity,
        "tick size": rules.tick_size,
        "lot size": rules.lot_size,
        "multiplier": rules.multiplier,
    }
    for name, value in (
        ("price", order.price),
        ("stop price", order.stop_price),
        ("reference price", book.reference.price if book.reference is not None else None),
    ):
        if value is not None:
            numbers[name] = value
    for name, value in numbers.items():
        if not isinstance(value, Decimal) or not value.is_finite():
            return f"{name} is not a number"
        if value <= 0:
            return f"the {name} must be positive"
    if order.leverage < 1:
        return "the leverage is below 1.0x"
    if order.instrument != rules.instrument:
        return "the rules are those of another instrument"
    if order.type is not OrderType.MARKET and order.price is None:
        return f"a {order.type.value} order needs a price"
    if order.type is OrderType.MARKET and order.price is not None:
        return "a market order has no price"
    if order.tier is not None and order.tier not in (1, 2, 3, 4):
        return "the tier is 1 to 4"
    return None


def _worst_price(order: OrderRequest, reference: Decimal) -> Decimal:
    """What a unit may cost: a resting price where there is one, never less than the reference."""
    return max(order.price, reference) if order.price is not None else reference


def _find_gap_loss(order: OrderRequest, book: BookSnapshot, notional: Decimal) -> Decimal:
    """Loss in the worst hour with both fees; an isolated wallet loses at most its margin.

    The closing fee of a long is taken on the entry, so that a larger gap never costs less.
    """
    rules = book.instrument
    rate = min(1 / order.leverage, rules.gap_rate) if rules.is_isolated else rules.gap_rate
    after = 1 if order.side.sign > 0 else 1 + rules.gap_rate
    return notional * (rate + rules.fee_rate + after * rules.fee_rate)


def _value_of(order: BookOrder) -> Decimal:
    return order.quantity_open * order.price * order.multiplier


def _find_closable(order: OrderRequest, book: BookSnapshot) -> tuple[Decimal, Decimal]:
    """The sleeve's signed position and how much of it no open closing order will close already.

    A resting stop or target is reduce-only at the venue and cannot flip the position, so it does
    not count; a new protective order may cover the whole position.
    """
    held = sum((p.quantity for p in book.positions if _is_own(p, order)), ZERO)
    if order.is_protective:
        return held, abs(held)
    closing = sum((other.quantity_open for other in _find_closing(order, book)), ZERO)
    return held, max(ZERO, abs(held) - closing)


def _leave_first(order: OrderRequest, book: BookSnapshot) -> list[BookPosition]:
    """The positions that an order meets: its sleeve's without what a market order is closing of it.

    A venue fills an account's exit before its entry and opens no account that holds something, so
    a reversal asks for the margin of what it opens, as an exchange asks it of one order that closes
    and opens.
    """
    closing = sum(
        (
            other.quantity_open
            for other in _find_closing(order, book)
            if other.type is OrderType.MARKET
        ),
        ZERO,
    )
    positions = []
    for position in book.positions:
        gone = ZERO
        if closing and _is_own(position, order):
            gone = min(closing, abs(position.quantity))
            closing -= gone
        positions.append(_without(position, gone) if gone else position)
    return positions


def _without(position: BookPosition, gone: Decimal) -> BookPosition:
    left = 1 - gone / abs(position.quantity)
    return replace(
        position,
        quantity=position.quantity * left,
        margin=position.margin * left,
        gap_loss=position.gap_loss * left,
    )


def _is_own(item: BookPosition | BookOrder, order: OrderRequest) -> bool:
    return (item.instrument, item.strategy) == (order.instrument, order.strategy)


def _find_closing(order: OrderRequest, book: BookSnapshot) -> list[BookOrder]:
    """Open orders that close of the sleeve's position, but for resting stops and targets."""
    return [
        other
        for other in book.orders
        if _is_own(other, order) and other.reduces and not other.is_protective
    ]


def _find_loss(order: OrderRequest, book: BookSnapshot, price: Decimal) -> Decimal | None:
    """Loss at the stop with fees and slippage both ways; None without a stop on the losing side."""
    stop, rules = order.stop_price, book.instrument
    if stop is None or (price - stop) * order.side.sign <= 0:
        return None
    costs = (rules.fee_rate + rules.slippage_rate) * (price + stop)
    return (abs(price - stop) + costs) * order.quantity * rules.multiplier
