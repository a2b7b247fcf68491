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

from magnetfund.kernel.errors import InvalidInput
from trading.domain.market.candles import DAY_MS, HOUR_MS, Candle
from trading.domain.strategies.base import NAN, make_signal
from trading.domain.strategies.signals import Reason, Signal, StrategyTraits
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


class TrendStream:
    """The memory of ``trend`` on one instrument."""

    def __init__(self, strategy: TrendStrategy) -> None:
        self._strategy = strategy
        self._days = LongerBars(child_ms=HOUR_MS, timeframe_ms=DAY_MS)
        self._four_hours = LongerBars(child_ms=HOUR_MS, timeframe_ms=4 * HOUR_MS)
        self._range = WilderRange(strategy.atr_length)
        self._swings = ActiveSwings(order=strategy.swing_order, life_days=strategy.swing_life_days)
        self._volatility = VolatilityGauge()
        self._closes: deque[float] = deque(maxlen=max(strategy.horizons_days) + 1)
        self._direction = 0

    def update(self, candle: Candle) -> Signal:
        """The signal at the close of an hourly candle."""
        known_at = candle.open_time + HOUR_MS
        self._volatility.update(candle.close)
        four_hours = self._four_hours.update(candle)
        if four_hours is not None:
            self._swings.update(four_hours)
        day = self._days.update(candle)
        if day is None:
            return self._say(known_at, Reason.NOT_DECISION_BAR)
        atr = self._range.update(day)
        self._closes.append(day.close)
        if len(self._closes) <= max(self._strategy.horizons_days) or not atr > 0.0:
            return self._say(known_at, Reason.WARM_UP)
        self._turn(day.close)
        if self._direction == 0:
            return self._say(known_at, Reason.NO_DIRECTION, leaves=True)
        stop, target = self._protect(day.close, atr)
        return make_signal(
            known_at=known_at,
            reason=Reason.ENTRY,
            direction=self._direction,
            exit_long=self._direction < 0,
            exit_short=self._direction > 0,
            stop=stop,
            target=target,
            atr=atr,
            volatility_ratio=self._volatility.ratio,
            sigma=self._volatility.sigma,
        )

    def _say(self, known_at: int, reason: Reason, *, leaves: bool = False) -> Signal:
        return make_signal(
            known_at=known_at,
            reason=reason,
            exit_long=leaves,
            exit_short=leaves,
            atr=self._range.value,
            volatility_ratio=self._volatility.ratio,
            sigma=self._volatility.sigma,
        )

    def _turn(self, close: float) -> None:
        """Move the direction by the vote; it holds until the vote turns against it."""
        horizons = self._strategy.horizons_days
        vote = sum(1 if close > self._closes[-1 - days] else -1 for days in horizons)
        if vote == len(horizons):
            self._direction = 1
        elif vote == -len(horizons):
            self._direction = -1
        elif vote * self._direction < 0:
            self._direction = 0

    def _protect(self, close: float, atr: float) -> tuple[float, float]:
        """Stop and target of an entry in the present direction."""
        strategy, side = self._strategy, self._direction
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
