"""What every level goes through: it is added, touched, ended, and followed for late events.

A touch counts when a bar comes within 0.1 A of the level after a close at least 1 A away from it.
Touches fade with the level's half-life; the row keeps their decayed sum.  A developing average
moves with the price that would touch it, so it has no touches.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from trading.domain.compiled import compiled_part
from trading.domain.magnets.state import (
    EVENTS,
    FAMILIES,
    KINDS,
    N_ACTIVE,
    N_EVENTS,
    N_EXTERNAL,
    N_LEVELS,
    SIDES,
    Constants,
    State,
)
from trading.domain.magnets.types import EventKind, Family, LevelKind, SideRule

TOUCHED = EVENTS.index(EventKind.TOUCHED)
SWEPT = EVENTS.index(EventKind.SWEPT)
BROKEN = EVENTS.index(EventKind.BROKEN)
TRADED = EVENTS.index(EventKind.TRADED)
FILLED = EVENTS.index(EventKind.FILLED)
INVERTED = EVENTS.index(EventKind.INVERTED)
REPLACED = EVENTS.index(EventKind.REPLACED)
EXPIRED = EVENTS.index(EventKind.EXPIRED)

ABOVE = SIDES.index(SideRule.ABOVE)
BELOW = SIDES.index(SideRule.BELOW)
EITHER = SIDES.index(SideRule.EITHER)

STRUCTURAL = FAMILIES.index(Family.STRUCTURAL)
LIQUIDITY = FAMILIES.index(Family.LIQUIDITY)
GAP = FAMILIES.index(Family.GAP)
POC = KINDS.index(LevelKind.POC)
VWAP = KINDS.index(LevelKind.VWAP)
GAP_BULLISH = KINDS.index(LevelKind.GAP_BULLISH)


@compiled_part
def add_event(state: State, level: int, kind: int, price: float, known_at: int) -> None:
    """Append one event of a level."""
    n = state.counts[N_EVENTS]
    event = state.events[n]
    event["level"] = level
    event["kind"] = kind
    event["price"] = price
    event["known_at"] = known_at
    state.counts[N_EVENTS] = n + 1


@compiled_part
def add_level(
    state: State,
    kind: int,
    family: int,
    timeframe: int,
    side: int,
    price: float,
    price_far: float,
    volume_rank: float,
    weight: float,
    timeframe_factor: float,
    half_life: float,
    created_at: int,
    known_at: int,
    expires_at: int,
) -> int:
    """Append a living level and return its row number; its first touch needs an excursion first."""
    n = state.counts[N_LEVELS]
    row = state.levels[n]
    row["kind"] = kind
    row["family"] = family
    row["timeframe"] = timeframe
    row["side"] = side
    row["price"] = price
    row["price_far"] = price_far
    row["volume_rank"] = volume_rank
    row["weight"] = weight
    row["timeframe_factor"] = timeframe_factor
    row["half_life"] = half_life
    row["created_at"] = created_at
    row["known_at"] = known_at
    row["dead_at"] = -1
    row["expires_at"] = expires_at
    row["touches"] = 0
    row["touch_sum"] = 0.0
    row["touch_at"] = known_at
    row["armed"] = 0
    row["watch"] = 0
    state.counts[N_LEVELS] = n + 1
    active = state.counts[N_ACTIVE]
    state.active[active] = n
    state.counts[N_ACTIVE] = active + 1
    return int(n)


@compiled_part
def end_level(state: State, level: int, kind: int, known_at: int) -> None:
    """Close a level's life and say why."""
    row = state.levels[level]
    row["dead_at"] = known_at
    add_event(state, level, kind, row["price"], known_at)


@compiled_part
def fade(elapsed: float, half_life: float) -> float:
    """``2^(-elapsed / half_life)``; a half-life of 0 means that nothing fades."""
    if half_life <= 0.0 or elapsed <= 0.0:
        return 1.0
    return math.pow(2.0, -elapsed / half_life)


@compiled_part
def count_touch(
    state: State, c: Constants, level: int, bar: Any, atr: float, close_time: int
) -> None:
    """Count a touch of this bar, then arm the level if the bar closed far enough away."""
    row = state.levels[level]
    price = row["price"]
    away = max(0.0, bar["low"] - price, price - bar["high"])
    if row["armed"] == 1 and away <= c.touch_distance * atr:
        row["touch_sum"] = 1.0 + row["touch_sum"] * fade(
            close_time - row["touch_at"], row["half_life"]
        )
        row["touch_at"] = close_time
        row["touches"] += 1
        row["armed"] = 0
        add_event(state, level, TOUCHED, price, close_time)
    if abs(bar["close"] - price) >= c.touch_excursion * atr:
        row["armed"] = 1


