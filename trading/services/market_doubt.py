"""Entries stop while a market cannot be believed, and go on by a clean reconciliation."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Any

from magnetfund.core.actors import Actor
from magnetfund.kernel.clock import from_milliseconds, isoformat_z, to_milliseconds
from trading.domain.market.events import MarketEventKind
from trading.services.engine import hold_for_market, waits_for_market
from trading.services.market_events import NewMarketEvent, record_market_events
from trading.venues.market_data import MarketData

_log = logging.getLogger("magnetfund.trader")


class MarketDoubt:
    """Why one book takes nothing new at present, where its market is the reason."""

    def __init__(self, *, book: str, source: MarketData, actor: Actor) -> None:
        self._book = book
        self._source = source
        self._actor = actor
        self.reason = ""

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
            "price_at": {
                quote.symbol: isoformat_z(from_milliseconds(quote.venue_time_ms))
                for quote in quotes
            },
        }

    def _record(self, kind: MarketEventKind, reason: str, now: datetime) -> None:
        record_market_events(
            [
                NewMarketEvent(
                    kind=kind,
                    occurred_at=now,
                    source=self._source.label,
                    venue=self._source.venue,
                    detail={"reason": reason},
                )
            ]
        )
