"""Steps 3 and 4 of a bar: targets, stops and liquidation inside it, and the loss fuse.

A position's adverse extreme is the bar's, or its own stop where that comes first.  The fuse tests
all of them at once; where it trips, positions whose stop came earlier on the way leave by their
stop, the others at the point where equity met the threshold.
"""

from __future__ import annotations

from dataclasses import replace

from risk.domain.fuse import find_trip_level, trip_on_loss
from trading.domain.engine.book import Bar, CloseReason, Position
from trading.domain.engine.scalars import (
    find_book_trip_share,
    find_exit_share,
    find_trip_ticks,
    is_beyond,
    is_reached,
)
from trading.domain.engine.working import Working, make_exit


def trade_bar(working: Working) -> None:
    """Fill targets, then stops, liquidations and a trip of the loss fuse, inside the bar."""
    exits: list[tuple[int, int, CloseReason | None]] = []
    for slot, position, bar in working.held():
        price, reason = _find_exit(position, bar)
        if reason is CloseReason.TARGET:
            working.fill_exit(slot, price, CloseReason.TARGET)
            continue
        if reason is CloseReason.STOP and is_reached(
            _best(position, bar), position.target_ticks, position.side
        ):
            working.positions[slot] = replace(position, ambiguous=True)
        exits.append((slot, price, reason))
    share, equity = _find_trip(working, exits)
    if share <= 1.0:
        _trip_inside(working, exits, share, equity)
        return
    for slot, price, reason in exits:
        _leave(working, slot, price, reason)


def _best(position: Position, bar: Bar) -> int:
    return bar.high if position.side > 0 else bar.low


def _worst(position: Position, bar: Bar) -> int:
    return bar.low if position.side > 0 else bar.high


def _find_exit(position: Position, bar: Bar) -> tuple[int, CloseReason | None]:
    """Where a position leaves inside the bar, or its adverse extreme and None."""
    side, worst = position.side, _worst(position, bar)
    liquidation = position.liquidation_ticks
    nearer = liquidation > 0 and (liquidation - position.stop_ticks) * side > 0
    if nearer and is_beyond(worst, liquidation, side):
        return liquidation, CloseReason.LIQUIDATION
    if not nearer and is_beyond(worst, position.stop_ticks, side):
        return position.stop_ticks, CloseReason.STOP
    if is_reached(_best(position, bar), position.target_ticks, side):
        return position.target_ticks, CloseReason.TARGET
    return worst, None


def _leave(working: Working, slot: int, price: int, reason: CloseReason | None) -> None:
    if reason is CloseReason.LIQUIDATION:
        working.fill_exit(slot, price, reason)
    elif reason is CloseReason.STOP:
        working.fill_exit_at_market(slot, price, reason)


def _find_trip(
    working: Working, exits: list[tuple[int, int, CloseReason | None]]
) -> tuple[float, float]:
    """The share of the way at which the loss fuse trips and equity there; share 2 is no trip."""
    rules = working.rules.fuse
    if not rules.acting or working.fuse.tripped_by or not exits:
        return 2.0, working.equity
    equity = working.cash
    for slot, position in enumerate(working.positions):
        if position is not None:
            bar = working.bar_of(slot)
            mark = working.marks[working.rules.slots[slot].instrument]
            equity += working.value_at(slot, mark if bar is None else bar.open)
    losses, shares = [], []
    for slot, price, reason in exits:
        held, bar = working.positions[slot], working.bar_of(slot)
        assert held is not None
        assert bar is not None
        worst = _worst(held, bar)
        losses.append(working.value_at(slot, bar.open) - working.value_at(slot, worst))
        shares.append(1.0 if reason is None else find_exit_share(bar.open, price, worst))
    threshold = find_trip_level(working.fuse, rules)
    share = find_book_trip_share(equity, threshold, losses, shares, len(losses))
    return share, min(equity, threshold)


def _trip_inside(
    working: Working,
    exits: list[tuple[int, int, CloseReason | None]],
    share: float,
    equity: float,
) -> None:
    closed = 0
    for slot, price, reason in exits:
        held, bar = working.positions[slot], working.bar_of(slot)
        assert held is not None
        assert bar is not None
        worst = _worst(held, bar)
        if reason is not None and find_exit_share(bar.open, price, worst) <= share:
            _leave(working, slot, price, reason)
            continue
        at = find_trip_ticks(bar.open, worst, share, held.side)
        working.fill_exit_at_market(slot, at, CloseReason.FUSE, gapped=share <= 0.0)
        closed += 1
    trip(working, equity=equity, closed=closed)


def trip(working: Working, *, equity: float, closed: int) -> None:
    """Move the fuse to TRIPPED: waiting entries fall, what could not be closed waits to be."""
    tripped, event = trip_on_loss(
        working.fuse,
        equity=equity,
        time_ms=working.time_ms,
        positions=closed,
        rules=working.rules.fuse,
    )
    working.fuse = tripped
    working.entries = [None] * len(working.entries)
    for slot, position in enumerate(working.positions):
        if position is not None:
            working.exits[slot] = make_exit(
                working, slot, position, CloseReason.FUSE, position.lots
            )
    working.events.append(event)
