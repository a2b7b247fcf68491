"""What was last seen of a venue: quotes, best prices, depths, candles of the stream.

Streams and polls write from their threads, the trader reads; nothing here waits or asks.  A price
that jumps is used only once a second source agrees: the best bid and ask where they are fresh,
else the next quote.
"""

from __future__ import annotations

import math
import threading
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from trading.domain.magnets.order_flow import DepthSnapshot
from trading.domain.market import HOUR_MS, MINUTE_MS
from trading.domain.market.events import MarketEventKind
from trading.domain.market.funding import FundingRates, round_stamps
from trading.venues.market_data import (
    BestPrices,
    BookWish,
    ForcedOrder,
    Quote,
    SourceNote,
    StreamedCandle,
)

#: Quotes kept of an instrument, which price the minute that just ended without asking.
KEPT = 400
#: Factor between two quotes beyond which a price needs a second source.
JUMP = 1.1
#: The venue's time of a price may be so far before its clock as we know it (ms).
EARLY_MS = 1_000
#: Share of the notional that one stamp of funding can charge at most.
FUNDING_MAX = 0.1
#: A stamp of funding lies so far ahead at most (ms).
FUNDING_AHEAD_MS = 24 * HOUR_MS
#: How old the best prices may be to vouch for a jump (ms).
SECOND_SOURCE_MS = 5_000
#: Closed candles kept of an instrument and timeframe.
CANDLES_KEPT = 240
FORCED_KEPT = 200
#: A forced order that is older when it is told says nothing of the present (ms).
FORCED_AGE_MS = HOUR_MS
#: Value resting in a book beyond which it is none.
DEPTH_MAX = 1e12
#: Samples kept of a book: those of a minute that just ended, and some.
SAMPLES_KEPT = 30
STEPS = {"1m": MINUTE_MS, "1h": HOUR_MS}
NOTES_KEPT = 500
#: One kind of note about one instrument is taken so often (ms); the rest is counted.
NOTE_EVERY_MS = 60_000
Figures = tuple[float, float, float, float, float]


