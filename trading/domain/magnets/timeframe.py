"""Levels of time: the prior day's, week's and month's high and low, closes and opens.

Highs and lows are known when their session closes and are replaced when the next of that length
closes.  Prior closes and the opens of day, week, month and year are context: they are shown, the
calibration did not hold them, so they carry no weight in a zone.
"""

from __future__ import annotations

from trading.domain.compiled import compiled_part
from trading.domain.magnets.levels import EITHER, REPLACED, add_level, end_level
from trading.domain.magnets.state import DAY, FAMILIES, KINDS, N_ACTIVE, Constants, State
from trading.domain.magnets.types import Family, LevelKind
from trading.domain.magnets.volume import HVN, LVN, VAH, VAL

TIMEFRAME = FAMILIES.index(Family.TIMEFRAME)
PRIOR_HIGH = KINDS.index(LevelKind.PRIOR_HIGH)
PRIOR_LOW = KINDS.index(LevelKind.PRIOR_LOW)
PRIOR_CLOSE = KINDS.index(LevelKind.PRIOR_CLOSE)
PERIOD_OPEN = KINDS.index(LevelKind.PERIOD_OPEN)


@compiled_part
def replace_session_levels(state: State, session: int, close_time: int) -> None:
    """End the levels that stood for the previous session of this length."""
    for position in range(state.counts[N_ACTIVE]):
        level = state.active[position]
        row = state.levels[level]
        if row["dead_at"] >= 0 or row["timeframe"] != session + 2:
            continue
        if row["kind"] in (PRIOR_HIGH, PRIOR_LOW, PRIOR_CLOSE, VAH, VAL, HVN, LVN):
            end_level(state, level, REPLACED, close_time)


@compiled_part
def rank_session(state: State, c: Constants, session: int, volume: float) -> float:
    """Share of the previous sessions with volume <= this one's; then remember this one."""
    count = state.session_counts[session]
    size = min(count, c.session_rank_count[session])
    below = 0
    for back in range(1, size + 1):
        if state.session_volumes[session, (count - back) & 31] <= volume:
            below += 1
    state.session_volumes[session, count & 31] = volume
    state.session_counts[session] = count + 1
    return below / size if size > 0 else 0.0


@compiled_part
def add_session_extremes(
    state: State, c: Constants, session: int, rank: float, created: int, close_time: int
) -> None:
    """Add high, low and close of a session that just closed."""
    forming = state.forming[session + DAY]
    for kind in (PRIOR_HIGH, PRIOR_LOW, PRIOR_CLOSE):
        if kind == PRIOR_HIGH:
            price = forming["high"]
        elif kind == PRIOR_LOW:
            price = forming["low"]
        else:
            price = forming["close"]
        add_level(
            state,
            kind,
            TIMEFRAME,
            session + 2,
            EITHER,
            price,
            price,
            rank,
            0.0 if kind == PRIOR_CLOSE else c.weight_main,
            c.factor_session[session],
            c.session_half_life[session],
            created,
            close_time,
            -1,
        )


@compiled_part
def add_period_open(state: State, period: int, price: float, start: int, close_time: int) -> None:
    """Replace the open of a period (day, week, month, year) by the newly begun one's."""
    for position in range(state.counts[N_ACTIVE]):
        level = state.active[position]
        row = state.levels[level]
        if row["kind"] == PERIOD_OPEN and row["timeframe"] == period + 1 and row["dead_at"] < 0:
            end_level(state, level, REPLACED, close_time)
    add_level(
        state,
        PERIOD_OPEN,
        TIMEFRAME,
        period + 1,
        EITHER,
        price,
        price,
        0.0,
        0.0,
        1.0,
        0.0,
        start,
        close_time,
        -1,
    )
