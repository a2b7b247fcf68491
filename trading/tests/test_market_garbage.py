"""Garbage at the doors of a real market: nothing unsafe is believed, and good ticks pass.

Every kind spoils single messages of the stream or answers over REST, read by the real clients
without a network between, over the close of an hour.  Three seeds a kind, 200 with ``FULL=1``.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from magnetfund.kernel.clock import VirtualClock, from_milliseconds, use_clock
from simulated_exchange.market import Market
from simulated_exchange.streams import Socket, Streams
from trading.domain.market import HOUR_MS, MINUTE_MS
from trading.domain.market.price_levels import resume_state
from trading.domain.market.validation import check_candles
from trading.services.exchange_candles import open_exchange
from trading.services.live_candles import read_raw
from trading.services.live_market import LiveMarket
from trading.tests.garbage import REST, STREAM, Spoil
from trading.tests.stream_stage import BTC, ETH, SECOND, START, draw
from trading.venues.binance_client import BinanceStreamClient

pytestmark = pytest.mark.drill
SEEDS = 200 if os.environ.get("FULL") == "1" else 3
CLOSE = START + 2 * HOUR_MS
BEFORE_S, AFTER_S = 16, 16
NAMES = {BTC: "BTCUSDT", ETH: "ETHUSDT"}
CHANNELS = {"mark": "markPrice@1s", "best": "bookTicker", "depth": "depth@100ms"}
#: How far a believed price may lie from the true one, as a fraction.
TOLERANCE = 0.01
COUNTS: Counter[str] = Counter()
#: The good messages of each second (ms), which are those of every session, each as its text.
TOLD: dict[int, list[tuple[str, str, str]]] = {}
#: True prices by name and instant, the same in every session.
PRICES: dict[tuple[str, int], float] = {}


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """The loop of all sessions: the stream's client belongs to one."""
    made = asyncio.new_event_loop()
    yield made
    if Doors.clients is not None:
        made.run_until_complete(Doors.clients[1].close())
        Doors.clients = None
    made.close()


class Truth(Market):
    """The market that every session sees, its prices worked out once."""

    def price_at(self, symbol: str, at_ms: int) -> float:
        known = PRICES.get((symbol, at_ms))
        if known is None:
            known = PRICES[symbol, at_ms] = super().price_at(symbol, at_ms)
        return known


class Silent:
    """Stands where the threads of a stream are: this test hands over the messages itself."""

    openings = 1

    def watch(self, symbols: object) -> None:
        pass

    def close(self) -> None:
        pass


