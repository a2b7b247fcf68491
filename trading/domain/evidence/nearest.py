"""For each decision, the nearest level of each candidate on each side, as known at that bar.

Distances count from 0.25 to 6 A; a level nearer or further is not a candidate for that decision.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trading.domain.compiled import compiled
from trading.domain.evidence.types import Candidate, ControlKind, EvidenceParameters
from trading.domain.magnets.round_numbers import nice
from trading.domain.magnets.types import FloatArray, IntArray, LevelHistory, LevelKind


@dataclass(frozen=True, slots=True, kw_only=True)
class _Recipe:
    """Which level rows make a candidate, which edge is meant, and how long a row stands.

    ``newest`` lets a row stand until the next of its kind, traded or not, instead of its own life.
    """

    kinds: tuple[LevelKind, ...]
    timeframes: tuple[str, ...] = ("1h", "4h", "1d", "1w", "1M")
    far_edge: bool = False
    newest: bool = False


_EQUAL = (LevelKind.EQUAL_HIGHS, LevelKind.EQUAL_LOWS)
_PRIOR = (LevelKind.PRIOR_HIGH, LevelKind.PRIOR_LOW)
_RECIPES: dict[Candidate, _Recipe] = {
    Candidate.STRUCTURAL: _Recipe(kinds=(LevelKind.SWING_HIGH, LevelKind.SWING_LOW)),
    Candidate.EQUAL_EXTREMES: _Recipe(kinds=_EQUAL),
    Candidate.BEYOND_EQUAL: _Recipe(kinds=_EQUAL, far_edge=True),
    Candidate.POC: _Recipe(kinds=(LevelKind.POC,), timeframes=("1d",), newest=True),
    Candidate.NAKED_POC: _Recipe(kinds=(LevelKind.POC,)),
    Candidate.VALUE_AREA: _Recipe(kinds=(LevelKind.VAH, LevelKind.VAL)),
    Candidate.PRIOR_DAY: _Recipe(kinds=_PRIOR, timeframes=("1d",)),
    Candidate.WEEK_MONTH: _Recipe(kinds=_PRIOR, timeframes=("1w", "1M")),
    Candidate.GAP: _Recipe(kinds=(LevelKind.GAP_BULLISH, LevelKind.GAP_BEARISH)),
    Candidate.WALL: _Recipe(kinds=(LevelKind.BID_WALL, LevelKind.ASK_WALL)),
    Candidate.GAMMA: _Recipe(kinds=(LevelKind.CALL_WALL, LevelKind.PUT_WALL)),
}


@compiled
def keep_nearest(
    level_price: Any, first: Any, last: Any, price: Any, atr: Any, low: float, high: float, out: Any
) -> None:
    """Enter each level, alive at decisions ``first``..``last`` - 1, where it is the nearest yet."""
    for level in range(level_price.shape[0]):
        for i in range(first[level], last[level]):
            offset = (level_price[level] - price[i]) / atr[i]
            side = 0 if offset > 0.0 else 1
            distance = abs(offset)
            if not low <= distance <= high:
                continue
            if np.isnan(out[i, side]) or distance < abs(out[i, side] - price[i]) / atr[i]:
                out[i, side] = level_price[level]


@compiled
def find_grid_lines(price: Any, atr: Any, share: float, low: float, high: float, out: Any) -> None:
    """The nearest lines of the round grid at least ``low`` and at most ``high`` A away."""
    for i in range(price.shape[0]):
        step = nice(share * price[i])
        above = np.ceil((price[i] + low * atr[i]) / step) * step
        below = np.floor((price[i] - low * atr[i]) / step) * step
        if above <= price[i] + high * atr[i]:
            out[i, 0] = above
        if below > 0.0 and below >= price[i] - high * atr[i]:
            out[i, 1] = below


def find_nearest_levels(
    *,
    levels: LevelHistory,
    decisions: IntArray,
    price: FloatArray,
    atr: FloatArray,
    round_shares: tuple[float, float],
    parameters: EvidenceParameters,
) -> dict[Candidate, FloatArray]:
    """Nearest level prices of shape (m, 2), above and below, NaN where there is none.

    ``decisions`` are bar indices, ``price`` and ``atr`` their closes and ranges.  Only candidates
    that occur at all are returned.
    """
    now = levels.bar_known_at[decisions]
    low, high = parameters.distance_min, parameters.distance_max
    found: dict[Candidate, FloatArray] = {}
    for candidate, recipe in _RECIPES.items():
        rows = np.isin(levels.kind, [kind.value for kind in recipe.kinds])
        rows &= np.isin(levels.timeframe, recipe.timeframes)
        if not rows.any():
            continue
        known = levels.known_at[rows]
        if recipe.newest:
            dead = np.append(known[1:], np.iinfo(np.int64).max)
        else:
            dead = np.where(levels.dead_at[rows] < 0, np.iinfo(np.int64).max, levels.dead_at[rows])
        found[candidate] = _empty(decisions)
        keep_nearest(
            (levels.price_far if recipe.far_edge else levels.price)[rows],
            np.searchsorted(now, known, side="left"),
            np.searchsorted(now, dead, side="left"),
            price,
            atr,
            low,
            high,
            found[candidate],
        )
    found[Candidate.VWAP] = _pick_nearest(levels.vwap[decisions], price, atr, low, high)
    grids = zip((Candidate.ROUND_MINOR, Candidate.ROUND_MAJOR), round_shares, strict=True)
    for candidate, share in grids:
        found[candidate] = _empty(decisions)
        find_grid_lines(price, atr, share, low, high, found[candidate])
    return found


def find_control_levels(
    *,
    levels: LevelHistory,
    close: FloatArray,
    decisions: IntArray,
    price: FloatArray,
    atr: FloatArray,
    parameters: EvidenceParameters,
    seed: int,
) -> dict[ControlKind, FloatArray]:
    """Levels without meaning in the same shape: random prices, moved prior days, past closes."""
    generator = np.random.default_rng(seed)
    low, high = parameters.distance_min, parameters.distance_max
    away = generator.uniform(low, high, size=(decisions.size, 2)) * atr[:, None]
    random_price = price[:, None] + away * np.array([1.0, -1.0])

    rows = np.isin(levels.kind, ["prior_high", "prior_low"]) & (levels.timeframe == "1d")
    prior = np.full((decisions.size, 2), np.nan)
    now = levels.bar_known_at[decisions]
    for column, kind in enumerate(("prior_high", "prior_low")):
        mine = rows & (levels.kind == kind)
        newest = np.searchsorted(levels.known_at[mine], now, side="right") - 1
        known = newest >= 0
        prior[known, column] = levels.price[mine][newest[known]]
    shift = generator.uniform(0.5, 2.0, size=prior.shape) * atr[:, None]
    jittered = prior + shift * generator.choice([-1.0, 1.0], size=prior.shape)

    back = generator.integers(1, parameters.past_close_bars + 1, size=(decisions.size, 2))
    source = decisions[:, None] - back
    past = np.where(source >= 0, close[np.maximum(source, 0)], np.nan)
    return {
        ControlKind.RANDOM_PRICE: random_price,
        ControlKind.JITTERED_PRIOR_DAY: _pick_nearest(jittered, price, atr, low, high),
        ControlKind.PAST_CLOSE: _pick_nearest(past, price, atr, low, high),
    }


def _empty(decisions: IntArray) -> FloatArray:
    return np.full((decisions.size, 2), np.nan)


def _pick_nearest(
    prices: NDArray[np.float64], price: FloatArray, atr: FloatArray, low: float, high: float
) -> FloatArray:
    """Of several prices a decision (m, k), the nearest within reach on each side (m, 2)."""
    offset = (prices - price[:, None]) / atr[:, None]
    out = np.full((price.size, 2), np.nan)
    for side, sign in enumerate((1.0, -1.0)):
        distance = offset * sign
        distance = np.where((distance >= low) & (distance <= high), distance, np.inf)
        best = distance.argmin(axis=1)
        rows = np.arange(price.size)
        usable = np.isfinite(distance[rows, best])
        out[usable, side] = prices[rows, best][usable]
    return out
