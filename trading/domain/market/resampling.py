"""Higher timeframes from lower ones, from complete closed bars only.

A parent bar exists when every one of its children exists: one missing child and there is no
parent, rather than a guess.  Open is the first child's, close the last one's, high and low the
extremes, volume the sum.

Law: 1h to 4h to 1d gives the same bars as 1h to 1d wherever the finer path is complete.
"""

from __future__ import annotations

import numpy as np

from magnetfund.kernel.errors import InvalidInput
from trading.domain.market.candles import DAY_MS, Candles, IntArray


def resample(*, candles: Candles, timeframe_ms: int) -> Candles:
    """Bars of a longer timeframe on the grid from 1970-01-01 00:00 UTC.

    ``timeframe_ms`` is a multiple of the candles' own and divides a day.  Raises
    :class:`InvalidInput` for another.
    """
    child = candles.timeframe_ms
    if timeframe_ms < child or timeframe_ms % child or DAY_MS % timeframe_ms:
        raise InvalidInput(
            "the timeframe must be a multiple that divides a day", code="bad_timeframe"
        )
    parents = candles.open_time // timeframe_ms * timeframe_ms
    starts = _group_starts(parents)
    counts = np.diff(np.concatenate((starts, [len(candles)])))
    complete = counts == timeframe_ms // child
    return _aggregate(candles, starts, complete, parents[starts], timeframe_ms)


def _group_starts(labels: IntArray) -> IntArray:
    if labels.size == 0:
        return np.empty(0, dtype=np.int64)
    return np.concatenate(([0], np.flatnonzero(labels[1:] != labels[:-1]) + 1)).astype(np.int64)


def _aggregate(
    candles: Candles, starts: IntArray, complete: IntArray, opens: IntArray, timeframe_ms: int
) -> Candles:
    if starts.size == 0:
        empty = np.empty(0)
        return Candles(
            instrument=candles.instrument,
            timeframe_ms=timeframe_ms,
            open_time=np.empty(0, dtype=np.int64),
            open=empty,
            high=empty,
            low=empty,
            close=empty,
            volume=empty,
        )
    last = np.concatenate((starts[1:], [len(candles)])) - 1
    return Candles(
        instrument=candles.instrument,
        timeframe_ms=timeframe_ms,
        open_time=opens[complete],
        open=candles.open[starts][complete],
        high=np.maximum.reduceat(candles.high, starts)[complete],
        low=np.minimum.reduceat(candles.low, starts)[complete],
        close=candles.close[last][complete],
        volume=np.add.reduceat(candles.volume, starts)[complete],
    )
