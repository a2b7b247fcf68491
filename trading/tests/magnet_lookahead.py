"""The look-ahead detector: levels and readings from data up to t against full data read at t.

The law: for every t and every kind, what is computed from the first t+1 bars equals what the full
history says was known at the close of bar t: the same levels with the same price, edges, rank and
times, the same state and events as of t, and the same columns of every bar up to t.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from magnetfund.kernel.errors import InvalidInput
from trading.domain.magnets.history import (
    MagnetHistory,
    compute_magnet_history,
)
from trading.domain.magnets.types import LevelHistory, MagnetSignals
from trading.domain.market.candles import Candles

_LEVEL_COLUMNS = (
    "timeframe",
    "price",
    "price_far",
    "volume_rank",
    "created_at",
    "known_at",
    "dead_at",
)
_EVENT_COLUMNS = ("event_kind", "event_price", "event_known_at")


@dataclass(frozen=True, slots=True, kw_only=True)
class LookaheadDifference:
    """One thing that data after t changed about what was known at t.

    ``subject`` is a level kind, or ``signals`` or ``vwap`` for the columns; ``column`` names what
    differs; the two values are as text, the first from the truncated data.
    """

    index: int
    subject: str
    column: str
    truncated: str
    full: str


def find_lookahead_differences(
    *,
    candles: Candles,
    indices: Iterable[int],
    compute: Callable[[Candles], MagnetHistory] | None = None,
) -> tuple[LookaheadDifference, ...]:
    """Every difference between truncated and full data at the bars ``indices`` (0-based).

    ``compute`` turns candles into a history; by default the magnets of this package.  An empty
    result is what the law demands.  Raises :class:`InvalidInput` for an index outside the candles.
    """
    run = compute or (lambda columns: compute_magnet_history(candles=columns))
    count = len(candles)
    full = run(candles)
    found: list[LookaheadDifference] = []
    for index in indices:
        if not 0 <= index < count:
            raise InvalidInput("no such bar", code="bar_index", details={"index": index})
        part = run(candles.between(0, index + 1))
        found += _compare_levels(index, part.levels, full.levels)
        found += _compare_signals(index, part.signals, full.signals)
    return tuple(found)


def _compare_levels(
    index: int, part: LevelHistory, full: LevelHistory
) -> list[LookaheadDifference]:
    now = int(full.bar_known_at[index])
    found: list[LookaheadDifference] = []
    for kind in sorted({*np.unique(part.kind).tolist(), *np.unique(full.kind).tolist()}):
        mine, theirs = (_state_at(history, kind, now) for history in (part, full))
        for column in mine:
            found += _compare(index, kind, column, mine[column], theirs[column])
    found += _compare(index, "vwap", "vwap", part.vwap, full.vwap[: index + 1])
    return found


def _state_at(history: LevelHistory, kind: str, now: int) -> dict[str, NDArray[Any]]:
    """The levels of a kind known by ``now`` with their state and events as of then."""
    rows = (history.kind == kind) & (history.known_at <= now)
    columns = {name: getattr(history, name)[rows] for name in _LEVEL_COLUMNS}
    columns["dead_at"] = np.where(columns["dead_at"] <= now, columns["dead_at"], -1)
    ids = history.level_id[rows]
    told = np.isin(history.event_level_id, ids) & (history.event_known_at <= now)
    columns["event_level"] = np.searchsorted(ids, history.event_level_id[told])
    for name in _EVENT_COLUMNS:
        columns[name] = getattr(history, name)[told]
    return columns


def _compare_signals(
    index: int, part: MagnetSignals, full: MagnetSignals
) -> list[LookaheadDifference]:
    found: list[LookaheadDifference] = []
    for field in fields(MagnetSignals):
        mine, theirs = getattr(part, field.name), getattr(full, field.name)
        if isinstance(mine, np.ndarray):
            found += _compare(index, "signals", field.name, mine, theirs[: index + 1])
    return found


def _compare(
    index: int, subject: str, column: str, mine: NDArray[Any], theirs: NDArray[Any]
) -> list[LookaheadDifference]:
    if mine.shape != theirs.shape:
        return [
            LookaheadDifference(
                index=index,
                subject=subject,
                column=f"count of {column}",
                truncated=str(mine.shape[0]),
                full=str(theirs.shape[0]),
            )
        ]
    same = mine == theirs
    if mine.dtype.kind == "f":
        same |= np.isnan(mine) & np.isnan(theirs)
    return [
        LookaheadDifference(
            index=index,
            subject=subject,
            column=column,
            truncated=str(mine[tuple(place)]),
            full=str(theirs[tuple(place)]),
        )
        for place in np.argwhere(~same)[:10]
    ]
