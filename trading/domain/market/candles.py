"""Closed candles in columns.

A candle covers the half-open interval ``[open_time, open_time + timeframe)`` in integer
milliseconds UTC; a trade stamped exactly at the end belongs to the next one.  ``known_at`` is the
end: the earliest instant at which the candle can be final.  Prices and volume are float64.

Invariants (checked by :func:`trading.domain.market.validation.check_candles`): strictly increasing
open times on the timeframe's grid, ``0 < low <= open, close <= high``, volume >= 0, all finite.
Missing bars are simply absent; nothing is ever filled forward.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from magnetfund.kernel.errors import InvalidInput

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
WEEK_MS = 7 * DAY_MS

TIMEFRAMES: dict[str, int] = {
    "1m": MINUTE_MS,
    "3m": 3 * MINUTE_MS,
    "5m": 5 * MINUTE_MS,
    "15m": 15 * MINUTE_MS,
    "30m": 30 * MINUTE_MS,
    "1h": HOUR_MS,
    "2h": 2 * HOUR_MS,
    "4h": 4 * HOUR_MS,
    "6h": 6 * HOUR_MS,
    "8h": 8 * HOUR_MS,
    "12h": 12 * HOUR_MS,
    "1d": DAY_MS,
}
"""Names and lengths (ms) of the timeframes that lie on a grid from 1970-01-01 00:00 UTC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candle:
    """One closed bar as plain Python values."""

    open_time: int
    open: float
    high: float
    low: float
    close: float
    volume: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Candles:
    """Closed bars of one instrument and timeframe, oldest first; every column has shape (n,).

    ``instrument`` is the symbol ("BTC/USDT:USDT"), ``timeframe_ms`` the length of a bar.
    """

    instrument: str
    timeframe_ms: int
    open_time: IntArray
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray

    def __post_init__(self) -> None:
        if self.timeframe_ms <= 0:
            raise InvalidInput("a timeframe is a positive length", code="bad_timeframe")
        n = self.open_time.shape
        for item in fields(self)[2:]:
            column = getattr(self, item.name)
            if column.ndim != 1 or column.shape != n:
                raise InvalidInput(f"column {item.name} has another length", code="candle_shape")
            dtype = np.int64 if item.name == "open_time" else np.float64
            if column.dtype != dtype:
                raise InvalidInput(
                    f"column {item.name} is not {dtype.__name__}", code="candle_type"
                )

    def __len__(self) -> int:
        return int(self.open_time.shape[0])

    @property
    def known_at(self) -> IntArray:
        """End of each bar (ms): the earliest instant at which it can be final."""
        return self.open_time + self.timeframe_ms

    def between(self, start: int, stop: int) -> Candles:
        """The bars of positions ``start`` to ``stop`` (exclusive), as views."""
        return Candles(
            instrument=self.instrument,
            timeframe_ms=self.timeframe_ms,
            open_time=self.open_time[start:stop],
            open=self.open[start:stop],
            high=self.high[start:stop],
            low=self.low[start:stop],
            close=self.close[start:stop],
            volume=self.volume[start:stop],
        )

    def known_by(self, instant_ms: int) -> Candles:
        """The bars that were closed at ``instant_ms``: what a decision at that time may see."""
        stop = int(np.searchsorted(self.open_time, instant_ms - self.timeframe_ms, side="right"))
        return self.between(0, stop)

    def at(self, index: int) -> Candle:
        """One bar as plain values; a negative index counts from the end."""
        return Candle(
            open_time=int(self.open_time[index]),
            open=float(self.open[index]),
            high=float(self.high[index]),
            low=float(self.low[index]),
            close=float(self.close[index]),
            volume=float(self.volume[index]),
        )


def list_candles(candles: Candles) -> list[Candle]:
    """Every bar as plain values, oldest first; many times faster than :meth:`Candles.at` each."""
    columns = (
        candles.open_time, candles.open, candles.high, candles.low, candles.close, candles.volume,
    )  # fmt: skip
    return [
        Candle(open_time=time, open=first, high=high, low=low, close=close, volume=volume)
        for time, first, high, low, close, volume in zip(
            *(column.tolist() for column in columns), strict=True
        )
    ]


def timeframe_ms(name: str) -> int:
    """Length (ms) of a timeframe name like "1h"; raises :class:`InvalidInput` for another."""
    try:
        return TIMEFRAMES[name]
    except KeyError:
        raise InvalidInput(f"unknown timeframe {name!r}", code="bad_timeframe") from None
