"""One stream for every strategy that is a rule on closed bars of one timeframe.

A rule takes closed bars and wishes: enter a side, leave a side.  The stream adds what all share:
longer bars from hourly candles, Wilder's ATR of those bars, a stop at a multiple of it, an
optional target, and the volatility reading of the fuse.  A rule never knows what is held.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from magnetfund.kernel.errors import InvalidInput
from trading.domain.market.candles import DAY_MS, HOUR_MS, Candle, Candles
from trading.domain.strategies.base import NAN, make_signal
from trading.domain.strategies.shared import SharedBars
from trading.domain.strategies.sides import decide_sides, place_level, place_levels
from trading.domain.strategies.signals import (
    Reason,
    Signal,
    Signals,
    StrategyTraits,
    build_signals,
)
from trading.domain.strategies.streaming import LongerBars, VolatilityGauge, WilderRange


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a rule wants at a close: ``enter`` is +1, -1 or 0; a side to leave is named."""

    enter: int = 0
    leave_long: bool = False
    leave_short: bool = False
    reason: Reason = Reason.NOTHING

    @classmethod
    def hold(cls, side: int, *, enter: bool = True) -> Wish:
        """Be on ``side`` and on no other; with ``enter`` False only those who are may stay."""
        return _hold(side, enter)


@cache
def _hold(side: int, enter: bool) -> Wish:
    return Wish(
        enter=side if enter else 0,
        leave_long=side <= 0,
        leave_short=side >= 0,
        reason=Reason.NO_DIRECTION if side == 0 else Reason.NOTHING,
    )


class Rule(Protocol):
    """The memory of one rule."""

    def update(self, bar: Candle, atr: float) -> Wish | None:
        """Take the next closed bar of the rule's timeframe; None while it warms up."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleStrategy(ABC):
    """What rule strategies share: hours per bar, ATR length, stop, target and time in bars.

    ``target_atr`` 0 means no target, ``hold_bars`` 0 no time exit.  Raises :class:`InvalidInput`
    for hours that do not divide the day, or distances that are not positive.
    """

    version: str = "1"
    bar_hours: int = 4
    atr_length: int = 14
    stop_atr: float = 2.0
    target_atr: float = 0.0
    hold_bars: int = 0

    def __post_init__(self) -> None:
        if self.bar_hours < 1 or DAY_MS % (self.bar_hours * HOUR_MS):
            raise InvalidInput("a bar's hours must divide the day", code="bad_parameter")
        if self.atr_length < 1 or self.hold_bars < 0:
            raise InvalidInput("a length is not positive", code="bad_parameter")
        if not (self.stop_atr > 0.0 and self.target_atr >= 0.0):
            raise InvalidInput("distances must be positive", code="bad_parameter")

    @property
    @abstractmethod
    def name(self) -> str:
        """The name by which the registry knows the strategy."""

    @property
    def traits(self) -> StrategyTraits:
        """1.0x, stop within 60 % of the way to liquidation, volatility the one market trigger."""
        return StrategyTraits(
            strategy_id=self.name,
            version=f"{self.name}.{self.version}",
            hold_ms_max=self.hold_bars * self.bar_hours * HOUR_MS,
            liquidation_share_max=0.6,
        )

    @property
    def timeframe_ms(self) -> int:
        """Reads hourly candles."""
        return HOUR_MS

    def protect(self, *, close: float, side: int, atr: float) -> tuple[float, float]:
        """Stop and target of an entry on ``side`` at a close; NaN where there is none."""
        if not side:
            return NAN, NAN
        stop = place_level(close, side, self.stop_atr, atr)
        if not self.target_atr:
            return stop, NAN
        return stop, place_level(close, side, -self.target_atr, atr)

    @abstractmethod
    def rule(self) -> Rule:
        """A fresh memory of the rule alone."""

    def stream(self) -> RuleStream:
        """A fresh memory."""
        return RuleStream(self)

    def decide(self, shared: SharedBars, *, room: Decisions | None = None) -> Decisions:
        """What the rule says at every one of its bars; a rule may compute that in columns.

        ``room`` are earlier decisions that nobody needs any more: their arrays may be written on.
        """
        return decide_by_rule(self, shared)

    @property
    def base_key(self) -> tuple[Any, ...]:
        """On which of its parameters :meth:`base` and :meth:`decision_rows` depend."""
        return "rule", self.bar_hours, self.atr_length

    def base(self, shared: SharedBars) -> Signals:
        """What its signals say at every candle whatever it decides."""
        ratio, sigma = shared.volatility()
        return build_signals(
            known_at=shared.candles.known_at,
            atr=shared.held_ranges(self.bar_hours, self.atr_length),
            volatility_ratio=ratio,
            sigma=sigma,
        )

    def decision_rows(self, shared: SharedBars) -> NDArray[np.int64]:
        """The candles at which it decides."""
        return shared.joined(self.bar_hours).rows

    def columns(self, *, candles: Candles, shared: SharedBars | None = None) -> Signals:
        """The signals of every hourly candle at once, row for row those of the stream."""
        return _rule_columns(self, shared or SharedBars(candles))


class RuleStream:
    """The memory of a rule strategy on one instrument."""

    def __init__(self, strategy: RuleStrategy) -> None:
        self._strategy = strategy
        self._rule = strategy.rule()
        self._bars = LongerBars(child_ms=HOUR_MS, timeframe_ms=strategy.bar_hours * HOUR_MS)
        self._range = WilderRange(strategy.atr_length)
        self._volatility = VolatilityGauge()

    def update(self, candle: Candle) -> Signal:
        """The signal at the close of an hourly candle."""
        self._volatility.update(candle.close)
        bar = self._bars.update(candle)
        if bar is None:
            return self._say(candle, Wish(reason=Reason.NOT_DECISION_BAR))
        atr = self._range.update(bar)
        wish = self._rule.update(bar, atr)
        if wish is None or not atr > 0.0:
            return self._say(candle, Wish(reason=Reason.WARM_UP))
        return self._say(candle, wish)

    def _say(self, candle: Candle, wish: Wish) -> Signal:
        strategy, side, atr = self._strategy, wish.enter, self._range.value
        stop, target = strategy.protect(close=candle.close, side=side, atr=atr)
        return make_signal(
            known_at=candle.open_time + HOUR_MS,
            reason=Reason.ENTRY if side else wish.reason,
            direction=side,
            exit_long=wish.leave_long,
            exit_short=wish.leave_short,
            stop=stop,
            target=target,
            atr=atr,
            volatility_ratio=self._volatility.ratio,
            sigma=self._volatility.sigma,
        )


def _no_levels() -> NDArray[np.float64]:
    return np.empty(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decisions:
    """What a rule says at its own bars, one row each.

    ``enter`` is +1, -1 or 0; ``leave`` has bit 1 for a long and bit 2 for a short position;
    ``stop`` and ``target`` belong to an entry, NaN where there is none.  Both are empty where they
    follow from the close and its ATR (``reach``): few of them are ever looked at.
    """

    enter: NDArray[np.int8]
    leave: NDArray[np.int8]
    reason: NDArray[np.int8]
    stop: NDArray[np.float64] = field(default_factory=_no_levels)
    target: NDArray[np.float64] = field(default_factory=_no_levels)
    close: NDArray[np.float64] = field(default_factory=_no_levels)
    reach: NDArray[np.float64] = field(default_factory=_no_levels)
    stop_atr: float = 0.0
    target_atr: float = 0.0


def decide_by_rule(strategy: RuleStrategy, shared: SharedBars) -> Decisions:
    """The decisions of the rule's own memory, bar by bar."""
    bars = shared.bars(strategy.bar_hours)
    ranges = shared.ranges(strategy.bar_hours, strategy.atr_length).tolist()
    count = len(bars)
    enter, leave, reason = [0] * count, [0] * count, [int(Reason.WARM_UP)] * count
    stop, target = [NAN] * count, [NAN] * count
    update, protect, entry = strategy.rule().update, strategy.protect, int(Reason.ENTRY)
    for k, (bar, atr) in enumerate(zip(bars, ranges, strict=True)):
        wish = update(bar, atr)
        if wish is None or not atr > 0.0:
            continue
        side = wish.enter
        leave[k] = wish.leave_long + 2 * wish.leave_short
        if side:
            reason[k], enter[k] = entry, side
            stop[k], target[k] = protect(close=bar.close, side=side, atr=atr)
        else:
            reason[k] = wish.reason
    return Decisions(
        enter=np.array(enter, dtype=np.int8),
        leave=np.array(leave, dtype=np.int8),
        reason=np.array(reason, dtype=np.int8),
        stop=np.array(stop, dtype=np.float64),
        target=np.array(target, dtype=np.float64),
    )


