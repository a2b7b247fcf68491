"""An exchange on loopback, a market that streams from it, and one clock for both."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from magnetfund.kernel.clock import VirtualClock, from_milliseconds, use_clock
from simulated_exchange.market import Listing, Market
from simulated_exchange.server import Exchange
from trading.domain.market import HOUR_MS, MINUTE_MS
from trading.services.exchange_candles import open_exchange
from trading.services.live_market import LiveMarket
from trading.venues import binance_client  # loaded before a clock runs: it takes seconds
from trading.venues.binance_streams import BinanceStreams

assert binance_client
BTC, ETH = "BTC/USDT:USDT", "ETH/USDT:USDT"
START = 1_767_225_600_000
SECOND = 1_000


def draw(base: str, price: float, *, crash_at: int | None = None, minutes: int = 360) -> Listing:
    """Minutes from ``START`` on; with ``crash_at`` the price falls by 30 % within that minute."""
    rng = np.random.default_rng(len(base) + int(price))
    change = rng.normal(0, 0.0004, minutes)
    if crash_at is not None:
        change[crash_at] = np.log(0.7)
    close = np.round(price * np.exp(np.cumsum(change)), 1)
    before = np.append(price, close[:-1])
    times = START + MINUTE_MS * np.arange(minutes)
    low, high = np.minimum(before, close), np.maximum(before, close)
    bars = np.column_stack((times, before, high, low, close, np.full(minutes, 5.0)))
    return Listing(symbol=f"{base}USDT", base=base, interval="1m", bars=bars)


class Stage:
    """An exchange, a market that streams from it, and one clock for both."""

    def __init__(
        self, exchange: Exchange, loop: asyncio.AbstractEventLoop, *, host: str, at_ms: int
    ) -> None:
        self.exchange, self.loop = exchange, loop
        self.now_ms = at_ms
        self.clock = VirtualClock(from_milliseconds(self.now_ms))
        client = open_exchange("binanceusdm")
        client.enableRateLimit = False
        self.market = LiveMarket(
            client, venue="binanceusdm", streams=lambda sink: BinanceStreams(sink, host=host)
        )
        self.prices = self.market.prices
        self.prices._clock_ms = lambda: self.now_ms
        self.settled = (0, 0)
        #: How long nothing is read before what was sent counts as lost (s).
        self.patience = 1.0
        self.told: list[str] = []

    def open(self) -> None:
        with use_clock(self.clock):
            self.market.open([BTC, ETH], since_ms=self.now_ms)
        self.market.follow()
        assert self.market.streams is not None
        self.market.streams.begin([BTC, ETH])
        self.wait_for(lambda: not self.prices.stream_reason)

    def move(self, ms: int, *, polls: bool = True) -> None:
        """Let time pass, the streams speak and, unless told otherwise, one poll ask."""
        self.now_ms += ms
        self.clock.move_to(from_milliseconds(self.now_ms))
        self.pump()
        self.settle()
        if polls:
            with use_clock(self.clock):
                self.market.poll()

    def settle(self) -> None:
        """Wait until what was sent has been read, or, where some is lost, a time without news."""
        sent = self.exchange.streams.sent - self.settled[0]
        read, deadline = 0, time.monotonic() + self.patience
        while read < sent and time.monotonic() < deadline:
            time.sleep(0.002)
            before, read = read, self.prices.counts["messages"] - self.settled[1]
            if read > before:
                deadline = time.monotonic() + self.patience
        self.settled = (self.exchange.streams.sent, self.prices.counts["messages"])

    def pump(self) -> None:
        asyncio.run_coroutine_threadsafe(self.exchange.pump(), self.loop).result(30)

    def wait_for(self, is_so: Callable[[], bool], seconds: float = 40.0) -> None:
        deadline = time.monotonic() + seconds
        while not is_so():
            assert time.monotonic() < deadline, self.prices.stream_reason
            self.now_ms += SECOND
            self.clock.move_to(from_milliseconds(self.now_ms))
            self.pump()
            time.sleep(0.1)

    def doubts(self) -> dict[str, str]:
        with use_clock(self.clock):
            found = self.market.find_doubts(self.now_ms, since_ms=self.now_ms - SECOND)
        assert not found.venue
        return dict(found.instruments)

    def kinds(self) -> list[str]:
        self.told += [note.kind.value for note in self.market.take_notes()]
        return self.told

    def true_price(self, symbol: str = "BTCUSDT") -> float:
        return self.exchange.market.last_price(symbol)


@contextmanager
def set_stage(
    settings: Any,
    *,
    at_ms: int = START + HOUR_MS + 30 * SECOND,
    opens: bool = True,
    listings: dict[str, Listing] | None = None,
    ahead_ms: int = 0,
) -> Iterator[Stage]:
    """A stage with two instruments, streaming, and taken down again.

    The exchange's clock goes ``ahead_ms`` before ours.
    """
    made: list[Stage] = []
    drawn = listings or {"BTCUSDT": draw("BTC", 60_000.0), "ETHUSDT": draw("ETH", 3_000.0)}
    market = Market(listings=drawn, clock=lambda: (made[0].now_ms if made else at_ms) + ahead_ms)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    exchange = Exchange(market)
    port = asyncio.run_coroutine_threadsafe(exchange.start(), loop).result(30)
    settings.EXCHANGE_HOST = f"http://127.0.0.1:{port}"
    made.append(Stage(exchange, loop, host=settings.EXCHANGE_HOST, at_ms=at_ms))
    if opens:
        made[0].open()
    yield made[0]
    made[0].market.close()
    asyncio.run_coroutine_threadsafe(exchange.stop(), loop).result(30)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(30)
