"""Moving averages: simple, exponential, Wilder; a whole column at once or one value at a time.

Each gives NaN before its first value.  Recursive averages start from the plain mean of their first
n values and forget that seed slowly (Wilder: below 0.1 % after about 7n more bars).
"""

from __future__ import annotations

import math
from collections import deque
from typing import Any

import numpy as np

from trading.domain.backtest.compiled import find_compiled
from trading.domain.indicators.rolling import FloatArray, require_length, series, sliding_sum

NAN = math.nan


def sma(*, values: FloatArray, length: int) -> FloatArray:
    """Simple moving average, id ``sma.<n>``; first value at index n - 1."""
    column = series(values)
    return sliding_sum(column, require_length(length)) / length


def ema(*, values: FloatArray, length: int) -> FloatArray:
    """Exponential average, id ``ema.sma-seed.<n>``: alpha = 2/(n+1), seeded by the SMA at n - 1."""
    return _smooth(series(values), require_length(length), 2.0 / (length + 1.0))


def wilder(*, values: FloatArray, length: int) -> FloatArray:
    """Wilder's average, id ``wilder.<n>``: y = (y (n-1) + x)/n, seeded by the mean of the first n.

    Source: J. W. Wilder, New Concepts in Technical Trading Systems, 1978.
    """
    return _smooth(series(values), require_length(length), 1.0 / length)


def warm_up_bars(length: int) -> int:
    """Bars that a live start must load before a Wilder average of ``length`` may be trusted."""
    return 8 * require_length(length)


def _smooth(column: FloatArray, length: int, alpha: float) -> FloatArray:
    """y += alpha (x - y) from the mean of the first ``length`` values."""
    out = np.full(column.size, NAN)
    if column.size < length:
        return out
    mean = math.fsum(column[:length].tolist()) / length
    out[length - 1] = mean
    later = np.ascontiguousarray(column[length:])
    compiled = find_compiled(follow_values, later.size)
    if compiled is not None:
        compiled(later, alpha, mean, out[length:])
    else:
        means = [0.0] * later.size
        follow_values(later.tolist(), alpha, mean, means)
        out[length:] = means
    return out


def follow_values(values: Any, alpha: float, mean: float, means: Any) -> None:
    """Write the average after each value, begun at ``mean``; arrays compiled, lists in Python."""
    for k, value in enumerate(values):
        mean = mean + alpha * (value - mean)
        means[k] = mean


class Sma:
    """Streaming :func:`sma`."""

    def __init__(self, *, length: int) -> None:
        self._window: deque[float] = deque(maxlen=require_length(length))
        self.id = f"sma.{length}"

    def update(self, value: float) -> float:
        """The average after one more value, NaN while there are too few."""
        self._window.append(value)
        if len(self._window) < (self._window.maxlen or 0):
            return NAN
        return math.fsum(self._window) / len(self._window)


class _Smoothed:
    """A recursive average seeded by the mean of its first values."""

    def __init__(self, *, length: int, alpha: float) -> None:
        self._length, self._alpha = length, alpha
        self._seed: list[float] = []
        self._value = NAN

    def update(self, value: float) -> float:
        """The average after one more value, NaN while there are too few."""
        if self._value == self._value:  # not NaN: seeded
            self._value += self._alpha * (value - self._value)
            return self._value
        self._seed.append(value)
        if len(self._seed) == self._length:
            self._value = math.fsum(self._seed) / self._length
            self._seed.clear()
        return self._value


class Ema(_Smoothed):
    """Streaming :func:`ema`."""

    def __init__(self, *, length: int) -> None:
        super().__init__(length=require_length(length), alpha=2.0 / (length + 1.0))
        self.id = f"ema.sma-seed.{length}"


class Wilder(_Smoothed):
    """Streaming :func:`wilder`."""

    def __init__(self, *, length: int) -> None:
        super().__init__(length=require_length(length), alpha=1.0 / length)
        self.id = f"wilder.{length}"
