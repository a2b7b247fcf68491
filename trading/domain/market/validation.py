"""Validation of incoming bars: which are accepted, and why others are rejected.

Every bar that is not taken leaves a :class:`CandleRefusal` with a code; the service records it.
Checks run in a fixed order and the first that fails names the reason.  How far a price may jump,
and when a new price level is believed, is the part of :mod:`trading.domain.market.price_levels`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from magnetfund.kernel.errors import InvalidInput
from trading.domain.market.candles import Candle, Candles, FloatArray, IntArray
from trading.domain.market.price_levels import (
    JumpKind,
    LevelChange,
    SeriesState,
    ValidationRules,
    judge_price_levels,
)


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
class CheckedCandles:
    """The bars that came in, the refusals of the others, and the state for the next batch.

    ``candles`` begins with bars held from an earlier batch where this one confirmed their level.
    ``levels`` are the jumps that were believed, oldest first.
    """

    candles: Candles
    refusals: tuple[CandleRefusal, ...]
    levels: tuple[LevelChange, ...]
    state: SeriesState | None


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
    state: SeriesState | None = None,
    confirmed: Collection[int] = (),
    sort: bool = False,
    rules: ValidationRules | None = None,
) -> CheckedCandles:
    """Take the good bars, refuse the others with a reason each.

    Columns have shape (n,) in the order of arrival and may hold any garbage.  ``sort`` orders a
    file by time first (archives come newest first); a stream keeps its order, and a late bar is
    ``out_of_order``.  ``state`` is that of the bars already taken.  A repeated bar with the same
    content is ``duplicate``, with another ``conflicting``: a revision of a stored bar is a new
    version and not this function's business.  ``confirmed`` are open times that a second,
    independent source (or a person) vouches for: there any jump is taken.  Raises
    :class:`InvalidInput` on unequal shapes.
    """
    limits = rules or ValidationRules()
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
    good = np.flatnonzero(reasons == 0)
    judged = judge_price_levels(
        open_time=times[good],
        columns=[column[good] for column in columns],
        state=state,
        confirmed=confirmed,
        timeframe_ms=timeframe_ms,
        rules=limits,
    )
    for place, kind in judged.refused.items():
        reasons[good[place]] = _CODE[_JUMP_REASON[kind]]
    return CheckedCandles(
        candles=_join_taken(
            judged.released, times, columns, reasons == 0, instrument, timeframe_ms
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
            for i in np.flatnonzero(reasons).tolist()
        ),
        levels=judged.levels,
        state=judged.state,
    )


def _join_taken(
    released: Sequence[Candle],
    times: IntArray,
    columns: Sequence[FloatArray],
    kept: NDArray[np.bool_],
    instrument: str,
    timeframe_ms: int,
) -> Candles:
    """Bars held before that are believed now, then those that are taken of the new ones."""
    carried = np.array([bar.open_time for bar in released], dtype=np.int64)
    open_, high, low, close, volume = (
        np.concatenate((np.array([getattr(bar, name) for bar in released]), column[kept]))
        for name, column in zip(_COLUMNS, columns, strict=True)
    )
    return Candles(
        instrument=instrument,
        timeframe_ms=timeframe_ms,
        open_time=np.concatenate((carried, times[kept])),
        open=open_,
        high=high,
        low=low,
        close=close,
        volume=volume,
    )


_COLUMNS = ("open", "high", "low", "close", "volume")
_JUMP_REASON = {JumpKind.JUMP: CandleReason.JUMP, JumpKind.SCALE: CandleReason.SCALE}
_REASONS = tuple(CandleReason)
_CODE = {reason: i + 1 for i, reason in enumerate(_REASONS)}


def _single_bar_reasons(
    times: IntArray,
    columns: list[FloatArray],
    timeframe_ms: int,
    now_ms: int,
    rules: ValidationRules,
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
    state: SeriesState | None,
) -> None:
    """Mark repeated and late bars among those that are good by themselves."""
    good = np.flatnonzero(reasons == 0)
    if good.size == 0:
        return
    stamps = times[good]
    newest = np.maximum.accumulate(stamps)
    before = np.empty_like(newest)
    before[0] = np.iinfo(np.int64).min
    before[1:] = newest[:-1]
    first: dict[int, tuple[float, ...]] = {}
    if state is not None:
        np.maximum(before, state.newest_open_time, out=before)
        first = {b.open_time: tuple(getattr(b, name) for name in _COLUMNS) for b in state.held}
    late = np.flatnonzero(stamps <= before)
    if late.size == 0:
        return
    late_times = set(stamps[late].tolist())
    on_time = np.setdiff1d(np.arange(good.size), late, assume_unique=True)
    for k in on_time[np.isin(stamps[on_time], list(late_times))].tolist():
        first[int(stamps[k])] = tuple(float(column[good[k]]) for column in columns)
    for k in late.tolist():
        row = int(good[k])
        twin = first.get(int(times[row]))
        if twin is None:
            reasons[row] = _CODE[CandleReason.OUT_OF_ORDER]
        elif twin == tuple(float(column[row]) for column in columns):
            reasons[row] = _CODE[CandleReason.DUPLICATE]
        else:
            reasons[row] = _CODE[CandleReason.CONFLICTING]
