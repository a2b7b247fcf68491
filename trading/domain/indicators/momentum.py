"""RSI and MACD on closes, a whole column at once or one close at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from magnetfund.kernel.errors import InvalidInput
from trading.domain.indicators.averages import NAN, Ema, Wilder, ema, wilder
from trading.domain.indicators.rolling import FloatArray, require_length, series


def rsi(*, close: FloatArray, length: int = 14) -> FloatArray:
    """Relative strength index in 0..100, id ``rsi.wilder.<n>``; first value at index n.

    ``100 * gain / (gain + loss)`` of Wilder's averages of the rises and falls of the close; 50
    where nothing moved.  Source: Wilder 1978.  (An RSI of plain averages is another indicator.)
    """
    column = series(close, "close")
    require_length(length)
    out = np.full(column.size, NAN)
    if column.size <= length:
        return out
    change = np.diff(column)
    gain = wilder(values=np.maximum(change, 0.0), length=length)[length - 1 :]
    loss = wilder(values=np.maximum(-change, 0.0), length=length)[length - 1 :]
    total = gain + loss
    flat = total == 0.0
    out[length:] = np.where(flat, 50.0, 100.0 * gain / np.where(flat, 1.0, total))
    return out


class Rsi:
    """Streaming :func:`rsi`."""

    def __init__(self, *, length: int = 14) -> None:
        self._gain, self._loss = Wilder(length=length), Wilder(length=length)
        self._before = NAN
        self.id = f"rsi.wilder.{length}"

    def update(self, close: float) -> float:
        """The index after one more close, NaN while there are too few."""
        before, self._before = self._before, close
        if before != before:  # NaN: the first close has no change
            return NAN
        gain = self._gain.update(max(close - before, 0.0))
        loss = self._loss.update(max(before - close, 0.0))
        total = gain + loss
        return 50.0 if total == 0.0 else 100.0 * gain / total


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MacdColumns:
    """MACD of each close (n,): ``line`` = fast - slow, ``signal`` its EMA, ``histogram`` both's
    difference."""

    line: FloatArray
    signal: FloatArray
    histogram: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class MacdValue:
    """MACD after one close."""

    line: float
    signal: float
    histogram: float


def macd(*, close: FloatArray, fast: int = 12, slow: int = 26, signal: int = 9) -> MacdColumns:
    """Moving average convergence/divergence, id ``macd.sma-seed.<fast>.<slow>.<signal>``.

    Each average is seeded by its own simple mean; the signal by the first values of the line.
    First values: line at ``slow - 1`` (25), signal at ``slow + signal - 2`` (33).
    """
    column = series(close, "close")
    _check_lengths(fast, slow)
    line = ema(values=column, length=fast) - ema(values=column, length=slow)
    smoothed = np.full(column.size, NAN)
    if column.size >= slow:
        smoothed[slow - 1 :] = ema(values=line[slow - 1 :], length=signal)
    return MacdColumns(line=line, signal=smoothed, histogram=line - smoothed)


class Macd:
    """Streaming :func:`macd`."""

    def __init__(self, *, fast: int = 12, slow: int = 26, signal: int = 9) -> None:
        _check_lengths(fast, slow)
        self._fast, self._slow, self._signal = (
            Ema(length=fast),
            Ema(length=slow),
            Ema(length=signal),
        )
        self.id = f"macd.sma-seed.{fast}.{slow}.{signal}"

    def update(self, close: float) -> MacdValue:
        """MACD after one more close; NaN where there are too few."""
        line = self._fast.update(close) - self._slow.update(close)
        signal = self._signal.update(line) if line == line else NAN
        return MacdValue(line=line, signal=signal, histogram=line - signal)


def _check_lengths(fast: int, slow: int) -> None:
    if require_length(fast) >= require_length(slow):
        raise InvalidInput("the fast window must be the shorter one", code="bad_window")
