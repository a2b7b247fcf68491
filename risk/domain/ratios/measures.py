"""Ratios of return to risk.  Float64; ``None`` where the divisor is zero, never infinity.

Conventions: simple period returns; standard deviation with ddof 1; rates and targets are per
period; annual figures multiply by the square root of the periods in a year (365 for markets that
never close).
"""

from __future__ import annotations

import math

import numpy as np

from magnetfund.kernel.errors import InvalidInput
from risk.domain.ratios.series import FloatArray, Series, positive_of, returns_of

#: A spread this small against the size of the returns is rounding of a constant series.
_FLAT = 1e-14
#: A deviation of fractions below which sums and squares say nothing any more.
_STILL = 1e-9


def _sharpe_per_period(excess: FloatArray) -> FloatArray:
    """Mean over deviation along the first axis; NaN for a constant series."""
    spread = np.std(excess, axis=0, ddof=1)
    flat = spread <= _FLAT * np.maximum(np.abs(excess).max(axis=0), 1e-300)
    return np.asarray(np.where(flat, np.nan, excess.mean(axis=0) / np.where(flat, 1.0, spread)))


def _known(ratio: FloatArray, periods_a_year: float) -> float | None:
    scale = math.sqrt(positive_of(periods_a_year, name="periods_a_year"))
    return None if np.isnan(ratio) else float(ratio) * scale


def compute_sharpe(
    *, returns: Series, rate: float = 0.0, periods_a_year: float = 1.0
) -> float | None:
    """mean(r - rate) / sd(r - rate), ddof 1, times sqrt(periods_a_year) (Sharpe 1994).

    With the default ``periods_a_year`` it is the per-period figure that PSR and DSR take.  ``None``
    for a constant series.  Needs two returns.
    """
    return _known(_sharpe_per_period(returns_of(returns, length_min=2) - rate), periods_a_year)


def compute_sharpe_of_sums(*, sums: FloatArray, squares: FloatArray, count: int) -> FloatArray:
    """Per-period Sharpe of ``count`` returns from their sum and the sum of their squares, ddof 1.

    0 where nothing moved (a deviation under 1e-9) and for a single return.  Windows that share
    days share their sums.
    """
    mean = sums / count
    spread = np.sqrt(np.maximum(squares - count * mean**2, 0.0) / max(count - 1, 1))
    moved = spread > _STILL
    return np.asarray(np.where(moved, mean / np.where(moved, spread, 1.0), 0.0))


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


def compute_profit_factor(*, results: Series) -> float | None:
    """Sum of wins over sum of losses of trade results in money or returns; finite values."""
    values = np.asarray(results, dtype=np.float64)
    if not np.isfinite(values).all():
        raise InvalidInput("a result is not finite", code="not_finite")
    lost = -float(values[values < 0].sum())
    return float(values[values > 0].sum()) / lost if lost > 0 else None


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
    scale = math.sqrt(positive_of(periods_a_year, name="periods_a_year"))
    rolled[window - 1 :] = _sharpe_per_period(views.T) * scale
    return rolled
