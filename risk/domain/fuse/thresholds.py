"""Thresholds, severity and cuts of the fuse on plain numbers; the backtest compiles these.

No object, no exception, no allocation.  Equity may be money or unit value, as long as both sides
of a comparison are the same.  Shares are fractions.
"""

from __future__ import annotations

import math

ORDINARY_STRENGTH = 40.0
"""A zone of at most this strength neither pulls nor opposes."""
PULL_SPAN = 60.0
PULL_DECAY = 3.0
CONFLICT_MAX = 9.99


def compute_day_threshold(day_start_equity: float, daily_loss_share: float) -> float:
    """Equity at or below which the daily loss trips."""
    return day_start_equity * (1.0 - daily_loss_share)


def compute_drawdown_threshold(peak_equity: float, drawdown_share: float) -> float:
    """Equity at or below which the drawdown trips."""
    return peak_equity * (1.0 - drawdown_share)


def compute_loss_threshold(
    day_start_equity: float, peak_equity: float, daily_loss_share: float, drawdown_share: float
) -> float:
    """The equity at which the loss fuse trips: the higher of day level and drawdown level."""
    return max(
        compute_day_threshold(day_start_equity, daily_loss_share),
        compute_drawdown_threshold(peak_equity, drawdown_share),
    )


def compute_severity(value: float, threshold: float) -> float:
    """Severity of a market trigger: (value - threshold) / threshold, limited to 0..1."""
    if not threshold > 0.0 or not value > threshold:
        return 0.0
    return min(1.0, (value - threshold) / threshold)


def compute_shortfall_severity(value: float, threshold: float) -> float:
    """Severity of a trigger that fires below its threshold (liquidity), limited to 0..1."""
    if not threshold > 0.0 or not value < threshold:
        return 0.0
    return min(1.0, (threshold - value) / threshold)


def compute_cut_share(severity: float, cut_share_min: float, cut_share_max: float) -> float:
    """Share of the exposure to cut: the smallest plus the span times severity."""
    return cut_share_min + (cut_share_max - cut_share_min) * severity


def compute_cut_lots(
    lots: int,
    lots_at_start: int,
    cut_share: float,
    equity: float,
    notional_total: float,
    lot_value: float,
    notional_min: float,
) -> int:
    """Lots to sell off when an episode begins or deepens.

    What may remain is (1 - cut) of the lots at the episode's start, and no more than brings the
    book's notional down to its equity (1.0x); rounded down, so the cut is never smaller.  A rest
    worth less than the venue's smallest order (``notional_min``, at ``lot_value`` a lot) is closed
    too: left standing, it would keep its strategy from its next entry.
    """
    remaining = math.floor(lots_at_start * (1.0 - cut_share))
    if notional_total > equity and notional_total > 0.0:
        remaining = min(remaining, math.floor(lots * max(0.0, equity) / notional_total))
    if min(lots, remaining) * lot_value < notional_min:
        remaining = 0
    return max(0, lots - remaining)


def is_drawdown_trip(equity: float, peak_equity: float, drawdown_share: float) -> bool:
    """Whether a trip at this equity is (also) one of the drawdown, which asks for more to reset."""
    return equity <= peak_equity * (1.0 - drawdown_share)


def compute_rearm_time(
    time_ms: int, drawdown: bool, reset_policy: int, day_ms: int, never_ms: int
) -> int:
    """When a scenario re-arms a trip: never (0), the next 00:00 UTC (1), or after seven days for a
    drawdown and the next 00:00 UTC for a daily loss (2)."""
    if reset_policy == 0:
        return never_ms
    if drawdown and reset_policy == 2:
        return time_ms + 7 * day_ms
    return (time_ms // day_ms + 1) * day_ms


def compute_open_conflict(
    price: float, atr: float, zone_price: float, zone_strength: float, opposite_pull: float
) -> float:
    """Conflict C of an open position: the opposite pull now over its recorded target's pull now.

    pull = max(0, S - 40) / 60 * exp(-d / 3) with d the zone's distance today in ATR; C is at most
    9.99.  NaN (not above any limit) where an input has no source.
    """
    if not (atr > 0.0 and zone_strength > ORDINARY_STRENGTH and opposite_pull >= 0.0):
        return math.nan
    distance = abs(zone_price - price) / atr
    pull = (zone_strength - ORDINARY_STRENGTH) / PULL_SPAN * math.exp(-distance / PULL_DECAY)
    if not pull > 0.0:
        return math.nan
    return min(opposite_pull / pull, CONFLICT_MAX)


def compute_liquidity_score(depth_value: float, notional_intended: float) -> float:
    """100 * min(1, depth within 10 bp / (20 x intended notional)); 100 where nothing is meant.

    A figure that is no number scores 0: what cannot be seen is not liquid.
    """
    if notional_intended <= 0.0:
        return 100.0
    ratio = depth_value / (20.0 * notional_intended)
    if math.isnan(ratio):  # min() would call it 1
        return 0.0
    return 100.0 * min(1.0, ratio)
