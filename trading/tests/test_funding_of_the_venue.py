"""A trader on a real venue books the funding that the venue charged, at whatever time it looks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from magnetfund.kernel.clock import from_milliseconds, use_clock
from simulated_exchange.server import Exchange
from trading.domain.market import HOUR_MS, MINUTE_MS
from trading.models import FundingRate
from trading.services.live_market import LiveMarket
from trading.services.market_choice import choose_market
from trading.services.trader import Trader
from trading.tests.exchange_ground import BOOK, START_MS, Dial, Ground, serve_exchange

pytestmark = pytest.mark.usefixtures("as_gateway")
#: The exchange charged 0.037 % here (exchange_ground), where the default is 0.01 %.
STAMP = START_MS + 8 * HOUR_MS


@pytest.fixture
def dial() -> Dial:
    return Dial()


@pytest.fixture
def exchange(settings: Any, dial: Dial) -> Iterator[Exchange]:
    with serve_exchange(settings, dial) as served:
        yield served


def charged() -> list[float]:
    rows = FundingRate.objects.filter(at=from_milliseconds(STAMP))
    return list(rows.values_list("rate", flat=True))


@pytest.mark.usefixtures("exchange")
def test_a_stamp_that_our_clock_reaches_before_the_next_price_has_the_rate_announced(dial: Dial):
    """The price that the beat sees is older than the stamp: by the wire, and by clocks apart."""
    dial.now_ms, dial.ahead_ms = STAMP - 10 * MINUTE_MS, -400
    ground = Ground(dial)
    ground.start()
    ground.beat(9, step_ms=MINUTE_MS)
    ground.beat(step_ms=MINUTE_MS - 100)
    assert charged() == []
    ground.beat(step_ms=300)
    quote = ground.source.prices.newest("BTC/USDT:USDT")
    assert quote is not None
    assert quote.venue_time_ms < STAMP < ground.trader.paper.book.time_ms
    assert charged() == [0.00037]


@pytest.mark.usefixtures("exchange")
def test_a_stamp_that_nobody_watched_has_the_rate_that_the_venue_charged(dial: Dial):
    dial.now_ms = STAMP - 10 * MINUTE_MS
    ground = Ground(dial)
    ground.start()
    ground.beat(2, step_ms=MINUTE_MS)
    with use_clock(ground.clock):
        ground.trader.stop()
        ground.source.close()
    dial.now_ms = STAMP + 10 * MINUTE_MS
    ground.clock.move_to(from_milliseconds(dial.now_ms))
    with use_clock(ground.clock):
        source = choose_market()
        assert isinstance(source, LiveMarket)
        trader = Trader(book=BOOK, source=source)
        trader.start()
    assert trader.paper.book.time_ms > STAMP
    assert charged() == [0.00037]
