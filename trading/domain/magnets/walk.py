"""The walk: one closed hourly bar after another through the state, in compiled code.

Order within a bar: periods that ended before it opened (hours without trading), the bar's own
range, touches and trades of living levels, new hourly levels, then the periods that end at its
close, then zones.  What a bar makes known carries the bar's close as ``known_at``.

A four-hour or daily bar needs all of its hours, as every candle of a higher timeframe does.  A
session's profile and extremes bear up to 5 % of its hours missing (one hour of a day, 36 of a
month), so that a short outage does not blind a month; with more missing it makes no levels, and
those of the session before it are over all the same.  A developing average needs its anchor's bar.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trading.domain.compiled import compiled, compiled_part
from trading.domain.magnets.calendar import period_end, period_start
from trading.domain.magnets.gaps import find_gap
from trading.domain.magnets.levels import admit_external, follow_levels, judge_close
from trading.domain.magnets.liquidity import pair_extremes
from trading.domain.magnets.parameters import DAY_MS, HOUR_MS
from trading.domain.magnets.state import (
    DAY,
    FOUR_HOURS,
    N_ACTIVE,
    N_BARS,
    N_EVENTS,
    N_LEVELS,
    NEW_ROWS_MAX,
    RING_MASK,
    VWAP_COLUMN,
    YEAR,
    Constants,
    State,
)
from trading.domain.magnets.structural import confirm_swings
from trading.domain.magnets.timeframe import (
    add_period_open,
    add_session_extremes,
    rank_session,
    replace_session_levels,
)
from trading.domain.magnets.types import BarColumns
from trading.domain.magnets.volume import add_session_profile, update_vwap
from trading.domain.magnets.zones import read_bar

BAR_MS = (HOUR_MS, 4 * HOUR_MS, DAY_MS)


@compiled_part
def update_range(
    state: State, timeframe: int, length: int, high: float, low: float, close: float
) -> float:
    """Wilder's average true range including this bar; NaN before ``length`` bars."""
    memory = state.ranges[timeframe]
    true_range = high - low
    if memory["count"] > 0:
        before = memory["close"]
        true_range = max(true_range, abs(high - before), abs(low - before))
    memory["count"] += 1
    memory["close"] = close
    if memory["count"] < length:
        memory["seed_sum"] += true_range
        memory["value"] = np.nan
    elif memory["count"] == length:
        memory["value"] = (memory["seed_sum"] + true_range) / length
    else:
        memory["value"] = (memory["value"] * (length - 1) + true_range) / length
    return float(memory["value"])


@compiled_part
def measure_volatility(state: State, c: Constants) -> float:
    """R: root of the weighted mean square of 24 hourly log returns over the sd of 720 (ddof 1)."""
    count = state.counts[N_BARS] - 1  # the first bar has no return
    if count < c.volatility_long_bars:
        return np.nan
    mean = 0.0
    for back in range(c.volatility_long_bars):
        mean += state.returns[(count - back) & RING_MASK]
    mean /= c.volatility_long_bars
    square = 0.0
    for back in range(c.volatility_long_bars):
        square += (state.returns[(count - back) & RING_MASK] - mean) ** 2
    if square <= 0.0:
        return np.nan
    weight, total, recent = 1.0, 0.0, 0.0
    for back in range(c.volatility_short_bars):
        recent += weight * state.returns[(count - back) & RING_MASK] ** 2
        total += weight
        weight *= c.volatility_lambda
    return math.sqrt(recent / total) / math.sqrt(square / (c.volatility_long_bars - 1))


@compiled_part
def push_bar(
    state: State, ring: int, close_time: int, high: float, low: float, close: float, volume: float
) -> None:
    """Append a closed bar to a ring."""
    bar = state.rings[ring][state.ring_counts[ring] & RING_MASK]
    bar["close_time"] = close_time
    bar["high"] = high
    bar["low"] = low
    bar["close"] = close
    bar["volume"] = volume
    state.ring_counts[ring] += 1


@compiled_part
def find_bar_levels(
    state: State, c: Constants, timeframe: int, atr: float, close_time: int
) -> None:
    """Judge the newest bar of a timeframe: breaks and sweeps, then swings, pools, gaps."""
    bar = state.rings[timeframe][(state.ring_counts[timeframe] - 1) & RING_MASK]
    judge_close(state, c, timeframe, bar, close_time)
    found = np.empty(2, dtype=np.int64)
    for i in range(confirm_swings(state, c, timeframe, close_time, found)):
        pair_extremes(state, c, found[i], atr, BAR_MS[timeframe], close_time)
    find_gap(state, c, timeframe, atr, BAR_MS[timeframe], close_time)


