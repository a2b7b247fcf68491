"""The arithmetic of leverage on plain numbers; the backtest compiles these very functions.

No object, no exception, no allocation: floats in, floats out, so that the readable engine and its
compiled twin give the same bits.  Callers check their inputs; see :mod:`.choose`.  Prices are in
quote currency, volatilities annualised, shares fractions, sides +1 long and -1 short.
"""

from __future__ import annotations

import math

DISTANCE_MAX = 3.0
"""Distance to the magnet, in ATR, beyond which nothing is added."""
LEVERAGE_MIN = 1.0
LEVERAGE_CLAMP = 2.5
LEVERAGE_BOOST = 1.2
LEVERAGE_BOOST_MAX = 3.0
TENSION_DRAG_MAX = 0.15
"""High tension needs C + V below this ..."""
TENSION_STRENGTH_MIN = 60.0
"""... and a strength of at least this."""
EXPONENT_MAX = 700.0


def leverage_core(
    distance: float, strength: float, conflict: float, volatility: float
) -> tuple[float, float, bool]:
    """``(raw, leverage, is_high_tension)`` of the founding formula, before any cap.

    raw = D * S / (1 + C + V) with D = min(distance in ATR, 3) and S = strength / 100; clamped to
    1.0..2.5 first, then times 1.2 up to 3.0 where C + V < 0.15 and strength >= 60 (LEV-1).
    """
    near = min(distance, DISTANCE_MAX)
    raw = near * (strength / 100.0) / (1.0 + conflict + volatility)
    leverage = min(max(raw, LEVERAGE_MIN), LEVERAGE_CLAMP)
    is_high_tension = conflict + volatility < TENSION_DRAG_MAX and strength >= TENSION_STRENGTH_MIN
    if is_high_tension:
        leverage = min(LEVERAGE_BOOST * leverage, LEVERAGE_BOOST_MAX)
    return raw, leverage, is_high_tension


def tier_core(strength: float, conflict: float, volatility_ratio: float) -> int:
    """Magnet tier 1..4: the first row that holds; NaN in any input falls through to 4.

    1: S >= 80, C < 0.3, R < 1.2.  2: S >= 65, C < 0.5, R < 1.5.  3: S >= 50, C < 0.8, R < 2.0.
    """
    if strength >= 80.0 and conflict < 0.3 and volatility_ratio < 1.2:
        return 1
    if strength >= 65.0 and conflict < 0.5 and volatility_ratio < 1.5:
        return 2
    if strength >= 50.0 and conflict < 0.8 and volatility_ratio < 2.0:
        return 3
    return 4


def volatility_cap_core(volatility_target: float, sigma: float) -> float:
    """Leverage at which the instrument's volatility gives the target: sigma_target / sigma."""
    if sigma <= 0.0:
        return math.inf
    return volatility_target / sigma


def liquidation_cap_core(
    side: int, sigma: float, maintenance_rate: float, years: float, quantile: float
) -> float:
    """Largest leverage whose chance of touching liquidation within ``years`` stays in bounds.

    ``quantile`` is the normal quantile z of 1 - eps/2 (reflection of a driftless path).  With
    b = sigma * sqrt(years) * z: long 1 / (1 - (1 - mmr) exp(-b)), short 1 / ((1 + mmr) exp(b) - 1).
    The short side is the tighter one and may lie below 1.  Infinity where nothing binds.
    """
    width = sigma * math.sqrt(years) * quantile
    if width > EXPONENT_MAX:
        return 1.0 if side > 0 else 0.0
    if side > 0:
        room = 1.0 - (1.0 - maintenance_rate) * math.exp(-width)
    else:
        room = (1.0 + maintenance_rate) * math.exp(width) - 1.0
    if room <= 0.0:
        return math.inf
    return 1.0 / room


def capped_core(leverage: float, cap: float) -> tuple[float, float]:
    """``(leverage, size_factor)`` under the smallest cap: never below 1.0x, size shrunk instead.

    size_factor = min(1, cap): a cap of 0.6 leaves 1.0x and 60 % of the size.
    """
    return max(LEVERAGE_MIN, min(leverage, cap)), min(1.0, cap)
