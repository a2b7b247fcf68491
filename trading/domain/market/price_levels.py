"""How far a price may jump from one bar to the next, and when a new price level is believed.

A bar that lies too far from the last bar taken is held back: as ``jump``, or as ``scale`` where the
factor lies near 10, 100 or 1000 (a unit mistaken, a decimal point lost).  It comes in when

- the level holds: three bars in a row are held that agree with each other, none of them ``scale``;
  all three are taken then, and the change of level is reported as an event; or
- the next bar, itself within the limits, goes on from the held bar's close and not from the old
  one, and the held bar's wicks beyond its body are ordinary: a fast fall that half recovers; or
- a second, independent source or a person confirms its open time.

Any other bar back at the old level discards what was held: that was garbage.  Limits are wide on
purpose: real crashes must come in, misplaced points must not.

Invariant: batches of any size, and single bars with the state carried between them, take the same
bars; the state can be rebuilt from the last bars taken (:func:`resume_state`).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from trading.domain.market.candles import Candle, Candles, FloatArray, IntArray


class JumpKind(StrEnum):
    """Why a price is not believed yet."""

    JUMP = "jump"
    SCALE = "scale"


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationRules:
    """The limits of validation.

    A price jumps when it lies further from the last close than ``jump_range_max`` mean true ranges
    of the last ``range_bars`` bars and than ``jump_share_min`` of the price, or than
    ``jump_share_max`` of the price in any case.  After missing bars these distances grow with the
    square root of the bars elapsed; bars refused for their price do not count, or a single wild
    price would be believed the longer it is repeated.  ``level_bars`` is how many bars in a row
    must agree before a new level is taken.  ``clock_skew_ms`` is how far a source's clock may run
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
    level_bars: int = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesState:
    """What validation remembers of a series between batches or bars.

    ``open_time`` and ``close`` are those of the last bar taken, ``ranges`` the last true ranges,
    oldest first; ``jumps`` counts the bars refused for their price since; ``held`` are those of
    them that may become a new level.
    """

    open_time: int
    close: float
    ranges: tuple[float, ...] = ()
    jumps: int = 0
    held: tuple[Candle, ...] = ()

    @property
    def newest_open_time(self) -> int:
        """Open time of the newest bar taken or held."""
        return self.held[-1].open_time if self.held else self.open_time


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelChange:
    """A jump that was believed: from the last close of the old level to the first bar of the new.

    ``bars`` is how many bars held it up, or 0 where it was confirmed from outside.
    """

    open_time: int
    close_before: float
    close_after: float
    bars: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedLevels:
    """``refused`` by place in the batch; ``released`` were held before it and are taken now."""

    refused: dict[int, JumpKind]
    released: tuple[Candle, ...]
    levels: tuple[LevelChange, ...]
    state: SeriesState | None


def resume_state(
    *, taken: Candles, held: Sequence[Candle] = (), rules: ValidationRules | None = None
) -> SeriesState | None:
    """The state after the last of ``taken``; None where nothing was taken yet.

    At least ``range_bars + 1`` bars make it equal to the state that validation itself carried on.
    ``held`` are the later bars that were refused for their price, oldest first; they are judged
    anew, so hand them in as such only where the caller does not repeat them.
    """
    limits = rules or ValidationRules()
    if not len(taken):
        return None
    ranges = taken.high - taken.low
    if len(taken) > 1:
        before = taken.close[:-1]
        far = np.maximum(np.abs(taken.high[1:] - before), np.abs(taken.low[1:] - before))
        ranges = np.concatenate((ranges[:1], np.maximum(ranges[1:], far)))
    ranges = ranges[-limits.range_bars :]
    return SeriesState(
        open_time=int(taken.open_time[-1]),
        close=float(taken.close[-1]),
        ranges=tuple(float(value) for value in ranges),
        jumps=len(held),
        held=tuple(held),
    )


