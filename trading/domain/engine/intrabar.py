"""Steps 3 and 4 of a bar: what its way means to the positions, and the loss fuse on that way.

A position's adverse extreme is the bar's, or its own stop where that comes first.  The fuse tests
all of them at once; where it trips, positions whose stop came earlier on the way leave by their
stop, the others are ordered out at the point where equity met the threshold.
"""

from __future__ import annotations

from dataclasses import replace

from risk.domain.fuse import compute_trip_level, trip_on_loss
from trading.domain.engine.book import Bar, CloseReason, SlotPosition
from trading.domain.engine.scalars import compute_book_trip_share, compute_exit_share, is_reached
from trading.domain.engine.working import Working, exit_of, make_exit
from trading.domain.paper_venue import Kind, extremes_of, find_level

#: The share of a way that no bar has: everything on it executes.
NO_TRIP = 2.0


def level_of(position: SlotPosition, bar: Bar) -> tuple[int, Kind | None]:
    """Where a position leaves inside the bar, or its adverse extreme and None."""
    return find_level(
        side=position.side,
        stop=position.stop_ticks,
        target=position.target_ticks,
        liquidation=position.liquidation_ticks,
        bar=bar,
    )


def note_ambiguous(working: Working) -> None:
    """Mark the positions whose stop and target both lie on the way: which came first is unknown."""
    for slot, position, bar in working.held():
        if level_of(position, bar)[1] is not Kind.STOP:
            continue
        if is_reached(extremes_of(position.side, bar)[1], position.target_ticks, position.side):
            working.positions[slot] = replace(position, ambiguous=True)


def find_trip(working: Working) -> tuple[float, float, int]:
    """Where on the way the loss fuse trips, equity there, and how many positions it closes.

    The share of the way is :data:`NO_TRIP` where it does not.
    """
    rules, held = working.rules.fuse, working.held()
    if not rules.acting or working.fuse.tripped_by or not held:
        return NO_TRIP, working.equity, 0
    equity = working.cash
    for slot, position in enumerate(working.positions):
        if position is not None:
            bar = working.bar_of(slot)
            mark = working.marks[working.rules.slots[slot].instrument]
            equity += working.value_at(slot, mark if bar is None else bar.open)
    losses, shares = [], []
    for slot, position, bar in held:
        price, kind = level_of(position, bar)
        worst = extremes_of(position.side, bar)[0]
        losses.append(working.value_at(slot, bar.open) - working.value_at(slot, worst))
        shares.append(1.0 if kind is None else compute_exit_share(bar.open, price, worst))
    threshold = compute_trip_level(working.fuse, rules)
    share = compute_book_trip_share(equity, threshold, losses, shares, len(losses))
    closed = 0
    for (_, position, bar), at in zip(held, shares, strict=True):
        if level_of(position, bar)[1] is None or at > share:
            closed += 1
    return share, min(equity, threshold), closed


def trip(working: Working, *, equity: float, closed: int) -> None:
    """Move the fuse to TRIPPED: waiting entries fall, everything held is ordered out.

    What has a price leaves at once; an order for the next open is told as an event.
    """
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
            order = make_exit if working.bar_of(slot) is None else exit_of
            working.exits[slot] = order(working, slot, position, CloseReason.FUSE, position.lots)
    working.events.append(event)
