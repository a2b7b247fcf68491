"""What background jobs check about the market, leverage and the account, each from stored rows."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from magnetfund.core.actors import Actor
from magnetfund.core.services.jobs import beat_heart
from magnetfund.kernel.clock import from_milliseconds, utc_now
from magnetfund.operations.people import arm_by_scenario, ensure_scenario_people
from magnetfund.operations.schedule import PERIODS
from magnetfund.operations.watch import refresh_instruments
from risk.models import FuseEvent
from risk.services.fuse import state_of
from simulated_exchange.faults import Fault
from simulated_exchange.market import Listing, Market
from simulated_exchange.server import Exchange
from trading.domain.market import HOUR_MS
from trading.models import (
    AccountSnapshot,
    BookFlow,
    Candle,
    CandleGap,
    Instrument,
    LeverageReading,
    MarketEvent,
    Signal,
    Strategy,
    Valuation,
)
from trading.services import market_poll
from trading.services.account_checks import check_fuse, snapshot_account
from trading.services.instrument_search import add_from_exchange
from trading.services.leverage_readings import recalculate_leverage
from trading.services.market_poll import poll_market
from trading.services.membership import begin_membership, members_of

pytestmark = pytest.mark.usefixtures("as_gateway")
SYMBOL = "BTC/USDT:USDT"


@pytest.fixture
def exchange(settings: Any) -> Iterator[Exchange]:
    """Four days of hours that end now."""
    end = int(utc_now().timestamp() * 1000) // HOUR_MS * HOUR_MS + HOUR_MS
    times = end - HOUR_MS * np.arange(96, 0, -1)
    close = 60_000.0 + 10.0 * np.arange(96)
    bars = np.column_stack((times, close - 10, close + 5, close - 15, close, np.full(96, 2.0)))
    listings = {
        f"{base}USDT": Listing(symbol=f"{base}USDT", base=base, interval="1h", bars=bars)
        for base in ("BTC", "ETH")
    }
    served = Exchange(Market(listings=listings))
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    port = asyncio.run_coroutine_threadsafe(served.start(), loop).result(30)
    settings.EXCHANGE_HOST, settings.MARKET = f"http://127.0.0.1:{port}", "binanceusdm"
    yield served
    asyncio.run_coroutine_threadsafe(served.stop(), loop).result(30)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(30)


@pytest.fixture
def btc(exchange: Exchange) -> Instrument:
    return add_from_exchange(SYMBOL, actor=Actor.system("test"))


def poll(minute: int = 30) -> str:
    return poll_market(slot=datetime(2026, 1, 1, 12, minute, tzinfo=UTC))


def store_hour(instrument: Instrument, bar: Any) -> None:
    Candle.objects.create(
        instrument=instrument, timeframe="1h", open_time=from_milliseconds(int(bar[0])),
        open=bar[1], high=bar[2], low=bar[3], close=bar[4], volume=2.0,
        known_at=utc_now(), available_at=utc_now(), source="test",
    )  # fmt: skip


class TestPolling:
    def test_it_fills_a_hole_that_the_trader_left_and_says_so(
        self, btc: Instrument, exchange: Exchange
    ):
        assert poll() == "1 instrument, 2 hours filled, 0 differ; the trader does not report"
        bars = exchange.market.listings["BTCUSDT"].bars
        store_hour(btc, bars[60])
        assert "hours filled" in poll()
        stored = Candle.objects.filter(instrument=btc).count()
        assert stored >= 33
        assert "0 hours filled" in poll()
        assert Candle.objects.filter(instrument=btc).count() == stored
        kinds = set(MarketEvent.objects.values_list("kind", flat=True))
        assert kinds == {"candles_filled"}

    def test_a_candle_that_differs_is_told_and_not_changed(
        self, btc: Instrument, exchange: Exchange
    ):
        poll(2)
        poll(2)
        before = list(Candle.objects.order_by("id").values_list("close", flat=True))
        exchange.market.listings["BTCUSDT"].bars[:, 4] -= 3.0
        assert "0 hours filled" in poll(2)
        assert list(Candle.objects.order_by("id").values_list("close", flat=True)) == before
        assert MarketEvent.objects.filter(kind="sources_differ", instrument=btc).exists()

    def test_a_price_apart_from_the_traders_is_told(self, btc: Instrument):
        beat_heart(part="trader", instance="main", prices={SYMBOL: "50000.0"})
        assert "from the trader's price" in poll()
        assert MarketEvent.objects.filter(kind="sources_differ").exists()

    def test_an_exchange_that_is_away_is_one_line(self, btc: Instrument, exchange: Exchange):
        exchange.faults.append(Fault(kind="status", status=418, times=99))
        assert "cannot be reached" in poll()

    def test_an_hour_that_the_venue_lacks_is_asked_for_ever_less_often(
        self, btc: Instrument, exchange: Exchange, monkeypatch: pytest.MonkeyPatch
    ):
        listing = exchange.market.listings["BTCUSDT"]
        bars, lacked = listing.bars, len(listing.bars) - 12
        rest = np.delete(bars, lacked, axis=0)
        exchange.market.listings["BTCUSDT"] = replace(listing, bars=rest[: lacked - 3])
        asked: list[int] = []
        fetch = market_poll.fetch_candles

        def note(client: Any, **wanted: Any) -> Any:
            asked.append(wanted["start_ms"])
            return fetch(client, **wanted)

        monkeypatch.setattr(market_poll, "fetch_candles", note)
        store_hour(btc, bars[lacked - 4])

        def ask_for_an_hour() -> int:
            del asked[:]
            for minute in range(60):
                poll(minute)
            return len(asked)

        assert ask_for_an_hour() == 12, "a market that tells nothing"
        exchange.market.listings["BTCUSDT"] = replace(listing, bars=rest)
        poll(13)
        [gap] = CandleGap.objects.all()
        assert gap.start == from_milliseconds(int(bars[lacked, 0]))
        assert ask_for_an_hour() == 60
        monkeypatch.setattr(market_poll, "LACKED_AFTER", timedelta(0))
        assert ask_for_an_hour() == 2
        assert asked == [int(bars[lacked, 0])] * 2
        assert list(CandleGap.objects.values_list("pk", flat=True)) == [gap.pk]
        exchange.market.listings["BTCUSDT"] = listing
        assert "1 hour filled" in poll(2), "and it is taken should it come"

    def test_a_home_on_simulated_prices_polls_nothing(self, settings: Any):
        settings.MARKET = ""
        assert poll() == "no exchange is followed"


class TestRefresh:
    def test_an_instrument_that_the_venue_ends_leaves_the_book(
        self, btc: Instrument, exchange: Exchange
    ):
        add_from_exchange("ETH/USDT:USDT", actor=Actor.system("test"))
        Strategy.objects.create(code="manual", version=1, name="Manual", risk_fraction="0.0035")
        begin_membership(book="main", venue="binanceusdm", actor=Actor.system("test"))
        was = exchange.market.listings["ETHUSDT"]
        exchange.market.listings["ETHUSDT"] = replace(was, status="SETTLING")
        assert "ETH/USDT:USDT: status SETTLING" in refresh_instruments()
        states = {m.instrument.symbol: m.state for m in members_of("main").members}
        assert states == {SYMBOL: "trading", "ETH/USDT:USDT": "leaving"}
        refresh_instruments()
        assert MarketEvent.objects.filter(kind="symbol_ended").count() == 1

    def test_a_halt_ends_nothing(self, btc: Instrument, exchange: Exchange):
        exchange.faults.append(Fault(kind="halt", path="BTCUSDT"))
        refresh_instruments()
        assert not MarketEvent.objects.exists()


def value(*, unit: str, cash: str = "100000", at: datetime | None = None) -> Valuation:
    return Valuation.objects.create(
        book="main", at=at or utc_now(), equity=Decimal(cash), cash=Decimal(cash),
        unit_value=Decimal(unit), peak_unit_value=Decimal(100),
        day_start_unit_value=Decimal(100),
    )  # fmt: skip


class TestFuse:
    @pytest.fixture(autouse=True)
    def _armed(self, as_gateway: None) -> None:
        arm_by_scenario(book="main", people=ensure_scenario_people(), at=utc_now(), reason="test")

    def test_figures_within_the_limits_trip_nothing(self):
        value(unit="99.5")
        assert "fuse at" in check_fuse("main")
        assert state_of("main") == "ARMED"

    def test_figures_beyond_a_limit_trip_it_once(self):
        value(unit="80")
        assert check_fuse("main").startswith("tripped")
        assert state_of("main") == "TRIPPED"
        assert check_fuse("main") == "nothing to check"
        assert FuseEvent.objects.filter(actor_label__contains="fuse check").count() == 1


class TestAccount:
    def test_cash_is_compared_with_its_moves_and_an_instant_is_kept_once(self):
        start = utc_now() - timedelta(minutes=10)
        value(unit="100", at=start)
        slot = start.replace(second=0, microsecond=0)
        assert "agrees" in snapshot_account("main", at=slot)
        assert "no newer valuation" in snapshot_account("main", at=slot)
        BookFlow.objects.create(
            book="main", amount=Decimal(5_000), source_ref="t:1", text="in",
            occurred_at=start + timedelta(minutes=1),
        )  # fmt: skip
        value(unit="100", cash="105000", at=start + timedelta(minutes=5))
        assert "agrees" in snapshot_account("main", at=slot + timedelta(minutes=5))
        value(unit="100", cash="104000", at=start + timedelta(minutes=8))
        said = snapshot_account("main", at=slot + timedelta(minutes=10))
        assert said == "cash differs from its moves by -1000.00"
        assert AccountSnapshot.objects.count() == 3


class TestLeverage:
    def test_every_cap_is_stored_and_an_unchanged_answer_once(self, btc: Instrument):
        now = utc_now()
        Signal.objects.create(
            instrument=btc, timeframe="1h", known_at=now, close=60_000.0, atr=500.0,
            reading={"magnet": {"target": 61_000.0, "strength": 80.0, "conflict": 0.2,
                                "volatility_ratio": 1.1}},
        )  # fmt: skip
        beat_heart(part="trader", instance="main", prices={SYMBOL: "60000.0"})
        assert recalculate_leverage("main", at=now) == "1 instrument, 1 changed"
        assert recalculate_leverage("main", at=now) == "1 instrument, 0 changed"
        minute = timedelta(minutes=1)
        assert recalculate_leverage("main", at=now + minute) == "1 instrument, 0 changed"
        row = LeverageReading.objects.get()
        assert 1.0 <= row.leverage <= 3.0
        assert {cap["name"] for cap in row.caps} >= {"fund_limit", "volatility", "venue"}
        recalculate_leverage("main", at=now + timedelta(minutes=20))
        assert LeverageReading.objects.count() == 2

    def test_without_a_reading_it_is_one_with_its_reason(self, btc: Instrument):
        beat_heart(part="trader", instance="main", prices={SYMBOL: "60000.0"})
        recalculate_leverage("main", at=utc_now())
        row = LeverageReading.objects.get()
        assert (row.leverage, row.tier) == (1.0, 4)
        assert row.inputs["reasons"]


def test_the_jobs_have_their_periods():
    seconds = {name: PERIODS[name].total_seconds() for name in PERIODS}
    assert seconds["market_poll"] == seconds["leverage_recalculation"] == 60
    assert seconds["fuse_check"] == 60
    assert seconds["account_snapshot"] == 300
    assert seconds["instrument_refresh"] == 86_400
