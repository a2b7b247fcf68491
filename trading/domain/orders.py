"""The life of an order: states, events, and the one function that moves it.

An intent is committed before anything is sent.  What the venue did is learnt from events, in any
order and possibly twice; an outcome that nobody saw is UNKNOWN and is settled by asking, never by
sending again.  A cancel that was sent is not a cancel that happened: fills are taken until the
venue reports a final state, and even after it, because the venue's fills are the truth.

Quantities are positive Decimals in the base unit, the side carries the sign.  Invariants:
``0 <= filled_quantity <= quantity``; a trade id is booked once; an order that was never sent has
no fills; a final state is left only when the venue proves it wrong by a fill.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal, localcontext
from enum import StrEnum
from uuid import UUID

from magnetfund.kernel.errors import Conflict, InvalidInput
from magnetfund.kernel.identifiers import client_order_id
from magnetfund.kernel.money import CONTEXT, decimal_of
from risk.domain.pretrade import OrderType, Side

ZERO = Decimal(0)


class OrderState(StrEnum):
    """State of an order."""

    INTENT = "INTENT"  # committed, not sent
    SENDING = "SENDING"  # claimed by the sender; nothing is known yet
    ACKED = "ACKED"  # the venue has it
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCEL_PENDING = "CANCEL_PENDING"  # a cancel was asked for; it may still fill
    CANCELLED = "CANCELLED"
    REJECTED = "REJECTED"
    UNKNOWN = "UNKNOWN"  # sent, outcome not seen
    ABSENT = "ABSENT"  # proven never to have reached the venue
    EXPIRED = "EXPIRED"
    DENIED = "DENIED"  # refused by our own pre-trade check


FINAL_STATES = frozenset(
    {
        OrderState.FILLED,
        OrderState.CANCELLED,
        OrderState.REJECTED,
        OrderState.ABSENT,
        OrderState.EXPIRED,
        OrderState.DENIED,
    }
)
NEVER_SENT_STATES = frozenset({OrderState.INTENT, OrderState.DENIED})
_IN_DOUBT = frozenset({OrderState.SENDING, OrderState.UNKNOWN})


class VenueStatus(StrEnum):
    """What a venue says about an order when asked, or pushes."""

    OPEN = "open"
    FILLED = "filled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class AbsenceRules:
    """When "order not found" proves that an order never arrived.

    Only queries later than ``validity_window`` after sending count (until then the request may
    still be accepted); ``queries_min`` of them, ``spacing`` apart, must all find nothing among
    open orders, history and trades.
    """

    validity_window: timedelta = timedelta(seconds=5)
    queries_min: int = 3
    spacing: timedelta = timedelta(seconds=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An order and everything that its future moves depend on.

    ``limit_price`` belongs to limit orders, ``trigger_price`` to stops and take-profits.
    ``reported_filled`` and ``reported_final`` hold what the venue said of an order whose fills have
    not all arrived.  ``misses`` are the counted times at which a query found nothing.
    ``is_contradicted`` is set when a fill came after the venue, or we, had ended the order without
    it: a reconciliation break.
    """

    id: UUID
    client_order_id: str
    venue: str
    symbol: str
    side: Side
    type: OrderType
    quantity: Decimal
    created_at: datetime
    limit_price: Decimal | None = None
    trigger_price: Decimal | None = None
    reduce_only: bool = False
    expires_at: datetime | None = None
    state: OrderState = OrderState.INTENT
    venue_order_id: str = ""
    sent_at: datetime | None = None
    closed_at: datetime | None = None
    filled_quantity: Decimal = ZERO
    filled_value: Decimal = ZERO
    fills: tuple[OrderFilled, ...] = ()
    is_cancel_requested: bool = False
    reported_final: OrderState | None = None
    reported_filled: Decimal = ZERO
    misses: tuple[datetime, ...] = ()
    is_contradicted: bool = False
    reason: str = ""

    def __post_init__(self) -> None:
        if decimal_of(self.quantity) <= 0:
            raise InvalidInput("an order needs a quantity", code="bad_quantity")
        has_limit, has_trigger = self.limit_price is not None, self.trigger_price is not None
        wanted = {
            OrderType.MARKET: (False, False),
            OrderType.LIMIT: (True, False),
            OrderType.STOP: (False, True),
            OrderType.TAKE_PROFIT: (False, True),
        }[self.type]
        if (has_limit, has_trigger) != wanted:
            raise InvalidInput("the prices do not fit the order type", code="bad_order_price")
        for price in (self.limit_price, self.trigger_price):
            if price is not None and decimal_of(price) <= 0:
                raise InvalidInput("a price must be positive", code="price_not_positive")

    @property
    def open_quantity(self) -> Decimal:
        """What may still execute; zero once final."""
        return ZERO if self.state in FINAL_STATES else self.quantity - self.filled_quantity

    @property
    def average_price(self) -> Decimal | None:
        """Mean price of the fills, None before the first."""
        if not self.filled_quantity:
            return None
        with localcontext(CONTEXT):
            return self.filled_value / self.filled_quantity


