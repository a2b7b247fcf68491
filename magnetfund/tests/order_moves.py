"""Every move of a stored order that the domain's machine can make, found by trying all events."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import product

from magnetfund.kernel.errors import FundError
from trading.domain import orders as life

AT = datetime(2026, 1, 1, tzinfo=UTC)
LATER = AT + timedelta(minutes=1)
FIRST = life.OrderLife(quantity=Decimal(3))
DEFINITE = life.AbsenceRules(validity_window=timedelta(0), queries_min=1, spacing=timedelta(0))


def _events() -> list[life.OrderNews]:
    return [
        life.OrderDenied(at=LATER, reason="x"),
        life.OrderTooOld(at=LATER),
        life.OrderClaimed(at=LATER),
        life.OrderAcknowledged(at=LATER),
        life.OrderRejected(at=LATER, reason="x"),
        life.OutcomeUnseen(at=LATER, reason="x"),
        life.CancelRequested(at=LATER),
        life.CancelRefused(at=LATER),
        life.OrderNotFound(at=LATER),
        *(life.OrderFilled(at=LATER, trade_id=f"n{n}", quantity=Decimal(n), price=Decimal(9))
          for n in (1, 2, 3)),
        *(life.VenueReported(at=LATER, status=status, filled_quantity=Decimal(n))
          for status, n in product(life.VenueStatus, (0, 1, 3))),
    ]  # fmt: skip


def _orders() -> list[life.OrderLife]:
    never = [replace(FIRST, state=state) for state in life.OrderState]
    sent = [
        replace(FIRST, state=state, sent_at=AT, filled_quantity=Decimal(filled),
                filled_value=Decimal(9 * filled), is_cancel_requested=asked, reported_final=final,
                reported_filled=Decimal(reported))
        for state, filled, asked, final, reported in product(
            set(life.OrderState) - life.NEVER_SENT_STATES, (0, 1, 2), (False, True),
            (None, *life.FINAL_STATES - {life.OrderState.DENIED, life.OrderState.ABSENT}), (0, 2))
    ]  # fmt: skip
    return never + sent


def single_steps() -> set[tuple[str, str]]:
    """Pairs of different states that one event joins."""
    found = set()
    for order, event in product(_orders(), _events()):
        try:
            after = life.transition(order=order, event=event, rules=DEFINITE)
        except FundError:
            continue
        if after.state is not order.state:
            found.add((order.state.value, after.state.value))
    return found


def stored_moves() -> set[tuple[str, str]]:
    """What one UPDATE may do: events of one answer are stored together, a claim stands alone."""
    moves = single_steps()
    while True:
        longer = {(a, d) for a, b in moves for c, d in moves if b == c and a != "INTENT" and a != d}
        if longer <= moves:
            return moves
        moves |= longer