def decide_by_side(
    strategy: RuleStrategy,
    shared: SharedBars,
    *,
    above: NDArray[np.float64],
    below: NDArray[np.float64],
    room: Decisions | None,
) -> Decisions:
    """The decisions of a rule that is long while ``above`` exceeds ``below``, short under it.

    Either is NaN while the rule warms up.  ``room`` as :meth:`RuleStrategy.decide` has it.
    """
    from trading.domain.backtest.compiled import compile_pure

    count, reach = above.shape[0], shared.ranges(strategy.bar_hours, strategy.atr_length)
    if room is None or room.enter.size != count:
        enter, leave, reason = np.empty((3, count), dtype=np.int8)
    else:
        enter, leave, reason = room.enter, room.leave, room.reason
    compile_pure(decide_sides)(above, below, reach, enter, leave, reason)
    return Decisions(
        enter=enter,
        leave=leave,
        reason=reason,
        close=shared.closes(strategy.bar_hours),
        reach=reach,
        stop_atr=float(strategy.stop_atr),
        target_atr=float(strategy.target_atr),
    )


def _rule_columns(strategy: RuleStrategy, shared: SharedBars) -> Signals:
    count, rows = len(shared.candles), strategy.decision_rows(shared)
    found = strategy.decide(shared)
    stop, target = found.stop, found.target
    if found.reach.size:
        from trading.domain.backtest.compiled import compile_pure

        stop, target = np.empty((2, found.enter.size))
        compile_pure(place_levels)(
            found.close, found.enter, found.reach, found.stop_atr, found.target_atr, stop, target
        )

    def spread(values: NDArray[np.generic], empty: object, dtype: type) -> NDArray[Any]:
        column: NDArray[Any] = np.full(count, empty, dtype=dtype)
        column[rows] = values
        return column

    return replace(
        strategy.base(shared),
        direction=spread(found.enter, 0, np.int8),
        exit_long=spread((found.leave & 1) != 0, False, np.bool_),
        exit_short=spread((found.leave & 2) != 0, False, np.bool_),
        stop=spread(stop, NAN, np.float64),
        target=spread(target, NAN, np.float64),
        reason=spread(found.reason, int(Reason.NOT_DECISION_BAR), np.int8),
    )
