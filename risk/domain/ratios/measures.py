"""Ratios of return to risk.  Float64; ``None`` where the divisor is zero, never infinity.

Conventions: simple period returns; standard deviation with ddof 1; rates and targets are per
period; annual figures multiply by the square root of the periods in a year (365 for markets that
never close).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from magnetfund.kernel.errors import InvalidInput
from risk.domain.ratios.drawdown import (
    compute_drawdown_max,
    compute_growth_rate,
    compute_ulcer_index,
)
from risk.domain.ratios.series import FloatArray, Series, positive_of, returns_of

#: A spread this small against the size of the returns is rounding of a constant series.
_FLAT = 1e-14


def _sharpe_per_period(excess: FloatArray) -> float | None:
    spread = float(np.std(excess, ddof=1))
    if spread <= _FLAT * max(float(np.abs(excess).max()), 1e-300):
        return None
    return float(np.mean(excess)) / spread


def compute_sharpe(
    *, returns: Series, rate: float = 0.0, periods_a_year: float = 1.0
) -> float | None:
    """mean(r - rate) / sd(r - rate), ddof 1, times sqrt(periods_a_year) (Sharpe 1994).

    With the default ``periods_a_year`` it is the per-period figure that PSR and DSR take.  ``None``
    for a constant series.  Needs two returns.
    """
    ratio = _sharpe_per_period(returns_of(returns, length_min=2) - rate)
    scale = math.sqrt(positive_of(periods_a_year, name="periods_a_year"))
    return None if ratio is None else ratio * scale


def compute_sharpe_scale(*, autocorrelations: Sequence[float], periods: int) -> float:
    """Lo's (2002) factor from per-period to longer Sharpe when returns are autocorrelated.

    q / sqrt(q + 2 sum_{k<q} (q - k) rho_k), rho_1 first; sqrt(q) without autocorrelation.  Raises
    ``InvalidInput``: ``too_short``, ``not_positive`` where the variance would not be positive.
    """
    if periods < 1 or len(autocorrelations) < periods - 1:
        raise InvalidInput("one autocorrelation a lag below q is needed", code="too_short")
    weighted = sum((periods - lag) * autocorrelations[lag - 1] for lag in range(1, periods))
    variance = positive_of(periods + 2.0 * weighted, name="the variance over q periods")
    return periods / math.sqrt(variance)


def compute_downside_deviation(*, returns: Series, target: float = 0.0) -> float:
    """sqrt(sum(min(r - target, 0)^2) / n), n all periods."""
    short = np.minimum(returns_of(returns) - target, 0.0)
    return float(np.sqrt(np.mean(short**2)))


def compute_sortino(
    *, returns: Series, target: float = 0.0, periods_a_year: float = 1.0
) -> float | None:
    """mean(r - target) over downside deviation, times sqrt(periods_a_year) (Sortino 1994)."""
    values = returns_of(returns)
    downside = compute_downside_deviation(returns=values, target=target)
    scale = math.sqrt(positive_of(periods_a_year, name="periods_a_year"))
    return float(np.mean(values - target)) / downside * scale if downside > 0 else None


def compute_omega(*, returns: Series, target: float = 0.0) -> float | None:
    """Sum of gains above the target over sum of shortfalls (Keating and Shadwick 2002)."""
    excess = returns_of(returns) - target
    short = -float(np.minimum(excess, 0.0).sum())
    return float(np.maximum(excess, 0.0).sum()) / short if short > 0 else None


def compute_calmar(*, returns: Series, years: float) -> float | None:
    """CAGR over calendar years / |deepest drawdown| (Young 1991)."""
    deepest = compute_drawdown_max(returns=returns)
    rate = compute_growth_rate(returns=returns, years=years)
    return rate / -deepest if deepest < 0 else None


def compute_martin(*, returns: Series, years: float, annual_rate: float = 0.0) -> float | None:
    """(CAGR - rate) / ulcer index (Martin and McCann 1989)."""
    ulcer = compute_ulcer_index(returns=returns)
    rate = compute_growth_rate(returns=returns, years=years)
    return (rate - annual_rate) / ulcer if ulcer > 0 else None


def compute_information_ratio(
    *, returns: Series, benchmark: Series, periods_a_year: float = 1.0
) -> float | None:
    """Sharpe ratio of the difference to a benchmark of equal length."""
    fund, other = returns_of(returns, length_min=2), returns_of(benchmark, length_min=2)
    if fund.size != other.size:
        raise InvalidInput("both series have one length", code="bad_shape")
    ratio = _sharpe_per_period(fund - other)
    scale = math.sqrt(positive_of(periods_a_year, name="periods_a_year"))
    return None if ratio is None else ratio * scale


def compute_profit_factor(*, results: Series) -> float | None:
    """Sum of wins over sum of losses of trade results in money or returns; finite values."""
    values = np.asarray(results, dtype=np.float64)
    if not np.isfinite(values).all():
        raise InvalidInput("a result is not finite", code="not_finite")
    lost = -float(values[values < 0].sum())
    return float(values[values > 0].sum()) / lost if lost > 0 else None


def compute_tail_ratio(*, returns: Series) -> float | None:
    """|95th percentile| / |5th percentile|, linear interpolation."""
    low, high = np.percentile(returns_of(returns), [5.0, 95.0])
    return float(abs(high) / abs(low)) if low != 0 else None


def compute_rolling_sharpe(
    *, returns: Series, window: int, rate: float = 0.0, periods_a_year: float = 1.0
) -> FloatArray:
    """Sharpe over each trailing window; shape (n,), NaN before the window is full or when flat."""
    values = returns_of(returns)
    if window < 2:
        raise InvalidInput("a window has at least two returns", code="too_short")
    rolled: FloatArray = np.full(values.size, np.nan)
    if values.size < window:
        return rolled
    views = np.lib.stride_tricks.sliding_window_view(values - rate, window)
    means, spreads = views.mean(axis=1), views.std(axis=1, ddof=1)
    flat = spreads <= _FLAT * np.maximum(np.abs(views).max(axis=1), 1e-300)
    scale = math.sqrt(positive_of(periods_a_year, name="periods_a_year"))
    rolled[window - 1 :] = np.where(flat, np.nan, means / np.where(flat, 1.0, spreads)) * scale
    return rolled
