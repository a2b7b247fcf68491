"""A real venue as a :class:`MarketData`: streamed where it can be, polled over REST, read from
memory.

The trader never waits for the network: its beats read what arrived, and where that is too old they
are told so.  The price is the venue's mark price (where it states none, the last one).  Time that
nobody watched is known from the venue's closed minutes.

While the stream speaks, a poll asks for prices once a minute and compares; while it is silent, each
poll (2 s) prices all instruments with one request.  A venue that asks us to slow down (429, 418) is
left alone as long as it says, and a quarter of its budget is kept for prices.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from magnetfund.kernel.clock import to_milliseconds, utc_now
from magnetfund.kernel.errors import FundError, Unavailable
from trading.domain.magnets.order_flow import DepthSnapshot
from trading.domain.market import HOUR_MS, MINUTE_MS, Candles
from trading.domain.market.events import MarketEventKind
from trading.services.live_bars import LiveBars
from trading.services.live_prices import SECOND_SOURCE_MS, LivePrices, is_jump
from trading.venues.binance_streams import BinanceStreams
from trading.venues.ccxt_calls import ask_once, budget_used, exchange_away
from trading.venues.ccxt_quotes import best_of, quotes_of
from trading.venues.market_data import (
    BookWish,
    ChargedFunding,
    Doubts,
    ForcedOrder,
    Quote,
    SourceNote,
)

_log = logging.getLogger("magnetfund.market")
POLL_MS = 2_000
#: A price older than so many polls is none.
STALE_POLLS = 3
CLOCK_EVERY_MS = 30_000
SKEW_MAX_MS = 1_000
#: While the stream speaks, REST prices are compared with it so often.
COMPARE_EVERY_MS = 60_000
#: How far a streamed and a polled mark may lie apart, as a fraction.
DIFFER_MAX = Decimal("0.01")
LIST_EVERY_MS = 60_000
DEPTH_AGE_MS = 10_000
#: Share of the request budget beyond which only prices and the clock are asked for.
BUDGET_SHARE = 0.75
#: Hours that an instrument without any stored one begins with.
FIRST_HOURS_MS = 400 * 24 * HOUR_MS
CALL_TIMEOUT_MS = 4_000
StreamMaker = Callable[[LivePrices], BinanceStreams]


class LiveMarket:
    """One venue's public market data by ccxt; ``streams`` makes its stream, where it has one."""

    is_simulated = False

    def __init__(self, client: Any, *, venue: str, streams: StreamMaker | None = None) -> None:
        self.venue = venue
        self._client = client
        client.timeout = CALL_TIMEOUT_MS
        self.prices = LivePrices(lambda: to_milliseconds(utc_now()))
        self.streams = streams(self.prices) if streams is not None else None
        self._symbols: tuple[str, ...] = ()
        #: What the venue ended, each with the price that stands where none was heard.
        self._settled: dict[str, float] = {}
        self._bars = LiveBars(client, self.prices)
        self._minutes_from = 0
        self._offset_ms = self._judged_offset_ms = 0
        self._clock_at = -CLOCK_EVERY_MS
        self._compared_at = self._listed_at = 0
        self._resume_at = 0.0
        self._failure = ""
        self._follows = False
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None
        self._pipe = os.pipe() if streams is not None else None
        if self._pipe is not None:
            for end in self._pipe:
                os.set_blocking(end, False)
            self.prices.on_price = self._wake

    @property
    def label(self) -> str:
        """The venue, and how its prices come at present."""
        is_told = self._streams_now(self.prices.now_ms())
        return f"{self.venue} {'stream' if is_told else 'REST'}"

    # ---- start and stop ------------------------------------------------------------------------

    def open(self, symbols: Sequence[str], *, since_ms: int) -> None:
        self._symbols = tuple(symbols)
        self._minutes_from = since_ms
        self.poll()
        if self._failure:
            raise Unavailable(self._failure, code="exchange_away")
        asked = self._asked()
        # One of several is a doubt of its own; the others are traded, and their stops watched.
        if asked and not any(self.prices.newest(symbol) for symbol in asked):
            raise Unavailable(
                f"{self.venue} states no price of {', '.join(asked)}", code="no_price"
            )

    def watch(self, symbols: Sequence[str]) -> None:
        self._symbols = tuple(symbols)
        self._watch_streams()

    def _watch_streams(self) -> None:
        if self.streams is not None and self._thread is not None:
            self.streams.watch(self._asked())

    def settle(self, symbol: str, price: float) -> None:
        self._settled.setdefault(symbol, price)

    def _asked(self) -> tuple[str, ...]:
        """The symbols that the venue is asked for: one that it does not list would be an error for
        all of them."""
        listed = self._client.markets or {}
        return tuple(symbol for symbol in self._symbols if symbol in listed)

    def follow(self) -> None:
        self._follows = True

    def begin(self) -> None:
        """Poll, and stream where the venue can, from threads of their own until closed."""
        if self.streams is not None:
            self.streams.begin(self._asked())
        self._thread = threading.Thread(target=self._run, name="market", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._ending.set()
        if self.streams is not None:
            self.streams.close()
        if self._thread is not None:
            self._thread.join(2 * CALL_TIMEOUT_MS / 1000)
        if self._pipe is not None:
            self.prices.on_price = lambda: None
            for end in self._pipe:
                os.close(end)
            self._pipe = None

    def _wake(self) -> None:
        """Let the trader's wait end: a price came."""
        pipe = self._pipe
        if pipe is not None:
            try:
                os.write(pipe[1], b"p")
            except BlockingIOError:
                return  # it is awake already

    def wake_handle(self) -> int | None:
        return self._pipe[0] if self._pipe is not None else None

    def _run(self) -> None:
        while not self._ending.is_set():
            began = time.monotonic()
            try:
                self.poll()
            except Exception:
                # The thread must outlive what nobody foresaw; prices grow old meanwhile, and the
                # trader stops entering for that.
                _log.exception("a poll of %s failed", self.venue)
            self._ending.wait(max(0.1, POLL_MS / 1000 - (time.monotonic() - began)))

    # ---- the network ---------------------------------------------------------------------------

    def poll(self) -> None:
        """Ask the venue once for all that is wanted; a failure is kept, not raised."""
        if time.monotonic() < self._resume_at:
            return
        try:
            now_ms = to_milliseconds(utc_now())
            if abs(now_ms - self._clock_at) >= CLOCK_EVERY_MS or self._offset_is_large:
                self._read_clock()
            self._read_list(now_ms)
            if self._lacks_price(now_ms) or self._is_comparison_due(now_ms):
                asked = self._asked()
                found = (
                    ask_once(self._client, lambda: quotes_of(self._client, asked)) if asked else []
                )
                self._take(found, arrived_ms=to_milliseconds(utc_now()))
            if budget_used(self._client) < BUDGET_SHARE:
                self._fetch_missing()
            self._failure = ""
        except FundError as error:
            if not self._failure:
                _log.warning("%s", error.message)
            self._failure = error.message
            self._resume_at = time.monotonic() + float(error.details.get("wait_seconds", 0.0))

    def _read_list(self, now_ms: int) -> None:
        """What the venue lists: at first, and once a minute while it lacks an instrument."""
        listed = self._client.markets
        lacks = any(s not in (listed or ()) and s not in self._settled for s in self._symbols)
        if not listed or (lacks and abs(now_ms - self._listed_at) >= LIST_EVERY_MS):
            self._listed_at = now_ms
            ask_once(self._client, lambda: self._client.load_markets(True))
            self._watch_streams()

    def _streams_now(self, now_ms: int) -> bool:
        """Whether the stream tells the marks at present."""
        age = now_ms - self.prices.streamed_ms
        return self.streams is not None and age <= POLL_MS and not self.prices.stream_reason

    def _lacks_price(self, now_ms: int) -> bool:
        """Whether the stream has not just told a mark of each instrument."""
        if not self._streams_now(now_ms):
            return True
        newest = [self.prices.newest(s) for s in self._symbols if s not in self._settled]
        return any(quote is None or now_ms - quote.arrived_ms > POLL_MS for quote in newest)

    def _is_comparison_due(self, now_ms: int) -> bool:
        if abs(now_ms - self._compared_at) < COMPARE_EVERY_MS:
            return False
        self._compared_at = now_ms
        return True

    def _read_clock(self) -> None:
        before = to_milliseconds(utc_now())
        venue_ms = ask_once(self._client, self._client.fetch_time)
        after = to_milliseconds(utc_now())
        if not isinstance(venue_ms, int):
            raise exchange_away(self.venue, ValueError("no time"))
        self._offset_ms = self.prices.offset_ms = venue_ms - (before + after) // 2
        self._clock_at = after

    def _take(self, found: Sequence[tuple[str, Decimal, int, float | None, int | None]],
              *, arrived_ms: int) -> None:  # fmt: skip
        for symbol, price, venue_ms, rate, due_ms in found:
            last = self.prices.newest(symbol)
            is_fresh = last is not None and arrived_ms - last.arrived_ms <= POLL_MS
            if last is not None and is_fresh and last.source == "stream":
                apart = abs(price / last.price - 1)
                if apart > DIFFER_MAX:
                    self.prices.note(
                        MarketEventKind.SOURCES_DIFFER, symbol,
                        stream=f"{last.price:f}", rest=f"{price:f}",
                    )  # fmt: skip
                continue
            if last is not None and is_jump(last.price, price):
                self._ask_second_source(symbol, arrived_ms)
            self.prices.take_quote(
                Quote(
                    symbol=symbol,
                    price=price,
                    venue_time_ms=venue_ms,
                    arrived_ms=arrived_ms,
                    funding_rate=rate,
                    funding_at_ms=due_ms,
                    source="REST",
                )
            )

    def _ask_second_source(self, symbol: str, arrived_ms: int) -> None:
        """The best bid and ask over REST, where a price jumps and no stream tells them."""
        best = self.prices.best(symbol)
        if best is not None and arrived_ms - best.arrived_ms <= SECOND_SOURCE_MS:
            return
        book = ask_once(self._client, lambda: self._client.fetch_order_book(symbol, 5))
        found = best_of(book, symbol=symbol, arrived_ms=arrived_ms)
        if found is not None:
            self.prices.take_best(found)

    def _fetch_missing(self) -> None:
        """Hours and minutes that are wanted.  One failure is the instrument's, and keeps no other
        waiting; a second one is taken for the venue's, and raised like a wish to be left alone."""
        venue_ms = to_milliseconds(utc_now()) + self._offset_ms
        failure: FundError | None = None
        for symbol in self._bars.in_turn(self._asked()):
            try:
                self._fetch_missing_of(symbol, venue_ms)
            except FundError as error:
                if failure is not None or error.details.get("wait_seconds"):
                    raise
                failure = error
        if failure is not None:
            raise failure

    def _fetch_missing_of(self, symbol: str, venue_ms: int) -> None:
        is_streamed = self._streams_now(venue_ms)
        self._bars.fetch_hours(symbol, venue_ms, is_streamed=is_streamed)
        first = self._minutes_wanted(symbol)
        if first is not None and first + MINUTE_MS <= venue_ms:
            self._bars.fetch_charges(symbol, first, venue_ms)
            self._bars.fetch_minutes(symbol, first, venue_ms)

    # ---- what the trader reads -----------------------------------------------------------------

    @property
    def _offset_is_large(self) -> bool:
        return abs(self._offset_ms) > SKEW_MAX_MS

    def find_doubts(self, now_ms: int, *, since_ms: int) -> Doubts:
        # A clock that is read meanwhile makes no price of this instant older.
        self._judged_offset_ms = self._offset_ms
        if self._offset_is_large:
            return Doubts(
                venue=f"the clock of {self.venue} is {self._offset_ms / 1000:+.1f} s from ours"
            )
        found = {s: why for s in self._symbols if (why := self._find_doubt_of(s, now_ms))}
        self._minutes_from = since_ms
        for symbol in self._symbols:
            if (
                symbol not in found
                and symbol not in self._settled
                and self._minutes_wanted(symbol) is not None
            ):
                found[symbol] = f"back-filling the minutes of {symbol}"
        return Doubts(instruments=found)

    def _find_doubt_of(self, symbol: str, now_ms: int) -> str:
        limit = STALE_POLLS * POLL_MS
        # A quote that comes while a beat is under way is no price of the beat's own instant.
        newest, held = self.prices.newest_by(symbol, now_ms), self.prices.held(symbol)
        if symbol in self._settled:
            return ""
        if newest is None:
            return self._failure or f"no price of {symbol} from {self.venue}"
        if held is not None and is_jump(newest.price, held.price):
            change = float(held.price / newest.price - 1)
            return f"{symbol} jumped by {change:+.0%}, which no second source confirms"
        age = self._age_ms(newest, now_ms)
        if age > limit:
            why = f"; {self._failure}" if self._failure else ""
            return f"the price of {symbol} is over {limit // 1000} s old ({age // 1000} s){why}"
        return ""

    def _age_ms(self, quote: Quote, now_ms: int) -> int:
        return max(now_ms - quote.arrived_ms, now_ms + self._judged_offset_ms - quote.venue_time_ms)

    def _minutes_wanted(self, symbol: str) -> int | None:
        """The first minute (open time) that ended unseen since the book was last priced, if any."""
        first_end = self._minutes_from // MINUTE_MS * MINUTE_MS + MINUTE_MS
        newest = self.prices.newest(symbol)
        if newest is None:
            return None
        for end in range(first_end, newest.arrived_ms, MINUTE_MS):
            if self._price_at(symbol, end) is None:
                return end - MINUTE_MS
        return None

    def price(self, symbol: str, now_ms: int) -> float:
        found = self._price_at(symbol, now_ms)
        if found is None:
            raise Unavailable(f"no price of {symbol} is known for that time", code="stale_price")
        return found

    def _price_at(self, symbol: str, at_ms: int) -> float | None:
        """The newest quote by then if it was fresh, else the close of the minute that ended."""
        limit = STALE_POLLS * POLL_MS
        quote = self.prices.newest_by(symbol, at_ms)
        if quote is not None and self._age_ms(quote, at_ms) <= limit:
            return float(quote.price)
        if symbol in self._settled:
            return float(quote.price) if quote is not None else self._settled[symbol]
        return self._bars.close_before(symbol, at_ms)

    def depth(self, symbol: str, now_ms: int) -> float | None:
        return self.prices.depth(symbol, now_ms, DEPTH_AGE_MS)

    def sample_books(self, wishes: Mapping[str, BookWish]) -> bool:
        self.prices.wish_books(wishes)
        return self.streams is not None

    def book_samples(self, symbol: str, start_ms: int, end_ms: int) -> tuple[DepthSnapshot, ...]:
        return self.prices.book_samples(symbol, start_ms, end_ms)

    def forced_orders(self, symbol: str, since_ms: int) -> tuple[ForcedOrder, ...]:
        return self.prices.forced(symbol, since_ms)

    def candles(self, symbol: str, start_ms: int, end_ms: int) -> Candles:
        """Hours from memory once the trader follows, and straight from the venue before.

        Fetched ones are told once: who asks again could not use them, and they are fetched anew.
        """
        start = max(start_ms, end_ms - FIRST_HOURS_MS) // HOUR_MS * HOUR_MS
        if not self._follows:
            venue_ms = to_milliseconds(utc_now()) + self._offset_ms
            return self._bars.fetch(symbol, "1h", HOUR_MS, start, min(end_ms, venue_ms))
        return self._bars.take_hours(symbol, start, end_ms)

    def funding(self, symbol: str, start_ms: int, end_ms: int) -> tuple[ChargedFunding, ...]:
        return tuple(
            ChargedFunding(symbol=symbol, stamp_ms=stamp, rate=rate)
            for stamp, rate in sorted(self.prices.charged(symbol).items())
            if start_ms <= stamp < end_ms
        )

    def quotes(self, now_ms: int) -> tuple[Quote, ...]:
        found = (self.prices.newest(symbol) for symbol in self._symbols)
        return tuple(quote for quote in found if quote is not None)

    def take_notes(self) -> tuple[SourceNote, ...]:
        return self.prices.take_notes()

    def facts(self, now_ms: int) -> Mapping[str, Mapping[str, Any]]:
        return {symbol: self._facts_of(symbol, now_ms) for symbol in self._symbols}

    def _facts_of(self, symbol: str, now_ms: int) -> dict[str, Any]:
        quote, best = self.prices.newest(symbol), self.prices.best(symbol)
        if best is not None and now_ms - best.arrived_ms > DEPTH_AGE_MS:
            best = None
        age = self._age_ms(quote, now_ms) if quote is not None else None
        if symbol in self._settled:
            age = None  # a last price grows no older
        return {
            "source": quote.source if quote is not None else "",
            "price": f"{quote.price:f}" if quote is not None else None,
            "age_ms": age,
            "bid": f"{best.bid:f}" if best is not None else None,
            "ask": f"{best.ask:f}" if best is not None else None,
            "spread": float((best.ask - best.bid) / best.middle) if best is not None else None,
            "depth": self.depth(symbol, now_ms),
            "funding_rate": quote.funding_rate if quote is not None else None,
            "funding_at_ms": quote.funding_at_ms if quote is not None else None,
            "forced_orders": len(self.prices.forced(symbol, now_ms - HOUR_MS)),
        }

    def connection(self) -> dict[str, Any]:
        """What a page shows of the venue itself: clock, stream, budget, counts."""
        return {
            "offset_ms": self._offset_ms,
            "stream": self.prices.stream_reason if self.streams is not None else "none",
            "openings": self.streams.openings if self.streams is not None else 0,
            "budget": round(budget_used(self._client), 3),
            "failure": self._failure,
            "counts": dict(self.prices.counts),
        }
