"""Manual orders: sized within the fund's limits, checked, committed as an intent, sent by the
trader.

The web never trades.  It commits the intent and rings the trader's bell; what happened is read from
the order afterwards.
"""

from __future__ import annotations

import time
from datetime import datetime
from uuid import UUID, uuid4

from django.db import connection, transaction

from magnetfund.core.actors import Actor
from magnetfund.core.locks import AdvisoryLock, take_lock
from magnetfund.core.roles import Capability
from magnetfund.core.services.audit import record_audit
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import InvalidInput, NotAllowed
from trading.domain.orders import FINAL_STATES
from trading.models import Order, Position
from trading.services.closing import RING
from trading.services.manual_plan import (
    EXPIRES,
    ManualOrder,
    OrderPlan,
    live_price,
    plan_manual_order,
)
from trading.services.orders import commit_checked, commit_intent


def submit_manual_order(request: ManualOrder, *, actor: Actor, at: datetime | None = None) -> Order:
    """Size, check and commit an entry by hand; returns the order, DENIED where something said no.

    Two at once are judged one after the other, the second with the first in the book; the trader
    waits for neither.  Needs the capability to submit orders.  Raises :class:`InvalidInput` for
    what makes no sense and :class:`Unavailable` without prices or equity.
    """
    _require_right(actor)
    with transaction.atomic():
        take_lock(AdvisoryLock.ENTRIES_BY_HAND, request.book)
        at = at or utc_now()
        plan = plan_manual_order(request, at=at)
        if plan.refusals:
            order = commit_intent(plan.order, actor=actor, at=at, denial_codes=plan.refusals)
        else:
            order = commit_checked(
                plan.order, snapshot=plan.snapshot, limits=plan.limits, actor=actor, at=at
            )
        record_audit(
            actor=actor,
            action="order.denied" if order.state == "DENIED" else "order.submitted",
            subject=("order", order.id),
            body={
                "instrument": plan.instrument.symbol,
                "side": plan.side.value,
                "quantity": str(plan.quantity),
            },
            at=at,
        )
        ring_bell()
    return order


def preview_manual_order(
    request: ManualOrder, *, actor: Actor, at: datetime | None = None
) -> OrderPlan:
    """What :func:`submit_manual_order` would do now, with the same capability; keeps nothing."""
    _require_right(actor)
    return plan_manual_order(request, at=at or utc_now())


def close_position(*, position: Position, actor: Actor, at: datetime | None = None) -> Order:
    """Ask for a position to be closed at the market; allowed in every state of the fuse."""
    _require_right(actor)
    at = at or utc_now()
    row = Position.objects.select_related("instrument").get(pk=position.pk)
    if row.quantity == 0:
        raise InvalidInput("this position is closed already", code="position_closed")
    reference = live_price(row.book, row.instrument)
    with transaction.atomic():
        order = commit_intent(
            Order(
                id=uuid4(),
                book=row.book,
                instrument=row.instrument,
                strategy=row.strategy,
                purpose="manual",
                side="sell" if row.quantity > 0 else "buy",
                type="market",
                quantity=abs(row.quantity),
                reference_price=reference.price,
                reason="manual close",
                expires_at=at + EXPIRES,
            ),
            actor=actor,
            at=at,
        )
        record_audit(actor=actor, action="order.submitted", subject=("order", order.id), at=at)
        ring_bell()
    return order


def wait_for_outcome(order_id: UUID, *, seconds: float = 2.0) -> Order:
    """The order once it is final, or as it stands after ``seconds``."""
    deadline = time.monotonic() + seconds
    while True:
        order = Order.objects.select_related("instrument").get(pk=order_id)
        if order.state in FINAL_STATES or time.monotonic() > deadline:
            return order
        time.sleep(0.005)


def ring_bell() -> None:
    """Wake the trader when the present transaction commits."""
    with connection.cursor() as cursor:
        cursor.execute(RING)


def _require_right(actor: Actor) -> None:
    user = actor.user
    rights = (Capability.ORDER_SUBMIT, Capability.API_EXECUTE)
    if user is None or not user.is_active or not any(user.can(right) for right in rights):
        raise NotAllowed(
            "this step needs the capability order.submit", details={"capability": "order.submit"}
        )
