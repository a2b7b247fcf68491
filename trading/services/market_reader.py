"""What a trader reads of its market in a beat: closed hours, present prices, funding that fell due.

Owns the readers of the book's instruments, what kept one from a price, and up to when funding was
charged.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, MutableMapping, Sequence

import numpy as np

from magnetfund.core.actors import Actor
from magnetfund.kernel.errors import InvalidInput
from trading.domain.engine.book import Bar
from trading.domain.market.candles import HOUR_MS, MINUTE_MS
from trading.domain.market.funding import FundingRates
from trading.services.book_setup import BookSetup
from trading.services.feeds import InstrumentFeed, do_nothing
from trading.services.funding import import_funding, load_funding
from trading.services.hours import ClosedHour, HourReader
from trading.services.market_doubt import MarketDoubt
from trading.services.stream_levels import store_minutes
from trading.venues.market_data import MarketData

#: Minutes of the book that are written in one transaction, while ticks wait.
MINUTES_AT_ONCE = 8


class MarketReader:
    """Reads one source for the instruments of a book, in their order."""

    def __init__(self, *, source: MarketData, doubt: MarketDoubt, actor: Actor) -> None:
        self.source = source
        self.doubt = doubt
        self.actor = actor
        self.hours: list[HourReader] = []
        self._funded_ms = 0
        self._unpriced: dict[str, str] = {}
        self._cut = 0

    @property
    def feeds(self) -> list[InstrumentFeed]:
        """The feed of each instrument."""
        return [reader.feed for reader in self.hours]

    # ---- instruments ---------------------------------------------------------------------------

    def prepare(
        self,
        setup: BookSetup,
        *,
        decided: MutableMapping[str, int],
        now_ms: int,
        keep: frozenset[int] = frozenset(),
        between: Callable[[], object] = do_nothing,
        on_progress: Callable[[int, int], object] = lambda done, total: None,
    ) -> list[HourReader]:
        """Readers of the instruments of a setup, for :attr:`hours`; those in ``keep`` (keys) go on
        as they are.

        The strategies of the others get their past.  Hours that the book has not decided on wait:
        ``decided`` holds the open time of the newest decided hour by symbol, and gets those of
        instruments that are new.  ``between`` is called after each short part of the work, while
        the present readers stay in force, and ``on_progress`` with how many of how many are read.
        """
        before = {
            reader.feed.instrument.pk: reader
            for reader in self.hours
            if reader.feed.instrument.pk in keep
        }
        found: list[HourReader] = []
        for item in setup.instruments:
            on_progress(len(found), len(setup.instruments))
            reader = before.get(item.pk)
            if reader is None:
                feed = InstrumentFeed(instrument=item, strategies=setup.strategies)
                reader = HourReader(feed=feed, source=self.source)
                known = decided.get(item.symbol)
                reader.warm(decided_ms=known, now_ms=now_ms, between=between)
                if known is None:
                    reader.read(now_ms, between=between)
                    decided[item.symbol] = reader.feed.newest_open_ms
            found.append(reader)
        on_progress(len(found), len(setup.instruments))
        return found

    def set_heavy_reach(self, reach: float) -> None:
        """How far an opposite zone is looked for, in ATR."""
        for feed in self.feeds:
            feed.set_heavy_reach(reach)

    # ---- hours ---------------------------------------------------------------------------------

    def closed_hours(
        self, now_ms: int, *, between: Callable[[], object] = do_nothing
    ) -> dict[int, dict[int, ClosedHour]]:
        """The hours that closed and are not decided on: by close, then by instrument.

        ``between`` is called after each short part of the work.
        """
        read: dict[int, dict[int, ClosedHour]] = {}
        for index, reader in enumerate(self.hours):
            for hour in reader.read(now_ms, between=between):
                read.setdefault(hour.close_ms, {})[index] = hour
        return read

    def drop_decided(self, decided: Mapping[str, int]) -> None:
        """Forget the hours that the book has decided on; ``decided`` as for :meth:`prepare`."""
        for reader in self.hours:
            reader.drop_decided(decided.get(reader.feed.instrument.symbol, -1))

    def cut_minutes(self, now_ms: int, *, between: Callable[[], object] = do_nothing) -> None:
        """Judge the books of the minute that ended last, before the hours that closed with it.

        ``between`` is called after each short part of the work.
        """
        minute = now_ms // MINUTE_MS
        if minute == self._cut:
            return
        self._cut = minute
        wishes = {r.feed.instrument.symbol: wish for r in self.hours if (wish := r.levels.wish())}
        if not self.source.sample_books(wishes):
            return
        cuts = []
        for reader in self.hours:
            cut = reader.levels.plan(now_ms)
            if cut is not None:
                cuts.append((reader.levels, cut))
            between()
        for start in range(0, len(cuts), MINUTES_AT_ONCE):
            group = cuts[start : start + MINUTES_AT_ONCE]
            store_minutes([cut for _, cut in group])
            for levels, cut in group:
                levels.take(cut)
            between()

    def store_levels(self, *, seconds: float, between: Callable[[], object] = do_nothing) -> None:
        """Write levels that wait, for about so long; the rest waits for the next call."""
        until = time.monotonic() + seconds
        for reader in self.hours:
            while reader.store_levels():
                between()
                if time.monotonic() > until:
                    return

    def find_late(self, now_ms: int) -> list[str]:
        """Symbols whose last hour should have come."""
        return [r.feed.instrument.symbol for r in self.hours if not r.problem and r.is_late(now_ms)]

    def hour_bars(
        self, hours: Mapping[int, ClosedHour], now_ms: int, *, in_time: bool
    ) -> list[Bar | None]:
        """The price at which closed hours are decided: their close, or the present where late."""
        bars: list[Bar | None] = [None] * len(self.hours)
        for index, hour in hours.items():
            feed = self.hours[index].feed
            price = None if in_time else self.price(feed, now_ms)
            bars[index] = feed.tick_bar(
                hour.candle.close if price is None else price,
                depth_value=self.source.depth(feed.instrument.symbol, now_ms),
            )
        return bars

    # ---- prices --------------------------------------------------------------------------------

    def price_bars(self, now_ms: int, *, since_ms: int) -> list[Bar | None]:
        """The present prices, with the funding that fell due after ``since_ms``."""
        due = self._funding_due(now_ms, since_ms)
        prices = [self.price(feed, now_ms) for feed in self.feeds]
        return [
            feed.tick_bar(
                price,
                funding_rate=rate,
                depth_value=self.source.depth(feed.instrument.symbol, now_ms),
            )
            if price is not None
            else None
            for feed, price, rate in zip(self.feeds, prices, due, strict=True)
        ]

    def price(self, feed: InstrumentFeed, now_ms: int) -> float | None:
        """The present price; None, told with the next heartbeat, where the source has none."""
        symbol = feed.instrument.symbol
        if symbol in self.doubt.unpriced:
            return None
        try:
            price = self.source.price(symbol, now_ms)
        except InvalidInput as error:
            self._unpriced[symbol] = error.message
            return None
        self._unpriced.pop(symbol, None)
        return price

    def find_problems(self) -> list[str]:
        """What keeps a slot from trading, each with the way out."""
        unread = dict(self._unpriced)
        unread.update({r.feed.instrument.symbol: r.problem for r in self.hours if r.problem})
        return [
            f"{symbol} has no prices: {why}. Import its candles or remove it from the book."
            for symbol, why in sorted(unread.items())
            if symbol not in self.doubt.ended
        ] + [
            f"{symbol} was ended by {self.source.venue} ({why}): nothing new is opened on it, and "
            f"what is held is closed at its last price."
            for symbol, why in sorted(self.doubt.ended.items())
        ]

    def _funding_due(self, now_ms: int, since_ms: int) -> Sequence[float]:
        """By instrument: the rate of each stamp once, at the first price on or after it.

        A book that is behind what was read took that step back, with its charge.
        """
        self._funded_ms = min(self._funded_ms, since_ms)
        since = max(self._funded_ms + 1, since_ms)
        self._funded_ms = max(self._funded_ms, now_ms)
        if now_ms // HOUR_MS == (since - 1) // HOUR_MS:
            return [0.0] * len(self.hours)  # stamps fall on whole hours
        for feed in self.feeds:
            charged = self.source.funding(feed.instrument.symbol, since, now_ms + 1)
            if charged:
                import_funding(
                    FundingRates(
                        stamp_ms=np.array([item.stamp_ms for item in charged], dtype=np.int64),
                        rate=np.array([item.rate for item in charged]),
                    ),
                    instrument=feed.instrument,
                    source=self.source.label,
                    actor=self.actor,
                )
        return [
            load_funding(feed.instrument, start_ms=since, end_ms=now_ms + 1).due(since, now_ms + 1)
            for feed in self.feeds
        ]
