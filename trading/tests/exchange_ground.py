"""An exchange on loopback over REST, a trader that trades on it, and one clock for both."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import numpy as np
from django.core.management import call_command

from magnetfund.kernel.clock import VirtualClock, from_milliseconds, use_clock
from magnetfund.operations.people import arm_by_scenario, ensure_scenario_people
from simulated_exchange.market import Listing, Market
from simulated_exchange.server import Exchange
from trading.domain.market import HOUR_MS, MINUTE_MS
from trading.domain.simulated_market import SimulatedInstrument, simulate_market
from trading.models import Fill, Strategy
from trading.services.live_market import LiveMarket
from trading.services.market_choice import choose_market
from trading.services.trader import Trader

SYMBOL = "BTC/USDT:USDT"
START_MS = 1_767_225_600_000
WARM_HOURS = 62 * 24
STEP_MS = 5 * MINUTE_MS
BOOK = "main"


class Dial:
    """The exchange's clock, which hour it holds back, and what its marks are multiplied by."""

    now_ms = START_MS
    factor = 1.0
    ahead_ms = 0
    held_hour: int | None = None


class HoldingMarket(Market):
    """A market that leaves out one hour's candle, or tells wrong marks, as its dial says."""

    dial: Dial

    def klines(self, symbol: str, interval: str, **asked: Any) -> list[list[object]]:
        rows = super().klines(symbol, interval, **asked)
        return [row for row in rows if interval != "1h" or row[0] != self.dial.held_hour]

    def premium(self, symbol: str) -> dict[str, object]:
        known = super().premium(symbol)
        return {**known, "markPrice": str(float(str(known["markPrice"])) * self.dial.factor)}


def draw_listing(base: str, *, seed: int) -> Listing:
    drawn = simulate_market(
        seed=seed,
        instruments=(SimulatedInstrument(symbol=SYMBOL, start_price=60_000.0, tick=0.1),),
        start_ms=START_MS - WARM_HOURS * HOUR_MS,
        hours=WARM_HOURS + 72,
    )
    close = np.round(drawn.minutes[0], 1)
    before = np.append(close[0], close[:-1])
    times = START_MS - WARM_HOURS * HOUR_MS + np.arange(close.size) * MINUTE_MS
    low, high = np.minimum(before, close), np.maximum(before, close)
    bars = np.column_stack((times, before, high, low, close, np.full(close.size, 9.0)))
    funding = {START_MS + 8 * HOUR_MS: 0.00037}
    return Listing(symbol=f"{base}USDT", base=base, interval="1m", bars=bars, funding=funding)


def make_exchange(dial: Dial) -> Exchange:
    listings = {"BTCUSDT": draw_listing("BTC", seed=33)}
    market = HoldingMarket(listings=listings, clock=lambda: dial.now_ms + dial.ahead_ms)
    market.dial = dial
    return Exchange(market)


@contextmanager
def serve_exchange(settings: Any, dial: Dial) -> Iterator[Exchange]:
    """The exchange that the settings name, and a book with capital."""
    served = make_exchange(dial)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    port = asyncio.run_coroutine_threadsafe(served.start(), loop).result(30)
    settings.EXCHANGE_HOST = f"http://127.0.0.1:{port}"
    settings.MARKET = "binanceusdm"
    settings.INITIAL_EQUITY = 100_000.0
    yield served
    asyncio.run_coroutine_threadsafe(served.stop(), loop).result(30)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(30)


class Ground:
    """A trader on the exchange with one clock for both.

    ``codes`` are its sleeves; to warm up the magnets takes most of a start.
    """

    def __init__(self, dial: Dial, *symbols: str, codes: Sequence[str] = ("trend",)) -> None:
        self.dial = dial
        self.clock = VirtualClock(from_milliseconds(dial.now_ms))
        for symbol in symbols or (SYMBOL,):
            with use_clock(self.clock):
                call_command(
                    "add_instrument", symbol, from_exchange=True, trade=True, stdout=io.StringIO()
                )
        for code in codes:
            Strategy.objects.create(
                code=code, version=1, name=code, risk_fraction=Decimal("0.0035")
            )

    def start(self) -> None:
        with use_clock(self.clock):
            arm_by_scenario(
                book=BOOK, people=ensure_scenario_people(), at=self.clock.now(), reason="test"
            )
            source = choose_market()
            assert isinstance(source, LiveMarket)
            source._client.enableRateLimit = False
            self.source = source
            self.trader = Trader(book=BOOK, source=source)
            self.trader.start()

    def beat(self, count: int = 1, *, step_ms: int = STEP_MS) -> None:
        for _ in range(count):
            self.dial.now_ms += step_ms
            self.clock.move_to(from_milliseconds(self.dial.now_ms))
            with use_clock(self.clock):
                self.source.poll()
                self.trader.beat()

    def beat_until_entry(self) -> None:
        for _ in range(40 * 12):
            self.beat()
            if Fill.objects.exists():
                return
        raise AssertionError("no entry in forty hours")
