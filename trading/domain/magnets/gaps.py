"""Fair-value gaps of the 1h, 4h and 1d bars.

Three closed bars in a row: bullish when the third low lies above the first high (zone H1..L3, the
price comes back from above, so the near edge is L3), bearish when the third high lies below the
first low.  At least 0.25 A of the timeframe wide; known at the close of the THIRD bar; over when
the near edge trades or its life ends; filling and inversion follow as events.
"""

from __future__ import annotations

import numpy as np

from trading.domain.compiled import compiled_part
from trading.domain.magnets.levels import ABOVE, BELOW, GAP, GAP_BULLISH, add_level
from trading.domain.magnets.state import KINDS, RING_MASK, Constants, State
from trading.domain.magnets.structural import rank_volume
from trading.domain.magnets.types import LevelKind

GAP_BEARISH = KINDS.index(LevelKind.GAP_BEARISH)


@compiled_part
def find_gap(
    state: State, c: Constants, timeframe: int, atr: float, bar_ms: int, close_time: int
) -> None:
    """Add the gap that the newest bar of ``timeframe`` completes, if any."""
    count = state.ring_counts[timeframe]
    if count < 3 or np.isnan(atr):
        return
    bars = state.rings[timeframe]
    first = bars[(count - 3) & RING_MASK]
    middle = bars[(count - 2) & RING_MASK]
    third = bars[(count - 1) & RING_MASK]
    if third["close_time"] - first["close_time"] != 2 * bar_ms:
        return
    if third["low"] - first["high"] >= c.gap_size_min * atr:
        kind, side, near, far = GAP_BULLISH, BELOW, third["low"], first["high"]
    elif first["low"] - third["high"] >= c.gap_size_min * atr:
        kind, side, near, far = GAP_BEARISH, ABOVE, third["high"], first["low"]
    else:
        return
    add_level(
        state,
        kind,
        GAP,
        timeframe,
        side,
        near,
        far,
        rank_volume(state, timeframe, count - 2, c.rank_bars[timeframe]),
        c.weight_gap,
        c.factor_timeframe[timeframe],
        c.half_life[timeframe],
        middle["close_time"],
        close_time,
        int(middle["close_time"] + c.life[timeframe]),
    )