def judge_price_levels(
    *,
    open_time: IntArray,
    columns: Sequence[FloatArray],
    state: SeriesState | None,
    confirmed: Collection[int],
    timeframe_ms: int,
    rules: ValidationRules,
) -> JudgedLevels:
    """Find the bars whose price is not believed, among bars that are sane and in order.

    ``columns`` are open, high, low, close, volume, shape (n,).  A column-wise pass assumes that
    every bar is taken and finds those that might not be; only around them bars are walked singly,
    because each is measured against the last bar that was taken.
    """
    n = int(open_time.size)
    if n == 0:
        return JudgedLevels(refused={}, released=(), levels=(), state=state)
    _, high, low, close, _ = columns
    start = state if state is not None else _first_state(open_time, close, timeframe_ms)
    previous = np.concatenate(([start.close], close[:-1]))
    far = np.maximum(np.abs(high - previous), np.abs(low - previous))
    elapsed = np.diff(open_time, prepend=start.open_time) / timeframe_ms
    own = np.maximum(far, high - low)
    if state is None:
        own[0] = high[0] - low[0]  # there is no bar before it
    ranges = np.concatenate((start.ranges, own))
    mean = _mean_before(ranges, rules.range_bars)[len(start.ranges) :]
    share = np.minimum(
        np.maximum(rules.jump_share_min * previous, rules.jump_range_max * mean),
        rules.jump_share_max * previous,
    )
    # A little narrower than the judge, so that rounding cannot hide a suspect from it.
    suspects = np.flatnonzero(far > 0.999 * share * np.sqrt(np.maximum(elapsed, 1.0)))
    if start.jumps or start.held:
        suspects = np.union1d([0], suspects)
    walk = _Walk(rules=rules, timeframe_ms=timeframe_ms, has_past=state is not None)
    at = 0
    while True:
        nearest = int(np.searchsorted(suspects, at))
        at = int(suspects[nearest]) if nearest < suspects.size else n
        if at == 0:
            walk.resume(start)
        else:
            recent = ranges[: len(start.ranges) + at][-rules.range_bars :]
            walk.resume(
                SeriesState(
                    open_time=int(open_time[at - 1]),
                    close=float(close[at - 1]),
                    ranges=tuple(recent.tolist()),
                )
            )
        # After enough bars in a row that were taken, the column-wise pass is right again.
        while at < n and not walk.is_settled:
            bar = Candle(
                open_time=int(open_time[at]),
                open=float(columns[0][at]),
                high=float(high[at]),
                low=float(low[at]),
                close=float(close[at]),
                volume=float(columns[4][at]),
            )
            walk.judge(bar, place=at, is_confirmed=bar.open_time in confirmed)
            at += 1
        if at >= n:
            break
    return JudgedLevels(
        refused=walk.refused,
        released=tuple(walk.released),
        levels=tuple(walk.levels),
        state=walk.state(),
    )


class _Level:
    """The last bar of a price level and the true ranges of the bars before it."""

    def __init__(
        self,
        *,
        open_time: int,
        close: float,
        ranges: Iterable[float],
        timeframe_ms: int,
        rules: ValidationRules,
    ) -> None:
        self.open_time = open_time
        self.close = close
        self.ranges: deque[float] = deque(ranges, maxlen=rules.range_bars)
        self._timeframe_ms = timeframe_ms
        self._rules = rules

    @property
    def allowed(self) -> float:
        """The furthest distance from the last close that the next bar may reach."""
        rules = self._rules
        mean = sum(self.ranges) / len(self.ranges) if self.ranges else math.inf
        return min(
            max(rules.jump_share_min * self.close, rules.jump_range_max * mean),
            rules.jump_share_max * self.close,
        )

    def judge(self, bar: Candle, *, jumps: int = 0) -> JumpKind | None:
        """What is wrong with the distance of a bar from this level; None is nothing."""
        elapsed = (bar.open_time - self.open_time) / self._timeframe_ms - jumps
        far = max(abs(bar.high - self.close), abs(bar.low - self.close))
        if far <= self.allowed * math.sqrt(max(1.0, elapsed)):
            return None
        decades = abs(math.log10(bar.close / self.close))
        nearest = round(decades)
        is_scale = 1 <= nearest <= 3 and abs(decades - nearest) < 0.1
        return JumpKind.SCALE if is_scale else JumpKind.JUMP

    def take(self, bar: Candle, *, has_past: bool = True) -> None:
        far = max(abs(bar.high - self.close), abs(bar.low - self.close)) if has_past else 0.0
        self.ranges.append(max(bar.high - bar.low, far))
        self.open_time, self.close = bar.open_time, bar.close


@dataclass(frozen=True, slots=True, kw_only=True)
class _HeldBar:
    bar: Candle
    kind: JumpKind
    place: int | None


