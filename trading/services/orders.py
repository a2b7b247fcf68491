"""One path for every order: commit the intent, send outside any transaction, commit the outcome.

The web and the strategies only make intents.  The sender (the trader, the gateway role) claims an
intent, which passes the order gate again, hands it to a venue exactly once, and records what came
back; an outcome that nobody saw is UNKNOWN and is settled by asking the venue, never by sending
again.  A denial is kept as an order in state DENIED with its codes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from copy import copy
from dataclasses import fields
from datetime import datetime, timedelta
from decimal import Decimal, localcontext
from typing import Any

from django.db import IntegrityError, InternalError, connection, transaction

from magnetfund.core.actors import Actor
from magnetfund.core.rows import Statement, insert_rows, send_kept, write, write_rows
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import FundError
from magnetfund.kernel.identifiers import canonical, client_order_id
from magnetfund.kernel.money import CONTEXT, decimal_from_float
from risk.domain.limits import Limits
from risk.domain.pretrade import BookSnapshot, OrderRequest, OrderType, Side
from risk.services.pretrade import check_and_reserve, release_of, release_reservation
from trading.domain import orders as life
from trading.models import Order
from trading.services.order_rows import (
    MOVED_COLUMNS,
    Step,
    lock_order,
    move_of,
    tell_of,
    told_of,
)
from trading.venues.execution import ExecutionVenue

#: The word of each event in its stored row.
KINDS: Mapping[type, str] = {
    life.OrderDenied: "denied",
    life.OrderClaimed: "sending",
    life.OrderTooOld: "not_sent",
    life.OrderAcknowledged: "acknowledged",
    life.OrderRejected: "rejected",
    life.OutcomeUnseen: "outcome_unseen",
    life.OrderFilled: "fill",
    life.CancelRequested: "cancel_requested",
    life.CancelRefused: "cancel_refused",
    life.VenueReported: "venue_reported",
    life.OrderNotFound: "not_found",
}


#: States of an order whose last answer we did not see.
UNSETTLED = (*sorted(life.IN_DOUBT), life.OrderState.CANCEL_PENDING)

#: Of a venue whose first answer is its last word: no request is still on its way there.
DEFINITE = life.AbsenceRules(validity_window=timedelta(0), queries_min=1, spacing=timedelta(0))


class GateRefused(FundError):
    """PostgreSQL's order control denied the intent; nothing was written."""

    http_status = 422
    default_code = "order_gate"


def commit_intent(
    order: Order,
    *,
    actor: Actor,
    at: datetime | None = None,
    denial_codes: Sequence[str] = (),
    is_history: bool = False,
) -> Order:
    """Write a new order as an intent, or as DENIED with its codes, in the caller's transaction.

    ``order`` says what is wanted; who, when, where and under which client id is added here.
    Nobody but its teller moves the orders of a history (``is_history``), so it keeps their events.
    Raises :class:`GateRefused` with PostgreSQL's reason when the gate refuses; the caller's
    transaction stays usable.
    """
    at = at or utc_now()
    first = _begin(order, actor=actor, at=at, denial_codes=denial_codes)
    try:
        # One round trip is a transaction of its own; within another it needs a way back.
        is_alone = is_history and not connection.in_atomic_block
        with nullcontext() if is_alone else transaction.atomic():
            insert_rows(order, then=[tell_of(order, [first])])
    except (IntegrityError, InternalError) as error:
        raise GateRefused(_gate_reason(error)) from None
    if is_history:
        order.told = (told_of(first),)
    return order


def commit_exit(order: Order, *, actor: Actor, at: datetime) -> Order:
    """Write a reducing order of the trader as an intent, before what a person asked for.

    A close by hand that waits counts at the gate as closed already; nobody has sent it, so it
    expires where the trader's order needs its place.  Raises :class:`GateRefused` as
    :func:`commit_intent` does.
    """
    try:
        return commit_intent(order, actor=actor, at=at)
    except GateRefused:
        waiting = Order.objects.filter(
            book=order.book, instrument=order.instrument, strategy=order.strategy,
            state=life.OrderState.INTENT, reduces=True, closed_at=None,
        )  # fmt: skip
        late = life.OrderTooOld(at=at, reason="closed meanwhile")
        if not [record_events(row, late) for row in waiting]:
            raise
        return commit_intent(order, actor=actor, at=at)


