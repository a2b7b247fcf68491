"""A real month of BTC and ETH minutes: the trader over the exchange on loopback, and the replays.

The trader reads streams of ccxt.pro and follows the exchange's clock, which goes before ours.  One
price is told of each minute, its close; the hours are those of the whole minutes.  The replay is
given the same bars (``--resolution 1m``).  The short form takes a day chosen by a seed (``SEED``,
``DAYS``), ``FULL=1`` the whole month.
"""

from __future__ import annotations

import io
import os
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.management import call_command

from magnetfund.kernel.clock import use_clock
from simulated_exchange.market import Listing
from trading.domain.engine import book as pure
from trading.domain.market import DAY_MS, HOUR_MS, MINUTE_MS, resample
from trading.domain.market.funding import FundingRates
from trading.models import FundingRate, Instrument, MarketEvent, Signal, Strategy
from trading.services.candle_store import store_candles
from trading.services.trader import Trader
from trading.tests.parity import (
    CASH,
    SLEEVES,
    Market,
    Recorder,
    arm,
    join_candles,
    name_differences,
    run_history,
)
from trading.tests.stream_stage import Stage, set_stage
from trading.tests.test_trader_parity_real import make_market, tell
from trading.venues import binance_streams

pytestmark = [
    pytest.mark.drill,
    pytest.mark.real_data,
    pytest.mark.usefixtures("as_gateway"),
]
IS_FULL = os.environ.get("FULL") == "1"
DAYS = 29
TICKS = {"BTC": "0.10", "ETH": "0.01"}
#: The exchange's clock goes so far before ours (ms).
AHEAD_MS = 300
#: The trader walks the prices that came between two beats, so fewer beats see the same ones.
BEAT_MS = 5 * MINUTE_MS
RATES = (0.0001, -0.00005, 0.00031)


def charge(market: Market) -> dict[str, FundingRates]:
    """What every eighth hour charges from a day before the market on."""
    stamps = np.arange(market.start_ms - DAY_MS, market.end_ms + DAY_MS, 8 * HOUR_MS)
    rates = np.array([RATES[k % len(RATES)] for k in range(len(stamps))])
    return {symbol: FundingRates(stamp_ms=stamps, rate=rates) for symbol in market.fine}


def list_market(market: Market, charged: dict[str, FundingRates]) -> dict[str, Listing]:
    """The minutes as the exchange serves them: the price of a minute is its close."""
    found = {}
    for symbol, bars in market.fine.items():
        base = symbol.split("/")[0]
        columns = (bars.open_time, bars.open, bars.high, bars.low, bars.close, bars.volume)
        rates = charged[symbol]
        found[f"{base}USDT"] = Listing(
            symbol=f"{base}USDT", base=base, interval="1m", tick=TICKS[base], stands=True,
            minimum="5", bars=np.column_stack([column.astype(np.float64) for column in columns]),
            level_quantity=1_000_000.0,
            funding=dict(zip(rates.stamp_ms.tolist(), rates.rate.tolist(), strict=True)),
        )  # fmt: skip
    return found


def widened(folder: Path, *, first_day: int, days: int) -> tuple[Market, Market]:
    """The days asked for, and the same with the day before, whose hours are past."""
    wide = make_market(folder, first_day=first_day - 1, days=days + 1)
    start = wide.start_ms + DAY_MS
    before, fine = {}, {}
    for symbol, bars in wide.fine.items():
        row = int(np.searchsorted(bars.open_time, start))
        eve = resample(candles=bars.between(0, row), timeframe_ms=HOUR_MS)
        before[symbol] = join_candles(wide.before[symbol], eve)
        fine[symbol] = bars.between(row, len(bars))
    return wide, replace(wide, before=before, fine=fine, start_ms=start)


def trade(stage: Stage, market: Market) -> tuple[Recorder, Trader]:
    """Drive the trader minute by minute over the streams."""
    recorder = Recorder()
    assert stage.market.streams is not None
    stage.market.streams.begin(sorted(market.fine))
    stage.wait_for(lambda: not stage.prices.stream_reason)
    stage.move(market.start_ms - stage.now_ms)
    with use_clock(stage.clock):
        arm("live", market.start_ms)
        trader = Trader(book="live", source=stage.market)
        trader.start()
        with recorder.listening(trader.paper):
            trader.beat()
            while stage.now_ms < market.end_ms - MINUTE_MS:
                stage.move(MINUTE_MS)
                if stage.now_ms % BEAT_MS == 0 or stage.now_ms == market.end_ms - MINUTE_MS:
                    trader.beat()
        trader.stop()
    return recorder, trader


def test_a_real_month_over_the_exchange_is_the_replay_of_its_minutes(
    real_data: Path, settings: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any
):
    settings.INITIAL_EQUITY, settings.MARKET = CASH, "binanceusdm"
    monkeypatch.setattr(binance_streams, "SILENT_SECONDS", 120.0)
    days = DAYS - 1 if IS_FULL else int(os.environ.get("DAYS", "1"))
    seed = int(os.environ.get("SEED", "7"))
    first_day = 1 if IS_FULL else random.Random(seed).randrange(1, DAYS - days)
    wide, market = widened(real_data, first_day=first_day, days=days)
    charged = charge(wide)
    with set_stage(
        settings, at_ms=market.start_ms - 10 * MINUTE_MS, opens=False, ahead_ms=AHEAD_MS,
        listings=list_market(wide, charged),
    ) as stage:  # fmt: skip
        for symbol in sorted(market.before):
            call_command(
                "add_instrument", symbol, from_exchange=True, trade=True, stdout=io.StringIO()
            )
            row = Instrument.objects.get(symbol=symbol)
            hours = market.before[symbol]
            store_candles(
                hours, instrument=row, timeframe="1h", source="test",
                available_ms=int(hours.open_time[-1]) + HOUR_MS,
            )  # fmt: skip
        for code in SLEEVES:
            Strategy.objects.create(code=code, version=1, name=code, risk_fraction="0.0035")
        live, trader = trade(stage, market)
    signals = Signal.objects.count()
    instruments = tuple(Instrument.objects.order_by("symbol"))
    told, paper = run_history(market.flat(), instruments, book="told", fine=True, funding=charged)
    minutes, _ = run_history(market, instruments, book="minutes", fine=True, funding=charged)
    seen = name_differences(minutes.events, told.events)
    doubts = MarketEvent.objects.filter(kind="source_doubted").count()
    with capsys.disabled():
        print(f"\nseed {seed}, day {first_day}, {days} days, {signals} signals, {doubts} doubts")
        tell("trader, over the wire", live)
        tell("replay, on its closes", told)
        tell("replay, on minutes", minutes)
        print("minutes against closes: " + "; ".join(f"{n} {c}" for c, n in sorted(seen.items())))
    assert live.lines() == told.lines()
    assert trader.paper.book.cash == paper.book.cash
    assert told.count(pure.BookFill, close_reason=0) > 0
    assert live.count(pure.Funding) > 0
    assert FundingRate.objects.exists()
    assert doubts == 0
