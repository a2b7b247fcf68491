"""Drawdown of compounded equity, counted from the starting point.

Signs: a drawdown is <= 0 (-0.2 is twenty percent below the peak).  The first equity is 1, so a loss
in the first period is a drawdown.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from risk.domain.ratios.series import FloatArray, Series, positive_of, returns_of


def compute_drawdowns(*, returns: Series) -> FloatArray:
    """Equity over its peak so far, less 1; shape (n + 1,), the first value 0."""
    equity = np.concatenate(([1.0], np.cumprod(1.0 + returns_of(returns))))
    drawdowns: FloatArray = equity / np.maximum.accumulate(equity) - 1.0
    return drawdowns


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawdownEpisode:
    """One fall from a peak, in periods after the start; ``recovered_at`` is None while it lasts."""

    peak_at: int
    trough_at: int
    recovered_at: int | None
    depth: float


def find_drawdown_episodes(*, returns: Series) -> tuple[DrawdownEpisode, ...]:
    """Every stretch below a peak in order of time; depth is the lowest point, < 0."""
    drawdowns = compute_drawdowns(returns=returns)
    episodes: list[DrawdownEpisode] = []
    under = np.flatnonzero(drawdowns < 0)
    if under.size == 0:
        return ()
    for stretch in np.split(under, np.flatnonzero(np.diff(under) > 1) + 1):
        first, last = int(stretch[0]), int(stretch[-1])
        trough = first + int(np.argmin(drawdowns[first : last + 1]))
        episodes.append(
            DrawdownEpisode(
                peak_at=first - 1,
                trough_at=trough,
                recovered_at=last + 1 if last + 1 < drawdowns.size else None,
                depth=float(drawdowns[trough]),
            )
        )
    return tuple(episodes)


def compute_drawdown_max(*, returns: Series) -> float:
    """The deepest drawdown, <= 0."""
    return float(compute_drawdowns(returns=returns).min())


def compute_ulcer_index(*, returns: Series) -> float:
    """sqrt(mean(drawdown^2)) with the starting point counted (Martin and McCann 1989)."""
    return float(np.sqrt(np.mean(compute_drawdowns(returns=returns) ** 2)))


def compute_growth_rate(*, returns: Series, years: float) -> float:
    """CAGR over calendar ``years`` (> 0): product(1 + r)^(1/years) - 1."""
    growth = float(np.prod(1.0 + returns_of(returns)))
    return float(growth ** (1.0 / positive_of(years, name="years"))) - 1.0
