"""Liquidity pools: equal highs and equal lows, where stops plausibly rest.

Two living swings of one timeframe and side within 0.15 A of that timeframe, at least three bars
apart, make a pool at the outer one of them; the pool reaches 0.25 A further out.  It is known when
the second swing is confirmed and ends like a swing.  Sweeps are events (see ``levels``).
"""

from __future__ import annotations

import numpy as np

from trading.domain.compiled import compiled_part
from trading.domain.magnets.levels import ABOVE, LIQUIDITY, STRUCTURAL, add_level
from trading.domain.magnets.state import KINDS, N_ACTIVE, Constants, State
from trading.domain.magnets.types import LevelKind

EQUAL_HIGHS = KINDS.index(LevelKind.EQUAL_HIGHS)
EQUAL_LOWS = KINDS.index(LevelKind.EQUAL_LOWS)
POOL_DEPTH = 0.25
"""How far a pool reaches beyond its level, in ATR of its timeframe."""


@compiled_part
def pair_extremes(
    state: State, c: Constants, swing: int, atr: float, bar_ms: int, close_time: int
) -> None:
    """Add the pool that a newly confirmed ``swing`` makes with living swings beside it, if any."""
    if np.isnan(atr):
        return
    new = state.levels[swing]
    outer = new["price"]
    partners = 0
    for position in range(state.counts[N_ACTIVE]):
        row = state.levels[state.active[position]]
        if (
            row["dead_at"] >= 0
            or row["family"] != STRUCTURAL
            or row["kind"] != new["kind"]
            or row["timeframe"] != new["timeframe"]
            or new["created_at"] - row["created_at"] < c.equal_bars_apart * bar_ms
            or abs(row["price"] - new["price"]) > c.equal_tolerance * atr
        ):
            continue
        partners += 1
        if new["side"] == ABOVE:
            outer = max(outer, row["price"])
        else:
            outer = min(outer, row["price"])
    if partners == 0:
        return
    above = new["side"] == ABOVE
    add_level(
        state,
        EQUAL_HIGHS if above else EQUAL_LOWS,
        LIQUIDITY,
        new["timeframe"],
        new["side"],
        outer,
        outer + POOL_DEPTH * atr if above else outer - POOL_DEPTH * atr,
        new["volume_rank"],
        c.weight_main,
        new["timeframe_factor"],
        new["half_life"],
        new["created_at"],
        close_time,
        new["expires_at"],
    )
