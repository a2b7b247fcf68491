"""What strategies share, over a whole history at once: longer bars and the volatility reading.

Each function gives, row for row and bit for bit, what the memories of
:mod:`trading.domain.strategies.streaming` say after that bar.  Only exact or equally ordered
arithmetic is used: extremes, sequential sums, and the same additions in the same order.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trading.domain.backtest.compiled import find_compiled
from trading.domain.market.candles import Candles
from trading.domain.strategies.streaming import VolatilityGauge

FloatColumn = NDArray[np.float64]
IntColumn = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinedBars:
    """Longer bars in columns, with the row of the child at whose close each becomes known."""

    rows: IntColumn
    candles: Candles


def join_bars(*, candles: Candles, timeframe_ms: int) -> JoinedBars:
    """The complete longer bars on the grid from 1970-01-01, as ``LongerBars`` gives them."""
    count = len(candles)
    if timeframe_ms == candles.timeframe_ms or count == 0:
        rows = np.arange(count, dtype=np.int64)
        return JoinedBars(rows=rows, candles=replace(candles, timeframe_ms=timeframe_ms))
    parent = candles.open_time // timeframe_ms
    starts = np.flatnonzero(np.append(True, parent[1:] != parent[:-1]))
    ends = np.append(starts[1:], count)
    whole = ends - starts == timeframe_ms // candles.timeframe_ms
    volume = candles.volume.tolist()
    kept = np.flatnonzero(whole)
    longer = Candles(
        instrument=candles.instrument,
        timeframe_ms=timeframe_ms,
        open_time=parent[starts[kept]] * timeframe_ms,
        open=candles.open[starts[kept]],
        high=np.maximum.reduceat(candles.high, starts)[kept],
        low=np.minimum.reduceat(candles.low, starts)[kept],
        close=candles.close[ends[kept] - 1],
        volume=np.array(
            [
                math.fsum(volume[first:stop])
                for first, stop in zip(starts[kept].tolist(), ends[kept].tolist(), strict=True)
            ]
        ),
    )
    return JoinedBars(rows=ends[kept] - 1, candles=longer)


def compute_ranges(*, candles: Candles, length: int) -> FloatColumn:
    """Wilder's ATR at each bar, as ``WilderRange`` gives it; NaN before there are enough."""
    ranges = np.full(len(candles), np.nan)
    if len(candles) < length:
        return ranges
    reach = candles.high - candles.low
    before = candles.close[:-1]
    np.maximum(reach[1:], np.abs(candles.high[1:] - before), out=reach[1:])
    np.maximum(reach[1:], np.abs(candles.low[1:] - before), out=reach[1:])
    steps = reach.tolist()
    value, kept = math.fsum(steps[:length]) / length, length - 1
    ranges[length - 1] = value
    ranges[length:] = [value := (value * kept + step) / length for step in steps[length:]]
    return ranges


def compute_volatility(close: FloatColumn) -> tuple[FloatColumn, FloatColumn]:
    """``(ratio, sigma)`` at every close, as ``VolatilityGauge`` gives them; NaN before."""
    n, short, long = close.shape[0], VolatilityGauge.SHORT, VolatilityGauge.LONG
    ratio, sigma = np.full(n, np.nan), np.full(n, np.nan)
    if n <= long:
        return ratio, sigma
    value = _log(close[1:] / close[:-1])
    # Rows of returns: the first that counts has LONG returns behind it, itself among them.
    weights = [VolatilityGauge.DECAY**age for age in range(short)]
    squares = value * value
    recent, step = np.zeros(n - long), np.empty(n - long)
    for age, weight in enumerate(weights):
        recent += np.multiply(squares[long - 1 - age : n - 1 - age], weight, out=step)
    near = np.sqrt(recent / math.fsum(weights))
    total = _slide(value, long)
    spread = _slide(squares, long) - total * total / long
    known = spread > 0.0
    far = np.sqrt(np.where(known, spread, 1.0) / (long - 1))
    ratio[long:] = np.where(known, near / far, np.nan)
    scale = math.sqrt(VolatilityGauge.HOURS_A_YEAR)
    sigma[long:] = np.where(known, np.maximum(near, far) * scale, np.nan)
    return ratio, sigma


def _log(values: FloatColumn) -> FloatColumn:
    """Logarithms of the C library, as a stream takes them: numpy's may differ in the last bit."""
    compiled = find_compiled(log_each, values.size)
    if compiled is None:
        return np.array(list(map(math.log, values.tolist())))
    logs = np.empty(values.size)
    compiled(values, logs)
    return logs


def log_each(values: Any, logs: Any) -> None:
    """Write the natural logarithm of each value."""
    for k, value in enumerate(values):
        logs[k] = math.log(value)


def _slide(values: FloatColumn, length: int) -> FloatColumn:
    """Sums of the last ``length`` values: add the new, then take off the old, never anew."""
    later = values.shape[0] - length
    steps = np.empty(length + 2 * later)
    steps[:length] = values[:length]
    steps[length::2] = values[length:]
    steps[length + 1 :: 2] = -values[:later]
    return np.cumsum(steps)[length - 1 :: 2]


def hold_last(*, rows: IntColumn, values: FloatColumn, count: int) -> FloatColumn:
    """A column of ``count`` rows that keeps each value from its row on; NaN before the first."""
    column = np.full(count, np.nan)
    if rows.size:
        at = np.searchsorted(rows, np.arange(count), side="right") - 1
        column = np.where(at >= 0, values[np.maximum(at, 0)], np.nan)
    return column
