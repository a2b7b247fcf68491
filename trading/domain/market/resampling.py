"""Higher timeframes from lower ones, and whole sessions, from complete closed bars only.

A parent bar exists when every one of its children exists: one missing child and there is no
parent, rather than a guess.  Open is the first child's, close the last one's, high and low the
extremes, volume the sum.

Law: 1h to 4h to 1d gives the same bars as 1h to 1d wherever the finer path is complete.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date

import numpy as np

from magnetfund.kernel.errors import InvalidInput
from trading.domain.market.candles import DAY_MS, Candles, IntArray
from trading.domain.market.instruments import DayRule
from trading.domain.market.sessions import (
    SessionKind,
    is_market_open,
    session_bounds,
    session_labels,
)


def resample(*, candles: Candles, timeframe_ms: int) -> Candles:
    """Bars of a longer timeframe on the grid from 1970-01-01 00:00 UTC.

    ``timeframe_ms`` is a multiple of the candles' own and divides a day (weeks and months are
    sessions: :func:`resample_sessions`).  Raises :class:`InvalidInput` for another.
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


def resample_sessions(
    *,
    candles: Candles,
    day_rule: DayRule,
    period: SessionKind = SessionKind.DAY,
    holidays: Collection[date] = (),
) -> tuple[Candles, IntArray]:
    """Whole days, weeks or months by the day rule, and the end (ms) of each.

    Complete means: each bar that begins in the session while the market is open is there.  A bar's
    ``open_time`` is the session's start.  Months differ in length, so take the returned ends (shape
    (n,)) as ``known_at``, not ``open_time + timeframe_ms``, which is nominal.
    """
    labels = session_labels(times=candles.open_time, day_rule=day_rule, period=period)
    starts = _group_starts(labels)
    counts = np.diff(np.concatenate((starts, [len(candles)])))
    bounds = [
        session_bounds(label=int(label), day_rule=day_rule, period=period)
        for label in labels[starts].tolist()
    ]
    step = candles.timeframe_ms
    expected = np.array(
        [_open_slots(first, last, step, day_rule, holidays) for first, last in bounds],
        dtype=np.int64,
    )
    complete = counts == expected
    opens = np.array([first for first, _ in bounds], dtype=np.int64)
    ends = np.array([last for _, last in bounds], dtype=np.int64)
    nominal = {
        SessionKind.DAY: DAY_MS,
        SessionKind.WEEK: 7 * DAY_MS,
        SessionKind.MONTH: 30 * DAY_MS,
    }[period]
    return _aggregate(candles, starts, complete, opens, nominal), ends[complete]


def _open_slots(
    first: int, last: int, step: int, day_rule: DayRule, holidays: Collection[date]
) -> int:
    """How many bars of length ``step`` begin in ``[first, last)`` while the market is open."""
    start = -(-first // step) * step
    slots = np.arange(start, last, step, dtype=np.int64)
    return int(is_market_open(times=slots, day_rule=day_rule, holidays=holidays).sum())


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
