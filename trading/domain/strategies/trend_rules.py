"""Comparisons that follow: moving averages, MACD, momentum, Donchian channels, always long.

Each is long while its measure says up and short while it says down; a stopped position is
re-entered at the next decision while the measure holds.  They are the neighbours against which the
core sleeve must be read.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from magnetfund.kernel.errors import InvalidInput
from trading.domain.indicators.averages import Sma
from trading.domain.indicators.momentum import Macd
from trading.domain.market.candles import Candle
from trading.domain.strategies.rules import (
    Decisions,
    Rule,
    RuleStrategy,
    Wish,
    decide_by_side,
)
from trading.domain.strategies.shared import SharedBars


def _sign(value: float) -> int:
    return int(value > 0.0) - int(value < 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class MovingAverageCross(RuleStrategy):
    """Long while SMA(fast) lies above SMA(slow), short below; 20 and 200 four-hour bars."""

    fast: int = 20
    slow: int = 200

    def __post_init__(self) -> None:
        RuleStrategy.__post_init__(self)
        if not 1 <= self.fast < self.slow:
            raise InvalidInput("windows must satisfy 1 <= fast < slow", code="bad_parameter")

    @property
    def name(self) -> str:
        """The registry's name."""
        return "moving-average"

    def rule(self) -> Rule:
        """A fresh memory of the two averages."""
        return _CrossRule(self)

    def decide(self, shared: SharedBars, *, room: Decisions | None = None) -> Decisions:
        """Both averages in columns."""
        fast, slow = (
            shared.simple_means(self.bar_hours, length) for length in (self.fast, self.slow)
        )
        return decide_by_side(self, shared, above=fast, below=slow, room=room)


class _CrossRule:
    def __init__(self, strategy: MovingAverageCross) -> None:
        self._fast, self._slow = Sma(length=strategy.fast), Sma(length=strategy.slow)

    def update(self, bar: Candle, atr: float) -> Wish | None:
        spread = self._fast.update(bar.close) - self._slow.update(bar.close)
        return None if spread != spread else Wish.hold(_sign(spread))


@dataclass(frozen=True, slots=True, kw_only=True)
class MacdStrategy(RuleStrategy):
    """Long while the MACD line lies above its signal line, short below; 12, 26 and 9 bars."""

    fast: int = 12
    slow: int = 26
    signal: int = 9

    def __post_init__(self) -> None:
        RuleStrategy.__post_init__(self)
        Macd(fast=self.fast, slow=self.slow, signal=self.signal)  # refuses bad windows

    @property
    def name(self) -> str:
        """The registry's name."""
        return "macd"

    def rule(self) -> Rule:
        """A fresh memory of the averages."""
        return _MacdRule(self)


class _MacdRule:
    def __init__(self, strategy: MacdStrategy) -> None:
        self._macd = Macd(fast=strategy.fast, slow=strategy.slow, signal=strategy.signal)

    def update(self, bar: Candle, atr: float) -> Wish | None:
        histogram = self._macd.update(bar.close).histogram
        return None if histogram != histogram else Wish.hold(_sign(histogram))


@dataclass(frozen=True, slots=True, kw_only=True)
class MomentumStrategy(RuleStrategy):
    """Long while the close stands above that of ``horizon`` bars ago, short below; 28 days."""

    bar_hours: int = 24
    horizon: int = 28

    def __post_init__(self) -> None:
        RuleStrategy.__post_init__(self)
        if self.horizon < 1:
            raise InvalidInput("the horizon must be positive", code="bad_parameter")

    @property
    def name(self) -> str:
        """The registry's name."""
        return "momentum"

    def rule(self) -> Rule:
        """A fresh memory of the closes."""
        return _MomentumRule(self)

    def decide(self, shared: SharedBars, *, room: Decisions | None = None) -> Decisions:
        """The closes against those of the horizon, in columns."""
        close = shared.closes(self.bar_hours)
        before = np.full(close.size, np.nan)
        before[self.horizon :] = close[: max(0, close.size - self.horizon)]
        return decide_by_side(self, shared, above=close, below=before, room=room)


class _MomentumRule:
    def __init__(self, strategy: MomentumStrategy) -> None:
        self._closes: deque[float] = deque(maxlen=strategy.horizon + 1)

    def update(self, bar: Candle, atr: float) -> Wish | None:
        closes = self._closes
        closes.append(bar.close)
        if len(closes) < (closes.maxlen or 0):
            return None
        return Wish.hold(_sign(bar.close - closes[0]))


@dataclass(frozen=True, slots=True, kw_only=True)
class DonchianStrategy(RuleStrategy):
    """In on a close beyond the extremes of 20 days, out beyond those of 10 on the other side.

    The channels hold the bars before the deciding one.  Source: R. Donchian; the turtles' rules.
    """

    bar_hours: int = 24
    enter_bars: int = 20
    leave_bars: int = 10

    def __post_init__(self) -> None:
        RuleStrategy.__post_init__(self)
        if not 1 <= self.leave_bars <= self.enter_bars:
            raise InvalidInput("windows must satisfy 1 <= leave <= enter", code="bad_parameter")

    @property
    def name(self) -> str:
        """The registry's name."""
        return "donchian"

    def rule(self) -> Rule:
        """A fresh memory of the channels."""
        return _DonchianRule(self)


class _DonchianRule:
    def __init__(self, strategy: DonchianStrategy) -> None:
        self._bars: deque[Candle] = deque(maxlen=strategy.enter_bars)
        self._leave = strategy.leave_bars
        self._side = 0

    def update(self, bar: Candle, atr: float) -> Wish | None:
        before = list(self._bars)
        self._bars.append(bar)
        if len(before) < (self._bars.maxlen or 0):
            return None
        recent = before[-self._leave :]
        if bar.close > max(past.high for past in before):
            self._side = 1
        elif bar.close < min(past.low for past in before):
            self._side = -1
        elif (self._side > 0 and bar.close < min(past.low for past in recent)) or (
            self._side < 0 and bar.close > max(past.high for past in recent)
        ):
            self._side = 0
        return Wish.hold(self._side)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlwaysLong(RuleStrategy):
    """Long at every decision: what the market itself paid under the same sizing and stops."""

    bar_hours: int = 24

    @property
    def name(self) -> str:
        """The registry's name."""
        return "always-long"

    def rule(self) -> Rule:
        """A rule without memory."""
        return _LongRule()


class _LongRule:
    def update(self, bar: Candle, atr: float) -> Wish | None:
        return None if atr != atr else Wish.hold(1)
