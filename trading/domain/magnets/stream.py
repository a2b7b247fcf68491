"""Magnets one bar at a time: the same walk as the batch, its memory kept between bars.

One more bar costs the bar alone; nothing earlier is computed again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from magnetfund.kernel.errors import InvalidInput
from trading.domain.magnets.external import ExternalLevel, pack_external
from trading.domain.magnets.history import (
    build_levels,
    build_signals,
    check_columns,
)
from trading.domain.magnets.parameters import DEFAULT_PARAMETERS, HOUR_MS, MagnetParameters
from trading.domain.magnets.reading import build_map
from trading.domain.magnets.state import (
    BAR_COLUMNS,
    KINDS,
    N_EXTERNAL,
    N_LEVELS,
    ROW_WIDTH,
    build_constants,
    build_state,
    grow_state,
)
from trading.domain.magnets.types import (
    BarColumns,
    FloatArray,
    IntArray,
    LevelHistory,
    LevelKind,
    MagnetMap,
    MagnetSignals,
)
from trading.domain.market.candles import Candle, Candles

ATR_COLUMN = BAR_COLUMNS.index("atr")


class MagnetStream:
    """The growing memory of one instrument's hourly bars.

    ``update`` takes the next closed bar and returns its map; ``extend`` takes many at once and
    returns their columns.  Results equal :func:`compute_magnet_history` and
    :func:`compute_magnet_signals` on the same bars, bit for bit.  Not safe for use by two threads
    at once.
    """

    def __init__(self, *, parameters: MagnetParameters = DEFAULT_PARAMETERS) -> None:
        self._parameters = parameters
        self._constants = build_constants(parameters)
        self._state = build_state()
        self._rows = np.empty((0, ROW_WIDTH))
        self._last_open = -1

    @property
    def last_known_at(self) -> int | None:
        """Close of the newest bar taken in, in ms; None before the first."""
        return None if self._last_open < 0 else self._last_open + HOUR_MS

    @property
    def newest_atr(self) -> float:
        """ATR at the newest bar's close (price); NaN before there is one."""
        return float(self._rows[-1, ATR_COLUMN]) if self._rows.shape[0] else math.nan

    def set_heavy_reach(self, reach: float) -> None:
        """Look ``reach`` ATR far for heavy opposite zones from the next bar on; levels stay."""
        self._parameters = replace(self._parameters, heavy_zone_reach=reach)
        self._constants = build_constants(self._parameters)

    def add_levels(self, levels: Sequence[ExternalLevel]) -> None:
        """Announce levels of other sources; each joins at the first bar closing at its known_at.

        Raises :class:`InvalidInput` for a level known before the newest bar's close: it would
        rewrite what was already said.
        """
        newest = self.last_known_at
        if newest is not None and any(level.known_at <= newest for level in levels):
            raise InvalidInput("a level was known before the newest bar", code="level_too_late")
        admitted = int(self._state.counts[N_EXTERNAL])
        waiting = self._state.external[admitted:]
        rows = np.concatenate([waiting, pack_external(levels, self._parameters)])
        rows = rows[np.lexsort((rows["price"], rows["known_at"]))]
        self._state.counts[N_EXTERNAL] = 0
        self._state = self._state._replace(external=rows)

    def end_levels(self, kinds: Sequence[LevelKind], *, at_ms: int) -> None:
        """End at ``at_ms`` what lives or waits of these kinds, as a newer publication does.

        They end at the first bar that closes then or later.  Raises :class:`InvalidInput` for a
        time that is not later than the newest bar's close: it would rewrite what was already said.
        """
        newest = self.last_known_at
        if newest is not None and at_ms <= newest:
            raise InvalidInput("a level cannot end before the newest bar", code="level_too_late")
        waiting = self._state.external[int(self._state.counts[N_EXTERNAL]) :]
        living = self._state.levels[: int(self._state.counts[N_LEVELS])]
        wanted = [KINDS.index(kind) for kind in kinds]
        for rows, alive in (
            (waiting, waiting["known_at"] < at_ms),
            (living, living["dead_at"] < 0),
        ):
            ends = rows["expires_at"]
            chosen = np.isin(rows["kind"], wanted) & alive & ((ends < 0) | (ends > at_ms))
            ends[chosen] = at_ms

    def end_announced(self, levels: Sequence[ExternalLevel]) -> None:
        """Tell when announced levels ended (``dead_at``); each goes at the first close from then.

        Raises :class:`InvalidInput` for an end before the newest bar's close, or of a level that
        was never announced.
        """
        newest = self.last_known_at
        admitted = int(self._state.counts[N_LEVELS])
        for level in levels:
            if level.dead_at is None or (newest is not None and level.dead_at <= newest):
                raise InvalidInput("a level ended before the newest bar", code="level_too_late")
            found = 0
            for rows in (self._state.external, self._state.levels[:admitted]):
                same = (rows["known_at"] == level.known_at) & (rows["price"] == level.price)
                same &= rows["kind"] == KINDS.index(level.kind)
                rows["expires_at"][same] = level.dead_at
                found += int(same.sum())
            if not found:
                raise InvalidInput("a level that was never told ended", code="level_unknown")

    def update(self, *, candle: Candle) -> MagnetMap:
        """Take the next closed hourly candle and return the map at its close.

        Holes may lie between it and the previous one.  Raises :class:`InvalidInput` for a malformed
        candle or one out of order; the memory is then unchanged.
        """
        prices = (candle.open, candle.high, candle.low, candle.close, candle.volume)
        if candle.open_time % HOUR_MS or candle.open_time <= self._last_open:
            raise InvalidInput("candles must be hourly and in time order", code="candle_times")
        low, high = min(candle.open, candle.close), max(candle.open, candle.close)
        ordered = 0.0 < candle.low <= low <= high <= candle.high and candle.volume >= 0.0
        if not (all(math.isfinite(x) for x in prices) and ordered):
            raise InvalidInput("a candle breaks low <= open, close <= high", code="candle_prices")
        rows = self._walk(np.array([candle.open_time], dtype=np.int64), _one_bar(prices))
        known_at = candle.open_time + HOUR_MS
        return build_map(self._state, rows[-1], known_at, self._parameters)

    def newest_map(self) -> MagnetMap | None:
        """The map at the newest bar's close; None before the first bar."""
        newest = self.last_known_at
        if newest is None or not self._rows.shape[0]:
            return None
        return build_map(self._state, self._rows[-1], newest, self._parameters)

    def extend(self, *, candles: Candles) -> MagnetSignals:
        """Take closed hourly candles, all later than the newest, and return their columns."""
        times, columns = check_columns(candles)
        if times.size and times[0] <= self._last_open:
            raise InvalidInput("candles overlap what was taken in", code="candle_times")
        rows = self._walk(times, columns)
        return build_signals(rows, times + HOUR_MS, self._parameters)

    def levels(self) -> LevelHistory:
        """Every level known so far with its events; the averages only of the latest call's bars."""
        newest = self.last_known_at
        ends = np.zeros(0, dtype=np.int64)
        if newest is not None:
            ends = np.full(self._rows.shape[0], newest, dtype=np.int64)
        return build_levels(self._state, self._rows, ends)

    def _walk(self, times: IntArray, columns: BarColumns) -> FloatArray:
        from trading.domain.magnets.walk import walk_bars

        rows = np.empty((times.size, ROW_WIDTH))
        done = 0
        while True:
            done = walk_bars(self._state, self._constants, times, columns, done, rows)
            if done >= times.size:
                break
            self._state = grow_state(self._state)
        if times.size:
            self._last_open = int(times[-1])
            self._rows = rows
        return rows


def _one_bar(prices: tuple[float, float, float, float, float]) -> BarColumns:
    open_, high, low, close, volume = (np.array([x], dtype=np.float64) for x in prices)
    return open_, high, low, close, volume
