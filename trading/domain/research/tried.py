"""Tried variants with their figures, as one number matrix that workers send home.

A row of the matrix is a variant: its number in the grid, trades, deepest fall, return and fall of
the seen days, the moments of :func:`..marks.summarise`, then both sums between all edges.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trading.domain.backtest.kernel.variants import SUMS
from trading.domain.research.moments import DayMoments
from trading.domain.research.space import SweepSpace
from trading.domain.research.trials import TrialFacts
from trading.domain.research.variants import Tried

YEAR = math.sqrt(365.0)
#: A deviation of daily returns that counts as none.
FLAT = 1e-12
HEAD = 5
FloatColumn = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One tried variant; ``facts`` None where it never traded.  Sharpe ratios are annual."""

    parameters: Mapping[str, Any]
    facts: TrialFacts | None
    seen: float
    unseen: float
    total_return: float
    drawdown_max: float
    trades: int
    seen_return: float = 0.0
    seen_fall: float = 0.0


def encode_tried(tried: Tried, places: Sequence[int]) -> FloatColumn:
    """The matrix of tried variants, whose numbers in the grid are ``places``."""
    numbers = np.asarray(places, dtype=np.float64)[tried.places]
    head = np.column_stack((numbers, tried.trades, tried.falls, tried.path))
    return np.hstack((head, tried.sums, tried.moments.sums, tried.moments.squares))


def read_moments(rows: FloatColumn, edges: Sequence[int]) -> DayMoments:
    """The moments of a matrix; raises ``ValueError`` where its width is not that of ``edges``."""
    sums, squares = np.split(rows[:, HEAD + SUMS :], 2, axis=1)
    if sums.shape[1] != len(edges) - 1:
        raise ValueError("the rows were measured between other days")
    return DayMoments(edges=tuple(edges), sums=sums, squares=squares)


def read_variants(rows: FloatColumn, space: SweepSpace, days: int) -> tuple[Variant, ...]:
    """The variants of a matrix with their figures."""
    sums = rows[:, HEAD : HEAD + SUMS]
    seen, unseen = (_ratios(sums[:, k], sums[:, k + 1]) * YEAR for k in (6, 8))
    return tuple(
        Variant(
            parameters=space.at(int(rows[k, 0])),
            facts=_facts(sums[k], days),
            seen=float(seen[k]),
            unseen=float(unseen[k]),
            total_return=float(sums[k, 0]),
            drawdown_max=float(rows[k, 2]),
            trades=int(rows[k, 1]),
            seen_return=float(rows[k, 3]),
            seen_fall=float(rows[k, 4]),
        )
        for k in range(rows.shape[0])
    )


def _ratios(mean: FloatColumn, spread: FloatColumn) -> FloatColumn:
    moved = spread > FLAT
    return np.asarray(np.where(moved, mean / np.where(moved, spread, 1.0), 0.0))


def _facts(sums: FloatColumn, days: int) -> TrialFacts | None:
    """The facts of a trial from its moments; None where nothing moved."""
    mean, spread, second, third, fourth = sums[1:6].tolist()
    if days <= 2 or not spread > FLAT:
        return None
    return TrialFacts(
        sharpe=mean / spread,
        days=days,
        skewness=third / second**1.5,
        kurtosis=fourth / second**2,
    )
