"""From a signal to an order: triggers, leverage with its caps, tier, size in whole lots.

:func:`decide_lots` is the whole decision as one function of plain numbers; the readable engine, a
replay and a trader call it through :func:`decide_entry`, the kernel compiles it.  The arithmetic
of leverage and size is that of ``risk.domain``; bad input is a denial with tier 4, never an error.
"""

from __future__ import annotations

import math

from risk.domain.leverage.core import (
    capped_core,
    leverage_core,
    liquidation_cap_core,
    tier_core,
    volatility_cap_core,
)
from risk.domain.sizing.core import (
    gap_loss_rate_core,
    is_stop_before_liquidation_core,
    liquidation_price_core,
    lots_core,
    stop_loss_rate_core,
)

NONE = 0
NO_STOP = 5
STOP_WRONG_SIDE = 6
STOP_BEYOND_LIQUIDATION = 7
TIER_FOUR = 8
BELOW_MINIMUM = 10
NO_EQUITY = 11
BAD_INPUT = 12


def round_to_ticks(price: float, tick_size: float) -> int:
    """A price as whole ticks, to the nearest; 0 where there is none."""
    if math.isfinite(price) and price > 0.0:
        return max(1, math.floor(price / tick_size + 0.5))
    return 0


def choose_sleeve_leverage(
    by_magnet: bool,
    side: int,
    distance: float,
    strength: float,
    conflict: float,
    volatility_ratio: float,
    sigma: float,
    maintenance_rate: float,
    leverage_cap: float,
    volatility_target: float,
    liquidation_quantile: float,
    liquidation_years: float,
) -> tuple[float, float, int]:
    """``(leverage, size_factor, tier)``: the formula, then every cap that has its inputs.

    A fixed-leverage strategy has 1.0x and tier 0 (no tier).  An input of the formula that is no
    number, infinite or negative gives 1.0x and tier 4.
    """
    leverage, tier = 1.0, 0
    if by_magnet:
        good = math.isfinite(distance + strength + conflict + volatility_ratio)
        if not good or min(distance, strength, conflict, volatility_ratio) < 0.0:
            return 1.0, 1.0, 4
        pressure = max(0.0, volatility_ratio - 1.0)
        _raw, leverage, _high = leverage_core(distance, strength, conflict, pressure)
        tier = tier_core(strength, conflict, volatility_ratio)
    cap = leverage_cap
    if math.isfinite(sigma) and sigma > 0.0:
        if volatility_target > 0.0:
            cap = min(cap, volatility_cap_core(volatility_target, sigma))
        if liquidation_quantile > 0.0:
            cap = min(
                cap,
                liquidation_cap_core(
                    side, sigma, maintenance_rate, liquidation_years, liquidation_quantile
                ),
            )
    leverage, size_factor = capped_core(leverage, cap)
    return leverage, size_factor, tier


def decide_lots(
    by_magnet: bool,
    side: int,
    close_ticks: int,
    stop_ticks: int,
    equity: float,
    distance: float,
    strength: float,
    conflict: float,
    volatility_ratio: float,
    sigma: float,
    margin_instrument: float,
    margin_group: float,
    margin_total: float,
    gap_instrument: float,
    gap_book: float,
    gap_rate: float,
    risk_share: float,
    liquidation_share_max: float,
    tick_size: float,
    lot_size: float,
    notional_min: float,
    fee_rate: float,
    slippage_rate: float,
    maintenance_rate: float,
    margin_share_tier_1: float,
    margin_share_tier_2: float,
    margin_share_tier_3: float,
    margin_share_position: float,
    margin_share_group: float,
    margin_share_total: float,
    loss_at_stop_share: float,
    gap_share_position: float,
    gap_share_book: float,
    leverage_cap: float,
    volatility_target: float,
    liquidation_quantile: float,
    liquidation_years: float,
) -> tuple[int, int, float, int, int]:
    """``(denial, lots, leverage, tier, binding)`` of an entry on the close.

    ``margin_*`` and ``gap_*`` are what the book commits already, waiting entries included, in
    quote currency.  Denials are numbered as ``book.Denial``, bindings as the size laws of risk.
    """
    if not (math.isfinite(equity) and equity > 0.0):
        return NO_EQUITY, 0, 1.0, 0, 0
    if stop_ticks <= 0:
        return NO_STOP, 0, 1.0, 0, 0
    if close_ticks <= 0 or not (math.isfinite(gap_rate) and gap_rate > 0.0):
        return BAD_INPUT, 0, 1.0, 0, 0
    if (close_ticks - stop_ticks) * side <= 0:
        return STOP_WRONG_SIDE, 0, 1.0, 0, 0
    leverage, size_factor, tier = choose_sleeve_leverage(
        by_magnet,
        side,
        distance,
        strength,
        conflict,
        volatility_ratio,
        sigma,
        maintenance_rate,
        leverage_cap,
        volatility_target,
        liquidation_quantile,
        liquidation_years,
    )
    tier_share = margin_share_position
    if by_magnet:
        if tier == 1:
            tier_share = margin_share_tier_1
        elif tier == 2:
            tier_share = margin_share_tier_2
        elif tier == 3:
            tier_share = margin_share_tier_3
        else:
            return TIER_FOUR, 0, leverage, tier, 0
    entry = close_ticks * tick_size
    stop = stop_ticks * tick_size
    liquidation = liquidation_price_core(entry, side, leverage, maintenance_rate)
    if not is_stop_before_liquidation_core(entry, stop, liquidation, liquidation_share_max):
        return STOP_BEYOND_LIQUIDATION, 0, leverage, tier, 0
    loss_rate = stop_loss_rate_core(
        entry, stop, fee_rate, slippage_rate, fee_rate, slippage_rate, 0.0
    )
    gap_loss_rate = gap_loss_rate_core(entry, side, leverage, gap_rate, fee_rate, fee_rate, True)
    lots, binding = lots_core(
        entry,
        leverage,
        lot_size,
        loss_rate,
        gap_loss_rate,
        min(risk_share, loss_at_stop_share) * equity * size_factor,
        tier_share * equity * size_factor,
        (margin_share_position * equity - margin_instrument) * size_factor,
        (margin_share_group * equity - max(margin_group, margin_instrument)) * size_factor,
        (margin_share_total * equity - margin_total) * size_factor,
        (gap_share_position * equity - gap_instrument) * size_factor,
        (gap_share_book * equity - gap_book) * size_factor,
    )
    if lots <= 0 or lots * lot_size * entry < notional_min:
        return BELOW_MINIMUM, 0, leverage, tier, binding
    return NONE, lots, leverage, tier, binding
