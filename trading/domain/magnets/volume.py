"""Volume levels of completed sessions (POC, value area, nodes) and developing averages.

A session is a day, a week from Monday or a month, in UTC.  Its profile is known at its close: the
point of control lives until price trades it (naked) or 30/90/180 days are over, the value area's
edges and the nodes until the next session of that length closes.  A developing average is one level
with a moving price, known from the close of its session's first bar, replaced by the next one.
"""

from __future__ import annotations

import numpy as np

from trading.domain.compiled import compiled_part
from trading.domain.magnets.levels import EITHER, POC, REPLACED, VWAP, add_level, end_level
from trading.domain.magnets.profile import (
    NODES_MAX,
    count_rows,
    find_nodes,
    find_poc_row,
    grow_value_area,
    spread_volume,
)
from trading.domain.magnets.state import DAY, FAMILIES, KINDS, RING_MASK, Constants, State
from trading.domain.magnets.types import Family, LevelKind

VOLUME = FAMILIES.index(Family.VOLUME)
VAH = KINDS.index(LevelKind.VAH)
VAL = KINDS.index(LevelKind.VAL)
HVN = KINDS.index(LevelKind.HVN)
LVN = KINDS.index(LevelKind.LVN)
ROWS_MAX = 20_000
"""A session whose range holds more rows than this has no usable profile (A is almost 0)."""


@compiled_part
def add_session_profile(
    state: State, c: Constants, session: int, atr: float, rank: float, created: int, close_time: int
) -> None:
    """Add POC, VAH, VAL and nodes of a session (0 day, 1 week, 2 month) that just closed."""
    forming = state.forming[session + DAY]
    if np.isnan(atr) or atr <= 0.0 or forming["volume"] <= 0.0:
        return
    height = c.row_height[session] * atr
    bottom = forming["low"]
    n_rows = count_rows(bottom, forming["high"], height)
    n_bars = forming["bars"]
    if n_rows > ROWS_MAX or n_bars > state.rings.shape[1]:
        return
    highs, lows, volumes = np.empty(n_bars), np.empty(n_bars), np.empty(n_bars)
    last = state.ring_counts[0]
    k = 0
    for back in range(n_bars + 1, 0, -1):  # one more: the newest bar may belong to the next session
        bar = state.rings[0][(last - back) & RING_MASK]
        if last - back >= 0 and k < n_bars and forming["start"] < bar["close_time"] <= created:
            highs[k], lows[k], volumes[k] = bar["high"], bar["low"], bar["volume"]
            k += 1
    rows = np.zeros(n_rows)
    spread_volume(highs[:k], lows[:k], volumes[:k], bottom, height, rows)
    poc = find_poc_row(rows)
    low, high = grow_value_area(rows, poc, c.value_area_share, 1)
    nodes = np.zeros(NODES_MAX, dtype=np.int64)

    add_volume_level(
        state, c, session, POC, bottom + (poc + 0.5) * height, rank, created, close_time
    )
    add_volume_level(
        state, c, session, VAH, bottom + (high + 0.5) * height, 0.5 * rank, created, close_time
    )
    add_volume_level(
        state, c, session, VAL, bottom + (low + 0.5) * height, 0.5 * rank, created, close_time
    )
    for i in range(find_nodes(rows, rows[poc], 1.0, nodes)):
        price = bottom + (nodes[i] + 0.5) * height
        add_volume_level(state, c, session, HVN, price, rank, created, close_time)
    for i in range(find_nodes(rows, rows[poc], -1.0, nodes)):
        price = bottom + (nodes[i] + 0.5) * height
        add_volume_level(state, c, session, LVN, price, 0.0, created, close_time)


@compiled_part
def add_volume_level(
    state: State,
    c: Constants,
    session: int,
    kind: int,
    price: float,
    rank: float,
    created: int,
    close_time: int,
) -> int:
    """Add one volume level of a session; nodes carry no weight in a zone."""
    expires = int(created + c.poc_life[session]) if kind == POC else -1
    counts = kind != HVN and kind != LVN
    return add_level(
        state,
        kind,
        VOLUME,
        session + 2,
        EITHER,
        price,
        price,
        rank,
        c.weight_main if counts else 0.0,
        c.factor_session[session],
        c.session_half_life[session],
        created,
        close_time,
        expires,
    )


@compiled_part
def update_vwap(state: State, c: Constants, session: int, bar_start: int, close_time: int) -> None:
    """Take the newest hourly bar into the developing average of a session."""
    forming = state.forming[session + DAY]
    bar = state.rings[0][(state.ring_counts[0] - 1) & RING_MASK]
    if bar["volume"] > 0.0:
        x = (bar["high"] + bar["low"] + bar["close"]) / 3.0
        forming["vwap_weight"] += bar["volume"]
        d = x - forming["vwap_mean"]
        forming["vwap_mean"] += d * bar["volume"] / forming["vwap_weight"]
        forming["vwap_m2"] += bar["volume"] * d * (x - forming["vwap_mean"])
    if forming["vwap_weight"] <= 0.0:
        return
    level = forming["vwap_level"]
    if level >= 0 and state.levels[level]["created_at"] != forming["start"]:
        end_level(state, level, REPLACED, close_time)
        level = -1
    if level < 0:
        level = add_volume_level(
            state, c, session, VWAP, forming["vwap_mean"], 0.0, forming["start"], close_time
        )
        forming["vwap_level"] = level
    state.levels[level]["price"] = forming["vwap_mean"]
    state.levels[level]["price_far"] = forming["vwap_mean"]