@compiled_part
def close_period(state: State, c: Constants, period: int, atr: float, close_time: int) -> None:
    """A four-hour bar, day, week or month is over: its candle, its profile, its extremes."""
    forming = state.forming[period]
    end = min(close_time, period_end(period, forming["start"]))
    hours = (period_end(period, forming["start"]) - forming["start"]) // HOUR_MS
    missing = hours - forming["bars"]
    if missing == 0 and period <= DAY:
        timeframe = period + 1
        own = update_range(
            state, timeframe, c.atr_length, forming["high"], forming["low"], forming["close"]
        )
        push_bar(
            state,
            timeframe,
            end,
            forming["high"],
            forming["low"],
            forming["close"],
            forming["volume"],
        )
        find_bar_levels(state, c, timeframe, own, close_time)
    if period >= DAY and period < YEAR:
        session = period - DAY
        replace_session_levels(state, session, close_time)
        if missing <= c.session_missing_max * hours:
            rank = rank_session(state, c, session, forming["volume"])
            add_session_profile(state, c, session, atr, rank, end, close_time)
            add_session_extremes(state, c, session, rank, end, close_time)
    forming["start"] = -1


@compiled_part
def open_period(state: State, period: int, start: int, covered: int, price: float) -> None:
    """Begin a period at its first traded hour."""
    forming = state.forming[period]
    forming["start"] = start
    forming["covered"] = covered
    forming["bars"] = 0
    forming["open"] = price
    forming["high"] = -np.inf
    forming["low"] = np.inf
    forming["volume"] = 0.0
    forming["vwap_weight"] = 0.0
    forming["vwap_mean"] = 0.0
    forming["vwap_m2"] = 0.0


@compiled_part
def walk_bar(
    state: State,
    c: Constants,
    open_time: int,
    open_: float,
    high: float,
    low: float,
    close: float,
    volume: float,
    row: Any,
) -> None:
    """Take one closed hourly bar into the state and fill its line of columns."""
    close_time = open_time + HOUR_MS
    first_bar = state.counts[N_BARS] == 0
    for period in range(YEAR + 1):
        start = state.forming[period]["start"]
        if start >= 0 and start != period_start(period, open_time):
            close_period(state, c, period, state.ranges[0]["value"], close_time)

    if not first_bar:
        before = state.ranges[0]["close"]
        state.returns[state.counts[N_BARS] & RING_MASK] = np.log(close / before)
    state.counts[N_BARS] += 1
    atr = update_range(state, 0, c.atr_length, high, low, close)
    push_bar(state, 0, close_time, high, low, close, volume)
    bar = state.rings[0][(state.ring_counts[0] - 1) & RING_MASK]
    follow_levels(state, c, bar, atr, close_time)
    admit_external(state, close_time)
    find_bar_levels(state, c, 0, atr, close_time)

    for period in range(FOUR_HOURS, YEAR + 1):
        forming = state.forming[period]
        start = period_start(period, open_time)
        if forming["start"] < 0:
            covered = 0 if first_bar and start != open_time else 1
            open_period(state, period, start, covered, open_)
            if period >= DAY and covered == 1:
                add_period_open(state, period, open_, start, close_time)
        forming["bars"] += 1
        forming["high"] = max(forming["high"], high)
        forming["low"] = min(forming["low"], low)
        forming["close"] = close
        forming["volume"] += volume
        if period >= DAY and period < YEAR and forming["covered"] == 1:
            update_vwap(state, c, period - DAY, open_time, close_time)
        if close_time == period_end(period, start):
            close_period(state, c, period, atr, close_time)

    ratio = measure_volatility(state, c)
    row[0] = close
    row[1] = atr
    row[2] = ratio
    row[3] = max(0.0, ratio - 1.0) if not np.isnan(ratio) else np.nan
    read_bar(state, c, close, atr, close_time, row)
    for session in range(3):
        level = state.forming[session + DAY]["vwap_level"]
        row[VWAP_COLUMN + session] = state.levels[level]["price"] if level >= 0 else np.nan


@compiled
def walk_bars(
    state: State,
    c: Constants,
    open_time: NDArray[np.int64],
    columns: BarColumns,
    start: int,
    rows: Any,
) -> int:
    """Walk bars from ``start`` on; returns the first bar not walked (the memory needs to grow)."""
    open_, high, low, close, volume = columns
    for i in range(start, open_time.shape[0]):
        room = NEW_ROWS_MAX + state.external.shape[0]
        events = 4 * state.counts[N_ACTIVE] + 2 * room
        if (
            state.counts[N_LEVELS] + room > state.levels.shape[0]
            or state.counts[N_EVENTS] + events > state.events.shape[0]
        ):
            return i
        walk_bar(state, c, open_time[i], open_[i], high[i], low[i], close[i], volume[i], rows[i])
    return int(open_time.shape[0])
