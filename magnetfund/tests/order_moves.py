"""Every move of a stored order that the domain's machine can make, found by trying all events."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import product
from uuid import UUID

from magnetfund.kernel.errors import FundError
from risk.domain.pretrade import OrderType, Side
from trading.domain import orders as pure

AT = datetime(2026, 1, 1, tzinfo=UTC)
LATER = AT + timedelta(minutes=1)
FIRST = pure.build_order(
    id=UUID(int=1), venue="sim", symbol="BTC/USDT:USDT", side=Side.BUY, type=OrderType.MARKET,
    quantity=Decimal(3), created_at=AT,
)  # fmt: skip
DEFINITE = pure.AbsenceRules(validity_window=timedelta(0), queries_min=1, spacing=timedelta(0))


def _events() -> list[pure.OrderEvent]:
    return [
        pure.OrderDenied(at=LATER, reason="x"),
        pure.OrderTooOld(at=LATER),
        pure.OrderClaimed(at=LATER),
        pure.OrderAcknowledged(at=LATER),
        pure.OrderRejected(at=LATER, reason="x"),
        pure.OutcomeUnseen(at=LATER, reason="x"),
        pure.CancelRequested(at=LATER),
        pure.CancelRefused(at=LATER),
        pure.NotFound(at=LATER),
        *(pure.OrderFilled(at=LATER, trade_id=f"n{n}", quantity=Decimal(n), price=Decimal(9))
          for n in (1, 2, 3)),
        *(pure.VenueReported(at=LATER, status=status, filled_quantity=Decimal(n))
          for status, n in product(pure.VenueStatus, (0, 1, 3))),
    ]  # fmt: skip


def _orders() -> list[pure.Order]:
    never = [replace(FIRST, state=state) for state in pure.OrderState]
    sent = [
        replace(FIRST, state=state, sent_at=AT, filled_quantity=Decimal(filled),
                filled_value=Decimal(9 * filled), is_cancel_requested=asked, reported_final=final,
                reported_filled=Decimal(reported))
        for state, filled, asked, final, reported in product(
            set(pure.OrderState) - pure.NEVER_SENT_STATES, (0, 1, 2), (False, True),
            (None, *pure.FINAL_STATES - {pure.OrderState.DENIED, pure.OrderState.ABSENT}), (0, 2))
    ]  # fmt: skip
    return never + sent


def single_steps() -> set[tuple[str, str]]:
    """Pairs of different states that one event joins."""
    found = set()
    for order, event in product(_orders(), _events()):
        try:
            after = pure.transition(order=order, event=event, rules=DEFINITE)
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
