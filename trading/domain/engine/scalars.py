"""The arithmetic of fills, thresholds and liquidation on integer ticks, one case a call.

Plain functions of numbers, written so that the readable engine calls them as they are and the
compiled kernel compiles the very same source (``compiled.compile_pure``).  Sides are +1 long (or
buy), -1 short (or sell); prices are integer ticks; shares and rates are fractions.  No function
allocates, raises or knows a clock.
"""

from __future__ import annotations

import math
from typing import Any

from risk.domain.sizing.core import liquidation_price_core


def slipped_ticks(price_ticks: int, side: int, rate: float) -> int:
    """A market fill ``rate`` worse than ``price_ticks`` for an order of ``side``, whole ticks.

    Rounded against the taker and never below one tick.
    """
    if rate <= 0.0:
        return price_ticks
    if side > 0:
        return math.ceil(price_ticks * (1.0 + rate))
    return max(1, math.floor(price_ticks * (1.0 - rate)))


def is_beyond(price_ticks: int, level_ticks: int, side: int) -> bool:
    """Whether a price stands at or past a level on the loss side of a position of ``side``."""
    if level_ticks <= 0:
        return False
    return price_ticks <= level_ticks if side > 0 else price_ticks >= level_ticks


def is_reached(price_ticks: int, target_ticks: int, side: int) -> bool:
    """Whether a price stands at or past a target on the profit side of a position of ``side``."""
    if target_ticks <= 0:
        return False
    return price_ticks >= target_ticks if side > 0 else price_ticks <= target_ticks


def compute_liquidation_ticks(
    entry_ticks: int, side: int, leverage: float, maintenance_rate: float
) -> int:
    """Isolated liquidation price in whole ticks, rounded toward the entry; 0 is none."""
    price = liquidation_price_core(float(entry_ticks), side, leverage, maintenance_rate)
    return math.ceil(price) if side > 0 else math.floor(price)


def find_trip_ticks(open_ticks: int, adverse_ticks: int, trip_share: float, side: int) -> int:
    """The price of a position at the trip, rounded against it."""
    price = open_ticks + (adverse_ticks - open_ticks) * trip_share
    return math.floor(price) if side > 0 else math.ceil(price)


def compute_book_trip_share(
    equity_open: float, threshold: float, losses: Any, exits: Any, count: int
) -> float:
    """How far along the bar a book met its loss threshold: 0 at the open, 1 at the extremes.

    Position k loses ``losses[k]`` (>= 0) from the open to its adverse extreme, evenly, and stops
    losing at ``exits[k]`` of the way where its own stop takes it out (1 where none does).  All
    positions move at once.  Returns 2.0 when the threshold is not met.
    """
    if equity_open <= threshold:
        return 0.0
    walked, equity = 0.0, equity_open
    while walked < 1.0:
        slope, corner = 0.0, 1.0
        for k in range(count):
            if exits[k] > walked:
                slope += losses[k]
                corner = min(corner, exits[k])
        if slope <= 0.0:
            return 2.0
        met = walked + (equity - threshold) / slope
        if met <= corner:
            return met
        equity -= slope * (corner - walked)
        walked = corner
    return 2.0


def compute_exit_share(open_ticks: int, exit_ticks: int, adverse_ticks: int) -> float:
    """At which share of the way from the open to the adverse extreme a price is met."""
    if adverse_ticks == open_ticks:
        return 0.0
    return (open_ticks - exit_ticks) / (open_ticks - adverse_ticks)
