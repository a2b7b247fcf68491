"""Thresholds, severity and cuts of the fuse on plain numbers; the backtest compiles these.

No object, no exception, no allocation.  Equity may be money or unit value, as long as both sides
of a comparison are the same.  Shares are fractions.
"""

from __future__ import annotations

import math


def find_day_threshold(day_start_equity: float, daily_loss_share: float) -> float:
    """Equity at or below which the daily loss trips."""
    return day_start_equity * (1.0 - daily_loss_share)


def find_drawdown_threshold(peak_equity: float, drawdown_share: float) -> float:
    """Equity at or below which the drawdown trips."""
    return peak_equity * (1.0 - drawdown_share)


def find_loss_threshold(
    day_start_equity: float, peak_equity: float, daily_loss_share: float, drawdown_share: float
) -> float:
    """The equity at which the loss fuse trips: the higher of day level and drawdown level."""
    return max(
        find_day_threshold(day_start_equity, daily_loss_share),
        find_drawdown_threshold(peak_equity, drawdown_share),
    )


def find_trip_price(
    price: float, equity: float, threshold: float, net_units: float, multiplier: float
) -> float:
    """Price of an instrument at which equity meets the threshold, all else standing still.

    ``net_units`` is the signed quantity.  0.0 where no price does (flat, or a long whose loss at
    price zero stays above the threshold); the present price when equity is at it already.
    """
    if equity <= threshold:
        return price
    exposure = net_units * multiplier
    if exposure == 0.0:
        return 0.0
    level = price - (equity - threshold) / exposure
    return level if level > 0.0 else 0.0


def find_severity(value: float, threshold: float) -> float:
    """Severity of a market trigger: (value - threshold) / threshold, limited to 0..1."""
    if not threshold > 0.0 or not value > threshold:
        return 0.0
    return min(1.0, (value - threshold) / threshold)


def find_shortfall_severity(value: float, threshold: float) -> float:
    """Severity of a trigger that fires below its threshold (liquidity), limited to 0..1."""
    if not threshold > 0.0 or not value < threshold:
        return 0.0
    return min(1.0, (threshold - value) / threshold)


def find_cut_share(severity: float, cut_share_min: float, cut_share_max: float) -> float:
    """Share of the exposure to cut: the smallest plus the span times severity."""
    return cut_share_min + (cut_share_max - cut_share_min) * severity


def find_further_cut_share(cut_share_before: float, cut_share: float) -> float:
    """Part of what is left that goes when an episode's cut deepens from one share to another."""
    if cut_share <= cut_share_before or cut_share_before >= 1.0:
        return 0.0
    return (cut_share - cut_share_before) / (1.0 - cut_share_before)


def find_liquidity_score(depth_value: float, notional_intended: float) -> float:
    """100 * min(1, depth within 10 bp / (20 x intended notional)); 100 where nothing is meant.

    A figure that is no number scores 0: what cannot be seen is not liquid.
    """
    if notional_intended <= 0.0:
        return 100.0
    ratio = depth_value / (20.0 * notional_intended)
    if math.isnan(ratio):  # min() would call it 1
        return 0.0
    return 100.0 * min(1.0, ratio)
