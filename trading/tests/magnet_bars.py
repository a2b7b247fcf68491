"""Hand-made and random hourly bars for the magnet tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from trading.domain.market import Candles

HOUR_MS = 3_600_000
MONDAY_MS = int(np.datetime64("2024-01-01", "ms").astype(np.int64))  # a Monday and a month start


def make_bars(rows, *, start_ms=MONDAY_MS, volume=None):
    """Candles from (open, high, low, close) rows, one an hour from ``start_ms``."""
    table = np.array(rows, dtype=float)
    count = table.shape[0]
    return Candles(
        instrument="BTC/USDT:USDT",
        timeframe_ms=HOUR_MS,
        open_time=start_ms + HOUR_MS * np.arange(count, dtype=np.int64),
        open=table[:, 0].copy(),
        high=table[:, 1].copy(),
        low=table[:, 2].copy(),
        close=table[:, 3].copy(),
        volume=np.ones(count) if volume is None else np.asarray(volume, dtype=float),
    )


def make_random_bars(*, count, seed, start_ms=MONDAY_MS, price=30_000.0, step=0.006):
    """A driftless geometric walk with plausible wicks and volumes."""
    generator = np.random.default_rng(seed)
    close = price * np.exp(np.cumsum(generator.normal(0.0, step, count)))
    open_ = np.concatenate([[price], close[:-1]])
    top, bottom = np.maximum(open_, close), np.minimum(open_, close)
    high = top * (1 + np.abs(generator.normal(0.0, step / 2, count)))
    low = bottom * (1 - np.abs(generator.normal(0.0, step / 2, count)))
    return Candles(
        instrument="BTC/USDT:USDT",
        timeframe_ms=HOUR_MS,
        open_time=start_ms + HOUR_MS * np.arange(count, dtype=np.int64),
        open=open_,
        high=high,
        low=low,
        close=close,
        volume=generator.lognormal(3.0, 1.0, count),
    )


def without_bars(candles, hidden):
    """The candles without the positions in ``hidden`` (hours in which nothing traded)."""
    keep = np.setdiff1d(np.arange(candles.close.size), np.asarray(hidden))
    return Candles(
        instrument="BTC/USDT:USDT",
        timeframe_ms=HOUR_MS,
        **{
            name: getattr(candles, name)[keep]
            for name in ("open_time", "open", "high", "low", "close", "volume")
        },
    )


def read_candles(path: Path, *, start=None, end=None):
    """Candles of a Parquet file with ``date`` = open time, between two UTC dates."""
    table = pq.read_table(path)
    times = table.column("date").cast(pa.timestamp("ms")).cast(pa.int64()).to_numpy()
    first = 0 if start is None else int(np.searchsorted(times, _ms(start)))
    last = times.size if end is None else int(np.searchsorted(times, _ms(end)))
    return Candles(
        instrument="BTC/USDT:USDT",
        timeframe_ms=HOUR_MS,
        open_time=times[first:last].copy(),
        **{
            name: table.column(name).to_numpy()[first:last].copy()
            for name in ("open", "high", "low", "close", "volume")
        },
    )


def _ms(date):
    return int(np.datetime64(date, "ms").astype(np.int64))
