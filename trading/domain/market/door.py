"""Validation of incoming bars: which are accepted, and why others are rejected.

Every bar that is not taken leaves a :class:`CandleRefusal` with a code; the service records it.
Checks run in a fixed order and the first that fails names the reason.  A bar whose price jumps too
far to be believed is refused as ``jump`` (or ``scale``, near a factor of 10, 100 or 1000) until a
second, independent source shows the same bar: then its open time stands in ``confirmed``.

A bar is measured against the last bar that was taken.  Limits are wide on purpose: real crashes
must come in (the tests let through every hour of the real files), misplaced points must not.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from magnetfund.kernel.errors import InvalidInput
from trading.domain.market.candles import Candle, Candles, FloatArray, IntArray


class CandleReason(StrEnum):
    """Why a bar was refused, in the order of the checks."""

    BAD_TIME = "bad_time"
    MISALIGNED = "misaligned"
    FUTURE = "future"
    NOT_CLOSED = "not_closed"
    NOT_FINITE = "not_finite"
    NOT_POSITIVE = "not_positive"
    TOO_LARGE = "too_large"
    BOUNDS = "bounds"
    BAD_VOLUME = "bad_volume"
    DUPLICATE = "duplicate"
    CONFLICTING = "conflicting"
    OUT_OF_ORDER = "out_of_order"
    SCALE = "scale"
    JUMP = "jump"


@dataclass(frozen=True, slots=True, kw_only=True)
class CandleRefusal:
    """A bar that was not taken: its row (from 0), what it said, and why not."""

    row: int
    open_time: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    reason: CandleReason


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorRules:
    """The limits of the door.

    A price jumps when it lies further from the last close than ``jump_range_max`` mean true ranges
    of the last ``range_bars`` bars and than ``jump_share_min`` of the price, or than
    ``jump_share_max`` of the price in any case.  After missing bars these distances grow with the
    square root of the bars elapsed; bars refused for their price do not count, or garbage would be
    believed once it has lasted long enough.  ``clock_skew_ms`` is how far a source's clock may run
    ahead.

    Measured on 102,000 real BTC and ETH hours: the furthest move was 25 mean ranges, and of those
    beyond 20 none exceeded 9.4 % of the price.
    """

    price_max: float = 1e11
    volume_max: float = 1e18
    clock_skew_ms: int = 1_000
    jump_range_max: float = 20.0
    jump_share_min: float = 0.10
    jump_share_max: float = 0.60
    range_bars: int = 14


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorState:
    """Validation state carried from accepted bars to the next batch or bar.

    ``ranges`` are the last true ranges, oldest first; ``jumps`` counts the bars refused for their
    price since the last one taken.
    """

    open_time: int
    close: float
    ranges: tuple[float, ...] = ()
    jumps: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedCandles:
    """The bars that came in, the refusals of the others, and the state for the next batch."""

    candles: Candles
    refusals: tuple[CandleRefusal, ...]
    state: DoorState | None


def check_candles(
    *,
    instrument: str,
    timeframe_ms: int,
    open_time: IntArray,
    open: FloatArray,
    high: FloatArray,
    low: FloatArray,
    close: FloatArray,
    volume: FloatArray,
    now_ms: int,
    state: DoorState | None = None,
    confirmed: Collection[int] = (),
    sort: bool = False,
    rules: DoorRules | None = None,
) -> CheckedCandles:
    """Take the good bars, refuse the others with a reason each.

    Columns have shape (n,) in the order of arrival and may hold any garbage.  ``sort`` orders a
    file by time first (archives come newest first); a stream keeps its order, and a late bar is
    ``out_of_order``.  ``state`` is that of the bars already taken.  A repeated bar with the same
    content is ``duplicate``, with another ``conflicting``: a revision of a stored bar is a new
    version and not this function's business.  Raises :class:`InvalidInput` on unequal shapes.
    """
    limits = rules or DoorRules()
    times = np.ascontiguousarray(open_time, dtype=np.int64)
    columns = [
        np.ascontiguousarray(column, dtype=np.float64)
        for column in (open, high, low, close, volume)
    ]
    if any(column.shape != times.shape for column in columns) or times.ndim != 1:
        raise InvalidInput("candles need equal one-dimensional columns", code="candle_shape")
    if timeframe_ms <= 0:
        raise InvalidInput("a timeframe is a positive length", code="bad_timeframe")
    rows = np.arange(times.size)
    if sort:
        rows = np.argsort(times, kind="stable")
        times, columns = times[rows], [column[rows] for column in columns]
    reasons = _single_bar_reasons(times, columns, timeframe_ms, now_ms, limits)
    _mark_order(times, columns, reasons, state)
    after = _mark_jumps(times, columns, reasons, state, confirmed, timeframe_ms, limits)
    kept = reasons == 0
    values = [column[kept] for column in columns]
    return CheckedCandles(
        candles=Candles(
            instrument=instrument,
            timeframe_ms=timeframe_ms,
            open_time=times[kept],
            open=values[0],
            high=values[1],
            low=values[2],
            close=values[3],
            volume=values[4],
        ),
        refusals=tuple(
            CandleRefusal(
                row=int(rows[i]),
                open_time=int(times[i]),
                open=float(columns[0][i]),
                high=float(columns[1][i]),
                low=float(columns[2][i]),
                close=float(columns[3][i]),
                volume=float(columns[4][i]),
                reason=_REASONS[reasons[i] - 1],
            )
            for i in np.flatnonzero(~kept).tolist()
        ),
        state=after,
    )


def build_candles(
    *,
    instrument: str,
    timeframe_ms: int,
    open_time: IntArray,
    open: FloatArray,
    high: FloatArray,
    low: FloatArray,
    close: FloatArray,
    volume: FloatArray,
) -> Candles:
    """Candles from columns that must all be good (bars read back from our own storage).

    Raises :class:`InvalidInput` with the code of the first bad bar's reason.  Jumps are not
    judged: a stored bar was judged when it came in.
    """
    lenient = replace(DoorRules(), jump_share_min=math.inf, jump_share_max=math.inf)
    checked = check_candles(
        instrument=instrument,
        timeframe_ms=timeframe_ms,
        open_time=open_time,
        open=open,
        high=high,
        low=low,
        close=close,
        volume=volume,
        now_ms=2**62,
        rules=lenient,
    )
    if checked.refusals:
        first = checked.refusals[0]
        raise InvalidInput(
            f"the bar in row {first.row} is bad: {first.reason.value}",
            code=first.reason.value,
            details={"row": first.row, "open_time": first.open_time},
        )
    return checked.candles


def check_candle(
    *,
    candle: Candle,
    instrument: str,
    timeframe_ms: int,
    now_ms: int,
    state: DoorState | None = None,
    confirmed: Collection[int] = (),
    rules: DoorRules | None = None,
) -> CheckedCandles:
    """One arriving bar through the same door."""
    return check_candles(
        instrument=instrument,
        timeframe_ms=timeframe_ms,
        open_time=np.array([candle.open_time], dtype=np.int64),
        open=np.array([candle.open]),
        high=np.array([candle.high]),
        low=np.array([candle.low]),
        close=np.array([candle.close]),
        volume=np.array([candle.volume]),
        now_ms=now_ms,
        state=state,
        confirmed=confirmed,
        rules=rules,
    )


_REASONS = tuple(CandleReason)
_CODE = {reason: i + 1 for i, reason in enumerate(_REASONS)}


def _single_bar_reasons(
    times: IntArray, columns: list[FloatArray], timeframe_ms: int, now_ms: int, rules: DoorRules
) -> NDArray[np.int8]:
    """What is wrong with each bar taken by itself; 0 is nothing."""
    prices = np.stack(columns[:4])
    open_, high, low, close = prices
    volume = columns[4]
    reasons = np.zeros(times.shape, dtype=np.int8)
    latest = now_ms + rules.clock_skew_ms
    with np.errstate(invalid="ignore"):
        tests = (
            (CandleReason.BAD_TIME, times <= 0),
            (CandleReason.MISALIGNED, times % timeframe_ms != 0),
            (CandleReason.FUTURE, times > latest),
            (CandleReason.NOT_CLOSED, times > latest - timeframe_ms),
            (CandleReason.NOT_FINITE, ~np.isfinite(prices).all(axis=0)),
            (CandleReason.NOT_POSITIVE, (prices <= 0.0).any(axis=0)),
            (CandleReason.TOO_LARGE, (prices >= rules.price_max).any(axis=0)),
            (
                CandleReason.BOUNDS,
                (low > np.minimum(open_, close)) | (high < np.maximum(open_, close)),
            ),
            (
                CandleReason.BAD_VOLUME,
                ~(np.isfinite(volume) & (volume >= 0.0) & (volume < rules.volume_max)),
            ),
        )
    for reason, failed in tests:
        reasons[(reasons == 0) & failed] = _CODE[reason]
    return reasons


def _mark_order(
    times: IntArray,
    columns: list[FloatArray],
    reasons: NDArray[np.int8],
    state: DoorState | None,
) -> None:
    """Mark repeated and late bars among those that are good by themselves."""
    good = np.flatnonzero(reasons == 0)
    if good.size == 0:
        return
    stamps = times[good]
    newest = np.maximum.accumulate(stamps)
    before = np.empty_like(newest)
    before[0] = state.open_time if state is not None else np.iinfo(np.int64).min
    before[1:] = newest[:-1]
    if state is not None:
        np.maximum(before, state.open_time, out=before)
    late = np.flatnonzero(stamps <= before)
    if late.size == 0:
        return
    late_set = set(late.tolist())
    first = {int(stamps[k]): int(good[k]) for k in range(good.size) if k not in late_set}
    for k in late.tolist():
        row = int(good[k])
        twin = first.get(int(times[row]))
        if twin is None:
            reasons[row] = _CODE[CandleReason.OUT_OF_ORDER]
        elif all(column[row] == column[twin] for column in columns):
            reasons[row] = _CODE[CandleReason.DUPLICATE]
        else:
            reasons[row] = _CODE[CandleReason.CONFLICTING]


def _mark_jumps(
    times: IntArray,
    columns: list[FloatArray],
    reasons: NDArray[np.int8],
    state: DoorState | None,
    confirmed: Collection[int],
    timeframe_ms: int,
    rules: DoorRules,
) -> DoorState | None:
    """Mark bars too far from the last one taken; returns the state after the batch.

    A column-wise pass finds the first bar that may be one.  Only from there on the bars are
    walked singly, because each is measured against the last bar that was taken.
    """
    good = np.flatnonzero(reasons == 0)
    if good.size == 0:
        return state
    _, high, low, close, _ = (column[good] for column in columns)
    stamps = times[good]
    start = state if state is not None else _first_state(stamps, close, timeframe_ms)
    previous = np.concatenate(([start.close], close[:-1]))
    elapsed = np.diff(stamps, prepend=start.open_time) / timeframe_ms
    elapsed[0] -= start.jumps
    far = np.maximum(np.abs(high - previous), np.abs(low - previous))
    ranges = np.concatenate((start.ranges, np.maximum(far, high - low)))
    mean = _mean_before(ranges, rules.range_bars)[len(start.ranges) :]
    share = np.minimum(
        np.maximum(rules.jump_share_min * previous, rules.jump_range_max * mean),
        rules.jump_share_max * previous,
    )
    # A little narrower than the judge, so that rounding cannot hide a suspect from it.
    suspects = np.flatnonzero(far > 0.999 * share * np.sqrt(np.maximum(elapsed, 1.0)))
    first = int(suspects[0]) if suspects.size else good.size
    walk = _JumpWalk(start, rules, timeframe_ms)
    # Ranges reach back only ``range_bars`` bars: there the walk picks up its memory.
    begin = max(0, first - rules.range_bars)
    if begin > 0:
        walk.restart(int(stamps[begin - 1]), float(close[begin - 1]))
    for k in range(begin, good.size if first < good.size else first):
        bar = (int(stamps[k]), float(high[k]), float(low[k]), float(close[k]))
        reason = None if bar[0] in confirmed or k < first else walk.judge(*bar)
        if reason is None:
            walk.take(*bar)
        else:
            reasons[good[k]] = _CODE[reason]
    return walk.state()


class _JumpWalk:
    """The last bar taken and the mean of the last true ranges, one bar at a time."""

    def __init__(self, state: DoorState, rules: DoorRules, timeframe_ms: int) -> None:
        self._open_time = state.open_time
        self._close = state.close
        self._ranges: deque[float] = deque(state.ranges, maxlen=rules.range_bars)
        self._jumps = state.jumps
        self._rules = rules
        self._timeframe_ms = timeframe_ms

    def restart(self, open_time: int, close: float) -> None:
        self._open_time, self._close, self._jumps = open_time, close, 0
        self._ranges.clear()

    def judge(self, open_time: int, high: float, low: float, close: float) -> CandleReason | None:
        elapsed = (open_time - self._open_time) / self._timeframe_ms - self._jumps
        scale = math.sqrt(max(1.0, elapsed))
        rules, close_before = self._rules, self._close
        mean = sum(self._ranges) / len(self._ranges) if self._ranges else math.inf
        allowed = min(
            max(rules.jump_share_min * close_before, rules.jump_range_max * mean),
            rules.jump_share_max * close_before,
        )
        far = max(abs(high - self._close), abs(low - self._close))
        if far <= allowed * scale:
            return None
        self._jumps += 1
        decades = abs(math.log10(close / self._close))
        nearest = round(decades)
        if 1 <= nearest <= 3 and abs(decades - nearest) < 0.1:
            return CandleReason.SCALE
        return CandleReason.JUMP

    def take(self, open_time: int, high: float, low: float, close: float) -> None:
        self._ranges.append(max(high - low, abs(high - self._close), abs(low - self._close)))
        self._open_time, self._close, self._jumps = open_time, close, 0

    def state(self) -> DoorState:
        return DoorState(
            open_time=self._open_time,
            close=self._close,
            ranges=tuple(self._ranges),
            jumps=self._jumps,
        )


def _mean_before(values: FloatArray, length: int) -> FloatArray:
    """Mean of the up to ``length`` values before each one; infinite before the first."""
    means = np.full(values.shape, np.inf)
    for i in range(1, min(length, values.size)):
        means[i] = values[:i].mean()
    if values.size > length:
        means[length:] = np.lib.stride_tricks.sliding_window_view(values[:-1], length).mean(axis=1)
    return means


def _first_state(stamps: IntArray, close: FloatArray, timeframe_ms: int) -> DoorState:
    """A reference for the very first bar: the median of the first closes, which one bad bar
    cannot move."""
    return DoorState(open_time=int(stamps[0]) - timeframe_ms, close=float(np.median(close[:15])))
