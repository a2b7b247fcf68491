"""The rows of an order's life, read and written in a round trip each.

Nothing in the house writes more often: an order that rests takes seven such steps, and a trader's
tick waits for each.  Through the models a step took 4 ms of processor, most of it to build SQL.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection
from psycopg.types.json import Jsonb

from magnetfund.core.rows import Statement
from magnetfund.kernel.clock import utc_now
from trading.domain.orders import Told
from trading.models import Order

#: Columns of an order that its life moves; no other ever changes.
MOVED_COLUMNS = ("state", "venue_order_id", "filled_quantity", "average_price", "closed_at")

# Two statements and not one join: the events are read after the lock is there, so by a snapshot
# that holds what whoever had it before has written.
LOCK_AND_READ = """
SELECT state, venue_order_id, filled_quantity, average_price, closed_at
FROM trading_order WHERE id = %s FOR UPDATE;
SELECT kind, to_state, occurred_at FROM trading_orderevent WHERE order_id = %s ORDER BY seq
"""

MOVE = """
UPDATE trading_order SET state = %s, venue_order_id = %s, filled_quantity = %s, average_price = %s,
       closed_at = %s WHERE id = %s"""
TELL = """
INSERT INTO trading_orderevent
       (order_id, seq, kind, from_state, to_state, detail, occurred_at, recorded_at) VALUES
"""
ONE_STEP = "(%s, %s, %s, %s, %s, %s, %s, %s)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One event to be stored."""

    kind: str
    from_state: str
    to_state: str
    detail: Mapping[str, Any]
    occurred_at: datetime


def lock_order(order: Order) -> tuple[Order, list[Told]]:
    """The order as it is stored, under its row lock, and its events in their order.

    A copy: the one handed in stays as it was.  One whose writer keeps its events is as that one
    has it.  Raises ``Order.DoesNotExist``.
    """
    if order.told is not None:
        return copy(order), list(order.told)
    with connection.cursor() as cursor:
        cursor.execute(LOCK_AND_READ, [order.pk, order.pk])
        moved = cursor.fetchone()
        if moved is None:
            raise Order.DoesNotExist(f"no order {order.pk}")
        cursor.nextset()
        told = [Told(*row) for row in cursor.fetchall()]
    row = copy(order)
    for name, value in zip(MOVED_COLUMNS, moved, strict=True):
        setattr(row, name, value)
    return row, told


def move_of(row: Order) -> Statement:
    """The statement that writes the columns that moved."""
    return MOVE, [*(getattr(row, name) for name in MOVED_COLUMNS), row.pk]


def tell_of(row: Order, steps: Sequence[Step], *, after: int = 0) -> Statement:
    """The statement that writes steps of an order, the first as number ``after`` + 1."""
    values: list[Any] = []
    now = utc_now()
    for number, step in enumerate(steps, start=after + 1):
        values += [row.pk, number, step.kind, step.from_state, step.to_state]
        values += [Jsonb(step.detail), step.occurred_at, now]
    return TELL + ", ".join([ONE_STEP] * len(steps)), values


def told_of(step: Step) -> Told:
    """What a writer keeps of an event."""
    return Told(step.kind, step.to_state, step.occurred_at)
