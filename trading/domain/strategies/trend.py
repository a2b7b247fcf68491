"""``trend``: the fund's core sleeve, a daily vote of three momentum horizons.

Decided at the close of the 23:00 UTC hour on daily bars, filled at the 00:00 open.  Vote v = sum of
+1 or -1 over 14, 28 and 56 days; +3 opens long, -3 short; a long ends when v < 0, a short when
v > 0; while the direction holds a stopped position is re-entered at the next daily decision.  Stop
2 ATR(14, daily, Wilder) away, or 0.1 ATR beyond the nearest active 4-hour swing that lies 1.5 to
3.0 ATR away; target 8 ATR; both fixed.  Magnets never raise its size or leverage.

A day counts when all its 24 hours are there; "k days ago" counts such days.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np

from magnetfund.kernel.errors import InvalidInput
from trading.domain.market.candles import DAY_MS, HOUR_MS, Candle, Candles
from trading.domain.strategies.base import NAN, make_signal
from trading.domain.strategies.columns import hold_last
from trading.domain.strategies.shared import SharedBars
from trading.domain.strategies.signals import (
    Reason,
    Signal,
    Signals,
    StrategyTraits,
    build_signals,
)
from trading.domain.strategies.streaming import (
    ActiveSwings,
    LongerBars,
    VolatilityGauge,
    WilderRange,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrendStrategy:
    """Parameters of ``trend``; distances are in daily ATR."""

    version: str = "trend.1"
    horizons_days: tuple[int, ...] = (14, 28, 56)
    atr_length: int = 14
    stop_atr: float = 2.0
    target_atr: float = 8.0
    swing_order: int = 5
    swing_life_days: float = 120.0
    swing_atr_min: float = 1.5
    swing_atr_max: float = 3.0
    swing_margin_atr: float = 0.1

    def __post_init__(self) -> None:
        if not self.horizons_days or min(self.horizons_days) < 1 or self.atr_length < 1:
            raise InvalidInput("horizons and lengths must be positive", code="bad_parameter")
        if not 0.0 < self.swing_atr_min <= self.swing_atr_max or self.stop_atr <= 0.0:
            raise InvalidInput("stop distances must be positive", code="bad_parameter")

    @property
    def traits(self) -> StrategyTraits:
        """1.0x, stop within 60 % of the way to liquidation, volatility the one market trigger."""
        return StrategyTraits(strategy_id="trend", version=self.version, liquidation_share_max=0.6)

    @property
    def timeframe_ms(self) -> int:
        """Reads hourly candles."""
        return HOUR_MS

    def stream(self) -> TrendStream:
        """A fresh memory."""
        return TrendStream(self)

    def columns(self, *, candles: Candles, shared: SharedBars | None = None) -> Signals:
        """The signals of every hourly candle at once, row for row those of the stream."""
        return _trend_columns(self, shared or SharedBars(candles))


class _TrendMemory:
    """What ``trend`` remembers beside the volatility: swings, daily closes and range, direction."""

    def __init__(self, strategy: TrendStrategy) -> None:
        self._strategy = strategy
        self._range = WilderRange(strategy.atr_length)
        self._swings = ActiveSwings(order=strategy.swing_order, life_days=strategy.swing_life_days)
        self._closes: deque[float] = deque(maxlen=max(strategy.horizons_days) + 1)
        self.direction = 0

    @property
    def atr(self) -> float:
        """ATR of the closed days."""
        return self._range.value

    def take_four_hours(self, bar: Candle) -> None:
        """The next closed 4-hour bar; it comes before the day that it ends."""
        self._swings.update(bar)

    def decide(self, day: Candle) -> tuple[Reason, float, float]:
        """``(reason, stop, target)`` at the close of a day; NaN where there is no entry."""
        atr = self._range.update(day)
        self._closes.append(day.close)
        if len(self._closes) <= max(self._strategy.horizons_days) or not atr > 0.0:
            return Reason.WARM_UP, NAN, NAN
        self._turn(day.close)
        if self.direction == 0:
            return Reason.NO_DIRECTION, NAN, NAN
        stop, target = self._protect(day.close, atr)
        return Reason.ENTRY, stop, target

    def _turn(self, close: float) -> None:
        """Move the direction by the vote; it holds until the vote turns against it."""
        horizons = self._strategy.horizons_days
        vote = sum(1 if close > self._closes[-1 - days] else -1 for days in horizons)
        if vote == len(horizons):
            self.direction = 1
        elif vote == -len(horizons):
            self.direction = -1
        elif vote * self.direction < 0:
            self.direction = 0

    def _protect(self, close: float, atr: float) -> tuple[float, float]:
        """Stop and target of an entry in the present direction."""
        strategy, side = self._strategy, self.direction
        swing = self._swings.nearest_beyond(
            price=close,
            side=side,
            nearest=strategy.swing_atr_min * atr,
            farthest=strategy.swing_atr_max * atr,
        )
        stop = close - side * strategy.stop_atr * atr
        if not math.isnan(swing):
            stop = swing - side * strategy.swing_margin_atr * atr
        target = close + side * strategy.target_atr * atr
        return stop, target if target > 0.0 else NAN


class TrendStream:
    """The memory of ``trend`` on one instrument."""

    def __init__(self, strategy: TrendStrategy) -> None:
        self._days = LongerBars(child_ms=HOUR_MS, timeframe_ms=DAY_MS)
        self._four_hours = LongerBars(child_ms=HOUR_MS, timeframe_ms=4 * HOUR_MS)
        self._volatility = VolatilityGauge()
        self._memory = _TrendMemory(strategy)

    def update(self, candle: Candle) -> Signal:
        """The signal at the close of an hourly candle."""
        self._volatility.update(candle.close)
        four_hours = self._four_hours.update(candle)
        if four_hours is not None:
            self._memory.take_four_hours(four_hours)
        day = self._days.update(candle)
        reason, stop, target = Reason.NOT_DECISION_BAR, NAN, NAN
        if day is not None:
            reason, stop, target = self._memory.decide(day)
        side = self._memory.direction if reason is Reason.ENTRY else 0
        leaves = reason is Reason.NO_DIRECTION
        return make_signal(
            known_at=candle.open_time + HOUR_MS,
            reason=reason,
            direction=side,
            exit_long=leaves or side < 0,
            exit_short=leaves or side > 0,
            stop=stop,
            target=target,
            atr=self._memory.atr,
            volatility_ratio=self._volatility.ratio,
            sigma=self._volatility.sigma,
        )


def _trend_columns(strategy: TrendStrategy, bars: SharedBars) -> Signals:
    candles = bars.candles
    count = len(candles)
    four_hours, days = bars.joined(4), bars.joined(24)
    longer = bars.bars(4)
    memory, waiting = _TrendMemory(strategy), 0
    reason = np.full(count, int(Reason.NOT_DECISION_BAR), dtype=np.int8)
    direction = np.zeros(count, dtype=np.int8)
    stop, target = np.full(count, NAN), np.full(count, NAN)
    ranges = np.empty(days.rows.size)
    known = four_hours.rows.tolist()
    for k, (row, day) in enumerate(zip(days.rows.tolist(), bars.bars(24), strict=True)):
        while waiting < len(known) and known[waiting] <= row:
            memory.take_four_hours(longer[waiting])
            waiting += 1
        found, stop[row], target[row] = memory.decide(day)
        ranges[k], reason[row] = memory.atr, found
        direction[row] = memory.direction if found is Reason.ENTRY else 0
    leaves = reason == Reason.NO_DIRECTION
    ratio, sigma = bars.volatility()
    return build_signals(
        known_at=candles.known_at,
        direction=direction,
        exit_long=leaves | (direction < 0),
        exit_short=leaves | (direction > 0),
        stop=stop,
        target=target,
        reason=reason,
        atr=hold_last(rows=days.rows, values=ranges, count=count),
        volatility_ratio=ratio,
        sigma=sigma,
    )