def commit_taken(
    order: Order, *, submit: Callable[[Order], life.OrderAcknowledged], actor: Actor, at: datetime
) -> Order:
    """Write a reducing order of a history as its venue takes it: intent, claim and answer in one
    commit, row for row as :func:`commit_intent` and :func:`record_events` write them.

    The gate judges the intent and the claim; raises :class:`GateRefused` with its reason.
    """
    told = [_begin(order, actor=actor, at=at)]
    after, moves = copy(order), []
    for event in (life.OrderClaimed(at=at), submit(order)):
        told += _advance(after, [told_of(step) for step in told], [event])
        moves.append(move_of(after))
    try:
        write_rows(order, then=[*moves, tell_of(order, told)])
    except (IntegrityError, InternalError) as error:
        raise GateRefused(_gate_reason(error)) from None
    for name in MOVED_COLUMNS:
        setattr(order, name, getattr(after, name))
    order.told = tuple(map(told_of, told))
    return order


def _begin(order: Order, *, actor: Actor, at: datetime, denial_codes: Sequence[str] = ()) -> Step:
    """Complete a new order; returns its first event."""
    order.client_order_id = client_order_id(order.id, order.instrument.venue)
    order.venue = order.instrument.venue
    order.state = (life.OrderState.DENIED if denial_codes else life.OrderState.INTENT).value
    order.denial_codes = list(denial_codes)
    order.actor, order.actor_label = actor.user, actor.label
    order.occurred_at = at
    order.closed_at = at if denial_codes else None
    return Step(kind="intent", from_state="", to_state=order.state, detail={}, occurred_at=at)


def commit_checked(
    order: Order,
    *,
    snapshot: BookSnapshot,
    limits: Limits,
    actor: Actor,
    at: datetime,
    is_history: bool = False,
) -> Order:
    """Check a new order and commit it, DENIED where the control or PostgreSQL's gate says no."""
    verdict, check = check_and_reserve(
        order_id=order.id,
        book=order.book,
        order=request_of(order),
        snapshot=snapshot,
        limits=limits,
        now=at,
    )
    order.pretrade_check = check.id
    if not verdict.accepted:
        return commit_intent(order, actor=actor, at=at, denial_codes=verdict.codes)
    try:
        return commit_intent(order, actor=actor, at=at, is_history=is_history)
    except GateRefused as refusal:
        release_reservation(order.id, at=at)
        order.reason = refusal.message
        return commit_intent(order, actor=actor, at=at, denial_codes=("order_gate",))


def request_of(order: Order) -> OrderRequest:
    """What the pre-trade check is asked about an entry, stored or about to be."""
    return OrderRequest(
        instrument=order.instrument.symbol,
        strategy=order.strategy,
        side=Side(order.side),
        type=OrderType(order.type),
        quantity=order.quantity,
        stop_price=order.stop_price,
        leverage=decimal_from_float(order.leverage),
        tier=order.tier,
    )


def record_events(
    order: Order,
    *events: life.OrderNews,
    detail: Mapping[str, Any] | None = None,
    rules: life.AbsenceRules | None = None,
) -> Order:
    """Move an order by what happened to it, a row for each step, under its row lock.

    :func:`trading.domain.orders.transition` alone says where an event leads; news that is known
    already leaves no trace.  An order that ends gives its reservation back.  Raises
    :class:`Conflict` for a move that cannot be and :class:`GateRefused` when PostgreSQL's gate
    refuses the sending.
    """
    # Only a sending is refused and gone on from, so only that needs a way back, and its answer.
    is_sending = any(isinstance(event, life.OrderClaimed) for event in events)
    is_alone = order.told is not None and not connection.in_atomic_block
    if is_sending or not is_alone:
        send_kept()
    try:
        with nullcontext() if is_alone else transaction.atomic(savepoint=is_sending):
            row, statements = advance_order(order, *events, detail=detail, rules=rules)
            write(*statements)
            if is_sending:
                send_kept()
    except (IntegrityError, InternalError) as error:
        raise GateRefused(_gate_reason(error)) from None
    return row


def advance_order(
    order: Order,
    *events: life.OrderNews,
    detail: Mapping[str, Any] | None = None,
    rules: life.AbsenceRules | None = None,
) -> tuple[Order, list[Statement]]:
    """The order as what happened to it leaves it, under its row lock, and the statements that
    write so; none for what was known.  For a caller that has more to write in the same trip."""
    row, history = lock_order(order)
    steps = _advance(row, history, events, detail=detail, rules=rules)
    if not steps:
        return row, []
    if row.told is not None:
        row.told = (*row.told, *map(told_of, steps))
    statements = [move_of(row), tell_of(row, steps, after=len(history))]
    if row.state in life.FINAL_STATES and row.pretrade_check is not None:
        statements.append(release_of(row.id, at=steps[-1].occurred_at))
    return row, statements


