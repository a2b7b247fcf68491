"""One path for every order: commit the intent, send outside any transaction, commit the outcome.

The web and the strategies only make intents.  The sender (the trader, the gateway role) claims an
intent, which passes the order gate again, hands it to a venue exactly once, and records what came
back; an outcome that nobody saw is UNKNOWN and is settled by asking the venue, never by sending
again.  A denial is kept as an order in state DENIED with its codes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import IntegrityError, InternalError, transaction
from django.db.models import Max

from magnetfund.core.actors import Actor
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import Conflict, FundError
from magnetfund.kernel.identifiers import canonical, client_order_id
from trading.models import Instrument, Order, OrderEvent

#: States after which nothing more happens to an order.
FINAL_STATES = frozenset({"FILLED", "CANCELLED", "REJECTED", "ABSENT", "EXPIRED", "DENIED"})

#: Moves that the trader may record.  UNKNOWN leads anywhere that a query can prove.
MOVES: Mapping[str, frozenset[str]] = {
    "INTENT": frozenset({"SENDING", "EXPIRED", "CANCELLED"}),
    "SENDING": frozenset({"ACKED", "PARTIALLY_FILLED", "FILLED", "REJECTED", "UNKNOWN"}),
    "ACKED": frozenset({"PARTIALLY_FILLED", "FILLED", "CANCEL_PENDING", "CANCELLED", "EXPIRED"}),
    "PARTIALLY_FILLED": frozenset({"PARTIALLY_FILLED", "FILLED", "CANCEL_PENDING", "CANCELLED"}),
    "CANCEL_PENDING": frozenset({"PARTIALLY_FILLED", "FILLED", "CANCELLED"}),
    "UNKNOWN": frozenset(
        {"ACKED", "PARTIALLY_FILLED", "FILLED", "REJECTED", "CANCELLED", "ABSENT"}
    ),
}


class GateRefused(FundError):
    """PostgreSQL's order control denied the intent; nothing was written."""

    http_status = 422
    default_code = "order_gate"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewOrder:
    """What an intent says.  ``quantity`` is positive, the side carries the sign."""

    id: UUID
    book: str
    instrument: Instrument
    strategy: str
    purpose: str
    side: str
    type: str
    quantity: Decimal
    reference_price: Decimal
    limit_price: Decimal | None = None
    trigger_price: Decimal | None = None
    stop_price: Decimal | None = None
    target_price: Decimal | None = None
    leverage: float = 1.0
    tier: int | None = None
    proposal_id: UUID | None = None
    pretrade_check: UUID | None = None
    reason: str = ""
    mode: str = "paper"
    expires_at: datetime | None = None
    denial_codes: Sequence[str] = ()


def commit_intent(new: NewOrder, *, actor: Actor, at: datetime | None = None) -> Order:
    """Write the intent (or the denied order) and its first event in the caller's transaction.

    Raises :class:`GateRefused` with PostgreSQL's reason when the gate refuses; the caller's
    transaction stays usable.
    """
    at = at or utc_now()
    denied = bool(new.denial_codes)
    order = Order(
        id=new.id,
        client_order_id=client_order_id(new.id, new.instrument.venue),
        book=new.book,
        venue=new.instrument.venue,
        instrument=new.instrument,
        strategy=new.strategy,
        proposal_id=new.proposal_id,
        pretrade_check=new.pretrade_check,
        purpose=new.purpose,
        side=new.side,
        type=new.type,
        quantity=new.quantity,
        reference_price=new.reference_price,
        limit_price=new.limit_price,
        trigger_price=new.trigger_price,
        stop_price=new.stop_price,
        target_price=new.target_price,
        leverage=new.leverage,
        tier=new.tier,
        state="DENIED" if denied else "INTENT",
        denial_codes=list(new.denial_codes),
        reason=new.reason,
        actor=actor.user,
        actor_label=actor.label,
        mode=new.mode,
        occurred_at=at,
        expires_at=new.expires_at,
        closed_at=at if denied else None,
    )
    try:
        with transaction.atomic():
            order.save(force_insert=True)
            OrderEvent.objects.create(
                order=order, seq=1, kind="intent", to_state=order.state, occurred_at=at
            )
    except (IntegrityError, InternalError) as error:
        raise GateRefused(_gate_reason(error)) from None
    return order


def record_move(
    order: Order,
    to_state: str,
    *,
    kind: str,
    at: datetime | None = None,
    detail: Mapping[str, Any] | None = None,
    **columns: Any,
) -> Order:
    """Move an order along its states, with its event, in one transaction under its row lock.

    Raises :class:`Conflict` for a move that the table does not know and :class:`GateRefused` when
    the gate refuses the sending.
    """
    at = at or utc_now()
    try:
        with transaction.atomic():
            row = Order.objects.select_for_update().get(pk=order.pk)
            if to_state not in MOVES.get(row.state, frozenset()):
                raise Conflict(f"an order cannot change from {row.state} to {to_state}")
            before, row.state = row.state, to_state
            changed = ["state"]
            if to_state in FINAL_STATES:
                row.closed_at = at
                changed.append("closed_at")
            for name, value in columns.items():
                setattr(row, name, value)
                changed.append(name)
            row.save(update_fields=changed)
            last = row.events.aggregate(last=Max("seq"))["last"] or 0
            OrderEvent.objects.create(
                order=row,
                seq=last + 1,
                kind=kind,
                from_state=before,
                to_state=to_state,
                detail=canonical(dict(detail or {})),
                occurred_at=at,
            )
    except (IntegrityError, InternalError) as error:
        raise GateRefused(_gate_reason(error)) from None
    return row


def claim_for_sending(order: Order, *, at: datetime | None = None) -> Order | None:
    """Second commit: INTENT -> SENDING through the gate; None when it may no longer be sent.

    A refused or too old intent is EXPIRED, so that one bad head never blocks the queue.
    """
    at = at or utc_now()
    if order.expires_at is not None and order.expires_at < at:
        record_move(order, "EXPIRED", kind="too_old", at=at)
        return None
    try:
        return record_move(order, "SENDING", kind="sending", at=at)
    except GateRefused as refusal:
        record_move(order, "EXPIRED", kind="gate", at=at, detail={"reason": refusal.message})
        return None


def settle_leftovers(book: str, *, at: datetime | None = None) -> list[Order]:
    """On start: orders left in SENDING by a crashed trader become UNKNOWN and are queried at the
    venue."""
    return [
        record_move(order, "UNKNOWN", kind="restart", at=at)
        for order in Order.objects.filter(book=book, state="SENDING")
    ]


def _gate_reason(error: Exception) -> str:
    return str(error).splitlines()[0][:200]
