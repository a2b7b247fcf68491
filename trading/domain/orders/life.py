"""The one function that moves an order."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import localcontext

from magnetfund.kernel.errors import Conflict, InvalidInput
from magnetfund.kernel.money import CONTEXT, decimal_of
from trading.domain.orders.events import (
    CancelRefused,
    CancelRequested,
    OrderAcknowledged,
    OrderClaimed,
    OrderDenied,
    OrderFilled,
    OrderNews,
    OrderNotFound,
    OrderRejected,
    OrderTooOld,
    OutcomeUnseen,
    VenueReported,
    VenueStatus,
)
from trading.domain.orders.order import (
    FINAL_STATES,
    IN_DOUBT,
    AbsenceRules,
    OrderLife,
    OrderState,
)


def transition(
    *, order: OrderLife, event: OrderNews, rules: AbsenceRules | None = None
) -> OrderLife:
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
        case OrderNotFound():
            return _miss(order, event, rules or AbsenceRules())


def _expect(order: OrderLife, event: OrderNews, *states: OrderState) -> None:
    if order.state not in states:
        raise Conflict(
            f"an order in state {order.state.value} does not take {type(event).__name__}",
            code="illegal_move",
            details={"state": order.state.value, "event": type(event).__name__},
        )


def _expect_sent(order: OrderLife, event: OrderNews) -> None:
    if order.sent_at is None:
        raise Conflict(
            f"an order that was never sent cannot have {type(event).__name__}", code="never_sent"
        )


def _close(order: OrderLife, state: OrderState, at: datetime, reason: str = "") -> OrderLife:
    return replace(order, state=state, closed_at=at, reason=reason or order.reason)


def _live_state(order: OrderLife) -> OrderState:
    return OrderState.PARTIALLY_FILLED if order.filled_quantity else OrderState.ACKED


def _acknowledge(order: OrderLife, venue_order_id: str, event: OrderNews) -> OrderLife:
    """The order is at the venue; late news of a further order changes its id only."""
    _expect_sent(order, event)
    known = replace(order, venue_order_id=order.venue_order_id or venue_order_id)
    if order.state not in IN_DOUBT:
        return known
    state = OrderState.CANCEL_PENDING if order.is_cancel_requested else _live_state(order)
    return replace(known, state=state, misses=())


def _lose_sight(order: OrderLife, event: OutcomeUnseen) -> OrderLife:
    """An unseen outcome of sending is UNKNOWN, unless other news came first; a cancel stays
    pending."""
    _expect_sent(order, event)
    if order.state is OrderState.SENDING:
        return replace(order, state=OrderState.UNKNOWN, reason=event.reason)
    return order


def _request_cancel(order: OrderLife, event: CancelRequested) -> OrderLife:
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
    if order.state in IN_DOUBT:  # remembered, and sent once the order is known to be there
        return replace(order, is_cancel_requested=True)
    return replace(order, state=OrderState.CANCEL_PENDING, is_cancel_requested=True)


def _fill(order: OrderLife, event: OrderFilled) -> OrderLife:
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


def _report(order: OrderLife, event: VenueReported) -> OrderLife:
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
    if known.state in IN_DOUBT:
        known = _acknowledge(known, event.venue_order_id, event)
    return _settle(known, event.at)


def _settle(order: OrderLife, at: datetime) -> OrderLife:
    """End the order once every fill that the venue's final word counts is booked."""
    if order.reported_final is None or order.filled_quantity < order.reported_filled:
        return order
    return _close(order, order.reported_final, at)


def _miss(order: OrderLife, event: OrderNotFound, rules: AbsenceRules) -> OrderLife:
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
