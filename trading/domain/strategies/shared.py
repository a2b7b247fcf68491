"""What variants of strategies share on one market: longer bars, ranges, averages, volatility.

Each column is made once, when it is first asked for, and is row for row what the memories of
:mod:`trading.domain.strategies.streaming` say.  The columns are read only.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from trading.domain.magnets.parameters import MagnetParameters
from trading.domain.magnets.types import MagnetSignals
from trading.domain.market.candles import HOUR_MS, Candle, Candles, list_candles
from trading.domain.strategies.columns import (
    JoinedBars,
    compute_ranges,
    compute_volatility,
    hold_last,
    join_bars,
)
from trading.domain.strategies.streaming import ExponentialMean
from trading.domain.strategies.sums import compute_window_means, sum_twofold

FloatColumn = NDArray[np.float64]
IntColumn = NDArray[np.int64]
Made = TypeVar("Made")
KeepMagnets = Callable[[Candles, MagnetParameters, Callable[[], MagnetSignals]], MagnetSignals]


class SharedBars:
    """Columns of one instrument's candles, by what they were made with."""

    def __init__(self, candles: Candles, *, keep_magnets: KeepMagnets | None = None) -> None:
        """``keep_magnets`` keeps readings of magnets from one process to another."""
        self.candles = candles
        self._keep_magnets = keep_magnets
        self._made: dict[tuple[Any, ...], Any] = {}
        self._lock = threading.RLock()

    def once(self, key: tuple[Any, ...], make: Callable[[], Made]) -> Made:
        """What ``make`` gave when this key was first asked for."""
        if key not in self._made:
            # A second thread that needs it too waits rather than making it again.
            with self._lock:
                if key not in self._made:
                    self._made[key] = make()
        found: Made = self._made[key]
        return found

    def joined(self, hours: int) -> JoinedBars:
        """The complete bars of so many hours."""
        return self.once(
            ("joined", hours),
            lambda: join_bars(candles=self.candles, timeframe_ms=hours * HOUR_MS),
        )

    def bars(self, hours: int) -> list[Candle]:
        """Those bars one by one."""
        return self.once(("bars", hours), lambda: list_candles(self.joined(hours).candles))

    def closes(self, hours: int) -> FloatColumn:
        """The closes of those bars."""
        return self.joined(hours).candles.close

    def ranges(self, hours: int, length: int) -> FloatColumn:
        """Wilder's ATR at each of those bars, NaN before there are enough."""
        return self.once(
            ("ranges", hours, length),
            lambda: compute_ranges(candles=self.joined(hours).candles, length=length),
        )

    def held_ranges(self, hours: int, length: int) -> FloatColumn:
        """The ATR of the last complete bar at every candle."""
        return self.once(
            ("held", hours, length),
            lambda: hold_last(
                rows=self.joined(hours).rows,
                values=self.ranges(hours, length),
                count=len(self.candles),
            ),
        )

    def simple_means(self, hours: int, length: int) -> FloatColumn:
        """Mean of the last ``length`` closes of those bars, NaN before there are so many."""

        def make() -> FloatColumn:
            from trading.domain.backtest.compiled import compile_pure

            means = np.empty(self.closes(hours).size)
            compile_pure(compute_window_means)(*self._sums(hours), length, means)
            return means

        return self.once(("sma", hours, length), make)

    def exponential_means(self, hours: int, length: int) -> FloatColumn:
        """The EMA of those closes, NaN before it is seeded."""

        def make() -> FloatColumn:
            memory = ExponentialMean(length)
            return np.array([memory.update(value) for value in self.closes(hours).tolist()])

        return self.once(("ema", hours, length), make)

    def magnets(self, parameters: MagnetParameters) -> MagnetSignals:
        """The reading of magnets at every candle."""

        def make() -> MagnetSignals:
            from trading.domain.magnets.history import compute_magnet_signals

            return compute_magnet_signals(candles=self.candles, parameters=parameters)

        def keep() -> MagnetSignals:
            if self._keep_magnets is None:
                return make()
            return self._keep_magnets(self.candles, parameters, make)

        return self.once(("magnets", parameters), keep)

    def volatility(self) -> tuple[FloatColumn, FloatColumn]:
        """``(ratio, sigma)`` at every candle."""
        return self.once(("volatility",), lambda: compute_volatility(self.candles.close))

    def _sums(self, hours: int) -> tuple[FloatColumn, FloatColumn]:
        """Sums of the first 0, 1, ... closes in twice the precision of a double."""

        def make() -> tuple[FloatColumn, FloatColumn]:
            from trading.domain.backtest.compiled import compile_pure

            values = self.closes(hours)
            high, low = np.empty(values.size + 1), np.empty(values.size + 1)
            compile_pure(sum_twofold)(values, high, low)
            return high, low

        return self.once(("sums", hours), make)
