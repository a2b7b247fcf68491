"""A trader on a real venue at odd instants: holes, doubts within a beat, a silent start."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from magnetfund.core.models import Heartbeat
from magnetfund.kernel.clock import from_milliseconds, to_milliseconds, use_clock
from magnetfund.kernel.errors import Unavailable
from magnetfund.operations.watchdog import READY, Look, WatchMemory, judge
from simulated_exchange.faults import Fault
from simulated_exchange.server import Exchange
from trading.domain.market import MINUTE_MS
from trading.models import Instrument
from trading.services.engine import engine_state_of
from trading.services.leverage_readings import recalculate_leverage
from trading.services.live_market import LiveMarket
from trading.services.manual_plan import LivePrice, live_price
from trading.services.market_choice import choose_market
from trading.services.trader import Trader
from trading.tests.exchange_ground import (
    BOOK,
    SYMBOL,
    Dial,
    Ground,
    HoldingMarket,
    draw_listing,
    serve_exchange,
)

pytestmark = pytest.mark.usefixtures("as_gateway")
OTHER = "ETH/USDT:USDT"


@pytest.fixture
def dial() -> Dial:
    return Dial()


@pytest.fixture
def exchange(settings: Any, dial: Dial) -> Iterator[Exchange]:
    with serve_exchange(settings, dial) as served:
        yield served


def move(ground: Ground, now_ms: int) -> None:
    ground.dial.now_ms = now_ms
    ground.clock.move_to(from_milliseconds(now_ms))


def restart(ground: Ground, *, at_ms: int) -> None:
    """The trader ends, and another one begins at ``at_ms``."""
    with use_clock(ground.clock):
        ground.trader.stop()
        ground.source.close()
    move(ground, at_ms)
    with use_clock(ground.clock):
        source = choose_market()
        assert isinstance(source, LiveMarket)
        source._client.enableRateLimit = False
        ground.source, ground.trader = source, Trader(book=BOOK, source=source)
        ground.trader.start()


@pytest.mark.usefixtures("exchange")
@pytest.mark.parametrize("first", [0, 2])
def test_a_minute_that_the_venue_never_had_does_not_hold_the_book_for_good(
    dial: Dial, monkeypatch: pytest.MonkeyPatch, first: int
):
    ground = Ground(dial)
    ground.start()
    ground.beat(3, step_ms=MINUTE_MS)
    start = dial.now_ms // MINUTE_MS * MINUTE_MS
    hole = {start + k * MINUTE_MS for k in (first, first + 1)}
    klines = HoldingMarket.klines

    def without(self: HoldingMarket, symbol: str, interval: str, **asked: Any) -> Any:
        rows = klines(self, symbol, interval, **asked)
        return [row for row in rows if interval != "1m" or row[0] not in hole]

    monkeypatch.setattr(HoldingMarket, "klines", without)
    ground.beat(1, step_ms=10 * MINUTE_MS)
    ground.beat(10, step_ms=2_000)
    assert engine_state_of(BOOK) == "READY"


def test_a_doubt_of_the_venue_in_the_midst_of_a_beat_ends_nothing(
    exchange: Exchange, dial: Dial, monkeypatch: pytest.MonkeyPatch
):
    """One instrument is silent, and the clock of the venue is found off while a beat is at work."""
    exchange.market.listings["ETHUSDT"] = draw_listing("ETH", seed=34)
    ground = Ground(dial, SYMBOL, OTHER)
    ground.start()
    del exchange.market.listings["ETHUSDT"]
    ground.beat(2)
    assert list(ground.trader.doubt.instruments) == [OTHER]
    reader = ground.trader.reader
    read = reader.closed_hours

    def slowly(now_ms: int, **asked: Any) -> Any:
        move(ground, dial.now_ms + 1_000)
        ground.source._offset_ms = 3_000
        ground.source._wake()
        asked["between"]()
        return read(now_ms, **asked)

    monkeypatch.setattr(reader, "closed_hours", slowly)
    ground.beat()
    monkeypatch.undo()
    ground.beat(2)
    assert engine_state_of(BOOK) == "READY"


def test_one_silent_instrument_keeps_no_trader_from_starting(
    exchange: Exchange, dial: Dial, monkeypatch: pytest.MonkeyPatch
):
    exchange.market.listings["ETHUSDT"] = draw_listing("ETH", seed=34)
    ground = Ground(dial, SYMBOL, OTHER)
    ground.start()
    ground.beat(2)
    premium, silent = HoldingMarket.premium, {"ETHUSDT"}

    def told(self: HoldingMarket, symbol: str) -> dict[str, object]:
        known = premium(self, symbol)
        return {**known, "markPrice": "0.00000000"} if symbol in silent else known

    monkeypatch.setattr(HoldingMarket, "premium", told)
    restart(ground, at_ms=dial.now_ms + 30_000)
    ground.beat(1, step_ms=2_000)
    assert list(ground.trader.doubt.instruments) == [OTHER]
    assert engine_state_of(BOOK) == "READY"
    silent.clear()
    ground.beat(2, step_ms=2_000)
    assert not ground.trader.doubt.instruments
    silent |= {"BTCUSDT", "ETHUSDT"}
    with pytest.raises(Unavailable, match="states no price"):
        restart(ground, at_ms=dial.now_ms + 30_000)


def test_a_price_of_before_an_outage_is_not_told_as_one_of_now(exchange: Exchange, dial: Dial):
    """The trader reports on while a market is away; whoever reads a price learns how old it is."""
    exchange.market.listings["ETHUSDT"] = draw_listing("ETH", seed=34)
    ground = Ground(dial, SYMBOL, OTHER)
    ground.start()
    ground.beat(2, step_ms=2_000)
    btc, eth = (Instrument.objects.get(symbol=symbol) for symbol in (SYMBOL, OTHER))
    silent_ms = dial.now_ms
    del exchange.market.listings["ETHUSDT"]
    ground.beat(6, step_ms=10_000)
    assert age_ms(live_price(BOOK, btc), dial) < 1_000
    assert age_ms(live_price(BOOK, eth), dial) == dial.now_ms - silent_ms
    away_ms = dial.now_ms
    exchange.faults.append(Fault(kind="html", times=10_000))
    ground.beat(6, step_ms=10_000)
    assert age_ms(live_price(BOOK, btc), dial) >= dial.now_ms - away_ms - 1
    with use_clock(ground.clock):
        assert recalculate_leverage(BOOK, at=ground.clock.now()).startswith("0 instruments")
    exchange.faults.clear()
    ground.beat(2, step_ms=2_000)
    with use_clock(ground.clock):
        assert recalculate_leverage(BOOK, at=ground.clock.now()).startswith("1 instrument,")


def age_ms(seen: LivePrice, dial: Dial) -> int:
    return dial.now_ms - to_milliseconds(seen.observed_at)


@pytest.mark.usefixtures("exchange")
def test_a_clock_that_is_read_within_a_beat_makes_no_price_too_old(
    dial: Dial, monkeypatch: pytest.MonkeyPatch
):
    """A price near its bound is judged once a beat; the poll's thread reads the clock meanwhile."""
    ground = Ground(dial)
    ground.start()
    ground.beat(2, step_ms=2_000)
    read, silent_ms = ground.trader.reader.closed_hours, 5_500

    def with_the_clock_read(now_ms: int, **asked: Any) -> Any:
        ground.source._offset_ms = 900
        return read(now_ms, **asked)

    monkeypatch.setattr(ground.trader.reader, "closed_hours", with_the_clock_read)
    move(ground, dial.now_ms + silent_ms)
    with use_clock(ground.clock):
        ground.trader.beat()
    assert ground.trader.paper.book.time_ms >= dial.now_ms
    assert engine_state_of(BOOK) == "READY"


