"""The trader on an exchange: warm-up, an entry, an outage and the way back, a late hour."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from magnetfund.core.actors import Actor
from magnetfund.core.models import Heartbeat
from magnetfund.kernel.clock import VirtualClock, from_milliseconds, use_clock, utc_now
from magnetfund.kernel.errors import InvalidInput, Unavailable
from magnetfund.operations.people import arm_by_scenario, ensure_scenario_people
from simulated_exchange.faults import Fault
from simulated_exchange.market import Market
from simulated_exchange.server import Exchange
from trading.domain.market import HOUR_MS, MINUTE_MS
from trading.models import (
    Candle,
    EngineTransition,
    Fill,
    FundingRate,
    MarketEvent,
    Order,
    Position,
    Strategy,
)
from trading.services.engine import engine_state_of, stop_engine
from trading.services.instruments import add_simulated_instrument
from trading.services.live_market import LiveMarket
from trading.services.market_choice import choose_market
from trading.services.market_poll import poll_market
from trading.services.membership import members_of
from trading.services.trader import Trader
from trading.tests.exchange_ground import (
    BOOK,
    START_MS,
    STEP_MS,
    SYMBOL,
    WARM_HOURS,
    Dial,
    Ground,
    draw_listing,
    serve_exchange,
)

pytestmark = pytest.mark.usefixtures("as_gateway")


@pytest.fixture
def dial() -> Dial:
    return Dial()


@pytest.fixture
def exchange(settings: Any, dial: Dial) -> Iterator[Exchange]:
    with serve_exchange(settings, dial) as served:
        yield served


@pytest.fixture
def ground(exchange: Exchange, dial: Dial) -> Ground:
    made = Ground(dial)
    made.start()
    return made


@pytest.fixture
def ground_of_two(exchange: Exchange, dial: Dial) -> Ground:
    made = Ground(dial, codes=("trend", "magnet"))
    made.start()
    return made


def newest_reason() -> str:
    return EngineTransition.objects.order_by("-id").values_list("reason", flat=True)[0]


def test_it_warms_up_over_the_wire_and_enters_on_an_hour_that_closed(ground_of_two: Ground):
    ground = ground_of_two
    assert engine_state_of(BOOK) == "READY"
    assert Candle.objects.filter(timeframe="1h").count() == WARM_HOURS
    ground.beat_until_entry()
    entry = Order.objects.filter(purpose="entry").exclude(state="DENIED").earliest("occurred_at")
    hour = Candle.objects.filter(timeframe="1h").latest("open_time")
    assert hour.source == "binanceusdm REST"
    assert Order.objects.filter(purpose="stop", closed_at=None).exists()
    venue_price = ground.source.price(SYMBOL, ground.dial.now_ms)
    assert float(entry.reference_price) == pytest.approx(venue_price, rel=0.02)
    beat = Heartbeat.objects.get(part="trader")
    assert beat.detail["market"]["venue"] == "binanceusdm"
    assert beat.detail["market"]["doubt"] == ""
    rate = FundingRate.objects.filter(at=from_milliseconds(START_MS + 8 * HOUR_MS)).first()
    if ground.dial.now_ms > START_MS + 8 * HOUR_MS:
        assert rate is not None
        assert rate.rate == 0.00037


def test_an_outage_stops_entries_and_what_was_missed_is_walked_on_the_way_back(
    ground_of_two: Ground, exchange: Exchange
):
    ground = ground_of_two
    ground.beat_until_entry()
    seen_ms, equity = ground.trader.paper.book.time_ms, ground.trader.paper.book.equity
    exchange.faults.append(Fault(kind="html", times=10_000))
    ground.beat(9)
    assert engine_state_of(BOOK) == "RECONCILING"
    assert "is over 6 s old" in newest_reason()
    assert ground.trader.paper.book.time_ms == seen_ms
    assert ground.trader.paper.book.equity == equity
    with pytest.raises(Unavailable) as refused:
        ground.source.price(SYMBOL, ground.dial.now_ms)
    assert refused.value.code == "stale_price"
    exchange.faults.clear()
    steps = ground.trader.paper.counts.bars
    ground.beat()
    assert engine_state_of(BOOK) == "READY"
    assert ground.trader.paper.counts.bars - steps >= 49  # each missed minute was walked
    assert ground.trader.paper.book.time_ms >= ground.dial.now_ms
    kinds = list(MarketEvent.objects.order_by("id").values_list("kind", flat=True))
    assert kinds == ["source_doubted", "source_back"]


def test_an_hour_that_comes_late_stops_entries_until_it_is_read(ground: Ground, dial: Dial):
    dial.held_hour = START_MS
    ground.beat(13)
    assert engine_state_of(BOOK) == "RECONCILING"
    assert "is late" in newest_reason()
    assert ground.trader.paper.book.time_ms >= dial.now_ms  # stops go on being watched
    dial.held_hour = None
    ground.beat(2)
    assert engine_state_of(BOOK) == "READY"
    assert ground.trader.paper.decided[SYMBOL] == START_MS


def test_a_clock_that_is_off_stops_entries(ground: Ground, dial: Dial):
    dial.ahead_ms = 3_000
    ground.beat()
    assert engine_state_of(BOOK) == "RECONCILING"
    assert "clock of binanceusdm is +3.0 s" in newest_reason()
    dial.ahead_ms = 0
    ground.beat(2)
    assert engine_state_of(BOOK) == "READY"


def test_our_clock_that_was_put_back_is_told_at_once(ground: Ground, dial: Dial):
    ground.beat(2, step_ms=2_000)
    dial.now_ms, dial.ahead_ms = dial.now_ms - HOUR_MS, HOUR_MS
    ground.clock = VirtualClock(from_milliseconds(dial.now_ms))
    ground.beat(step_ms=2_000)
    assert engine_state_of(BOOK) == "RECONCILING"
    assert "clock of binanceusdm is +3600.0 s" in newest_reason()
    dial.now_ms, dial.ahead_ms = dial.now_ms + HOUR_MS, 0
    ground.beat(2, step_ms=2_000)
    assert engine_state_of(BOOK) == "READY"


def test_a_venue_that_asks_for_peace_gets_it(ground: Ground, exchange: Exchange):
    exchange.faults.append(Fault(kind="status", status=429))
    ground.beat()
    asked = len(exchange.requests)
    ground.source.poll()
    assert len(exchange.requests) == asked


def test_a_spike_over_rest_is_not_traded_until_the_book_agrees(
    ground: Ground, exchange: Exchange, dial: Dial
):
    before = ground.source.price(SYMBOL, dial.now_ms)
    dial.factor = 10.0
    ground.beat(3)
    assert engine_state_of(BOOK) == "RECONCILING"
    assert "no second source confirms" in newest_reason()
    dial.factor = 1.0
    ground.beat()
    assert engine_state_of(BOOK) == "READY"
    assert max(ground.trader.paper.marks().values()) < before * 2
    listing = exchange.market.listings["BTCUSDT"]
    row = int((dial.now_ms + STEP_MS - listing.bars[0, 0]) // MINUTE_MS)
    listing.bars[row:, 1:5] *= 0.6
    ground.beat()
    assert engine_state_of(BOOK) == "READY"
    assert min(ground.trader.paper.marks().values()) < before * 0.7


def test_a_person_s_stop_outlasts_an_outage(ground: Ground, exchange: Exchange):
    exchange.faults.append(Fault(kind="html", times=10_000))
    ground.beat()
    stop_engine(book=BOOK, actor=Actor.system("test"), reason="stopped on purpose")
    exchange.faults.clear()
    ground.beat(2)
    assert engine_state_of(BOOK) == "STOPPED"


def test_one_instrument_in_doubt_only_reduces_and_the_other_trades_on(
    exchange: Exchange, dial: Dial
):
    other = "ETH/USDT:USDT"
    listing = draw_listing("ETH", seed=34)
    exchange.market.listings["ETHUSDT"] = listing
    ground = Ground(dial, SYMBOL, other)
    ground.start()
    del exchange.market.listings["ETHUSDT"]
    ground.beat(2)
    assert engine_state_of(BOOK) == "READY"
    assert list(ground.trader.doubt.instruments) == [other]
    sleeves = ground.trader.setup.sleeves
    closed = {sleeves[slot].instrument.symbol for slot in ground.trader.paper.closed_slots}
    assert closed == {other}
    assert ground.trader.paper.book.time_ms >= dial.now_ms - STEP_MS
    doubted = MarketEvent.objects.get(kind="source_doubted")
    assert doubted.instrument is not None
    assert doubted.instrument.symbol == other
    beat = Heartbeat.objects.get(part="trader").detail["market"]
    assert "s old" in beat["doubts"][other]
    exchange.market.listings["ETHUSDT"] = listing
    ground.beat(2)
    assert ground.trader.paper.closed_slots == frozenset()
    assert MarketEvent.objects.filter(kind="source_back", instrument__symbol=other).exists()


OTHER = "ETH/USDT:USDT"


class TestEnded:
    """An instrument that the venue ends while a position on it is open."""

    @pytest.fixture
    def two(self, exchange: Exchange, dial: Dial) -> Ground:
        """The book holds the second of two instruments."""
        exchange.market.listings["ETHUSDT"] = draw_listing("ETH", seed=33)
        exchange.market.listings["BTCUSDT"] = draw_listing("BTC", seed=35)
        ground = Ground(dial, SYMBOL, OTHER, codes=("trend", "magnet"))
        ground.start()
        for _ in range(40 * 12):
            ground.beat()
            if Position.objects.filter(instrument__symbol=OTHER).exclude(quantity=0).exists():
                return ground
        raise AssertionError("no entry in forty hours")

    def poll(self, ground: Ground) -> str:
        with use_clock(ground.clock):
            return poll_market(slot=ground.clock.now().replace(second=0, microsecond=0))

    def test_a_delisted_one_is_closed_at_its_last_mark_and_the_book_goes_on(
        self, two: Ground, exchange: Exchange
    ):
        last = two.source.price(OTHER, two.dial.now_ms)
        del exchange.market.listings["ETHUSDT"]
        two.beat(1, step_ms=20_000)
        assert engine_state_of(BOOK) == "RECONCILING"  # held, and nobody knows its worth
        assert f"{OTHER}: not listed any more" in self.poll(two)
        two.beat(1, step_ms=20_000)
        assert OTHER in two.trader.doubt.ended
        two.beat(4, step_ms=20_000)
        exit_fill = Fill.objects.filter(order__instrument__symbol=OTHER).latest("id")
        assert float(exit_fill.price) == pytest.approx(last, rel=0.002)
        assert not Position.objects.filter(instrument__symbol=OTHER).exclude(quantity=0).exists()
        assert engine_state_of(BOOK) == "READY"
        states = {m.instrument.symbol: m.state for m in members_of(BOOK).members}
        assert states == {SYMBOL: "trading"}
        beat = Heartbeat.objects.get(part="trader").detail
        assert "not listed any more" in beat["market"]["ended"][OTHER]
        assert any(OTHER in problem for problem in beat["problems"])
        steps = two.trader.paper.book.time_ms
        two.beat(2)
        assert two.trader.paper.book.time_ms > steps
        assert engine_state_of(BOOK) == "READY"

    def test_the_last_one_of_a_book_is_paused_and_a_new_trader_closes_it(
        self, ground_of_two: Ground, exchange: Exchange
    ):
        ground = ground_of_two
        ground.beat_until_entry()
        ground.trader.stop()
        ground.source.close()
        del exchange.market.listings["BTCUSDT"]
        assert f"{SYMBOL}: not listed any more" in self.poll(ground)
        close = Candle.objects.latest("open_time").close
        with use_clock(ground.clock):
            source = choose_market()
            assert isinstance(source, LiveMarket)
            ground.source, ground.trader = source, Trader(book=BOOK, source=source)
            ground.trader.start()
        ground.beat(2, step_ms=20_000)
        assert not Position.objects.exclude(quantity=0).exists()
        assert float(Fill.objects.latest("id").price) == pytest.approx(float(close), rel=0.002)
        assert {m.state for m in members_of(BOOK).members} == {"paused"}
        ground.source.close()


class TestRefusals:
    def test_no_market_set_names_the_next_step(self, settings: Any):
        settings.MARKET = ""
        with pytest.raises(CommandError, match="MARKET=binanceusdm"):
            call_command("run_trader", stdout=io.StringIO())

    def test_an_unknown_exchange(self, settings: Any):
        settings.MARKET = "nowhere"
        with pytest.raises(InvalidInput, match="unknown exchange"):
            choose_market()

    def test_a_home_of_simulated_prices_keeps_them(self, settings: Any):
        settings.MARKET = "binanceusdm"
        add_simulated_instrument(
            SYMBOL, tick=Decimal("0.1"), lot=Decimal("0.001"), minimum_notional=Decimal(5),
            maker_fee=Decimal(0), taker_fee=Decimal(0), maintenance_rate=Decimal("0.004"),
            actor=Actor.system("test"),
        )  # fmt: skip
        with pytest.raises(InvalidInput) as refused:
            choose_market()
        assert refused.value.code == "two_markets"

    def test_an_exchange_that_is_away_is_one_line_and_writes_nothing(
        self, exchange: Exchange, dial: Dial
    ):
        Ground(dial)
        exchange.faults.append(Fault(kind="html", times=10_000))
        with pytest.raises(CommandError, match="check the network, a proxy"):
            call_command("run_trader", stdout=io.StringIO())
        assert not EngineTransition.objects.exists()


def _stop_once_it_trades() -> None:
    """Ask this process to stop, as the supervisor does, once the trader has told a whole book."""
    deadline = time.monotonic() + 55
    while time.monotonic() < deadline:
        beat = Heartbeat.objects.filter(part="trader").first()
        market = beat.detail.get("market", {}) if beat is not None else {}
        facts = market.get("instruments", {}).get(SYMBOL, {})
        is_ready = EngineTransition.objects.filter(state="READY").exists()
        if is_ready and market.get("stream") == "" and facts.get("depth"):
            os.kill(os.getpid(), signal.SIGTERM)
            break
        time.sleep(0.25)
    connection.close()


def test_the_command_follows_the_stream_by_the_clock_of_the_wall(settings: Any):
    """``run_trader`` as it runs: in real time, on streams that speak by themselves."""
    listing = draw_listing("BTC", seed=33)
    shift = int(time.time() * 1000) // HOUR_MS * HOUR_MS - START_MS - HOUR_MS
    bars = listing.bars.copy()
    bars[:, 0] += shift
    market = Market(listings={"BTCUSDT": replace(listing, bars=bars, funding={})})
    served = Exchange(market)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    port = asyncio.run_coroutine_threadsafe(served.start(pump_seconds=0.25), loop).result(30)
    settings.EXCHANGE_HOST, settings.MARKET = f"http://127.0.0.1:{port}", "binanceusdm"
    settings.INITIAL_EQUITY = 100_000.0
    call_command("add_instrument", SYMBOL, from_exchange=True, trade=True, stdout=io.StringIO())
    Strategy.objects.create(code="trend", version=1, name="trend", risk_fraction=Decimal("0.0035"))
    now = utc_now()
    arm_by_scenario(book=BOOK, people=ensure_scenario_people(), at=now, reason="test")
    watch = threading.Thread(target=_stop_once_it_trades, daemon=True)
    watch.start()
    call_command("run_trader", seconds=60, stdout=io.StringIO())
    watch.join(30)
    asyncio.run_coroutine_threadsafe(served.stop(), loop).result(30)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(30)
    beat = Heartbeat.objects.get(part="trader").detail["market"]
    assert beat["source"] == "binanceusdm stream"
    assert beat["stream"] == ""
    facts = beat["instruments"][SYMBOL]
    assert float(facts["bid"]) < float(facts["ask"])
    assert facts["depth"] > 0
    assert "READY" in EngineTransition.objects.values_list("state", flat=True)
    price = float(beat["instruments"][SYMBOL]["price"])
    assert price == pytest.approx(market.last_price("BTCUSDT"), rel=0.01)
