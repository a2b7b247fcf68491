"""The pre-trade check as a step of a transaction: verdict kept, margin set aside."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db import connection

from magnetfund.core.rows import Statement, insert_rows
from magnetfund.kernel.errors import InvariantBroken
from risk.domain.limits import Limits
from risk.domain.pretrade import BookSnapshot, OrderRequest, PreTradeVerdict, check_order
from risk.models import PreTradeCheck, Reservation
from risk.services.scenario_clock import is_told

RELEASE = (
    "UPDATE risk_reservation SET state = %s, released_at = %s WHERE order_id = %s AND state = %s"
)


def check_and_reserve(
    *,
    order_id: UUID,
    book: str,
    order: OrderRequest,
    snapshot: BookSnapshot,
    limits: Limits,
    now: datetime,
) -> tuple[PreTradeVerdict, PreTradeCheck]:
    """Check one order inside the caller's transaction and store the verdict permanently.

    An accepted order that adds exposure holds a reservation until :func:`release_reservation`.
    Raises :class:`InvariantBroken` for bare rules in a book whose story is not being told.
    """
    if snapshot.is_bare and not is_told(book):
        raise InvariantBroken("bare rules act in the book of a replay alone")
    verdict = check_order(order=order, book=snapshot, limits=limits, now=now)
    row = PreTradeCheck(
        book=book,
        order_id=order_id,
        instrument=order.instrument,
        strategy=order.strategy,
        side=order.side.value,
        quantity=order.quantity,
        notional=verdict.notional,
        accepted=verdict.accepted,
        denials=[_plain(check) for check in verdict.denials],
        checks=[_plain(check) for check in verdict.checks],
        limits_version=verdict.limits_version,
        occurred_at=now,
    )
    held = [
        Reservation(
            check_row=row,
            order_id=order_id,
            book=book,
            instrument=order.instrument,
            margin=verdict.margin,
            notional=verdict.notional,
            held_at=now,
        )
    ]
    insert_rows(row, *(held if verdict.accepted and not verdict.reduces else ()))
    return verdict, row


def release_reservation(order_id: UUID, *, at: datetime) -> None:
    """Give the margin of a filled, refused or expired order back; harmless when none is held."""
    with connection.cursor() as cursor:
        cursor.execute(*release_of(order_id, at=at))


def release_of(order_id: UUID, *, at: datetime) -> Statement:
    """The statement of :func:`release_reservation`."""
    return RELEASE, [Reservation.State.RELEASED.value, at, order_id, Reservation.State.HELD.value]


def _plain(check: object) -> dict[str, str | None]:
    def text(name: str) -> str | None:
        value = getattr(check, name)
        return None if value is None else str(value)

    return {
        name: text(name) for name in ("control", "status", "value", "limit", "allowed", "words")
    }