def test_one_silent_instrument_is_no_silence_of_the_prices(exchange: Exchange, dial: Dial):
    """The watchdog stops the entries of a whole book whose prices stand still."""
    exchange.market.listings["ETHUSDT"] = draw_listing("ETH", seed=34)
    ground = Ground(dial, SYMBOL, OTHER)
    ground.start()
    ground.beat(2, step_ms=2_000)
    del exchange.market.listings["ETHUSDT"]
    assert watch(ground, seconds=40) == {""}
    assert list(ground.trader.doubt.instruments) == [OTHER]
    exchange.faults.append(Fault(kind="html", times=10_000))
    assert any("prices are" in said for said in watch(ground, seconds=40))


def watch(ground: Ground, *, seconds: int) -> set[str]:
    """What a watchdog would stop the engine for while so much time passes."""
    memory, said = WatchMemory.start(0.0), set()
    for second in range(2, seconds + 1, 2):
        ground.beat(step_ms=2_000)
        beat = Heartbeat.objects.get(part="trader")
        seen = Look(
            beat_at=str(second), price_at=beat.detail["price_at"], equity=beat.detail["equity"],
            engine=READY, fuse="ARMED",
        )  # fmt: skip
        memory, orders = judge(memory, seen, float(second))
        said.add(orders.stop_engine)
    return said
