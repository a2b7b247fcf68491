"""One rule as a user writes it, twice: in columns, and bar by bar.  Imported by its bench."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from magnetfund.research import (
    Candle,
    Candles,
    ColumnStrategy,
    Entries,
    RuleStrategy,
    Wish,
    atr,
    sma,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossInColumns(ColumnStrategy):
    """Long while the fast mean is above the slow one, else short; stop two ranges away."""

    fast: int = 20
    slow: int = 100

    def entries(self, candles: Candles) -> Entries:
        """The wish at every close."""
        close = candles.close
        gap = sma(values=close, length=self.fast) - sma(values=close, length=self.slow)
        reach = atr(high=candles.high, low=candles.low, close=close, length=14)
        ready = np.isfinite(gap) & np.isfinite(reach)
        side = np.where(ready, np.sign(gap), 0).astype(np.int64)
        turned = np.append(False, side[1:] != side[:-1])
        return Entries(
            direction=np.where(turned, side, 0),
            stop=close - 2.0 * side * reach,
            ready=ready,
            leave_long=side < 0,
            leave_short=side > 0,
        )


class _Cross:
    """The means of the newest closes."""

    def __init__(self, fast: int, slow: int) -> None:
        self.closes: deque[float] = deque(maxlen=slow)
        self.fast, self.sum_fast, self.sum_slow = fast, 0.0, 0.0

    def update(self, bar: Candle, atr: float) -> Wish | None:
        """The side to hold once there are enough closes."""
        closes = self.closes
        if len(closes) == closes.maxlen:
            self.sum_slow -= closes[0]
        if len(closes) >= self.fast:
            self.sum_fast -= closes[-self.fast]
        closes.append(bar.close)
        self.sum_fast += bar.close
        self.sum_slow += bar.close
        if len(closes) < (closes.maxlen or 0):
            return None
        return Wish.hold(1 if self.sum_fast / self.fast > self.sum_slow / len(closes) else -1)


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossByBar(RuleStrategy):
    """The same rule, one closed bar at a time."""

    bar_hours: int = 1
    fast: int = 20
    slow: int = 100

    @property
    def name(self) -> str:
        """As the class is named."""
        return "cross-by-bar"

    def rule(self) -> _Cross:
        """A fresh memory."""
        return _Cross(self.fast, self.slow)
