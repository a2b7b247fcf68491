"""Volatility of log returns: realised, exponentially weighted, and the ratio R of the two.

Values are per bar, as fractions (0.01 is one percent per bar); multiply by
:func:`annual_factor` to annualise.  The value at bar i uses the returns up to bar i: it is the
forecast for bar i + 1.  A close <= 0 raises :class:`InvalidInput`.
"""

from __future__ import annotations

import math
from collections import deque
from itertools import accumulate

import numpy as np

from magnetfund.kernel.errors import InvalidInput
from trading.domain.indicators.averages import NAN
from trading.domain.indicators.rolling import (
    FloatArray,
    over_windows,
    require_length,
    series,
    sliding_sum,
)
from trading.domain.market.candles import DAY_MS

DECAY = 0.94
SHORT_BARS = 24
LONG_BARS = 720
SEED_BARS = 20
# Below this share of the mean square the one-pass variance is cancellation: do it in two passes.
_CANCELLED = 1e-6


def annual_factor(*, timeframe_ms: int, days: float = 365.0) -> float:
    """Square root of the bars in a year; 365 days for markets that never close, 252 for shares."""
    if timeframe_ms <= 0 or not days > 0:
        raise InvalidInput("a timeframe and a year are positive", code="bad_timeframe")
    return math.sqrt(days * DAY_MS / timeframe_ms)


def log_returns(*, close: FloatArray) -> FloatArray:
    """ln(close / close before); NaN at index 0."""
    column = series(close, "close")
    if column.size and column.min() <= 0.0:
        raise InvalidInput("a close must be positive", code="bad_price")
    out = np.full(column.size, NAN)
    out[1:] = np.log(column[1:] / column[:-1])
    return out


def realised_volatility(*, close: FloatArray, length: int = LONG_BARS) -> FloatArray:
    """Sample deviation (ddof 1) of the last n log returns, id ``volatility.log.<n>``.

    First value at index n.
    """
    require_length(length, 2)
    out = np.full(np.asarray(close).size, NAN)
    returns = log_returns(close=close)[1:]
    sums = sliding_sum(returns, length)
    squares = sliding_sum(returns * returns, length)
    variance = (squares - sums * sums / length) / (length - 1)
    doubtful = np.flatnonzero(variance < _CANCELLED * squares / length)
    if doubtful.size:
        exact = over_windows(returns, length, lambda part: part.var(axis=1, ddof=1))
        variance[doubtful] = exact[doubtful]
    out[1:] = np.sqrt(np.maximum(variance, 0.0))
    return out


def ewma_volatility(
    *, close: FloatArray, decay: float = DECAY, seed_length: int = SEED_BARS
) -> FloatArray:
    """Exponentially weighted volatility, id ``volatility.ewma.<decay>``.

    ``var_i = decay var_{i-1} + (1 - decay) r_i^2``, seeded by the mean square of the first
    ``seed_length`` returns; first value at that index.  Source: RiskMetrics 1996.
    """
    _check_decay(decay)
    out = np.full(np.asarray(close).size, NAN)
    returns = log_returns(close=close)[1:]
    if returns.size < require_length(seed_length):
        return out
    squares = (returns * returns).tolist()
    seed = math.fsum(squares[:seed_length]) / seed_length
    variance = accumulate(
        squares[seed_length:], lambda v, s: decay * v + (1.0 - decay) * s, initial=seed
    )
    out[seed_length:] = np.sqrt(list(variance))
    return out


def volatility_ratio(
    *,
    close: FloatArray,
    short: int = SHORT_BARS,
    long: int = LONG_BARS,
    decay: float = DECAY,
) -> FloatArray:
    """R = short over long volatility, id ``volatility-ratio.<short>.<long>.<decay>``.

    Short: root of the mean of the last ``short`` squared log returns with weights ``decay**k``, k
    counted back from the newest.  Long: sample deviation of the last ``long``.  First value at
    index ``long``; NaN where the long one is 0.  R feeds tiers and the fuse,
    V = max(0, R - 1) the leverage.
    """
    _check_decay(decay)
    require_length(short)
    out = realised_volatility(close=close, length=long)
    returns = log_returns(close=close)[1:]
    weights = decay ** np.arange(short - 1, -1, -1, dtype=np.float64)
    weights /= weights.sum()
    recent = over_windows(returns * returns, short, lambda part: part @ weights)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.sqrt(recent) / out[1:]
    out[1:] = np.where(out[1:] > 0.0, ratio, NAN)
    return out


def _check_decay(decay: float) -> None:
    if not 0.0 < decay < 1.0:
        raise InvalidInput("the decay must lie in (0, 1)", code="bad_decay")


class _Returns:
    """Log returns of a stream of closes."""

    def __init__(self) -> None:
        self._close = NAN

    def next(self, close: float) -> float:
        if not close > 0.0:
            raise InvalidInput("a close must be positive", code="bad_price")
        before, self._close = self._close, close
        return math.log(close / before) if before == before else NAN


class RealisedVolatility:
    """Streaming :func:`realised_volatility`."""

    def __init__(self, *, length: int = LONG_BARS) -> None:
        self._returns = _Returns()
        self._window: deque[float] = deque(maxlen=require_length(length, 2))
        self.id = f"volatility.log.{length}"

    def update(self, close: float) -> float:
        """Volatility after one more close, NaN while there are too few."""
        change = self._returns.next(close)
        window = self._window
        if change == change:
            window.append(change)
        if len(window) < (window.maxlen or 0):
            return NAN
        mean = math.fsum(window) / len(window)
        return math.sqrt(math.fsum((x - mean) ** 2 for x in window) / (len(window) - 1))


class EwmaVolatility:
    """Streaming :func:`ewma_volatility`."""

    def __init__(self, *, decay: float = DECAY, seed_length: int = SEED_BARS) -> None:
        _check_decay(decay)
        self._returns = _Returns()
        self._decay, self._seed_length = decay, require_length(seed_length)
        self._seed: list[float] = []
        self._variance = NAN
        self.id = f"volatility.ewma.{decay:g}"

    def update(self, close: float) -> float:
        """Volatility after one more close, NaN while there are too few."""
        change = self._returns.next(close)
        if change != change:
            return NAN
        if self._variance == self._variance:
            self._variance = self._decay * self._variance + (1.0 - self._decay) * change**2
        else:
            self._seed.append(change**2)
            if len(self._seed) < self._seed_length:
                return NAN
            self._variance = math.fsum(self._seed) / self._seed_length
        return math.sqrt(self._variance)


class VolatilityRatio:
    """Streaming :func:`volatility_ratio`."""

    def __init__(
        self, *, short: int = SHORT_BARS, long: int = LONG_BARS, decay: float = DECAY
    ) -> None:
        _check_decay(decay)
        self._long = RealisedVolatility(length=long)
        self._returns = _Returns()
        self._squares: deque[float] = deque(maxlen=require_length(short))
        weights = [decay**k for k in range(short - 1, -1, -1)]
        self._weights = [weight / math.fsum(weights) for weight in weights]
        self.id = f"volatility-ratio.{short}.{long}.{decay:g}"

    def update(self, close: float) -> float:
        """R after one more close, NaN while there are too few or nothing moves."""
        long = self._long.update(close)
        change = self._returns.next(close)
        if change == change:
            self._squares.append(change**2)
        if not long > 0.0 or len(self._squares) < len(self._weights):
            return NAN
        recent = math.fsum(w * s for w, s in zip(self._weights, self._squares, strict=True))
        return math.sqrt(recent) / long
