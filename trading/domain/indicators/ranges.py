"""True range, average true range, Bollinger bands."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np

from magnetfund.kernel.errors import InvalidInput
from trading.domain.indicators.averages import NAN, Wilder, wilder
from trading.domain.indicators.rolling import FloatArray, over_windows, require_length, series
from trading.domain.market.candles import Candle


def true_range(*, high: FloatArray, low: FloatArray, close: FloatArray) -> FloatArray:
    """True range, id ``tr``: high - low of the first bar, then also against the close before.

    Columns of shape (n,) in quote currency; every bar has a value.
    """
    highs, lows, closes = series(high, "high"), series(low, "low"), series(close, "close")
    if not highs.shape == lows.shape == closes.shape:
        raise InvalidInput("the columns have different lengths", code="bad_shape")
    out = highs - lows
    np.maximum(out[1:], np.abs(highs[1:] - closes[:-1]), out=out[1:])
    np.maximum(out[1:], np.abs(lows[1:] - closes[:-1]), out=out[1:])
    return out


def atr(*, high: FloatArray, low: FloatArray, close: FloatArray, length: int = 14) -> FloatArray:
    """Average true range, id ``atr.wilder.<n>``: Wilder's average, the first bar's range counted.

    First value at index n - 1.  (TA-Lib drops the first bar and begins one bar later.)
    """
    return wilder(values=true_range(high=high, low=low, close=close), length=length)


class Atr:
    """Streaming :func:`atr`."""

    def __init__(self, *, length: int = 14) -> None:
        self._average = Wilder(length=length)
        self._close = NAN
        self.id = f"atr.wilder.{length}"

    def update(self, bar: Candle) -> float:
        """The average after one more closed bar, NaN while there are too few."""
        span = bar.high - bar.low
        if self._close == self._close:  # not NaN: there is a close before
            span = max(span, abs(bar.high - self._close), abs(bar.low - self._close))
        self._close = bar.close
        return self._average.update(span)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BollingerColumns:
    """Bands of each close (n,) in quote currency; ``width`` = (upper - lower) / middle."""

    lower: FloatArray
    middle: FloatArray
    upper: FloatArray
    width: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class BollingerValue:
    """Bands after one close."""

    lower: float
    middle: float
    upper: float
    width: float


def bollinger(*, close: FloatArray, length: int = 20, deviations: float = 2.0) -> BollingerColumns:
    """Bollinger bands, id ``bollinger.population.<n>.<k>``: SMA +- k population deviations.

    The deviation has ddof 0.  First value at index n - 1.  Source: J. Bollinger.
    """
    column = series(close, "close")
    require_length(length, 2)
    middle = over_windows(column, length, lambda part: part.mean(axis=1))
    spread = deviations * over_windows(column, length, lambda part: part.std(axis=1))
    return BollingerColumns(
        lower=middle - spread,
        middle=middle,
        upper=middle + spread,
        width=2.0 * spread / middle,
    )


class Bollinger:
    """Streaming :func:`bollinger`."""

    def __init__(self, *, length: int = 20, deviations: float = 2.0) -> None:
        self._window: deque[float] = deque(maxlen=require_length(length, 2))
        self._deviations = deviations
        self.id = f"bollinger.population.{length}.{deviations:g}"

    def update(self, close: float) -> BollingerValue:
        """The bands after one more close; NaN while there are too few."""
        window = self._window
        window.append(close)
        if len(window) < (window.maxlen or 0):
            return BollingerValue(lower=NAN, middle=NAN, upper=NAN, width=NAN)
        middle = math.fsum(window) / len(window)
        variance = math.fsum((x - middle) ** 2 for x in window) / len(window)
        spread = self._deviations * math.sqrt(variance)
        return BollingerValue(
            lower=middle - spread,
            middle=middle,
            upper=middle + spread,
            width=2.0 * spread / middle,
        )
