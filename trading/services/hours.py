"""The closed hours of one instrument, as a live book takes them: each once, in order, stored.

What the hour said is decided on by :class:`trading.services.trader.Trader`; where a candle comes
late, its reading comes late and is not lost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from django.db import transaction

from magnetfund.core.actors import Actor
from magnetfund.kernel.errors import InvalidInput
from trading.domain.candle_files import RawCandles
from trading.domain.market import HOUR_MS, MINUTE_MS, Candle, Candles
from trading.domain.strategies.signals import Signal
from trading.services.candle_import import import_candles
from trading.services.candle_store import load_candles, store_candles
from trading.services.feeds import InstrumentFeed, do_nothing
from trading.services.option_chains import list_walls
from trading.services.readings import ReadingLog
from trading.services.stream_levels import StreamLevels
from trading.venues.market_data import MarketData

#: An hour may open positions until the next one has closed; after that it only reduces.
ENTRY_WITHIN_MS = HOUR_MS
#: How long after its close an hour is waited for before entries stop for it.
LATE_MS = MINUTE_MS
#: Newest hours whose whole magnet map is stored for the pages that draw it.
MAPS_KEPT = 48


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedHour:
    """A candle with what every strategy said at its close."""

    candle: Candle
    signals: Mapping[str, Signal]

    @property
    def close_ms(self) -> int:
        return self.candle.open_time + HOUR_MS

    def signals_at(self, now_ms: int) -> Mapping[str, Signal]:
        """What may still be acted on at ``now_ms``: entries of an hour that is past are dropped."""
        if now_ms - self.close_ms < ENTRY_WITHIN_MS:
            return self.signals
        return {code: replace(signal, direction=0) for code, signal in self.signals.items()}


class HourReader:
    """Reads one instrument's hours from the store, then from the market source."""

    def __init__(self, *, feed: InstrumentFeed, source: MarketData) -> None:
        self.feed = feed
        self._source = source
        self.levels = StreamLevels(feed=feed, source=source)
        self._waiting: list[Candles] = []
        #: Hours that were read and are not known to be decided on.
        self._read: list[ClosedHour] = []
        self._has_readings = False
        #: Why the source gave no candles when it was last asked; empty where it did.
        self.problem = ""

    def warm(
        self, *, decided_ms: int | None, now_ms: int, between: Callable[[], object] = do_nothing
    ) -> None:
        """Take the stored past without asking; hours after ``decided_ms`` wait to be read.

        None is an instrument that was never decided on: all that closed before ``now_ms`` is past.
        ``between`` is called after each short part of the work.
        """
        instrument = self.feed.instrument
        stored = load_candles(instrument, "1h").known_by(now_ms)
        bound = now_ms if decided_ms is None else decided_ms + 1
        past = int(np.searchsorted(stored.open_time, bound))
        self.feed.expect_walls(list_walls(instrument))
        self.levels.begin(now_ms)
        self.feed.warm(stored.between(0, past), between=between)
        self._log = ReadingLog(feed=self.feed)
        if past < len(stored):
            self._waiting.append(stored.between(past, len(stored)))

    def read(self, now_ms: int, *, between: Callable[[], object] = do_nothing) -> list[ClosedHour]:
        """The hours that closed and were not dropped as decided, oldest first.

        One that a lost database kept from its decision is told again.  ``between`` is called after
        each short part of the work.  Their levels wait for :meth:`store_levels`.
        """
        hour = now_ms // HOUR_MS * HOUR_MS
        while self._waiting:
            self._take(self._waiting[0], between)
            del self._waiting[0]
        if self.feed.newest_open_ms + HOUR_MS < hour:
            newer = self._fetch(max(0, self.feed.newest_open_ms + HOUR_MS), hour)
            if newer is not None and len(newer):
                fresh = self._store(newer)
                between()
                self._take(fresh, between)
        if self._has_readings:
            self._log.save()
            self._has_readings = False
            between()
        return list(self._read)

    def drop_decided(self, open_ms: int) -> None:
        """Forget the hours up to this open time: the book has decided on them."""
        self._read = [hour for hour in self._read if hour.candle.open_time > open_ms]

    def store_levels(self) -> bool:
        """Write the next levels that came or ended; returns whether more of them wait."""
        return self._log.store_levels()

    def _fetch(self, start_ms: int, end_ms: int) -> Candles | None:
        """What the source has; None where it does not know the instrument."""
        try:
            candles = self._source.candles(self.feed.instrument.symbol, start_ms, end_ms)
        except InvalidInput as error:
            self.problem = error.message
            return None
        self.problem = ""
        return candles

    def _take(self, candles: Candles, between: Callable[[], object]) -> None:
        self.feed.expect_walls(list_walls(self.feed.instrument, after_ms=self.feed.walls_known_ms))
        for index in range(len(candles)):
            between()
            candle = candles.at(index)
            if candle.open_time <= self.feed.newest_open_ms:
                continue  # taken before the database went
            signals = self.feed.update(candle)
            full = index >= len(candles) - MAPS_KEPT
            self._log.note(
                candle.open_time + HOUR_MS,
                candle.close,
                signals,
                full=full,
                newest=index == len(candles) - 1,
            )
            self._read.append(ClosedHour(candle=candle, signals=signals))
            self._has_readings = True

    def is_late(self, now_ms: int) -> bool:
        """Whether an hour that closed over :data:`LATE_MS` ago has not been read yet."""
        return self.feed.newest_open_ms + 2 * HOUR_MS + LATE_MS < now_ms

    def _store(self, candles: Candles) -> Candles:
        """Keep new hours; returns those that may be read, which a refused one is not."""
        instrument = self.feed.instrument
        first, last = int(candles.open_time[0]), int(candles.open_time[-1])
        if not self._source.is_simulated:
            import_candles(
                _as_raw(candles),
                instrument=instrument,
                timeframe="1h",
                source=self._source.label,
                actor=Actor.system("trader"),
            )
            return load_candles(instrument, "1h", start_ms=first, end_ms=last + 1)
        with transaction.atomic():
            # An import may have brought an hour between two of our readings.
            stored = load_candles(instrument, "1h", start_ms=first, end_ms=last + 1)
            for part in _without(candles, stored):
                store_candles(
                    part,
                    instrument=instrument,
                    timeframe="1h",
                    source=self._source.label,
                    available_ms=int(part.open_time[-1]) + HOUR_MS,
                )
        return candles


def _as_raw(candles: Candles) -> RawCandles:
    return RawCandles(
        open_time=candles.open_time,
        open=candles.open,
        high=candles.high,
        low=candles.low,
        close=candles.close,
        volume=candles.volume,
        line=np.arange(1, len(candles) + 1),
    )


def _without(candles: Candles, stored: Candles) -> list[Candles]:
    """The stretches of ``candles`` that are not stored yet."""
    fresh = ~np.isin(candles.open_time, stored.open_time)
    edges = np.flatnonzero(np.diff(np.concatenate(([False], fresh, [False])).astype(int)))
    return [
        candles.between(int(start), int(stop))
        for start, stop in zip(edges[::2], edges[1::2], strict=True)
    ]
