"""Steps 1 and 2 of a bar: the day turns, and what the open left unfilled."""

from __future__ import annotations

from risk.domain.fuse import turn_day as fuse_turn_day
from trading.domain.engine.working import Working
from trading.domain.strategies.signals import DAY_MS


def turn_day(working: Working) -> None:
    """Start a new UTC day at the last mark, and re-arm a trip whose time has come."""
    fuse, time_ms = working.fuse, working.time_ms
    if time_ms // DAY_MS * DAY_MS > fuse.day_start_ms or fuse.tripped_by:
        working.move_fuse(
            fuse_turn_day(fuse, time_ms=time_ms, equity=working.equity, results=working.results())
        )


def give_up_entries(working: Working) -> None:
    """An entry is for one open: what its open did not fill is not wanted any more."""
    for slot, intent in enumerate(working.entries):
        if intent is not None and working.bar_of(slot) is not None:
            working.entries[slot] = None