def _advance(
    row: Order,
    history: Sequence[life.Told],
    events: Sequence[life.OrderNews],
    *,
    detail: Mapping[str, Any] | None = None,
    rules: life.AbsenceRules | None = None,
) -> list[Step]:
    """Move a row in memory by what happened to it; returns the steps, none for what was known."""
    state = _life_of(row, history)
    steps: list[Step] = []
    for event in events:
        after = life.transition(order=state, event=event, rules=rules)
        if after == state:
            continue
        steps.append(
            Step(
                kind=KINDS[type(event)],
                from_state=state.state.value,
                to_state=after.state.value,
                detail=canonical({**_plain(event), **(detail or {})}),
                occurred_at=event.at,
            )
        )
        state = after
    if steps:
        row.state = state.state.value
        row.venue_order_id = state.venue_order_id
        row.filled_quantity = state.filled_quantity
        row.average_price = state.average_price
        row.closed_at = state.closed_at
    return steps


def claim_for_sending(order: Order, *, at: datetime | None = None) -> Order | None:
    """Second commit: INTENT -> SENDING through the gate; None when it may no longer be sent.

    A refused or too old intent is EXPIRED, so that one bad head never blocks the queue.
    """
    at = at or utc_now()
    if order.expires_at is not None and order.expires_at < at:
        record_events(order, life.OrderTooOld(at=at))
        return None
    try:
        return record_events(order, life.OrderClaimed(at=at))
    except GateRefused as refusal:
        record_events(order, life.OrderTooOld(at=at, reason=refusal.message))
        return None


def has_unsettled(book: str) -> bool:
    """Whether the outcome of any order of a book is unknown."""
    return Order.objects.filter(book=book, state__in=UNSETTLED, closed_at=None).exists()


def settle_orders(book: str, *, venue: ExecutionVenue, at: datetime | None = None) -> list[Order]:
    """Settle every order of unknown outcome by asking the venue; returns them as they now stand.

    Executions are booked before: an order that the venue filled is final by its fills.  A cancel
    that never arrived is sent again.  What the venue answers is definite, so one answer is enough.
    """
    at = at or utc_now()
    waiting = Order.objects.filter(book=book, state__in=UNSETTLED).order_by("occurred_at", "id")
    settled = []
    for order in waiting:
        answer = venue.query(order.client_order_id, at=at)
        lost = [] if order.state == life.OrderState.CANCEL_PENDING else [
            life.OutcomeUnseen(at=at, reason="the answer was lost")
        ]  # fmt: skip
        order = record_events(order, *lost, answer, rules=DEFINITE)
        if order.state == life.OrderState.CANCEL_PENDING:
            order = record_events(order, venue.cancel(order.client_order_id, at=at))
        settled.append(order)
    return settled


def _life_of(row: Order, history: Sequence[life.Told]) -> life.OrderLife:
    """Where a stored order stands in its life; what has no column is in its events."""
    sending = (e.occurred_at for e in history if e.to_state == life.OrderState.SENDING)
    kinds = [e.kind for e in history]
    with localcontext(CONTEXT):
        value = row.filled_quantity * (row.average_price or Decimal(0))
    return life.OrderLife(
        quantity=row.quantity,
        state=life.OrderState(row.state),
        venue_order_id=row.venue_order_id,
        sent_at=next(sending, None),
        closed_at=row.closed_at,
        filled_quantity=row.filled_quantity,
        filled_value=value,
        is_cancel_requested="cancel_requested" in kinds and "cancel_refused" not in kinds,
        misses=tuple(e.occurred_at for e in history if e.kind == "not_found"),
    )


def _plain(event: life.OrderNews) -> dict[str, Any]:
    """What an event says beyond its kind and its time; empty values are left out."""
    found = {f.name: getattr(event, f.name) for f in fields(event) if f.name != "at"}
    return {
        name: f"{value:f}" if isinstance(value, Decimal) else str(value)
        for name, value in found.items()
        if value
    }


def _gate_reason(error: Exception) -> str:
    return str(error).splitlines()[0][:200]
