"""Entries stop while a market cannot be believed, and go on by a clean reconciliation.

Where single instruments are in doubt and none of them is held, their slots alone take nothing new;
a doubt about what is held, or about all of it, stops the book, since its worth is not known.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from django.db.models import F

from magnetfund.core.actors import Actor
from magnetfund.kernel.clock import from_milliseconds, isoformat_z, to_milliseconds
from trading.domain.market.events import MarketEventKind
from trading.models import Instrument, MarketEvent
from trading.services.candle_store import load_last_candles
from trading.services.engine import hold_for_market, waits_for_market
from trading.services.market_events import NewMarketEvent, record_market_events
from trading.venues.market_data import MarketData

#: While a price is in doubt, how often it is asked whether the venue ended the instrument (ms).
LOOK_MS = 1_000
#: Our clock may lie so far behind the newest price that the book has seen (ms).
BEHIND_MS = 2_000
_log = logging.getLogger("magnetfund.trader")


class MarketDoubt:
    """Why one book takes nothing new at present, where its market is the reason."""

    def __init__(self, *, book: str, source: MarketData, actor: Actor) -> None:
        self._book = book
        self._source = source
        self._actor = actor
        self.reason = ""
        #: Instruments without a price that can be believed at this beat, each with its reason.
        self.unpriced: dict[str, str] = {}
        #: Instruments that take nothing new at present, each with its reason.
        self.instruments: dict[str, str] = {}
        #: Instruments that the venue ended, each with why.
        self.ended: dict[str, str] = {}
        self._looked_ms = 0

    def find(
        self, now_ms: int, *, since_ms: int, symbols: Collection[str], held: Collection[str]
    ) -> str:
        """Why the book cannot go on: the venue, all its instruments, or one that it holds.

        The doubts of the others are kept in ``unpriced``.
        """
        found = self._source.find_doubts(now_ms, since_ms=since_ms)
        if found.instruments and abs(now_ms - self._looked_ms) >= LOOK_MS:
            self._looked_ms = now_ms
            if self.settle_ended(found.instruments):
                found = self._source.find_doubts(now_ms, since_ms=since_ms)
        self.unpriced = {s: found.instruments[s] for s in symbols if s in found.instruments}
        if found.venue:
            return found.venue
        if since_ms - now_ms > BEHIND_MS:
            # No price moves a book that has seen a later one: its stops would rest without a word.
            seen = isoformat_z(from_milliseconds(since_ms))
            return f"our clock was put back: the book has seen prices up to {seen}"
        is_whole = len(self.unpriced) == len(symbols)
        first = next((s for s in sorted(self.unpriced) if is_whole or s in held), None)
        return self.unpriced[first] if first is not None else ""

    def settle_ended(self, symbols: Collection[str]) -> bool:
        """Let the last price stand of those that the venue has ended since it last stated their
        terms; returns whether there are any that were not known."""
        told = MarketEvent.objects.filter(
            kind=MarketEventKind.SYMBOL_ENDED.value,
            instrument__venue=self._source.venue,
            instrument__symbol__in=set(symbols) - self.ended.keys(),
            occurred_at__gt=F("instrument__metadata_at"),
        ).select_related("instrument")
        for event in told:
            row = event.instrument
            assert row is not None
            candles = load_last_candles(row, "1h", count=1)
            if not len(candles):
                continue  # nothing was ever traded on it
            self._source.settle(row.symbol, float(candles.close[-1]))
            self.ended[row.symbol] = str(event.detail.get("reason", "ended"))
            _log.warning("%s was ended by its venue: %s", row.symbol, self.ended[row.symbol])
        return bool(told)

    def note_instruments(
        self, late: Mapping[str, str], *, symbols: Collection[str], now: datetime
    ) -> tuple[str, bool]:
        """Take the doubts of single instruments, those of late hours included.

        Returns why the whole book takes nothing new ("" where some instrument may), and whether
        the instruments in doubt changed.
        """
        doubts = {**late, **self.unpriced}
        reason = "; ".join(doubts[symbol] for symbol in sorted(doubts))
        is_whole = bool(doubts) and len(doubts) == len(symbols)
        before, self.instruments = self.instruments, {} if is_whole else doubts
        for symbol in sorted(before.keys() - doubts.keys()):
            _log.info("%s can be believed again", symbol)
            self._record(MarketEventKind.SOURCE_BACK, before[symbol], now, symbol=symbol)
        for symbol in sorted(self.instruments.keys() - before.keys()):
            _log.warning("%s takes nothing new: %s", symbol, doubts[symbol])
            self._record(MarketEventKind.SOURCE_DOUBTED, doubts[symbol], now, symbol=symbol)
        return reason if is_whole else "", before.keys() != self.instruments.keys()

    def record_notes(self) -> None:
        """Store what happened to the source since this was last called."""
        notes = self._source.take_notes()
        if not notes:
            return
        rows = {
            row.symbol: row
            for row in Instrument.objects.filter(
                venue=self._source.venue, symbol__in={note.symbol for note in notes}
            )
        }
        record_market_events(
            [
                NewMarketEvent(
                    kind=note.kind,
                    occurred_at=from_milliseconds(note.at_ms),
                    source=self._source.label,
                    venue=self._source.venue,
                    instrument=rows.get(note.symbol),
                    detail=note.detail,
                )
                for note in notes
            ]
        )

    def note(self, reason: str, *, now: datetime) -> bool:
        """Take the doubt of this beat ("" for none); returns whether the book may go on after it.

        Its first beat stops entries with an event; the first without one ends it, and the caller
        reconciles before anything trades.
        """
        before, self.reason = self.reason, reason
        if reason:
            if hold_for_market(book=self._book, actor=self._actor, reason=reason, at=now):
                _log.warning("entries stopped: %s", reason)
                self._record(MarketEventKind.SOURCE_DOUBTED, reason, now)
            return False
        if not before or not waits_for_market(self._book):
            return False
        _log.info("%s can be believed again", self._source.label)
        self._record(MarketEventKind.SOURCE_BACK, before, now)
        return True

    def facts(self, now: datetime) -> dict[str, Any]:
        """What the trader's heartbeat says of its market."""
        quotes = self._source.quotes(to_milliseconds(now))
        return {
            "venue": self._source.venue,
            "source": self._source.label,
            "is_simulated": self._source.is_simulated,
            "doubt": self.reason,
            "doubts": self.instruments,
            "ended": self.ended,
            "instruments": {
                symbol: dict(known)
                for symbol, known in self._source.facts(to_milliseconds(now)).items()
            },
            **self._source.connection(),
            "price_at": {
                quote.symbol: isoformat_z(from_milliseconds(quote.venue_time_ms))
                for quote in quotes
            },
        }

    def _record(
        self, kind: MarketEventKind, reason: str, now: datetime, *, symbol: str = ""
    ) -> None:
        instrument = Instrument.objects.filter(venue=self._source.venue, symbol=symbol).first()
        record_market_events(
            [
                NewMarketEvent(
                    kind=kind,
                    occurred_at=now,
                    source=self._source.label,
                    venue=self._source.venue,
                    instrument=instrument,
                    detail={"reason": reason},
                )
            ]
        )
