"""Volume-weighted average price since an anchor, with bands.

Weighted running moments per bar, w the volume and x = (high + low + close) / 3:
``W += w; d = x - mean; mean += d w / W; M2 += w d (x - mean); var = max(0, M2 / W)``
(D. H. D. West 1979).  E[x^2] - E[x]^2 would lose every digit at the price of a bitcoin.  A bar
without volume changes nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from magnetfund.kernel.errors import InvalidInput
from trading.domain.indicators.averages import NAN
from trading.domain.indicators.rolling import FloatArray, series
from trading.domain.market.candles import Candle


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VwapColumns:
    """Per bar (n,): the mean and the volume-weighted standard deviation in quote currency.

    NaN before the first anchor and until volume has traded.
    """

    mean: FloatArray
    deviation: FloatArray

    def band(self, deviations: float) -> FloatArray:
        """The mean plus so many deviations (negative for a lower band)."""
        return self.mean + deviations * self.deviation


@dataclass(frozen=True, slots=True, kw_only=True)
class VwapValue:
    """Mean and deviation after one bar."""

    mean: float
    deviation: float


def vwap(
    *,
    high: FloatArray,
    low: FloatArray,
    close: FloatArray,
    volume: FloatArray,
    anchors: NDArray[np.bool_],
) -> VwapColumns:
    """Anchored VWAP and bands, id ``vwap.typical``.

    ``anchors`` (n,) marks the bars at which the sums begin anew: the first of a day, or the bar of
    a swing or declared event (usable only from the instant at which that was known).
    """
    columns = [
        series(high, "high"),
        series(low, "low"),
        series(close, "close"),
        series(volume, "volume"),
    ]
    marks = np.ascontiguousarray(anchors, dtype=np.bool_)
    if any(column.shape != marks.shape for column in columns):
        raise InvalidInput("the columns have different lengths", code="bad_shape")
    if columns[3].size and columns[3].min() < 0.0:
        raise InvalidInput("a volume is negative", code="bad_volume")
    stream = Vwap()
    values = []
    for is_anchor, h, low_, c, v in zip(
        marks.tolist(), *(column.tolist() for column in columns), strict=True
    ):
        if is_anchor:
            stream.anchor()
        values.append(stream.add((h + low_ + c) / 3.0, v))
    table = np.array(values, dtype=np.float64).reshape(-1, 2)
    return VwapColumns(
        mean=np.ascontiguousarray(table[:, 0]), deviation=np.ascontiguousarray(table[:, 1])
    )


class Vwap:
    """Streaming :func:`vwap`: call :meth:`anchor` before the bar that begins a session."""

    id = "vwap.typical"

    def __init__(self) -> None:
        self._weight = self._mean = self._square = 0.0
        self._is_anchored = False

    def anchor(self) -> None:
        """Begin the sums anew with the next bar."""
        self._weight = self._mean = self._square = 0.0
        self._is_anchored = True

    def update(self, bar: Candle) -> VwapValue:
        """Mean and deviation after one more closed bar."""
        mean, deviation = self.add((bar.high + bar.low + bar.close) / 3.0, bar.volume)
        return VwapValue(mean=mean, deviation=deviation)

    def add(self, price: float, volume: float) -> tuple[float, float]:
        """Mean and deviation after ``volume`` at a typical price."""
        if not self._is_anchored:
            return NAN, NAN
        if volume > 0.0:
            self._weight += volume
            step = price - self._mean
            self._mean += step * (volume / self._weight)
            self._square += volume * step * (price - self._mean)
        if self._weight <= 0.0:
            return NAN, NAN
        return self._mean, math.sqrt(max(0.0, self._square / self._weight))
