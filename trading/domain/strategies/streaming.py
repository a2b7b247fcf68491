"""Small memories that strategies share: longer bars, volatility, swings; one candle at a time.

Each takes closed candles in the order of their times and knows nothing later.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

from trading.domain.market.candles import DAY_MS, Candle


class LongerBars:
    """Joins candles into bars of a longer timeframe on the grid from 1970-01-01 00:00 UTC.

    A longer bar is given at the close of its last child, and only when every child was there.
    """

    def __init__(self, *, child_ms: int, timeframe_ms: int) -> None:
        self._child_ms = child_ms
        self._timeframe_ms = timeframe_ms
        self._parts: list[Candle] = []

    def update(self, candle: Candle) -> Candle | None:
        """The longer bar that this candle completes, or None."""
        start = candle.open_time // self._timeframe_ms * self._timeframe_ms
        if self._parts and self._parts[0].open_time // self._timeframe_ms != (
            start // self._timeframe_ms
        ):
            self._parts.clear()
        self._parts.append(candle)
        if candle.open_time + self._child_ms != start + self._timeframe_ms:
            return None
        parts = self._parts
        self._parts = []
        if len(parts) != self._timeframe_ms // self._child_ms:
            return None
        return Candle(
            open_time=start,
            open=parts[0].open,
            high=max(part.high for part in parts),
            low=min(part.low for part in parts),
            close=parts[-1].close,
            volume=math.fsum(part.volume for part in parts),
        )


class ExponentialMean:
    """EMA(n): alpha = 2 / (n + 1), seeded by the mean of the first n values; NaN before."""

    def __init__(self, length: int) -> None:
        self._length = length
        self._seed: list[float] = []
        self.value = math.nan

    def update(self, value: float) -> float:
        """The average with ``value`` taken in."""
        if len(self._seed) < self._length:
            self._seed.append(value)
            if len(self._seed) == self._length:
                self.value = math.fsum(self._seed) / self._length
        else:
            self.value += (value - self.value) * (2.0 / (self._length + 1.0))
        return self.value


class WilderRange:
    """ATR(n) by Wilder: the first bar's range counts, seeded by the mean of the first n."""

    def __init__(self, length: int) -> None:
        self._length = length
        self._seed: list[float] = []
        self._close = math.nan
        self.value = math.nan

    def update(self, candle: Candle) -> float:
        """The average true range with ``candle`` taken in."""
        reach = candle.high - candle.low
        if not math.isnan(self._close):
            reach = max(reach, abs(candle.high - self._close), abs(candle.low - self._close))
        self._close = candle.close
        if len(self._seed) < self._length:
            self._seed.append(reach)
            if len(self._seed) == self._length:
                self.value = math.fsum(self._seed) / self._length
        else:
            self.value = (self.value * (self._length - 1) + reach) / self._length
        return self.value


@dataclass(frozen=True, slots=True)
class Swing:
    """A confirmed swing: its price, its bar's open time, and whether it is a high."""

    price: float
    open_time: int
    is_high: bool


class ActiveSwings:
    """Swings of order n: known n bars later, dead after a close beyond them or past their life.

    High at i: H[i] > H[i-k] and H[i] >= H[i+k] for k = 1..n (strict on the left, weak on the
    right); lows mirrored.
    """

    def __init__(self, *, order: int, life_days: float) -> None:
        self._order = order
        self._life_ms = life_days * DAY_MS
        self._bars: deque[Candle] = deque(maxlen=2 * order + 1)
        self._active: list[Swing] = []

    def update(self, candle: Candle) -> None:
        """Take the next closed bar of the swings' own timeframe."""
        close = candle.close
        oldest = candle.open_time - self._life_ms
        self._active = [
            swing
            for swing in self._active
            if swing.open_time > oldest
            and (close <= swing.price if swing.is_high else close >= swing.price)
        ]
        self._bars.append(candle)
        if len(self._bars) < 2 * self._order + 1:
            return
        bars, n = list(self._bars), self._order
        middle, left, right = bars[n], bars[:n], bars[n + 1 :]
        if all(middle.high > bar.high for bar in left) and all(
            middle.high >= bar.high for bar in right
        ):
            self._add(Swing(middle.high, middle.open_time, True), right)
        if all(middle.low < bar.low for bar in left) and all(
            middle.low <= bar.low for bar in right
        ):
            self._add(Swing(middle.low, middle.open_time, False), right)

    def _add(self, swing: Swing, later: list[Candle]) -> None:
        """Keep a swing unless a close since then already went beyond it (it cannot, by order)."""
        if swing.is_high:
            alive = all(bar.close <= swing.price for bar in later)
        else:
            alive = all(bar.close >= swing.price for bar in later)
        if alive:
            self._active.append(swing)

    def nearest_beyond(self, *, price: float, side: int, nearest: float, farthest: float) -> float:
        """The swing nearest to ``price`` on the loss side of a position of ``side``.

        Only those at a distance within [nearest, farthest] count; NaN where there is none.
        """
        best, best_distance = math.nan, math.inf
        for swing in self._active:
            distance = (price - swing.price) * side
            if nearest <= distance <= farthest and distance < best_distance:
                best, best_distance = swing.price, distance
        return best


class VolatilityGauge:
    """R and annualised volatility of hourly log returns.

    ``ratio`` = EWMA(0.94) of the last 24 returns over their sample deviation in 720 hours;
    ``sigma`` = the larger of the two, times sqrt(8760).  NaN until 720 returns are known.
    """

    SHORT, LONG, DECAY = 24, 720, 0.94
    HOURS_A_YEAR = 8_760.0

    def __init__(self) -> None:
        self._close = math.nan
        self._returns: deque[float] = deque()
        self._sum = 0.0
        self._squares = 0.0
        self._weights = [self.DECAY**age for age in range(self.SHORT)]
        self._weight_sum = math.fsum(self._weights)
        self.ratio = math.nan
        self.sigma = math.nan

    def update(self, close: float) -> None:
        """Take the next close."""
        if not math.isnan(self._close):
            self._push(math.log(close / self._close))
        self._close = close
        returns = self._returns
        if len(returns) < self.LONG:
            return
        recent = 0.0
        for age, weight in enumerate(self._weights):
            value = returns[-1 - age]
            recent += weight * (value * value)
        short = math.sqrt(recent / self._weight_sum)
        spread = self._squares - self._sum * self._sum / self.LONG
        if spread > 0.0:
            long = math.sqrt(spread / (self.LONG - 1))
            self.ratio = short / long
            self.sigma = max(short, long) * math.sqrt(self.HOURS_A_YEAR)
        else:
            self.ratio = self.sigma = math.nan

    def _push(self, value: float) -> None:
        """Keep sums over the last 720 returns as they slide."""
        self._returns.append(value)
        self._sum += value
        self._squares += value * value
        if len(self._returns) > self.LONG:
            old = self._returns.popleft()
            self._sum -= old
            self._squares -= old * old
