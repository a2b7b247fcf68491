"""What price did after each decision: level or mirror first, hit within a day, bounce or not."""

from __future__ import annotations

from typing import Any

import numpy as np

from trading.domain.compiled import compiled
from trading.domain.evidence.types import EvidenceParameters
from trading.domain.magnets.types import FloatArray, IntArray

MIRROR_FIRST, LEVEL_FIRST, BOTH, NEITHER, NO_LEVEL = range(5)


@compiled
def race(
    high: Any, low: Any, decisions: Any, price: Any, level: Any, horizon: int, out: Any
) -> None:
    """Code per decision and side which of level and mirror point a later bar reached first."""
    last = high.shape[0] - 1
    for i in range(decisions.shape[0]):
        for side in range(2):
            target = level[i, side]
            if np.isnan(target):
                out[i, side] = NO_LEVEL
                continue
            upper = max(target, 2.0 * price[i] - target)
            lower = min(target, 2.0 * price[i] - target)
            out[i, side] = NEITHER
            for j in range(decisions[i] + 1, min(last, decisions[i] + horizon) + 1):
                up, down = high[j] >= upper, low[j] <= lower
                if up and down:
                    out[i, side] = BOTH
                elif up:
                    out[i, side] = LEVEL_FIRST if target > price[i] else MIRROR_FIRST
                elif down:
                    out[i, side] = LEVEL_FIRST if target < price[i] else MIRROR_FIRST
                else:
                    continue
                break


@compiled
def measure_excursions(
    high: Any, low: Any, decisions: Any, price: Any, atr: Any, horizon: int, out: Any
) -> None:
    """Farthest move up (column 0) and down (1) within ``horizon`` bars, in A; NaN near the end."""
    for i in range(decisions.shape[0]):
        first = decisions[i] + 1
        if first + horizon > high.shape[0]:
            continue
        top, bottom = -np.inf, np.inf
        for j in range(first, first + horizon):
            top = max(top, high[j])
            bottom = min(bottom, low[j])
        out[i, 0] = (top - price[i]) / atr[i]
        out[i, 1] = (price[i] - bottom) / atr[i]


@compiled
def find_bounce(
    high: Any,
    low: Any,
    close: Any,
    decision: int,
    level: float,
    above: bool,
    horizon: int,
    wait: int,
) -> float:
    """1 when the close ``wait`` bars after the first touch is back on the approach side, 0 when it
    is not, NaN without a touch within ``horizon`` bars (or when the data end)."""
    for j in range(decision + 1, min(high.shape[0], decision + 1 + horizon)):
        if (high[j] >= level) if above else (low[j] <= level):
            if j + wait >= close.shape[0]:
                return np.nan
            back = close[j + wait] < level if above else close[j + wait] > level
            return 1.0 if back else 0.0
    return np.nan


@compiled
def compare_bounces(
    high: Any,
    low: Any,
    close: Any,
    decisions: Any,
    price: Any,
    atr: Any,
    level: Any,
    partners: Any,
    horizon: int,
    wait: int,
    out: Any,
) -> None:
    """Bounce of each touched level less the mean bounce at equal distance of its partners.

    ``partners`` (m, 2, k) are decisions of the same cell; a pair without a partner's touch is NaN.
    """
    for i in range(decisions.shape[0]):
        for side in range(2):
            target = level[i, side]
            if np.isnan(target):
                continue
            above = side == 0
            own = find_bounce(high, low, close, decisions[i], target, above, horizon, wait)
            if np.isnan(own):
                continue
            distance = (target - price[i]) / atr[i]
            total, count = 0.0, 0
            for k in range(partners.shape[2]):
                other = partners[i, side, k]
                place = price[other] + distance * atr[other]
                found = find_bounce(high, low, close, decisions[other], place, above, horizon, wait)
                if not np.isnan(found):
                    total += found
                    count += 1
            if count > 0:
                out[i, side] = own - total / count


def number_cells(
    *,
    bar_known_at: IntArray,
    close: FloatArray,
    decisions: IntArray,
    volatility: FloatArray,
    momentum_bars: int,
) -> IntArray:
    """The cell of each decision: 4-hour bucket x volatility tercile x momentum tercile; -1 none.

    Volatility is A/price, momentum the return over ``momentum_bars``; terciles over the decisions
    given (they group outcomes for comparison and never enter a signal).
    """
    before = decisions - momentum_bars
    usable = before >= 0
    momentum = np.zeros(decisions.size)
    momentum[usable] = close[decisions[usable]] / close[before[usable]] - 1.0
    bucket = bar_known_at[decisions] // 3_600_000 % 24 // 4
    cells = bucket * 9 + 3 * _tercile(volatility, usable) + _tercile(momentum, usable)
    return np.where(usable, cells, -1)


def _tercile(values: FloatArray, usable: Any) -> IntArray:
    edges = np.quantile(values[usable], [1 / 3, 2 / 3]) if usable.any() else [0.0, 0.0]
    return np.searchsorted(edges, values, side="right").astype(np.int64)


def compare_hits(
    *, level: FloatArray, price: FloatArray, atr: FloatArray, excursion: FloatArray, cells: IntArray
) -> FloatArray:
    """Hit (1 or 0) less the share of decisions of the same cell and side that moved as far; (m, 2).

    NaN without a level, a cell or a full horizon.
    """
    out = np.full(level.shape, np.nan)
    distance = np.abs(level - price[:, None]) / atr[:, None]
    for side in range(2):
        for cell in np.unique(cells[cells >= 0]):
            mine = np.flatnonzero((cells == cell) & np.isfinite(excursion[:, side]))
            reached = np.sort(excursion[mine, side])
            asked = mine[np.isfinite(distance[mine, side])]
            place = np.searchsorted(reached, distance[asked, side], side="left")
            share = 1.0 - place / max(1, reached.size)
            out[asked, side] = (excursion[asked, side] >= distance[asked, side]) - share
    return out


def draw_partners(*, cells: IntArray, draws: int, seed: int) -> IntArray:
    """For each decision and side, ``draws`` decisions of the same cell; shape (m, 2, draws)."""
    generator = np.random.default_rng(seed)
    partners = np.repeat(np.arange(cells.size)[:, None], 2 * draws, axis=1)
    for cell in np.unique(cells[cells >= 0]):
        mine = np.flatnonzero(cells == cell)
        partners[mine] = generator.choice(mine, size=(mine.size, 2 * draws))
    return partners.reshape(cells.size, 2, draws).astype(np.int64)


def race_levels(
    *,
    high: FloatArray,
    low: FloatArray,
    decisions: IntArray,
    price: FloatArray,
    level: FloatArray,
    parameters: EvidenceParameters,
) -> IntArray:
    """Outcome codes (m, 2) of the symmetric first touch."""
    out = np.full(level.shape, NO_LEVEL, dtype=np.int64)
    race(high, low, decisions, price, level, parameters.horizon_bars, out)
    return out
