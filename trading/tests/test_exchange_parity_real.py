"""A real month of BTC and ETH minutes: the trader over the exchange on loopback, and the replays.

The trader reads streams of ccxt.pro and follows the exchange's clock, which goes before ours.  One
price is told of each minute, its close; the hours are those of the whole minutes.  The replay is
given the same bars (``--resolution 1m``).  The short form takes a day chosen by a seed (``SEED``,
``DAYS``), ``FULL=1`` the whole month.  The crash of 12 March 2020 goes the same way, with the five
days before it under ``FULL=1``.
"""

from __future__ import annotations

import io
import os
import random
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.management import call_command

from magnetfund.kernel.clock import from_milliseconds, use_clock
from risk.domain.fuse import FuseMove, Trigger
from simulated_exchange.market import Listing
from trading.domain.engine.book import BookFill, Funding
from trading.domain.market import DAY_MS, HOUR_MS, MINUTE_MS, Candles, resample
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
from trading.tests.test_trader_parity_real import HOURS, make_market, read, tell
from trading.venues import binance_streams

pytestmark = [
    pytest.mark.drill,
    pytest.mark.real_data,
    pytest.mark.usefixtures("as_gateway"),
]
IS_FULL = os.environ.get("FULL") == "1"
DAYS = 29
#: Midnight of the day on which bitcoin lost 40 %.
CRASH_MS = 1_583_971_200_000
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


def list_market(
    market: Market, charged: dict[str, FundingRates], ticks: dict[str, str]
) -> dict[str, Listing]:
    """The minutes as the exchange serves them: the price of a minute is its close."""
    found = {}
    for symbol, bars in market.fine.items():
        base = symbol.split("/")[0]
        columns = (bars.open_time, bars.open, bars.high, bars.low, bars.close, bars.volume)
        rates = charged[symbol]
        found[f"{base}USDT"] = Listing(
            symbol=f"{base}USDT", base=base, interval="1m", tick=ticks[base], stands=True,
            minimum="5", bars=np.column_stack([column.astype(np.float64) for column in columns]),
            level_quantity=1_000_000.0,
            funding=dict(zip(rates.stamp_ms.tolist(), rates.rate.tolist(), strict=True)),
        )  # fmt: skip
    return found


def leave_eve(wide: Market) -> Market:
    """The market without its first day, whose hours are past."""
    start = wide.start_ms + DAY_MS
    before, fine = {}, {}
    for symbol, bars in wide.fine.items():
        row = int(np.searchsorted(bars.open_time, start))
        eve = resample(candles=bars.between(0, row), timeframe_ms=HOUR_MS)
        before[symbol] = join_candles(wide.before[symbol], eve)
        fine[symbol] = bars.between(row, len(bars))
    return replace(wide, before=before, fine=fine, start_ms=start)


def make_crash(folder: Path, *, start_ms: int, days: int) -> Market:
    """Hours of a real crash, each cut into minutes on straight lines over both its extremes."""
    before, fine = {}, {}
    for symbol, name in HOURS.items():
        end_ms = start_ms + days * DAY_MS
        hours = read(folder / "candles" / name, symbol, HOUR_MS, end_ms)
        row = int(np.searchsorted(hours.open_time, start_ms))
        if len(hours) - row < days * 24:
            continue  # its file begins later
        before[symbol] = hours.between(max(0, row - 400 * 24), row)
        fine[symbol] = cut_minutes(hours.between(row, len(hours)))
    return Market(before=before, fine=fine, start_ms=start_ms, end_ms=end_ms)


