"""The arithmetic of fills, thresholds and liquidation on integer ticks, one case a call.

Plain functions of numbers, written so that the readable engine calls them as they are and the
compiled kernel compiles the very same source (``compiled.compile_pure``).  Sides are +1 long (or
buy), -1 short (or sell); prices are integer ticks; shares and rates are fractions.  No function
allocates, raises or knows a clock.
"""

from __future__ import annotations

import math


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


def find_liquidation_ticks(
    entry_ticks: int, side: int, leverage: float, maintenance_rate: float
) -> int:
    """Liquidation price of an isolated position in one margin tier, 0 where there is none.

    Long EP (1 - 1/L) / (1 - mmr), short EP (1 + 1/L) / (1 + mmr), rounded toward the entry.
    Source: the venue's isolated formula with wallet = entry notional / L.
    """
    if leverage <= 0.0:
        return 0
    if side > 0:
        price = entry_ticks * (1.0 - 1.0 / leverage) / (1.0 - maintenance_rate)
        return math.ceil(price) if price > 0.0 else 0
    return math.floor(entry_ticks * (1.0 + 1.0 / leverage) / (1.0 + maintenance_rate))


def find_loss_threshold(
    day_start_equity: float, peak_equity: float, daily_loss_share: float, drawdown_share: float
) -> float:
    """The equity at which the loss fuse trips: the higher of day level and drawdown level."""
    return max(day_start_equity * (1.0 - daily_loss_share), peak_equity * (1.0 - drawdown_share))


def is_drawdown_trip(equity: float, peak_equity: float, drawdown_share: float) -> bool:
    """Whether a trip at this equity is (also) one of the drawdown, which asks for more to reset."""
    return equity <= peak_equity * (1.0 - drawdown_share)


def find_trip_share(equity_open: float, equity_adverse: float, threshold: float) -> float:
    """How far from the open to the adverse extreme equity met the threshold: 0 open, 1 extreme.

    0 also when the open was already at or below it (gapped).
    """
    if equity_open <= threshold or equity_adverse >= equity_open:
        return 0.0
    share = (equity_open - threshold) / (equity_open - equity_adverse)
    return min(1.0, max(0.0, share))


def find_trip_ticks(open_ticks: int, adverse_ticks: int, trip_share: float, side: int) -> int:
    """The price of a position at the trip, rounded against it."""
    price = open_ticks + (adverse_ticks - open_ticks) * trip_share
    return math.floor(price) if side > 0 else math.ceil(price)


def find_severity(value: float, threshold: float) -> float:
    """Severity of a market trigger: (value - threshold) / threshold, limited to 0..1."""
    if not threshold > 0.0:
        return 0.0
    return min(1.0, max(0.0, (value - threshold) / threshold))
