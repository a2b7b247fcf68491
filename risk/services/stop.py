"""The emergency stop: trip the fuse now, let the trader close everything, say what was closed."""

from __future__ import annotations

from datetime import datetime

from magnetfund.core.actors import Actor
from magnetfund.kernel.errors import InvalidInput
from risk.models import FuseEvent
from risk.services.fuse import FuseFacts, trip_fuse, wait_for_orders


def stop_trading(*, book: str, reason: str, actor: Actor, at: datetime | None = None) -> FuseEvent:
    """Trip the fuse manually.  When this returns, no order that adds exposure can commit any more.

    The event's ``measured`` says how the barrier ended.

    Raises :class:`InvalidInput` without a reason and :class:`NotAllowed` without the right.
    """
    if not reason.strip():
        raise InvalidInput("a reason is needed", code="reason_missing")
    event = trip_fuse(
        book=book,
        facts=FuseFacts(
            trigger="manual", reason=reason.strip()[:300], action="close all positions"
        ),
        actor=actor,
        at=at,
    )
    barrier = wait_for_orders(book)
    event.measured = {
        "barrier_passed": barrier.has_passed,
        "barrier_ms": round(barrier.waited_ms, 1),
        "sessions_ended": barrier.ended,
    }
    return event
