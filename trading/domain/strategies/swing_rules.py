"""Comparisons of short breath: RSI mean reversion, Bollinger breakout, momentum scalping.

They enter at an event, not in a state: a stopped position is entered again only when the event
comes again.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from magnetfund.kernel.errors import InvalidInput
from trading.domain.indicators.averages import Ema, Sma
from trading.domain.indicators.momentum import Macd, Rsi
from trading.domain.indicators.ranges import Bollinger
from trading.domain.market.candles import Candle
from trading.domain.strategies.rules import Rule, RuleStrategy, Wish
from trading.domain.strategies.signals import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class RsiReversion(RuleStrategy):
    """Long when RSI(14) falls below 30, until it is above 50; short above 70, until below 50."""

    length: int = 14
    oversold: float = 30.0
    overbought: float = 70.0
    middle: float = 50.0

    def __post_init__(self) -> None:
        RuleStrategy.__post_init__(self)
        if not 0.0 < self.oversold < self.middle < self.overbought < 100.0:
            raise InvalidInput("levels must rise from 0 to 100", code="bad_parameter")

    @property
    def name(self) -> str:
        """The registry's name."""
        return "rsi-reversion"

    def rule(self) -> Rule:
        """A fresh memory of the index."""
        return _RsiRule(self)


class _RsiRule:
    def __init__(self, strategy: RsiReversion) -> None:
        self._strategy = strategy
        self._rsi = Rsi(length=strategy.length)
        self._before = float("nan")

    def update(self, bar: Candle, atr: float) -> Wish | None:
        s, before = self._strategy, self._before
        value = self._before = self._rsi.update(bar.close)
        if before != before:
            return None
        side = int(value < s.oversold <= before) - int(value > s.overbought >= before)
        return Wish(
            enter=side,
            leave_long=value > s.middle,
            leave_short=value < s.middle,
            reason=Reason.NO_DIRECTION,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BollingerBreakout(RuleStrategy):
    """In when a close leaves the bands (20 bars, 2 deviations), out once back at the middle."""

    length: int = 20
    deviations: float = 2.0

    def __post_init__(self) -> None:
        RuleStrategy.__post_init__(self)
        if self.length < 2 or not self.deviations > 0.0:
            raise InvalidInput("the bands need a window and a width", code="bad_parameter")

    @property
    def name(self) -> str:
        """The registry's name."""
        return "bollinger-breakout"

    def rule(self) -> Rule:
        """A fresh memory of the bands."""
        return _BollingerRule(self)


class _BollingerRule:
    def __init__(self, strategy: BollingerBreakout) -> None:
        self._bands = Bollinger(length=strategy.length, deviations=strategy.deviations)
        self._side_before = 0

    def update(self, bar: Candle, atr: float) -> Wish | None:
        bands = self._bands.update(bar.close)
        if bands.middle != bands.middle:
            return None
        side = int(bar.close > bands.upper) - int(bar.close < bands.lower)
        fresh = side if side != self._side_before else 0
        self._side_before = side
        return Wish(
            enter=fresh,
            leave_long=bar.close < bands.middle,
            leave_short=bar.close > bands.middle,
            reason=Reason.NO_DIRECTION,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class MomentumScalping(RuleStrategy):
    """In only when six conditions agree on a side; near target, near stop, out after 12 bars.

    For a long (a short is the mirror): EMA(9) above EMA(21); close above EMA(55); RSI(14) within
    50..70; MACD histogram above 0 and rising; volume at least 1.2 times its mean of the 20 bars
    before; target at least three times the round trip of costs away.
    """

    bar_hours: int = 1
    stop_atr: float = 1.0
    target_atr: float = 1.5
    hold_bars: int = 12
    volume_factor: float = 1.2
    rsi_low: float = 50.0
    rsi_high: float = 70.0
    target_share_min: float = 0.0042

    def __post_init__(self) -> None:
        RuleStrategy.__post_init__(self)
        if not 50.0 <= self.rsi_low < self.rsi_high <= 100.0 or not self.volume_factor > 0.0:
            raise InvalidInput("RSI or volume bounds are out of order", code="bad_parameter")

    @property
    def name(self) -> str:
        """The registry's name."""
        return "momentum-scalping"

    def rule(self) -> Rule:
        """A fresh memory of the six conditions."""
        return _ScalpingRule(self)


class _ScalpingRule:
    MEAN_BARS = 20

    def __init__(self, strategy: MomentumScalping) -> None:
        self._strategy = strategy
        self._emas = Ema(length=9), Ema(length=21), Ema(length=55)
        self._rsi, self._macd = Rsi(), Macd()
        self._volume = Sma(length=self.MEAN_BARS)
        self._histograms: deque[float] = deque([float("nan")], maxlen=2)
        self._volume_before = float("nan")

    def update(self, bar: Candle, atr: float) -> Wish | None:
        s = self._strategy
        fast, middle, slow = (ema.update(bar.close) for ema in self._emas)
        strength = self._rsi.update(bar.close)
        self._histograms.append(self._macd.update(bar.close).histogram)
        before, now = self._histograms
        usual, self._volume_before = self._volume_before, self._volume.update(bar.volume)
        if slow != slow or before != before or usual != usual:
            return None
        side = 1 if fast > middle else -1
        agree = (
            (fast - middle) * side > 0.0,
            (bar.close - slow) * side > 0.0,
            s.rsi_low <= 50.0 + (strength - 50.0) * side <= s.rsi_high,
            now * side > 0.0 and (now - before) * side > 0.0,
            bar.volume >= s.volume_factor * usual,
            s.target_atr * atr >= s.target_share_min * bar.close,
        )
        if all(agree):
            return Wish(enter=side)
        return Wish(reason=Reason.NOT_CONFIRMED)