class _Walk:
    """Judges one bar at a time and keeps what was held, refused and believed."""

    def __init__(self, *, rules: ValidationRules, timeframe_ms: int, has_past: bool) -> None:
        self.refused: dict[int, JumpKind] = {}
        self.released: list[Candle] = []
        self.levels: list[LevelChange] = []
        self._rules = rules
        self._timeframe_ms = timeframe_ms
        self._has_past = has_past

    def resume(self, state: SeriesState) -> None:
        self._level = self._level_at(state.open_time, state.close, state.ranges)
        self._jumps = state.jumps
        self._held: list[_HeldBar] = []
        self._taken_in_a_row = 0
        for bar in state.held:
            kind = self._level.judge(bar, jumps=state.jumps) or JumpKind.JUMP
            self._held.append(_HeldBar(bar=bar, kind=kind, place=None))

    @property
    def is_settled(self) -> bool:
        """Whether the bars before the next one were taken for long enough."""
        return self._taken_in_a_row > self._rules.range_bars

    def judge(self, bar: Candle, *, place: int, is_confirmed: bool) -> None:
        kind = self._level.judge(bar, jumps=self._jumps)
        if kind is None or is_confirmed:
            if kind is not None:
                self._note_level(bar, bars=0)
            elif self._held and self._goes_on_from_held(bar):
                self._believe(bars=len(self._held) + 1)
            self._held.clear()
            self._take(bar)
            return
        self._jumps += 1
        self._taken_in_a_row = 0
        self.refused[place] = kind
        if self._held and self._held_level().judge(bar) is not None:
            self._held.clear()
        self._held.append(_HeldBar(bar=bar, kind=kind, place=place))
        del self._held[: -self._rules.level_bars]
        enough = len(self._held) == self._rules.level_bars
        if enough and all(one.kind is JumpKind.JUMP for one in self._held):
            self._believe(bars=len(self._held))

    def state(self) -> SeriesState:
        return SeriesState(
            open_time=self._level.open_time,
            close=self._level.close,
            ranges=tuple(self._level.ranges),
            jumps=self._jumps,
            held=tuple(one.bar for one in self._held),
        )

    def _goes_on_from_held(self, bar: Candle) -> bool:
        """Whether a bar within the limits shows that the held ones were real."""
        last = self._held[-1].bar
        return (
            all(one.kind is JumpKind.JUMP for one in self._held)
            and abs(bar.open - last.close) < abs(bar.open - self._level.close)
            and self._held_level().judge(bar) is None
            and all(
                max(min(one.open, one.close) - one.low, one.high - max(one.open, one.close))
                <= self._level.allowed
                for one in (held.bar for held in self._held)
            )
        )

    def _believe(self, *, bars: int) -> None:
        """Take the held bars: their level is the new one.  ``bars`` is how many agree on it."""
        self._note_level(self._held[0].bar, bars=bars)
        for one in self._held:
            if one.place is None:
                self.released.append(one.bar)
            else:
                del self.refused[one.place]
            self._take(one.bar, is_of_batch=one.place is not None)
        self._held.clear()

    def _take(self, bar: Candle, *, is_of_batch: bool = True) -> None:
        self._level.take(bar, has_past=self._has_past)
        self._has_past = True
        self._jumps = 0
        # The columns know nothing of a bar that an earlier batch brought.
        self._taken_in_a_row += is_of_batch

    def _note_level(self, bar: Candle, *, bars: int) -> None:
        self.levels.append(
            LevelChange(
                open_time=bar.open_time,
                close_before=self._level.close,
                close_after=bar.close,
                bars=bars,
            )
        )

    def _held_level(self) -> _Level:
        """The level that the held bars stand for; the jump to it is none of its ranges."""
        first = self._held[0].bar
        ranges = (*self._level.ranges, first.high - first.low)
        level = self._level_at(first.open_time, first.close, ranges)
        for one in self._held[1:]:
            level.take(one.bar)
        return level

    def _level_at(self, open_time: int, close: float, ranges: Iterable[float]) -> _Level:
        return _Level(
            open_time=open_time,
            close=close,
            ranges=ranges,
            timeframe_ms=self._timeframe_ms,
            rules=self._rules,
        )


def _mean_before(values: FloatArray, length: int) -> FloatArray:
    """Mean of the up to ``length`` values before each one; infinite before the first."""
    means = np.full(values.shape, np.inf)
    for i in range(1, min(length, values.size)):
        means[i] = values[:i].mean()
    if values.size > length:
        means[length:] = np.lib.stride_tricks.sliding_window_view(values[:-1], length).mean(axis=1)
    return means


def _first_state(stamps: IntArray, close: FloatArray, timeframe_ms: int) -> SeriesState:
    """A reference for the very first bar: the median of the first closes, which one bad bar
    cannot move."""
    return SeriesState(open_time=int(stamps[0]) - timeframe_ms, close=float(np.median(close[:15])))
