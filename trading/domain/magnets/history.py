"""Magnets over a whole history at once: columns for the kernel, every level ever, the last map.

All three come from the same compiled walk, so they agree with :mod:`.stream` to the last bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from magnetfund.kernel.errors import InvalidInput
from trading.domain.magnets.external import ExternalLevel, pack_external
from trading.domain.magnets.parameters import DEFAULT_PARAMETERS, HOUR_MS, MagnetParameters
from trading.domain.magnets.reading import build_map
from trading.domain.magnets.state import (
    BAR_COLUMNS,
    EVENTS,
    FAMILIES,
    KINDS,
    N_EVENTS,
    N_LEVELS,
    ROW_WIDTH,
    SIDE_COLUMNS,
    TIMEFRAMES,
    VWAP_COLUMN,
    State,
    build_constants,
    build_state,
    grow_state,
)
from trading.domain.magnets.types import (
    BarColumns,
    IntArray,
    LevelHistory,
    LevelKind,
    MagnetMap,
    MagnetSignals,
)
from trading.domain.market.candles import Candles


@dataclass(frozen=True, slots=True, kw_only=True)
class MagnetHistory:
    """A walked history: the columns of every bar, every level, and the map of the last bar."""

    signals: MagnetSignals
    levels: LevelHistory
    last: MagnetMap | None


def check_columns(candles: Candles) -> tuple[IntArray, BarColumns]:
    """The candles as contiguous columns.

    Raises :class:`InvalidInput` unless they are hourly, open times whole hours in strictly
    increasing order, prices finite, positive and low <= open, close <= high, volumes finite and
    >= 0.
    """
    if candles.timeframe_ms != HOUR_MS:
        raise InvalidInput("magnets are found on hourly candles", code="candle_timeframe")
    times = np.ascontiguousarray(candles.open_time, dtype=np.int64)
    open_, high, low, close, volume = columns = (
        np.ascontiguousarray(candles.open, dtype=np.float64),
        np.ascontiguousarray(candles.high, dtype=np.float64),
        np.ascontiguousarray(candles.low, dtype=np.float64),
        np.ascontiguousarray(candles.close, dtype=np.float64),
        np.ascontiguousarray(candles.volume, dtype=np.float64),
    )
    if (times % HOUR_MS).any() or (np.diff(times) <= 0).any():
        raise InvalidInput("magnets need hourly candles in time order", code="candle_times")
    good = (
        np.isfinite(high)
        & (low > 0)
        & (low <= np.minimum(open_, close))
        & (np.maximum(open_, close) <= high)
        & np.isfinite(volume)
        & (volume >= 0)
    )
    if not good.all():
        raise InvalidInput(
            "a candle breaks low <= open, close <= high",
            code="candle_prices",
            details={"index": int(np.argmin(good))},
        )
    return times, columns


def walk_history(
    *,
    candles: Candles,
    parameters: MagnetParameters = DEFAULT_PARAMETERS,
    external: Sequence[ExternalLevel] = (),
) -> tuple[State, NDArray[np.float64], IntArray]:
    """Walk all candles; returns the final state, the raw rows (n, width) and the close times."""
    from trading.domain.magnets.walk import walk_bars

    times, columns = check_columns(candles)
    constants = build_constants(parameters)
    state = build_state(capacity=max(2048, times.size // 2))
    state = state._replace(external=pack_external(external, parameters))
    rows = np.empty((times.size, ROW_WIDTH))
    done = 0
    while True:
        done = walk_bars(state, constants, times, columns, done, rows)
        if done >= times.size:
            return state, rows, times + HOUR_MS
        state = grow_state(state)


def build_signals(
    rows: NDArray[np.float64], known_at: IntArray, parameters: MagnetParameters
) -> MagnetSignals:
    """The raw rows of a walk as named columns."""
    columns: dict[str, NDArray[Any]] = {"known_at": known_at}
    for i, name in enumerate(BAR_COLUMNS):
        columns[name] = np.ascontiguousarray(rows[:, i])
    base, width = len(BAR_COLUMNS), len(SIDE_COLUMNS)
    for i, name in enumerate(SIDE_COLUMNS):
        if name.endswith("_zone"):
            continue  # positions in the walk's scratch, of no meaning later
        columns[name] = np.ascontiguousarray(rows[:, [base + i, base + width + i]])
    columns["zone_count"] = columns["zone_count"].astype(np.int64)
    columns["opposite_zones"] = columns["opposite_zones"].astype(np.int64)
    columns["reason"] = columns["reason"].astype(np.int8)
    return MagnetSignals(**columns, parameters_version=parameters.version)


def build_levels(state: State, rows: NDArray[np.float64], known_at: IntArray) -> LevelHistory:
    """The level rows and events of a walk in columns; developing averages come per bar instead."""
    levels = state.levels[: state.counts[N_LEVELS]]
    events = state.events[: state.counts[N_EVENTS]]
    moving = levels["kind"] == KINDS.index(LevelKind.VWAP)
    fixed = np.flatnonzero(~moving)
    told = events[~moving[events["level"]]]
    return LevelHistory(
        level_id=fixed.astype(np.int64),
        kind=np.array(KINDS, dtype=np.str_)[levels["kind"][fixed]],
        family=np.array(FAMILIES, dtype=np.str_)[levels["family"][fixed]],
        timeframe=np.array(TIMEFRAMES, dtype=np.str_)[levels["timeframe"][fixed]],
        price=levels["price"][fixed],
        price_far=levels["price_far"][fixed],
        volume_rank=levels["volume_rank"][fixed],
        created_at=levels["created_at"][fixed],
        known_at=levels["known_at"][fixed],
        dead_at=levels["dead_at"][fixed],
        event_level_id=told["level"].copy(),
        event_kind=np.array(EVENTS, dtype=np.str_)[told["kind"]],
        event_price=told["price"].copy(),
        event_known_at=told["known_at"].copy(),
        vwap=rows[:, VWAP_COLUMN : VWAP_COLUMN + 3].copy(),
        bar_known_at=known_at,
    )


def compute_magnet_history(
    *,
    candles: Candles,
    parameters: MagnetParameters = DEFAULT_PARAMETERS,
    external: Sequence[ExternalLevel] = (),
) -> MagnetHistory:
    """Columns, levels and the last bar's map from one walk over hourly candles.

    ``external`` are levels of other sources (book walls, gamma walls) with their own ``known_at``.
    Raises :class:`InvalidInput` on malformed candles.  Source of the rules: the module docstrings.
    """
    state, rows, known_at = walk_history(candles=candles, parameters=parameters, external=external)
    last = None
    if known_at.size:
        last = build_map(state, rows[-1], int(known_at[-1]), parameters)
    return MagnetHistory(
        signals=build_signals(rows, known_at, parameters),
        levels=build_levels(state, rows, known_at),
        last=last,
    )


def compute_magnet_signals(
    *,
    candles: Candles,
    parameters: MagnetParameters = DEFAULT_PARAMETERS,
    external: Sequence[ExternalLevel] = (),
) -> MagnetSignals:
    """The reading of every bar in columns; see :class:`MagnetSignals` for units and shapes."""
    _, rows, known_at = walk_history(candles=candles, parameters=parameters, external=external)
    return build_signals(rows, known_at, parameters)