class LivePrices:
    """The memory of one venue, for the symbols that it is told of."""

    def __init__(self, clock_ms: Callable[[], int]) -> None:
        self._clock_ms = clock_ms
        self._lock = threading.Lock()
        self._seen: dict[str, deque[Quote]] = {}
        self._held: dict[str, Quote] = {}
        self._best: dict[str, BestPrices] = {}
        self._depths: dict[str, tuple[float, int]] = {}
        self._closed: dict[tuple[str, str], dict[int, Figures]] = {}
        self._forced: deque[ForcedOrder] = deque(maxlen=FORCED_KEPT)
        self._wishes: dict[str, BookWish] = {}
        self._books: dict[str, deque[DepthSnapshot]] = {}
        self._broken: set[str] = set()
        self._charged: dict[str, dict[int, float]] = {}
        self._notes: deque[SourceNote] = deque(maxlen=NOTES_KEPT)
        self._noted: dict[tuple[str, str], int] = {}
        #: How often what happened since the start, by kind of event.
        self.counts: Counter[str] = Counter()
        #: When the stream last told a mark (ms), and why it is down; empty while it is up.
        self.streamed_ms = 0
        self.stream_reason = "not open yet"
        #: The venue's clock less ours (ms), as it was last read.
        self.offset_ms = 0
        self._extremes: dict[str, dict[int, tuple[Decimal, Decimal]]] = {}
        self.on_price: Callable[[], None] = lambda: None

    # ---- written by streams and polls ----------------------------------------------------------

    def now_ms(self) -> int:
        return self._clock_ms()

    def take_mark(
        self, symbol: str, price: Decimal, venue_ms: int, rate: float | None, due_ms: int | None
    ) -> None:
        """A mark price of the stream."""
        now = self.now_ms()
        self.streamed_ms = now
        self.take_quote(
            Quote(
                symbol=symbol,
                price=price,
                venue_time_ms=venue_ms,
                arrived_ms=now,
                funding_rate=rate,
                funding_at_ms=due_ms,
                source="stream",
            )
        )
        self.on_price()

    def take_quote(self, quote: Quote) -> bool:
        """Use a quote; False for one that is repeated, out of order, or a jump nobody confirms."""
        with self._lock:
            if quote.venue_time_ms > quote.arrived_ms + self.offset_ms + EARLY_MS:
                self._note(
                    MarketEventKind.PRICE_REFUSED, quote.symbol, what="time",
                    venue_ms=quote.venue_time_ms,
                )  # fmt: skip
                return False
            quote = _with_known_funding(quote)
            seen = self._seen.setdefault(quote.symbol, deque(maxlen=KEPT))
            last = seen[-1] if seen else None
            if last is not None and quote.venue_time_ms <= last.venue_time_ms:
                self.counts["out_of_order"] += 1
                return False
            has_jumped = last is not None and is_jump(last.price, quote.price)
            if has_jumped and not self._is_confirmed(quote):
                return False
            self._held.pop(quote.symbol, None)
            if last is not None:
                self._note_charge(last, quote)
            seen.append(quote)
            self._widen(quote)
            return True

    def _widen(self, quote: Quote) -> None:
        """Remember the lowest and highest price of an hour; the last three hours are kept."""
        hours = self._extremes.setdefault(quote.symbol, {})
        opened = quote.venue_time_ms // HOUR_MS * HOUR_MS
        low, high = hours.get(opened, (quote.price, quote.price))
        hours[opened] = (min(low, quote.price), max(high, quote.price))
        for old in sorted(hours)[:-3]:
            del hours[old]

    def _is_confirmed(self, quote: Quote) -> bool:
        best = self._best.get(quote.symbol)
        held = self._held.get(quote.symbol)
        self._held[quote.symbol] = quote
        if best is not None and quote.arrived_ms - best.arrived_ms <= SECOND_SOURCE_MS:
            agrees = not is_jump(best.middle, quote.price)
        else:
            agrees = held is not None and not is_jump(held.price, quote.price)
        if not agrees:
            self._note(MarketEventKind.PRICE_HELD, quote.symbol, price=f"{quote.price:f}")
        return agrees

    def _note_charge(self, last: Quote, quote: Quote) -> None:
        """The rate announced for a stamp is what it charged, once the venue speaks of the next."""
        if last.funding_at_ms is None or last.funding_rate is None:
            return
        if quote.venue_time_ms >= last.funding_at_ms:
            charged = self._charged.setdefault(last.symbol, {})
            charged.setdefault(last.funding_at_ms, last.funding_rate)

    def take_best(self, best: BestPrices) -> None:
        self._best[best.symbol] = best

    def take_depth(self, symbol: str, value: float | None) -> None:
        """Value resting near the middle; None where the book cannot be believed."""
        if value is None or not 0.0 <= value < DEPTH_MAX:
            self._depths.pop(symbol, None)
        else:
            self._depths[symbol] = (value, self.now_ms())

    def wish_books(self, wishes: Mapping[str, BookWish]) -> None:
        """Sample the books of these, each summed as wished."""
        self._wishes = dict(wishes)

    def book_wish(self, symbol: str) -> BookWish | None:
        """How a sample of the book is summed; None where none is wished for."""
        return self._wishes.get(symbol)

    def take_book(self, symbol: str, sample: DepthSnapshot) -> None:
        """A sample of the book; the first one after a break says so."""
        with self._lock:
            kept = self._books.setdefault(symbol, deque(maxlen=SAMPLES_KEPT))
            if symbol in self._broken:
                self._broken.discard(symbol)
                sample = replace(sample, contiguous=False)
            if not kept or kept[-1].at < sample.at:
                kept.append(sample)

    def break_book(self, symbol: str) -> None:
        """An update of the book was missed: what stood before may be gone."""
        with self._lock:
            self._broken.add(symbol)

    def take_forced(self, order: ForcedOrder) -> None:
        """A liquidation; one at a time or price that cannot be is left out."""
        newest, age = self.newest(order.symbol), self.now_ms() + self.offset_ms - order.at_ms
        is_near = newest is not None and not is_jump(newest.price, order.price)
        if not is_near or not -EARLY_MS <= age <= FORCED_AGE_MS:
            self.refuse(order.symbol, "forceOrder", {"at": order.at_ms, "price": order.price})
            return
        self._forced.append(order)
        self.counts["forced_order"] += 1

    def take_candle(self, candle: StreamedCandle) -> None:
        """Keep a closed candle; the first telling of it counts.

        One that lies off the grid, ends in the future, or goes beyond the prices of its hour by a
        jump is left out, and so asked for over REST.
        """
        if not candle.is_closed:
            return
        with self._lock:
            if not self._is_borne_out(candle):
                self._note(
                    MarketEventKind.PRICE_REFUSED, candle.symbol, what="kline",
                    open_time=candle.open_time, figures=list(candle.figures),
                )  # fmt: skip
                return
            known = self._closed.setdefault((candle.symbol, candle.timeframe), {})
            before = known.get(candle.open_time)
            if before is None:
                known[candle.open_time] = candle.figures
                for old in sorted(known)[:-CANDLES_KEPT]:
                    del known[old]
                return
            is_same = before == candle.figures
            kind = MarketEventKind.CANDLE_REPEATED if is_same else MarketEventKind.CANDLE_REVISED
            self._note(
                kind,
                candle.symbol,
                timeframe=candle.timeframe,
                open_time=candle.open_time,
                close=[before[3], candle.figures[3]],
            )

    def _is_borne_out(self, candle: StreamedCandle) -> bool:
        step = STEPS.get(candle.timeframe, 0)
        ends_by = self.now_ms() + self.offset_ms + EARLY_MS
        if not step or candle.open_time % step or candle.open_time + step > ends_by:
            return False
        hour = candle.open_time // HOUR_MS * HOUR_MS
        seen = self._extremes.get(candle.symbol, {}).get(hour)
        if seen is None:
            return False
        _, high, low, _, _ = candle.figures
        return high <= float(seen[1]) * JUMP and low * JUMP >= float(seen[0])

    def refuse(self, symbol: str, what: str, message: Mapping[str, Any]) -> None:
        """A message that says nothing usable."""
        with self._lock:
            self._note(MarketEventKind.PRICE_REFUSED, symbol, what=what, text=str(message)[:200])

    def count_message(self) -> None:
        self.counts["messages"] += 1

    def note_stream(self, *, is_up: bool, reason: str) -> None:
        was_up = not self.stream_reason
        self.stream_reason = "" if is_up else reason or "closed"
        with self._lock:
            if not is_up:
                self._broken.update(self._books)
            if is_up and not was_up and self.counts["stream_lost"]:
                self._note(MarketEventKind.STREAM_BACK, "", is_rare=True)
            if not is_up and was_up:
                self._note(MarketEventKind.STREAM_LOST, "", is_rare=True, reason=reason)

    def note_book(self, reason: str) -> None:
        with self._lock:
            self._note(MarketEventKind.BOOK_BROKEN, "", reason=reason)

    def note(self, kind: MarketEventKind, symbol: str, **detail: Any) -> None:
        with self._lock:
            self._note(kind, symbol, **detail)

    def _note(
        self, kind: MarketEventKind, symbol: str, *, is_rare: bool = False, **detail: Any
    ) -> None:
        self.counts[kind.value] += 1
        now = self.now_ms()
        if not is_rare and now - self._noted.get((kind, symbol), -NOTE_EVERY_MS) < NOTE_EVERY_MS:
            return
        self._noted[kind, symbol] = now
        detail["count"] = self.counts[kind.value]
        self._notes.append(SourceNote(kind=kind, at_ms=now, symbol=symbol, detail=detail))

    # ---- read by the trader --------------------------------------------------------------------

    def newest(self, symbol: str) -> Quote | None:
        with self._lock:
            seen = self._seen.get(symbol)
            return seen[-1] if seen else None

    def newest_by(self, symbol: str, at_ms: int) -> Quote | None:
        """The newest quote that had arrived by then."""
        with self._lock:
            for quote in reversed(self._seen.get(symbol, ())):
                if quote.arrived_ms <= at_ms:
                    return quote
        return None

    def held(self, symbol: str) -> Quote | None:
        """The jump that waits for a second source."""
        return self._held.get(symbol)

    def best(self, symbol: str) -> BestPrices | None:
        return self._best.get(symbol)

    def depth(self, symbol: str, now_ms: int, within_ms: int) -> float | None:
        value, at = self._depths.get(symbol, (0.0, -within_ms - 1))
        return value if now_ms - at <= within_ms else None

    def closed_candles(
        self, symbol: str, timeframe: str, start_ms: int, end_ms: int, step_ms: int
    ) -> list[tuple[int, Figures]] | None:
        """Candles of the stream that fill ``[start, end)``; None where one is missing."""
        with self._lock:
            known = self._closed.get((symbol, timeframe), {})
            times = range(start_ms, end_ms - step_ms + 1, step_ms)
            if not times or any(time not in known for time in times):
                return None
            return [(time, known[time]) for time in times]

    def book_samples(self, symbol: str, start_ms: int, end_ms: int) -> tuple[DepthSnapshot, ...]:
        """Samples of the book taken in ``(start_ms, end_ms]``, oldest first."""
        with self._lock:
            return tuple(s for s in self._books.get(symbol, ()) if start_ms < s.at <= end_ms)

    def charged(self, symbol: str) -> dict[int, float]:
        """The rates that are known to have been charged, by stamp (ms), and the one announced.

        A stamp may be past by our clock while the first price after it is on its way.
        """
        newest = self.newest(symbol)
        with self._lock:
            found = dict(self._charged.get(symbol, {}))
        if newest is not None and newest.funding_at_ms and newest.funding_rate is not None:
            found.setdefault(newest.funding_at_ms, newest.funding_rate)
        return found

    def note_charges(self, symbol: str, rates: FundingRates) -> None:
        """Take over what the venue says that it charged."""
        stamps = round_stamps(rates.stamp_ms).tolist()
        with self._lock:
            known = self._charged.setdefault(symbol, {})
            known.update(zip(stamps, rates.rate.tolist(), strict=True))

    def forced(self, symbol: str, since_ms: int) -> tuple[ForcedOrder, ...]:
        """Liquidations told since then."""
        return tuple(o for o in list(self._forced) if o.symbol == symbol and o.at_ms >= since_ms)

    def take_notes(self) -> tuple[SourceNote, ...]:
        with self._lock:
            found = tuple(self._notes)
            self._notes.clear()
            return found


def _with_known_funding(quote: Quote) -> Quote:
    """The quote, without a funding rate or stamp that cannot be one."""
    rate, due = quote.funding_rate, quote.funding_at_ms
    if rate is None or due is None:
        return quote
    ahead = due - quote.venue_time_ms
    if abs(rate) <= FUNDING_MAX and due % HOUR_MS == 0 and 0 <= ahead <= FUNDING_AHEAD_MS:
        return quote
    return replace(quote, funding_rate=None, funding_at_ms=None)


def is_jump(before: Decimal, price: Decimal) -> bool:
    """Whether two prices are further apart than :data:`JUMP`."""
    return abs(math.log(float(price) / float(before))) > math.log(JUMP)
