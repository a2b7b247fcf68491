"""Structural levels: swing highs and lows of the 1h, 4h and 1d bars.

A swing high of order n at bar i: ``H[i] > H[i-k]`` and ``H[i] >= H[i+k]`` for k = 1..n, so a tie
makes one pivot, the earliest.  It is known at the close of bar i+n and lives until a close of its
own timeframe beyond it, or until its life is over.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from trading.domain.compiled import compiled_part
from trading.domain.magnets.levels import ABOVE, BELOW, STRUCTURAL, add_level
from trading.domain.magnets.state import KINDS, RING_MASK, Constants, State
from trading.domain.magnets.types import LevelKind

SWING_HIGH = KINDS.index(LevelKind.SWING_HIGH)
SWING_LOW = KINDS.index(LevelKind.SWING_LOW)


@compiled_part
def rank_volume(state: State, ring: int, index: int, length: int) -> float:
    """Share of the ``length`` bars before ``index`` with volume <= that bar's; 0 without any."""
    bars = state.rings[ring]
    first = max(0, index - length, state.ring_counts[ring] - bars.shape[0])
    if index <= first:
        return 0.0
    own = bars[index & RING_MASK]["volume"]
    count = 0
    for i in range(first, index):
        if bars[i & RING_MASK]["volume"] <= own:
            count += 1
    return float(count / (index - first))


@compiled_part
def is_swing(state: State, ring: int, index: int, order: int, sign: float) -> bool:
    """Whether bar ``index`` is a swing high (sign +1) or low (sign -1) of ``order``."""
    bars = state.rings[ring]
    centre = bars[index & RING_MASK]
    extreme = centre["high"] if sign > 0 else -centre["low"]
    for k in range(1, order + 1):
        before = bars[(index - k) & RING_MASK]
        after = bars[(index + k) & RING_MASK]
        left = before["high"] if sign > 0 else -before["low"]
        right = after["high"] if sign > 0 else -after["low"]
        if extreme <= left or extreme < right:
            return False
    return True


@compiled_part
def confirm_swings(
    state: State, c: Constants, timeframe: int, close_time: int, found: NDArray[np.int64]
) -> int:
    """Add the swings that the newest bar of ``timeframe`` confirms; their rows go to ``found``."""
    order = c.swing_order[timeframe]
    index = state.ring_counts[timeframe] - 1 - order
    if index - order < 0:
        return 0
    count = 0
    bar = state.rings[timeframe][index & RING_MASK]
    for sign in (1.0, -1.0):
        if not is_swing(state, timeframe, index, order, sign):
            continue
        price = bar["high"] if sign > 0 else bar["low"]
        found[count] = add_level(
            state,
            SWING_HIGH if sign > 0 else SWING_LOW,
            STRUCTURAL,
            timeframe,
            ABOVE if sign > 0 else BELOW,
            price,
            price,
            rank_volume(state, timeframe, index, c.rank_bars[timeframe]),
            c.weight_main,
            c.factor_timeframe[timeframe],
            c.half_life[timeframe],
            bar["close_time"],
            close_time,
            int(bar["close_time"] + c.life[timeframe]),
        )
        count += 1
    return count