def cut_minutes(hours: Candles) -> Candles:
    """Minutes that make up the hours, on a tick of 0.01."""
    rises = hours.close >= hours.open
    first, then = (
        np.where(rises, a, b) for a, b in ((hours.low, hours.high), (hours.high, hours.low))
    )
    turns = np.column_stack((hours.open, first, then, hours.close))
    path = np.array([np.interp(np.arange(61) / 20.0, np.arange(4.0), row) for row in turns])
    path = np.round(path, 2)
    opened, closed = path[:, :-1].ravel(), path[:, 1:].ravel()
    return Candles(
        instrument=hours.instrument,
        timeframe_ms=MINUTE_MS,
        open_time=(hours.open_time[:, None] + MINUTE_MS * np.arange(60)).ravel(),
        open=opened, high=np.maximum(opened, closed), low=np.minimum(opened, closed), close=closed,
        volume=np.repeat(hours.volume / 60, 60),
    )  # fmt: skip


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


@dataclass(slots=True, kw_only=True)
class Compared:
    """The trader over the wire beside the replay of the same prices and that of whole minutes."""

    live: Recorder
    told: Recorder
    minutes: Recorder


def compare(wide: Market, settings: Any, *, ticks: dict[str, str]) -> Compared:
    """Trade all but the first day of a market over the exchange, replay it, and hold both equal."""
    settings.INITIAL_EQUITY, settings.MARKET = CASH, "binanceusdm"
    charged, market = charge(wide), leave_eve(wide)
    with set_stage(
        settings, at_ms=market.start_ms - 10 * MINUTE_MS, opens=False, ahead_ms=AHEAD_MS,
        listings=list_market(wide, charged, ticks),
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
    instruments = tuple(Instrument.objects.order_by("symbol"))
    told, paper = run_history(market.flat(), instruments, book="told", fine=True, funding=charged)
    minutes, _ = run_history(market, instruments, book="minutes", fine=True, funding=charged)
    assert live.lines() == told.lines()
    assert trader.paper.book.cash == paper.book.cash
    assert not MarketEvent.objects.filter(kind="source_doubted").exists()
    return Compared(live=live, told=told, minutes=minutes)


def tell_all(found: Compared, head: str) -> None:
    seen = name_differences(found.minutes.events, found.told.events)
    print(f"\n{head}, {Signal.objects.count()} signals")
    tell("trader, over the wire", found.live)
    tell("replay, on its closes", found.told)
    tell("replay, on minutes", found.minutes)
    print("minutes against closes: " + "; ".join(f"{n} {c}" for c, n in sorted(seen.items())))


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A minute of market may take longer than a stream may be silent."""
    monkeypatch.setattr(binance_streams, "SILENT_SECONDS", 120.0)


def test_a_real_month_over_the_exchange_is_the_replay_of_its_minutes(
    real_data: Path, settings: Any, on_record: Any
):
    days = DAYS - 1 if IS_FULL else int(os.environ.get("DAYS", "1"))
    seed = int(os.environ.get("SEED", "7"))
    first_day = 1 if IS_FULL else random.Random(seed).randrange(1, DAYS - days)
    wide = make_market(real_data, first_day=first_day - 1, days=days + 1)
    found = compare(wide, settings, ticks={"BTC": "0.10", "ETH": "0.01"})
    with on_record():
        tell_all(found, f"seed {seed}, day {first_day}, {days} days")
    assert found.told.count(BookFill, close_reason=0) > 0
    assert found.live.count(Funding) > 0
    assert FundingRate.objects.exists()


@pytest.mark.skipif(not IS_FULL, reason="a day alone opens nothing; the days before it take long")
def test_the_crash_of_march_2020_as_a_stream_cuts_as_its_replay_does(
    real_data: Path, settings: Any, on_record: Any
):
    days = 6
    wide = make_crash(real_data, start_ms=CRASH_MS - days * DAY_MS, days=days + 1)
    found = compare(wide, settings, ticks={"BTC": "0.01", "ETH": "0.01"})
    with on_record():
        tell_all(found, f"12 March 2020, {days} days")
        for move in (e for e in found.live.events if isinstance(e, FuseMove)):
            print(f"  {from_milliseconds(move.time_ms):%d %H:%M:%S}  {Trigger(move.trigger).code}")
    assert sum(isinstance(e, FuseMove) for e in found.live.events) > 0
    # With the days before it, a position meets the crash.
    assert found.told.count(BookFill, close_reason=0) > 0
