"""A real venue as a :class:`MarketData`: polled over REST by a thread, read from memory.

The trader never waits for the network: its beats read what the poll brought, and where that is too
old they are told so.  The price is the venue's mark price (where it states none, the last one).
Time that nobody watched is known from the venue's closed minutes.

A poll costs one request for all instruments; the venue's clock and what is missing of hours and
minutes come on top.  A venue that asks us to slow down (429, 418) is left alone as long as it says.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np

from magnetfund.kernel.clock import to_milliseconds, utc_now
from magnetfund.kernel.errors import FundError, Unavailable
from trading.domain.candle_files import RawCandles
from trading.domain.market import HOUR_MS, MINUTE_MS, Candles
from trading.services.exchange_candles import fetch_candles
from trading.venues.ccxt_calls import ask_once
from trading.venues.ccxt_quotes import quotes_of
from trading.venues.market_data import ChargedFunding, Quote

_log = logging.getLogger("magnetfund.market")
POLL_MS = 2_000
#: A price older than so many polls is none.
STALE_POLLS = 3
CLOCK_EVERY_MS = 30_000
SKEW_MAX_MS = 1_000
#: Quotes kept, which price the minute that just ended without asking.
KEPT = 120
#: Factor between two polls beyond which a price waits for the next one to agree.
JUMP = 1.1
#: Hours that an instrument without any stored one begins with.
FIRST_HOURS_MS = 400 * 24 * HOUR_MS
CALL_TIMEOUT_MS = 4_000


class LiveMarket:
    """One venue's public market data through ccxt."""

    is_simulated = False

    def __init__(self, client: Any, *, venue: str) -> None:
        self.venue = venue
        self.label = f"{venue} REST"
        self._client = client
        client.timeout = CALL_TIMEOUT_MS
        self._symbols: tuple[str, ...] = ()
        self._seen: dict[str, deque[Quote]] = {}
        self._held: dict[str, Quote] = {}
        self._hours: dict[str, Candles] = {}
        self._hours_from: dict[str, tuple[int, int]] = {}
        self._minutes: dict[str, Candles] = {}
        self._minutes_from = 0
        self._charged: dict[tuple[str, int], float] = {}
        self._offset_ms = 0
        self._clock_at = -CLOCK_EVERY_MS
        self._resume_at = 0.0
        self._failure = ""
        self._follows = False
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    # ---- start and stop ------------------------------------------------------------------------

    def open(self, symbols: Sequence[str], *, since_ms: int) -> None:
        self._symbols = tuple(symbols)
        self._minutes_from = since_ms
        self.poll()
        if self._failure:
            raise Unavailable(self._failure, code="exchange_away")
        missing = [symbol for symbol in symbols if self._newest(symbol) is None]
        if missing:
            raise Unavailable(
                f"{self.venue} states no price of {', '.join(missing)}", code="no_price"
            )

    def watch(self, symbols: Sequence[str]) -> None:
        self._symbols = tuple(symbols)

    def follow(self) -> None:
        self._follows = True

    def begin_polling(self) -> None:
        """Poll from a thread of its own until closed."""
        self._thread = threading.Thread(target=self._run, name="market", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._ending.set()
        if self._thread is not None:
            self._thread.join(2 * CALL_TIMEOUT_MS / 1000)

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
            if now_ms - self._clock_at >= CLOCK_EVERY_MS or self._offset_is_large:
                self._read_clock()
            found = ask_once(self._client, lambda: quotes_of(self._client, self._symbols))
            self._take(found, arrived_ms=to_milliseconds(utc_now()))
            self._fetch_missing()
            self._failure = ""
        except FundError as error:
            if not self._failure:
                _log.warning("%s", error.message)
            self._failure = error.message
            self._resume_at = time.monotonic() + float(error.details.get("wait_seconds", 0.0))

    def _read_clock(self) -> None:
        before = to_milliseconds(utc_now())
        venue_ms = ask_once(self._client, self._client.fetch_time)
        after = to_milliseconds(utc_now())
        self._offset_ms = int(venue_ms) - (before + after) // 2
        self._clock_at = after

    def _take(self, found: Sequence[tuple[str, Decimal, int, float | None, int | None]],
              *, arrived_ms: int) -> None:  # fmt: skip
        with self._lock:
            for symbol, price, venue_ms, rate, due_ms in found:
                quote = Quote(
                    symbol=symbol,
                    price=price,
                    venue_time_ms=venue_ms,
                    arrived_ms=arrived_ms,
                    funding_rate=rate,
                    funding_at_ms=due_ms,
                )
                seen = self._seen.setdefault(symbol, deque(maxlen=KEPT))
                last = seen[-1] if seen else None
                if last is not None and venue_ms <= last.venue_time_ms:
                    continue  # repeated, or out of order
                if last is not None and _is_jump(last.price, price):
                    held = self._held.get(symbol)
                    self._held[symbol] = quote
                    if held is None or _is_jump(held.price, price):
                        continue
                self._held.pop(symbol, None)
                if last is not None:
                    self._note_charge(last, quote)
                seen.append(quote)

    def _note_charge(self, last: Quote, quote: Quote) -> None:
        """The rate announced for a stamp is what it charged, once the venue speaks of the next."""
        if last.funding_at_ms is None or last.funding_rate is None:
            return
        if quote.venue_time_ms >= last.funding_at_ms:
            self._charged[last.symbol, last.funding_at_ms] = last.funding_rate

    def _fetch_missing(self) -> None:
        venue_ms = to_milliseconds(utc_now()) + self._offset_ms
        for symbol, (start, end) in list(self._hours_from.items()):
            if start + HOUR_MS > venue_ms:
                continue
            hours = self._fetch(symbol, "1h", HOUR_MS, start, min(end, venue_ms))
            with self._lock:
                self._hours[symbol] = hours
                if len(hours) and self._hours_from.get(symbol) == (start, end):
                    del self._hours_from[symbol]
        for symbol in self._symbols:
            first = self._minutes_wanted(symbol)
            if first is not None and first + MINUTE_MS <= venue_ms:
                self._minutes[symbol] = self._fetch(symbol, "1m", MINUTE_MS, first, venue_ms)

    def _fetch(self, symbol: str, timeframe: str, step: int, start: int, end: int) -> Candles:
        raw = fetch_candles(
            self._client,
            symbol=symbol,
            timeframe=timeframe,
            start_ms=start,
            end_ms=end,
            ask=ask_once,
        )
        return _as_candles(raw, symbol, step)

    # ---- what the trader reads -----------------------------------------------------------------

    @property
    def _offset_is_large(self) -> bool:
        return abs(self._offset_ms) > SKEW_MAX_MS

    def find_doubt(self, now_ms: int, *, since_ms: int) -> str:
        if self._offset_is_large:
            return f"the clock of {self.venue} is {self._offset_ms / 1000:+.1f} s from ours"
        limit = STALE_POLLS * POLL_MS
        for symbol in self._symbols:
            newest = self._newest(symbol)
            if newest is None:
                return self._failure or f"no price of {symbol} from {self.venue}"
            age = self._age_ms(newest, now_ms)
            if age > limit:
                why = f"; {self._failure}" if self._failure else ""
                return f"the price of {symbol} is over {limit // 1000} s old ({age // 1000} s){why}"
        self._minutes_from = since_ms
        for symbol in self._symbols:
            if self._minutes_wanted(symbol) is not None:
                return f"back-filling the minutes of {symbol}"
        return ""

    def _age_ms(self, quote: Quote, now_ms: int) -> int:
        return max(now_ms - quote.arrived_ms, now_ms + self._offset_ms - quote.venue_time_ms)

    def _minutes_wanted(self, symbol: str) -> int | None:
        """The first minute (open time) that ended unseen since the book was last priced, if any."""
        first_end = self._minutes_from // MINUTE_MS * MINUTE_MS + MINUTE_MS
        newest = self._newest(symbol)
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
        with self._lock:
            seen = self._seen.get(symbol, ())
            for quote in reversed(seen):
                if quote.arrived_ms <= at_ms:
                    if self._age_ms(quote, at_ms) <= limit:
                        return float(quote.price)
                    break
        minutes = self._minutes.get(symbol)
        if minutes is None or not len(minutes):
            return None
        row = int(np.searchsorted(minutes.open_time, at_ms - MINUTE_MS, side="right")) - 1
        if row < 0 or at_ms - int(minutes.open_time[row]) >= 2 * MINUTE_MS:
            return None
        return float(minutes.close[row])

    def depth(self, symbol: str, now_ms: int) -> float | None:
        """None: no book is read."""
        return None

    def candles(self, symbol: str, start_ms: int, end_ms: int) -> Candles:
        """Hours from memory once the trader follows, and straight from the venue before."""
        start = max(start_ms, end_ms - FIRST_HOURS_MS) // HOUR_MS * HOUR_MS
        if not self._follows:
            venue_ms = to_milliseconds(utc_now()) + self._offset_ms
            return self._fetch(symbol, "1h", HOUR_MS, start, min(end_ms, venue_ms))
        with self._lock:
            known = self._hours.get(symbol)
            if known is not None:
                first = int(np.searchsorted(known.open_time, start))
                stop = int(np.searchsorted(known.open_time, end_ms - HOUR_MS, side="right"))
                if stop > first:
                    return known.between(first, stop)
            self._hours_from[symbol] = (start, end_ms)
        return _none(symbol, HOUR_MS)

    def funding(self, symbol: str, start_ms: int, end_ms: int) -> tuple[ChargedFunding, ...]:
        return tuple(
            ChargedFunding(symbol=symbol, stamp_ms=stamp, rate=rate)
            for (name, stamp), rate in list(self._charged.items())
            if name == symbol and start_ms <= stamp < end_ms
        )

    def quotes(self, now_ms: int) -> tuple[Quote, ...]:
        found = (self._newest(symbol) for symbol in self._symbols)
        return tuple(quote for quote in found if quote is not None)

    def _newest(self, symbol: str) -> Quote | None:
        with self._lock:
            seen = self._seen.get(symbol)
            return seen[-1] if seen else None


def _is_jump(before: Decimal, price: Decimal) -> bool:
    return abs(math.log(float(price) / float(before))) > math.log(JUMP)


def _as_candles(raw: RawCandles, symbol: str, step: int) -> Candles:
    return Candles(
        instrument=symbol,
        timeframe_ms=step,
        open_time=raw.open_time,
        open=raw.open,
        high=raw.high,
        low=raw.low,
        close=raw.close,
        volume=raw.volume,
    )


def _none(symbol: str, step: int) -> Candles:
    empty = np.empty(0)
    return Candles(
        instrument=symbol, timeframe_ms=step, open_time=np.empty(0, dtype=np.int64), open=empty,
        high=empty, low=empty, close=empty, volume=empty,
    )  # fmt: skip
