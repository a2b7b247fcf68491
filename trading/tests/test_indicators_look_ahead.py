"""No indicator looks ahead: a column of the bars up to t is the head of the column of all bars."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from magnetfund.tests.drill_size import drilled
from trading.domain import indicators as ind
from trading.domain.market import (
    DAY_MS,
    Candles,
    DayRule,
    find_gaps,
    find_restarts,
)
from trading.tests.magnet_bars import make_random_bars, read_candles

FILES = (
    "candles/binance-spot-BTCUSDT-1h-2017-2024.parquet",
    "candles/binance-spot-ETHUSDT-1h-2020-2025.parquet",
)
FloatArray = NDArray[np.float64]
Columns = dict[str, FloatArray]


def _ranges(bars: Candles) -> Columns:
    parts = {"high": bars.high, "low": bars.low, "close": bars.close}
    return {"true_range": ind.true_range(**parts), "atr": ind.atr(**parts)}


def _bands(bars: Candles) -> Columns:
    found = ind.bollinger(close=bars.close)
    return {name: getattr(found, name) for name in ("lower", "middle", "upper", "width")}


def _macd(bars: Candles) -> Columns:
    found = ind.macd(close=bars.close)
    return {name: getattr(found, name) for name in ("line", "signal", "histogram")}


def _vwap(bars: Candles) -> Columns:
    found = ind.vwap(
        high=bars.high,
        low=bars.low,
        close=bars.close,
        volume=bars.volume,
        anchors=np.diff(bars.open_time // DAY_MS, prepend=-1) != 0,
    )
    return {"mean": found.mean, "deviation": found.deviation}


def _segments(bars: Candles) -> Columns:
    gaps = find_gaps(candles=bars, day_rule=DayRule.UTC_MIDNIGHT)
    found = ind.over_segments(
        measure=lambda close: ind.ema(values=close, length=21),
        restarts=find_restarts(candles=bars, gaps=gaps),
        close=bars.close,
    )
    return {"ema": found}


INDICATORS: dict[str, Callable[[Candles], Columns]] = {
    "sma": lambda bars: {"sma": ind.sma(values=bars.close, length=200)},
    "ema": lambda bars: {"ema": ind.ema(values=bars.close, length=55)},
    "wilder": lambda bars: {"wilder": ind.wilder(values=bars.close, length=14)},
    "rsi": lambda bars: {"rsi": ind.rsi(close=bars.close)},
    "macd": _macd,
    "bollinger": _bands,
    "ranges": _ranges,
    "vwap": _vwap,
    "log_returns": lambda bars: {"returns": ind.log_returns(close=bars.close)},
    "realised": lambda bars: {"realised": ind.realised_volatility(close=bars.close)},
    "ewma": lambda bars: {"ewma": ind.ewma_volatility(close=bars.close)},
    "ratio": lambda bars: {"ratio": ind.volatility_ratio(close=bars.close)},
    "segments": _segments,
}


WITHOUT_BARS = {"annual_factor", "warm_up_bars"}
"""A factor and a count: they read no bars."""


def test_every_batch_indicator_is_under_test() -> None:
    used = set()
    for compute in INDICATORS.values():
        used |= set(compute.__code__.co_names)
    batch = {name for name in ind.__all__ if name[0].islower()}
    assert batch - used == WITHOUT_BARS


def find_peeks(
    compute: Callable[[Candles], Columns], bars: Candles, ends: list[int]
) -> list[tuple[str, int, int]]:
    """(column, first bar that differs, end of the truncated data) of every difference."""
    full = compute(bars)
    found = []
    for end in ends:
        for name, head in compute(bars.between(0, end)).items():
            same = np.isclose(head, full[name][:end], rtol=1e-9, atol=1e-12, equal_nan=True)
            if not same.all():
                found.append((name, int(np.flatnonzero(~same)[0]), end))
    return found


def choose_ends(bars: Candles, count: int) -> list[int]:
    return np.random.default_rng(2024).integers(1, len(bars), count).tolist()


@pytest.mark.parametrize("name", INDICATORS)
def test_no_indicator_peeks_on_random_bars(name: str) -> None:
    bars = make_random_bars(count=1500, seed=5)
    assert find_peeks(INDICATORS[name], bars, [1, 2, 15, *choose_ends(bars, 20)]) == []


@pytest.mark.real_data
@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("name", INDICATORS)
def test_no_indicator_peeks_on_real_bars(name: str, file: str, real_data: Path) -> None:
    bars = read_candles(real_data / file)
    assert find_peeks(INDICATORS[name], bars, choose_ends(bars, 4)) == []


@pytest.mark.drill
@pytest.mark.real_data
@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("name", INDICATORS)
def test_no_indicator_peeks_at_random_bars(name: str, file: str, real_data: Path) -> None:
    bars = read_candles(real_data / file)
    assert find_peeks(INDICATORS[name], bars, choose_ends(bars, drilled(500))) == []


def _centred(bars: Candles) -> Columns:
    return {"centred": np.convolve(bars.close, np.full(5, 0.2), mode="same")}


def _scaled_by_the_whole_sample(bars: Candles) -> Columns:
    return {"scaled": bars.close / bars.close.max()}


@pytest.mark.parametrize("cheat", [_centred, _scaled_by_the_whole_sample])
def test_a_planted_peek_is_caught(cheat: Callable[[Candles], Columns]) -> None:
    bars = make_random_bars(count=600, seed=5)
    assert find_peeks(cheat, bars, choose_ends(bars, 10))
