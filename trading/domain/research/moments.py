"""Daily returns of many variants reduced to what judging them needs.

A Sharpe ratio of any stretch of days follows from the sum and the sum of squares of its returns.
Cross-validation and walk-forward look at stretches that are known before anything is run, so a
variant is kept as those sums between the edges of the stretches: some hundred numbers instead of
thousands of days, and workers on several machines can send them home.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from risk.domain.ratios import compute_sharpe_of_sums

CSCV_BLOCKS = 10
TRAIN_DAYS, TEST_DAYS, EMBARGO_DAYS = 365, 90, 5
FloatColumn = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Days ``[first, stop)`` to learn on, and days ``[start, end)`` to trade."""

    first: int
    stop: int
    start: int
    end: int


@dataclass(frozen=True, kw_only=True)
class DayMoments:
    """Sums and sums of squares of daily returns between ``edges``; shape (variants, gaps)."""

    edges: tuple[int, ...]
    sums: FloatColumn
    squares: FloatColumn

    @property
    def days(self) -> int:
        """Days of the whole record."""
        return self.edges[-1]

    @cached_property
    def by_gap(self) -> tuple[FloatColumn, FloatColumn]:
        """Both sums with a row for each gap: the variants of a gap beside each other."""
        return np.ascontiguousarray(self.sums.T), np.ascontiguousarray(self.squares.T)

    @property
    def variants(self) -> int:
        """Variants that were measured."""
        return int(self.sums.shape[0])

    def between(self, first: int, stop: int) -> tuple[FloatColumn, FloatColumn]:
        """Both sums of every variant over days ``[first, stop)``, each of them an edge."""
        part = slice(self.edges.index(first), self.edges.index(stop))
        sums, squares = self.by_gap
        return sums[part].sum(axis=0), squares[part].sum(axis=0)

    def sharpe_between(self, first: int, stop: int) -> FloatColumn:
        """Daily Sharpe of every variant over days ``[first, stop)``; 0 where nothing moved."""
        sums, squares = self.between(first, stop)
        return compute_sharpe_of_sums(sums=sums, squares=squares, count=stop - first)


def find_edges(days: int) -> tuple[int, ...]:
    """Every day on which a block or a stretch begins or ends, in order, from 0 to ``days``."""
    edges = {0, days, *find_block_edges(days)}
    for kind in ("anchored", "rolling"):
        for item in find_stretches(days, kind=kind):
            edges |= {item.first, item.stop, item.start, item.end}
    return tuple(sorted(edges))


def find_block_edges(days: int, blocks: int = CSCV_BLOCKS) -> tuple[int, ...]:
    """The edges of equal blocks; the days left over at the end belong to none."""
    return tuple(k * (days // blocks) for k in range(blocks + 1))


def find_stretches(
    days: int,
    *,
    kind: str,
    train_days: int = TRAIN_DAYS,
    test_days: int = TEST_DAYS,
    embargo_days: int = EMBARGO_DAYS,
) -> list[Stretch]:
    """The stretches of a walk-forward; empty where there are fewer than two.

    ``anchored`` learns from the first day on, ``rolling`` from the last ``train_days``; the
    embargo days between learning and trading belong to neither, so that no trade stands in both.
    """
    found = [
        Stretch(
            first=0 if kind == "anchored" else start - embargo_days - train_days,
            stop=start - embargo_days,
            start=start,
            end=start + test_days,
        )
        for start in range(train_days + embargo_days, days - test_days + 1, test_days)
    ]
    return found if len(found) > 1 else []
