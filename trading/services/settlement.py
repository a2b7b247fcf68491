"""Orders whose last answer nobody saw: who they are, and the ways to settle them.

A running trader settles them at its next beat by asking the venue.  A person may ring for that, and
where no trader runs a command does the same under the trader's lease.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Max, QuerySet

from magnetfund.core.actors import Actor
from magnetfund.core.roles import Capability
from magnetfund.core.services.audit import record_audit
from magnetfund.core.services.leases import acquire_lease, release_lease
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import Conflict, InvalidInput
from risk.services.limits import limits_in_force
from trading.models import Order, Reconciliation
from trading.services.book.memory import load_memory
from trading.services.book.recovery import recover
from trading.services.book.trading_book import TradingBook
from trading.services.book_slots import BookSlots
from trading.services.manual import ring_bell
from trading.services.membership import members_of
from trading.services.orders import UNSETTLED
from trading.services.reconcile import reconcile

#: How long an answer may be under way before the books speak of it.
GRACE = timedelta(seconds=10)
LEASE_SECONDS = 60
#: How long a person who asks waits for the trader's next beat.
WAIT_SECONDS = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """What became of the orders, and the comparison after it."""

    orders: list[Order]
    reconciliation: Reconciliation


def find_unsettled(book: str | None = None, *, at: datetime | None = None) -> QuerySet[Order]:
    """Orders in doubt for longer than :data:`GRACE`, oldest first; of all books without a name."""
    rows = Order.objects.filter(state__in=UNSETTLED, closed_at=None)
    if book is not None:
        rows = rows.filter(book=book)
    return (
        rows.annotate(moved_at=Max("events__occurred_at"))
        .filter(moved_at__lte=(at or utc_now()) - GRACE)
        .select_related("instrument")
        .order_by("occurred_at", "id")
    )


def describe_unsettled(order: Order) -> str:
    """One line for the books: what is in doubt, and the way out."""
    return (
        f"order {str(order.pk)[:8]}: {order.state.replace('_', ' ').lower()}, its outcome is "
        f"unknown; a running trader asks the venue, without one run manage.py settle_orders"
    )


def ask_again(order: Order, *, actor: Actor, at: datetime | None = None) -> None:
    """Have the trader ask the venue about an order at once.

    Raises :class:`InvalidInput` (``order_settled``) for an order whose outcome is known.
    """
    actor.require(Capability.ORDER_SUBMIT)
    if order.state not in UNSETTLED:
        raise InvalidInput("the outcome of this order is known", code="order_settled")
    with transaction.atomic():
        record_audit(
            actor=actor,
            action="order.queried",
            subject=("order", order.pk),
            body={"state": order.state},
            at=at,
        )
        ring_bell()


def wait_for_settlement(order_id: UUID) -> Order:
    """The order once its outcome is known, or as it stands after :data:`WAIT_SECONDS`."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        order = Order.objects.get(pk=order_id)
        if order.state not in UNSETTLED or time.monotonic() > deadline:
            return order
        time.sleep(0.02)


def settle_book(book: str, *, actor: Actor, at: datetime | None = None) -> Settlement:
    """Settle every order in doubt where no trader runs; books late executions on the way.

    Raises :class:`Conflict` (``lease_held``) while a trader holds the book, which settles by
    itself, and :class:`InvalidInput` (``book_unused``) for a book that never traded.
    """
    at = at or utc_now()
    memory, members = load_memory(book), members_of(book)
    if memory is None or not members.members:
        raise InvalidInput(f"book {book} never traded", code="book_unused")
    try:
        lease = acquire_lease(
            name=f"trader:{book}", holder=f"settle_orders:{os.getpid()}", seconds=LEASE_SECONDS
        )
    except Conflict as held:
        raise Conflict(
            f"the trader of book {book} runs and settles its orders at its next beat",
            code=held.code,
            details=held.details,
        ) from None
    try:
        limits = limits_in_force(book, at=at)
        slots = BookSlots(book=book, actor=actor)
        slots.take(members, limits=limits, at=at)
        paper = TradingBook(
            code=book,
            rules=slots.setup.rules,
            instruments=slots.setup.instruments,
            sleeves=slots.setup.sleeves,
            memory=memory,
            actor=actor,
            limits=limits,
        )
        orders = recover(paper, at=at)
        return Settlement(orders=orders, reconciliation=reconcile(paper, at=at))
    finally:
        release_lease(lease)