class Doors:
    """A market with its two doors, the truth that they tell, and a clock."""

    #: Clients of both doors, which take long to make; each session gets empty ones.
    clients: tuple[Any, Any] | None = None

    def __init__(self, kind: str, seed: int) -> None:
        self.rng = random.Random(f"{kind}/{seed}")
        self.now_ms = CLOSE - BEFORE_S * SECOND
        self.clock = VirtualClock(from_milliseconds(self.now_ms))
        listings = {"BTCUSDT": draw("BTC", 60_000.0), "ETHUSDT": draw("ETH", 3_000.0)}
        self.truth = Truth(listings=listings, clock=lambda: self.now_ms)
        self.spoils: list[tuple[str, Spoil]] = []
        if Doors.clients is None:
            made = open_exchange("binanceusdm")
            made.enableRateLimit, made.fetch = False, self._answer
            made.load_markets()
            Doors.clients = (made, BinanceStreamClient(self, {}))  # type: ignore[arg-type]
            Doors.clients[1].set_markets(list(made.markets.values()))
        rest, self.stream = Doors.clients
        rest.fetch = self._answer
        self.market = LiveMarket(rest, venue="binanceusdm", streams=lambda sink: Silent())  # type: ignore[arg-type,return-value]
        self.prices = self.market.prices
        self.prices._clock_ms = lambda: self.now_ms
        self.stream.sink = self.prices
        self.stream._summed.clear()
        self.stream.clients.clear()
        self.socket = self.stream.client("wss://fstream.binance.com/market/ws/0")
        self.told = Streams(self.truth, [], lambda: 0.0)
        self.here: Any = Socket(None, "")  # type: ignore[arg-type]
        for symbol in NAMES:
            self.stream.orderbooks[symbol] = self.stream.order_book({}, 50)
            self.stream.orderbooks[symbol]["nonce"] = self.now_ms
        with use_clock(self.clock):
            self.market.open(list(NAMES), since_ms=self.now_ms)
        self.market.follow()

    def move(self, ms: int) -> None:
        self.now_ms += ms
        self.clock.move_to(from_milliseconds(self.now_ms))

    def _answer(self, url: str, *_arguments: Any) -> Any:
        """The exchange's answer over REST, spoiled where one is due to be."""
        parts = urlsplit(url)
        query = dict(parse_qsl(parts.query))
        path = parts.path.rsplit("/", 1)[-1]
        body: Any = {}
        if path == "exchangeInfo":
            body = self.truth.exchange_info()
        elif path == "time":
            body = {"serverTime": self.now_ms}
        elif path == "premiumIndex":
            body = [self.truth.premium(name) for name in self.truth.listings]
        elif path == "depth":
            bids, asks = self.truth.levels(query["symbol"], 5)
            body = {"lastUpdateId": self.now_ms, "E": self.now_ms, "bids": bids, "asks": asks}
        elif path == "klines":
            since, until = query.get("startTime"), query.get("endTime")
            body = self.truth.klines(
                query["symbol"], query["interval"], limit=1000,
                start=int(since) if since else None, end=int(until) if until else None,
            )  # fmt: skip
        for k, (meant, spoil) in enumerate(self.spoils):
            if meant == path:
                del self.spoils[k]
                return spoil(json.loads(json.dumps(body)), self.rng)
        return body

    def poll(self) -> None:
        with use_clock(self.clock):
            self.market.poll()

    def messages(self) -> list[tuple[str, str, str]]:
        """What the streams tell at this second: symbol, channel and message."""
        if self.now_ms not in TOLD:
            TOLD[self.now_ms] = [
                (symbol, channel, json.dumps(told)) for symbol, channel, told in self._due()
            ]
        return TOLD[self.now_ms]

    def _due(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        before = self.now_ms - SECOND
        for symbol, name in NAMES.items():
            for channel, stream in CHANNELS.items():
                for message in self.told._due(self.here, f"{name}@", stream, before, self.now_ms):
                    yield symbol, channel, message
            for step in ("kline_1m", "kline_1h"):
                for message in self.told._due(self.here, f"{name}@", step, before, self.now_ms):
                    yield symbol, "kline", message

    def read(self, message: Any) -> None:
        text = message if isinstance(message, str | bytes) else json.dumps(message)
        self.socket.handle_text_or_binary_message(text)

    def look(self, since_ms: int) -> dict[str, str]:
        """The doubts; each figure that is believed in spite of being wrong is counted."""
        with use_clock(self.clock):
            found = self.market.find_doubts(self.now_ms, since_ms=since_ms)
        doubts = dict.fromkeys(NAMES, found.venue) if found.venue else dict(found.instruments)
        for symbol, name in NAMES.items():
            true = self.truth.last_price(name)
            if symbol not in doubts:
                self._expect(self.market.price(symbol, self.now_ms), true, "price")
                for end in range(
                    since_ms // MINUTE_MS * MINUTE_MS + MINUTE_MS, self.now_ms, MINUTE_MS
                ):
                    then = self.truth.price_at(name, end)
                    self._expect(self.market.price(symbol, end), then, "price of a minute")
            best = self.prices.best(symbol)
            if best is not None:
                self._expect(float(best.bid), true, "bid")
                self._expect(float(best.ask), true, "ask")
            depth = self.market.depth(symbol, self.now_ms)
            if depth is not None and not 20 * true < depth < 500 * true:
                COUNTS[f"unsafe depth {depth}"] += 1
            if self.prices.forced(symbol, 0):
                COUNTS["unsafe forced order"] += 1
        for stamp, rate in [c for name in NAMES for c in self.prices.charged(name).items()]:
            if stamp % (8 * HOUR_MS) or abs(rate) > 0.001:
                COUNTS["unsafe funding"] += 1
        self._look_at_candles()
        return doubts

    def _look_at_candles(self) -> None:
        for (symbol, timeframe), known in self.prices._closed.items():
            for opened, figures in known.items():
                bars = self.truth.bars(NAMES.get(symbol, ""), timeframe, opened)
                if tuple(bars[0, 1:6]) != figures or bars[0, 0] != opened:
                    COUNTS["unsafe candle"] += 1

    def _expect(self, value: float, true: float, what: str) -> None:
        if abs(value / true - 1) > TOLERANCE:
            COUNTS[f"unsafe {what}"] += 1

    def take_hour(self, symbol: str) -> bool:
        """Whether the hour that closed came through the door of candles; a wrong one is counted."""
        with use_clock(self.clock):
            hours = self.market.candles(symbol, CLOSE - HOUR_MS, CLOSE)
        truth = self.truth.bars(NAMES[symbol], "1h", START)
        past = read_raw_bars(truth[:1], symbol)
        checked = check_candles(
            instrument=symbol, timeframe_ms=HOUR_MS, open_time=hours.open_time, open=hours.open,
            high=hours.high, low=hours.low, close=hours.close, volume=hours.volume,
            now_ms=self.now_ms, state=resume_state(taken=past), sort=True,
        ).candles  # fmt: skip
        if not len(checked):
            return False
        figures = [getattr(checked, n)[0] for n in ("open_time", "open", "high", "low", "close")]
        if figures != truth[1, :5].tolist():
            COUNTS["unsafe hour"] += 1
        return True


def read_raw_bars(bars: Any, symbol: str) -> Any:
    class Raw:
        open_time = bars[:, 0].astype("int64")
        open, high, low, close, volume = (bars[:, k].copy() for k in range(1, 6))

    return read_raw(Raw, symbol, HOUR_MS)  # type: ignore[arg-type]


def stream_session(doors: Doors, channel: str, spoil: Spoil) -> None:
    """Seconds of good messages over the hour's close, with garbage among them."""
    steps = BEFORE_S + AFTER_S
    due = {*doors.rng.sample(range(3, steps - 8), 3), BEFORE_S, BEFORE_S + 1}
    waiting = set(NAMES)
    doubts: dict[str, str] = {}
    for step in range(1, steps + 1):
        since = doors.now_ms
        doors.move(SECOND)
        spoiled = doors.rng.choice(sorted(NAMES)) if step in due else ""
        for symbol, told, message in doors.messages():
            is_spoiled = symbol == spoiled and told == channel
            garbage = spoil(json.loads(message), doors.rng) if is_spoiled else None
            comes_first = doors.rng.random() < 0.5
            if is_spoiled and comes_first:
                doors.read(garbage)
            doors.read(message)
            if told == "mark":
                newest = doors.prices.newest(symbol)
                COUNTS["good ticks"] += 1
                COUNTS["dropped"] += newest is None or newest.venue_time_ms != doors.now_ms
            if is_spoiled and not comes_first:
                doors.read(garbage)
        if step % 2 == 0:
            doors.poll()
        doubts = doors.look(since)
        if step > BEFORE_S:
            waiting -= {symbol for symbol in sorted(waiting) if doors.take_hour(symbol)}
    COUNTS["still in doubt"] += bool(doubts)
    COUNTS["hours lost"] += len(waiting)


def rest_session(doors: Doors, path: str, spoil: Spoil) -> None:
    """Polls before and after three minutes that nobody watched, with garbage in the answers."""
    since = doors.now_ms
    for _ in range(4):
        doors.move(2 * SECOND)
        doors.poll()
        doors.look(since)
        since = doors.now_ms
    doors.move(3 * MINUTE_MS)
    doors.spoils += [(path, spoil)] * doors.rng.randint(1, 4)
    waiting = set(NAMES)
    doubts: dict[str, str] = {}
    for _ in range(24):
        waiting -= {symbol for symbol in sorted(waiting) if doors.take_hour(symbol)}
        doors.poll()
        doubts = doors.look(since)
        doors.move(2 * SECOND)
    COUNTS["still in doubt"] += bool(doubts)
    COUNTS["hours lost"] += len(waiting)


@pytest.mark.parametrize("kind", [*STREAM, *REST])
def test_garbage_is_not_believed(kind: str, loop: asyncio.AbstractEventLoop):
    async def run(seed: int) -> None:
        doors = Doors(kind, seed)
        try:
            if kind in STREAM:
                stream_session(doors, *STREAM[kind])
            else:
                rest_session(doors, *REST[kind])
        finally:
            doors.market.close()

    before = COUNTS.copy()
    for seed in range(SEEDS):
        loop.run_until_complete(run(seed))
        COUNTS["sessions"] += 1
        new = COUNTS - before
        bad = {name: n for name, n in new.items() if name.startswith(("unsafe", "still", "hours"))}
        assert not {name: n for name, n in bad.items() if n}, f"{kind}, seed {seed}"


def test_what_was_dropped_is_under_one_in_a_thousand(on_record: Any):
    with on_record():
        print(f"\n{len(STREAM) + len(REST)} kinds of garbage: {dict(COUNTS)}")
    assert COUNTS["good ticks"] > 0
    assert COUNTS["dropped"] < COUNTS["good ticks"] / 1000
