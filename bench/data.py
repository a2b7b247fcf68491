"""Candles for the benches: the real hourly files where they are present, synthetic bars always."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.moving_average import TickCandles, build_tick_candles

ROOT = Path(__file__).resolve().parent.parent
BTC_FILE = "binance-spot-BTCUSDT-1h-2017-2024.parquet"
ETH_FILE = "binance-spot-ETHUSDT-1h-2020-2025.parquet"
FloatColumn = NDArray[np.float64]
IntColumn = NDArray[np.int64]


def data_folder() -> Path | None:
    """The folder of real data, or None where it is absent."""
    folder = Path(os.environ.get("MAGNET_DATA") or ROOT.parent / "shared" / "data")
    return folder if (folder / "candles").is_dir() else None


def load_columns(path: Path) -> tuple[IntColumn, tuple[FloatColumn, ...]]:
    """Open times in milliseconds and (open, high, low, close, volume) of a candle file."""
    import pandas as pd

    frame = pd.read_parquet(path)
    times = frame["date"].dt.as_unit("ms").astype("int64").to_numpy()
    prices = tuple(
        frame[name].to_numpy(dtype=np.float64)
        for name in ("open", "high", "low", "close", "volume")
    )
    return times, prices


def load_tick_candles(name: str, *, tick_size: float) -> TickCandles | None:
    """A real file as whole ticks, or None where it is absent."""
    folder = data_folder()
    if folder is None:
        return None
    times, (o, h, lo, c, _) = load_columns(folder / "candles" / name)
    return build_tick_candles(
        time_ms=times, open_price=o, high=h, low=lo, close=c, tick_size=tick_size
    )


def make_columns(*, bars: int, seed: int) -> tuple[IntColumn, tuple[FloatColumn, ...]]:
    """Synthetic minute bars with clustered volatility and fat tails, reproducible by the seed."""
    rng = np.random.default_rng(seed)
    calm = np.exp(np.cumsum(rng.normal(0.0, 0.02, bars)) * 0.02)
    returns = rng.standard_t(4, bars) * 0.0004 * calm
    close = 20_000.0 * np.exp(np.cumsum(returns - returns.mean()))
    open_ = np.concatenate((close[:1], close[:-1]))
    reach = np.abs(rng.normal(0.0, 0.0003, (2, bars)))
    high = np.maximum(open_, close) * (1.0 + reach[0])
    low = np.minimum(open_, close) * (1.0 - reach[1])
    times = np.arange(bars, dtype=np.int64) * 60_000 + 1_600_000_000_000 // 60_000 * 60_000
    volume = rng.lognormal(3.0, 1.0, bars)
    return times, (open_, high, low, close, volume)


def make_tick_candles(*, bars: int, seed: int, tick_size: float = 0.01) -> TickCandles:
    """Synthetic bars as whole ticks."""
    times, (o, h, lo, c, _) = make_columns(bars=bars, seed=seed)
    return build_tick_candles(
        time_ms=times, open_price=o, high=h, low=lo, close=c, tick_size=tick_size
    )