def build_order(
    *,
    id: UUID,
    venue: str,
    symbol: str,
    side: Side,
    type: OrderType,
    quantity: Decimal,
    created_at: datetime,
    limit_price: Decimal | None = None,
    trigger_price: Decimal | None = None,
    reduce_only: bool = False,
    expires_at: datetime | None = None,
) -> Order:
    """An intent with its deterministic client order id (a pure function of id and venue)."""
    return Order(
        id=id,
        client_order_id=client_order_id(id, venue),
        venue=venue,
        symbol=symbol,
        side=side,
        type=type,
        quantity=quantity,
        created_at=created_at,
        limit_price=limit_price,
        trigger_price=trigger_price,
        reduce_only=reduce_only,
        expires_at=expires_at,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderDenied:
    """Our own check refused the intent."""

    at: datetime
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderClaimed:
    """The sender took the intent; from here on it may be at the venue."""

    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderTooOld:
    """The intent was not sent in time: its age, the gate or the book stood against it."""

    at: datetime
    reason: str = "too old"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderAcknowledged:
    """The venue accepted the order."""

    at: datetime
    venue_order_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRejected:
    """The venue definitely refused the order (a listed code, never a timeout)."""

    at: datetime
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeUnseen:
    """Timeout, reset, 5xx, unreadable answer, or a restart while sending."""

    at: datetime
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderFilled:
    """An execution as the venue reported it; ``trade_id`` is unique at the venue."""

    at: datetime
    trade_id: str
    quantity: Decimal
    price: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelRequested:
    """We want a cancel.  The sender sends it whenever the order enters CANCEL_PENDING: at once
    for a live order, and for one in doubt as soon as the venue is known to have it.
    """

    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelRefused:
    """The venue would not cancel (and the order lives on)."""

    at: datetime
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueReported:
    """The venue's answer to a query, or its push: status and how much it has filled in all."""

    at: datetime
    status: VenueStatus
    filled_quantity: Decimal = ZERO
    venue_order_id: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotFound:
    """A query found the order neither open, nor in the history, nor among the trades."""

    at: datetime


OrderEvent = (
    OrderDenied
    | OrderClaimed
    | OrderTooOld
    | OrderAcknowledged
    | OrderRejected
    | OutcomeUnseen
    | OrderFilled
    | CancelRequested
    | CancelRefused
    | VenueReported
    | NotFound
)


def transition(*, order: Order, event: OrderEvent, rules: AbsenceRules | None = None) -> Order:
    """The order after an event.

    Repeated news (a fill known by its trade id, a second acknowledgement, the same final report)
    changes nothing.  Raises :class:`Conflict` for a move that cannot be: code ``illegal_move``,
    ``fill_conflict`` (one trade id, two contents), ``overfilled``, ``never_sent``.
    """
    match event:
        case OrderFilled():
            return _fill(order, event)
        case OrderDenied():
            _expect(order, event, OrderState.INTENT)
            return _close(order, OrderState.DENIED, event.at, event.reason)
        case OrderTooOld():
            _expect(order, event, OrderState.INTENT)
            return _close(order, OrderState.EXPIRED, event.at, event.reason)
        case OrderClaimed():
            _expect(order, event, OrderState.INTENT)
            return replace(order, state=OrderState.SENDING, sent_at=event.at)
        case OrderAcknowledged():
            return _acknowledge(order, event.venue_order_id, event)
        case OrderRejected():
            if order.state is OrderState.REJECTED:
                return order
            _expect(order, event, OrderState.SENDING, OrderState.UNKNOWN, OrderState.ACKED)
            return _close(order, OrderState.REJECTED, event.at, event.reason)
        case OutcomeUnseen():
            return _lose_sight(order, event)
        case CancelRequested():
            return _request_cancel(order, event)
        case CancelRefused():
            _expect(order, event, OrderState.CANCEL_PENDING, *FINAL_STATES)
            if order.state in FINAL_STATES:
                return order
            return replace(
                order, state=_live_state(order), is_cancel_requested=False, reason=event.reason
            )
        case VenueReported():
            return _report(order, event)
        case NotFound():
            return _miss(order, event, rules or AbsenceRules())


def _expect(order: Order, event: OrderEvent, *states: OrderState) -> None:
    if order.state not in states:
        raise Conflict(
            f"an order in state {order.state.value} does not take {type(event).__name__}",
            code="illegal_move",
            details={"state": order.state.value, "event": type(event).__name__},
        )


def _expect_sent(order: Order, event: OrderEvent) -> None:
    if order.sent_at is None:
        raise Conflict(
            f"an order that was never sent cannot have {type(event).__name__}", code="never_sent"
        )


def _close(order: Order, state: OrderState, at: datetime, reason: str = "") -> Order:
    return replace(order, state=state, closed_at=at, reason=reason or order.reason)


def _live_state(order: Order) -> OrderState:
    return OrderState.PARTIALLY_FILLED if order.filled_quantity else OrderState.ACKED


def _acknowledge(order: Order, venue_order_id: str, event: OrderEvent) -> Order:
    """The order is at the venue; late news of a further order changes its id only."""
    _expect_sent(order, event)
    known = replace(order, venue_order_id=order.venue_order_id or venue_order_id)
    if order.state not in _IN_DOUBT:
        return known
    state = OrderState.CANCEL_PENDING if order.is_cancel_requested else _live_state(order)
    return replace(known, state=state, misses=())


def _lose_sight(order: Order, event: OutcomeUnseen) -> Order:
    """An unseen outcome of sending is UNKNOWN, unless other news came first; a cancel stays
    pending."""
    _expect_sent(order, event)
    if order.state is OrderState.SENDING:
        return replace(order, state=OrderState.UNKNOWN, reason=event.reason)
    return order


def _request_cancel(order: Order, event: CancelRequested) -> Order:
    if order.state is OrderState.INTENT:
        return _close(order, OrderState.CANCELLED, event.at, "cancelled before sending")
    _expect(
        order,
        event,
        OrderState.SENDING,
        OrderState.UNKNOWN,
        OrderState.ACKED,
        OrderState.PARTIALLY_FILLED,
        OrderState.CANCEL_PENDING,
    )
    if order.state in _IN_DOUBT:  # remembered, and sent once the order is known to be there
        return replace(order, is_cancel_requested=True)
    return replace(order, state=OrderState.CANCEL_PENDING, is_cancel_requested=True)


def _fill(order: Order, event: OrderFilled) -> Order:
    """Book a fill once, whatever the state says: an execution is a fact."""
    _expect_sent(order, event)
    if decimal_of(event.quantity) <= 0 or decimal_of(event.price) <= 0:
        raise InvalidInput("a fill needs a quantity and a price", code="bad_fill")
    for known in order.fills:
        if known.trade_id == event.trade_id:
            if (known.quantity, known.price) == (event.quantity, event.price):
                return order
            raise Conflict("one trade id came with two contents", code="fill_conflict")
    with localcontext(CONTEXT):
        filled = order.filled_quantity + event.quantity
        value = order.filled_value + event.quantity * event.price
    if filled > order.quantity:
        raise Conflict("the fills exceed the order", code="overfilled")
    was_final = order.state in FINAL_STATES
    booked = replace(
        order,
        filled_quantity=filled,
        filled_value=value,
        fills=(*order.fills, event),
        misses=(),
        is_contradicted=order.is_contradicted or was_final,
    )
    if filled == order.quantity:
        return _close(booked, OrderState.FILLED, event.at)
    if order.state in (OrderState.REJECTED, OrderState.ABSENT):
        return replace(booked, state=OrderState.PARTIALLY_FILLED, closed_at=None)
    if was_final:
        return booked
    if order.state is not OrderState.CANCEL_PENDING:
        state = OrderState.PARTIALLY_FILLED
        if order.is_cancel_requested:
            state = OrderState.CANCEL_PENDING
        booked = replace(booked, state=state)
    return _settle(booked, event.at)


_FINAL_BY_STATUS = {
    VenueStatus.FILLED: OrderState.FILLED,
    VenueStatus.CANCELLED: OrderState.CANCELLED,
    VenueStatus.REJECTED: OrderState.REJECTED,
    VenueStatus.EXPIRED: OrderState.EXPIRED,
}


def _report(order: Order, event: VenueReported) -> Order:
    """Take the venue's word; a final word waits until the fills that it counts have arrived."""
    _expect_sent(order, event)
    if not 0 <= decimal_of(event.filled_quantity) <= order.quantity:
        raise Conflict("the venue reports more than was ordered", code="overfilled")
    known = replace(
        order,
        venue_order_id=order.venue_order_id or event.venue_order_id,
        reported_filled=max(order.reported_filled, event.filled_quantity),
        reason=event.reason or order.reason,
    )
    if event.status is VenueStatus.OPEN:
        if order.state in FINAL_STATES:
            if order.closed_at is None or event.at <= order.closed_at:
                return known  # an answer from before the end
            return replace(known, is_contradicted=True)
        return _acknowledge(known, event.venue_order_id, event)
    final = _FINAL_BY_STATUS[event.status]
    if order.state in FINAL_STATES:
        return known if final is order.state else replace(known, is_contradicted=True)
    if final is OrderState.FILLED:
        known = replace(known, reported_filled=order.quantity)
    known = replace(known, reported_final=final)
    if known.state in _IN_DOUBT:
        known = _acknowledge(known, event.venue_order_id, event)
    return _settle(known, event.at)


def _settle(order: Order, at: datetime) -> Order:
    """End the order once every fill that the venue's final word counts is booked."""
    if order.reported_final is None or order.filled_quantity < order.reported_filled:
        return order
    return _close(order, order.reported_final, at)


def _miss(order: Order, event: NotFound, rules: AbsenceRules) -> Order:
    """Count a query that found nothing; enough of them, late and spaced, prove absence."""
    _expect_sent(order, event)
    if order.state is not OrderState.UNKNOWN:  # venues deny live orders for a while
        return order
    assert order.sent_at is not None  # as _expect_sent saw
    if event.at < order.sent_at + rules.validity_window:
        return order
    if order.misses and event.at < order.misses[-1] + rules.spacing:
        return order
    counted = replace(order, misses=(*order.misses, event.at))
    if len(counted.misses) < rules.queries_min:
        return counted
    return _close(counted, OrderState.ABSENT, event.at, "not at the venue")
