"""The emergency stop: trip the fuse now, let the trader close everything, say what was closed."""

from __future__ import annotations

from datetime import datetime

from magnetfund.core.actors import Actor
from risk.models import FuseEvent
from risk.services.fuse import trip_fuse, wait_for_orders
from risk.services.stop_statements import facts_of_manual_stop


def stop_trading(*, book: str, reason: str, actor: Actor, at: datetime | None = None) -> FuseEvent:
    """Trip the fuse manually.  When this returns, no order that adds exposure can commit any more.

    The event's ``measured`` says how the barrier ended.

    Raises :class:`InvalidInput` without a reason and :class:`NotAllowed` without the right.
    """
    event = trip_fuse(book=book, facts=facts_of_manual_stop(reason), actor=actor, at=at)
    event.measured = wait_for_orders(book).measured
    return event
