"""Drawdown and growth of equity.

Signs: a drawdown is <= 0 (-0.2 is twenty percent below the peak), and below -1 where more than all
was lost.
"""

from __future__ import annotations

import numpy as np

from risk.domain.ratios.series import FloatArray, positive_of


def compute_equity_drawdowns(*, equity: FloatArray, start: float) -> FloatArray:
    """Each value over the highest so far, less 1; ``start`` (> 0) counts among the highest."""
    highest = np.maximum.accumulate(np.maximum(equity, start))
    return np.asarray(equity / highest - 1.0)


def compute_growth_rate(*, growth: float, years: float) -> float:
    """CAGR over calendar ``years`` (> 0): growth^(1/years) - 1.

    ``growth`` is the end over the start; -1 where nothing is left.
    """
    share = 1.0 / positive_of(years, name="years")
    return growth**share - 1.0 if growth > 0 else -1.0
