"""Candles as the exchange or its stream told them, as the market knows them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trading.domain.candle_files import RawCandles
from trading.domain.market import Candles


def read_raw(raw: RawCandles, symbol: str, step: int) -> Candles:
    return Candles(
        instrument=symbol,
        timeframe_ms=step,
        open_time=raw.open_time,
        open=raw.open,
        high=raw.high,
        low=raw.low,
        close=raw.close,
        volume=raw.volume,
    )


def no_candles(symbol: str, step: int) -> Candles:
    empty = np.empty(0)
    return Candles(
        instrument=symbol, timeframe_ms=step, open_time=np.empty(0, dtype=np.int64), open=empty,
        high=empty, low=empty, close=empty, volume=empty,
    )  # fmt: skip


def read_told(
    told: Sequence[tuple[int, tuple[float, float, float, float, float]]], symbol: str, step: int
) -> Candles:
    columns = np.array([figures for _, figures in told], dtype=np.float64).T
    return Candles(
        instrument=symbol,
        timeframe_ms=step,
        open_time=np.array([time for time, _ in told], dtype=np.int64),
        open=columns[0].copy(),
        high=columns[1].copy(),
        low=columns[2].copy(),
        close=columns[3].copy(),
        volume=columns[4].copy(),
    )
