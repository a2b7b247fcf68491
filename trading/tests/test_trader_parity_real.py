"""A real month of BTC and ETH minutes: trader, replay on minutes and replay on hours.

The short form takes three days chosen by a seed (``SEED``), ``FULL=1`` the whole month.
"""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from risk.domain.fuse import FuseMove, Trigger
from trading.domain.engine.book import BookFill, CloseReason, Refusal
from trading.domain.market import DAY_MS, HOUR_MS, MINUTE_MS, Candles
from trading.services.candle_files import read_candle_file
from trading.tests.parity import (
    CASH,
    Market,
    Recorder,
    build_ground,
    name_differences,
    run_history,
    run_trader,
)

pytestmark = [
    pytest.mark.drill,
    pytest.mark.real_data,
    pytest.mark.usefixtures("as_gateway"),
]

FIRST_DAY_MS = 1_746_316_800_000  # 2025-05-04
DAYS = 29
WARM_MS = 400 * DAY_MS
HOURS = {
    "BTC/USDT:USDT": "binance-spot-BTCUSDT-1h-2017-2024.parquet",
    "ETH/USDT:USDT": "binance-spot-ETHUSDT-1h-2020-2025.parquet",
}
MINUTES = {
    "BTC/USDT:USDT": "binance-perp-BTCUSDT-1m-2025-05.parquet",
    "ETH/USDT:USDT": "binance-perp-ETHUSDT-1m-2025-05.parquet",
}
#: The trader walks the minutes between two beats, so fewer beats see the same prices.
BEAT_MS = 5 * MINUTE_MS
IS_FULL = os.environ.get("FULL") == "1"


@pytest.fixture(autouse=True)
def cash(settings) -> None:
    settings.INITIAL_EQUITY = CASH


def read(path: Path, symbol: str, length_ms: int, end_ms: int) -> Candles:
    raw = read_candle_file(path)
    stop = int(np.searchsorted(raw.open_time, end_ms))
    columns = {
        name: np.ascontiguousarray(getattr(raw, name)[:stop])
        for name in ("open_time", "open", "high", "low", "close", "volume")
    }
    return Candles(instrument=symbol, timeframe_ms=length_ms, **columns)


def make_market(folder: Path, *, first_day: int, days: int) -> Market:
    """The month from ``first_day`` on; BTC's hours before it end in April 2024."""
    start, end = FIRST_DAY_MS + first_day * DAY_MS, FIRST_DAY_MS + (first_day + days) * DAY_MS
    before, fine = {}, {}
    for symbol, name in HOURS.items():
        hours = read(folder / "candles" / name, symbol, HOUR_MS, start)
        newest = int(hours.open_time[-1])
        first = int(np.searchsorted(hours.open_time, newest - WARM_MS))
        before[symbol] = hours.between(first, len(hours))
        minutes = read(folder / "candles" / MINUTES[symbol], symbol, MINUTE_MS, end)
        first = int(np.searchsorted(minutes.open_time, start))
        fine[symbol] = minutes.between(first, len(minutes))
    return Market(before=before, fine=fine, start_ms=start, end_ms=end)


def tell(name: str, run: Recorder) -> None:
    print(
        f"{name:<22} entries {run.count(BookFill, close_reason=0):>4}"
        f"  cuts {run.count(BookFill, close_reason=CloseReason.FUSE_CUT):>4}"
        f"  cleared {run.count(FuseMove, trigger=Trigger.CLEARED):>4}"
        f"  refused {sum(isinstance(e, Refusal) for e in run.events):>4}"
    )


def test_a_real_month_through_trader_and_replays(real_data: Path, on_record: Any):
    days = DAYS if IS_FULL else 3
    seed = int(os.environ.get("SEED", "7"))
    first_day = 0 if IS_FULL else random.Random(seed).randrange(DAYS - days)
    market = make_market(real_data, first_day=first_day, days=days)
    instruments = build_ground(market, tick="0.01")
    prices = market.flat()
    live, trader = run_trader(prices, book="live", beat_ms=BEAT_MS)
    told, paper = run_history(prices, instruments, book="told", fine=True)
    minutes, _ = run_history(market, instruments, book="minutes", fine=True)
    hours, _ = run_history(market, instruments, book="hours", fine=False)
    with on_record():
        print(f"\nseed {seed}, day {first_day}, {days} days")
        tell("trader, on prices", live)
        tell("replay, on prices", told)
        tell("replay, on minutes", minutes)
        tell("replay, on hours", hours)
        coarse = name_differences(hours.events, minutes.events)
        seen = name_differences(minutes.events, told.events)
        for title, found in (("hours against minutes", coarse), ("minutes against prices", seen)):
            print(f"{title}: " + "; ".join(f"{n} {cause}" for cause, n in sorted(found.items())))
    assert live.lines() == told.lines()
    assert trader.paper.book.cash == paper.book.cash
    assert told.count(BookFill, close_reason=0) > 0
    assert "unexplained" not in coarse, coarse
