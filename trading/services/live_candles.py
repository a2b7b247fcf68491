"""Candles as the exchange or its stream told them, as the market knows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

import numpy as np

from trading.domain.candle_files import RawCandles
from trading.domain.market import Candles
from trading.services.live_prices import is_jump
from trading.venues.market_data import Quote


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


def without_spikes(candles: Candles, *, before: Quote | None, after: Quote | None) -> Candles:
    """The candles but for those whose close neither the price before nor the one after bears out.

    Quotes stand in at both ends, where one is known.
    """
    kept: list[int] = []
    last = before.price if before is not None else None
    closes = [Decimal(repr(close)) for close in candles.close.tolist()]
    for row, close in enumerate(closes):
        end = after.price if after is not None else None
        following = closes[row + 1] if row + 1 < len(closes) else end
        stands_alone = last is None or is_jump(last, close)
        if stands_alone and (following is None or is_jump(close, following)):
            continue
        kept.append(row)
        last = close
    return candles if len(kept) == len(candles) else take_rows(candles, kept)


def take_rows(candles: Candles, rows: Sequence[int]) -> Candles:
    """Some of the candles, by row."""
    chosen = np.array(rows, dtype=np.int64)
    columns = ("open_time", "open", "high", "low", "close", "volume")
    return replace(candles, **{name: getattr(candles, name)[chosen] for name in columns})


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
