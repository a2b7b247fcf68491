"""A feed that was warmed up at once says what one says that took every hour singly."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from trading.domain.market import HOUR_MS, build_candles
from trading.domain.simulated_market import SimulatedInstrument, simulate_market
from trading.domain.strategies.magnet import MagnetStrategy
from trading.domain.strategies.trend import TrendStrategy
from trading.services.feeds import InstrumentFeed

START = 1_767_225_600_000


def make_feed() -> InstrumentFeed:
    instrument = SimpleNamespace(symbol="BTC/USDT:USDT", tick=0.1)
    return InstrumentFeed(
        instrument=instrument,  # type: ignore[arg-type]  # only its tick is read
        strategies={"trend": TrendStrategy(), "magnet": MagnetStrategy()},
    )


def test_warming_up_at_once_changes_nothing():
    market = simulate_market(
        seed=3,
        instruments=(SimulatedInstrument(symbol="BTC/USDT:USDT", start_price=60_000.0, tick=0.1),),
        start_ms=START,
        hours=1_900,
    )
    open_, high, low, close, volume = (np.ascontiguousarray(c) for c in market.candles[0])
    candles = build_candles(
        instrument="BTC/USDT:USDT", timeframe_ms=HOUR_MS, open_time=market.open_time, open=open_,
        high=high, low=low, close=close, volume=volume,
    )  # fmt: skip
    quick, slow = make_feed(), make_feed()
    quick.warm(candles.between(0, 1_700))
    for index in range(1_700):
        slow.update(candles.at(index))
    for index in range(1_700, 1_900):
        candle = candles.at(index)
        assert str(quick.update(candle)) == str(slow.update(candle))
        assert quick.bar(candle) == slow.bar(candle)