@compiled_part
def follow_gap(state: State, level: int, bar: Any, close_time: int) -> None:
    """After its near edge traded, a gap is followed until its far edge is reached."""
    row = state.levels[level]
    bullish = row["kind"] == GAP_BULLISH
    reached = bar["low"] <= row["price_far"] if bullish else bar["high"] >= row["price_far"]
    if row["watch"] == 1 and reached:
        add_event(state, level, FILLED, row["price_far"], close_time)
        row["watch"] = 2


@compiled_part
def follow_levels(state: State, c: Constants, bar: Any, atr: float, close_time: int) -> None:
    """Take every known level through one hourly bar: touches, trades, ends of life."""
    kept = 0
    for position in range(state.counts[N_ACTIVE]):
        level = state.active[position]
        row = state.levels[level]
        over = 0 <= row["expires_at"] <= close_time
        if row["dead_at"] < 0:
            if not np.isnan(atr) and row["kind"] != VWAP:
                count_touch(state, c, level, bar, atr, close_time)
            traded = False
            if row["kind"] == POC:
                traded = bar["low"] <= row["price"] <= bar["high"]
            elif row["family"] == GAP:
                if row["side"] == BELOW:
                    traded = bar["low"] <= row["price"]
                else:
                    traded = bar["high"] >= row["price"]
            if traded:
                end_level(state, level, TRADED, close_time)
                row["watch"] = 1 if row["family"] == GAP else 0
            elif over:
                end_level(state, level, EXPIRED, close_time)
        if row["dead_at"] >= 0 and row["family"] == GAP and row["watch"] > 0:
            follow_gap(state, level, bar, close_time)
            if over:
                row["watch"] = 0
        if row["dead_at"] < 0 or row["watch"] > 0:
            state.active[kept] = level
            kept += 1
    state.counts[N_ACTIVE] = kept


@compiled_part
def judge_close(state: State, c: Constants, timeframe: int, bar: Any, close_time: int) -> None:
    """Test a closed bar of ``timeframe`` against the swings, pools and gaps of that timeframe.

    A close beyond a swing or a pool ends it; a wick beyond with a close back, in the same bar or
    within ``sweep_bars`` bars, is a sweep, known at the close that returns.
    """
    for position in range(state.counts[N_ACTIVE]):
        level = state.active[position]
        row = state.levels[level]
        if row["timeframe"] != timeframe or row["known_at"] >= close_time:
            continue
        if row["family"] == GAP:
            if row["watch"] > 0:
                low_side = row["side"] == BELOW
                close = bar["close"]
                through = close < row["price_far"] if low_side else close > row["price_far"]
                if through:
                    add_event(state, level, INVERTED, row["price_far"], close_time)
                    row["watch"] = 0
            continue
        if row["family"] != STRUCTURAL and row["family"] != LIQUIDITY:
            continue
        if row["side"] == ABOVE:
            beyond, wick = bar["close"] > row["price"], bar["high"] > row["price"]
        else:
            beyond, wick = bar["close"] < row["price"], bar["low"] < row["price"]
        if row["dead_at"] < 0:
            if beyond:
                end_level(state, level, BROKEN, close_time)
                row["watch"] = c.sweep_bars - 1
            elif wick:
                add_event(state, level, SWEPT, row["price"], close_time)
        elif row["watch"] > 0:
            if beyond:
                row["watch"] -= 1
            else:
                add_event(state, level, SWEPT, row["price"], close_time)
                row["watch"] = 0


@compiled_part
def admit_external(state: State, close_time: int) -> None:
    """Add the levels of outside sources (walls) that became known by this close."""
    n = state.counts[N_EXTERNAL]
    while n < state.external.shape[0] and state.external[n]["known_at"] <= close_time:
        row = state.external[n]
        level = add_level(
            state,
            row["kind"],
            row["family"],
            row["timeframe"],
            row["side"],
            row["price"],
            row["price_far"],
            row["volume_rank"],
            row["weight"],
            row["timeframe_factor"],
            row["half_life"],
            row["created_at"],
            row["known_at"],
            row["expires_at"],
        )
        if 0 <= row["expires_at"] <= close_time:
            end_level(state, level, EXPIRED, row["expires_at"])
        n += 1
    state.counts[N_EXTERNAL] = n
