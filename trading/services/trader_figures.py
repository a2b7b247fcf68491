"""The figures that a trader publishes: stored snapshots, live pages, its heartbeat."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.conf import settings

from magnetfund.core.live import publish
from magnetfund.core.services.jobs import beat_heart, note_start
from magnetfund.kernel.clock import from_milliseconds, isoformat_z, utc_now
from trading.domain.engine.book import Event
from trading.domain.market import MINUTE_MS
from trading.services.book.trading_book import TradingBook
from trading.services.valuation import take_valuations

SNAPSHOT_MS = MINUTE_MS
START_EVERY_SECONDS = 1.0


class TraderFigures:
    """Tells what a book is worth; owns when it was last stored."""

    def __init__(self, *, book: str, holder: str) -> None:
        self.code = book
        self.holder = holder
        self._stored_ms = 0
        self._told_at = 0.0

    def store(self, paper: TradingBook, now_ms: int, *, events: Sequence[Event]) -> None:
        """Store a snapshot each minute, and whenever something happened."""
        if events or now_ms - self._stored_ms >= SNAPSHOT_MS:
            at = from_milliseconds(now_ms // 1000 * 1000)
            take_valuations(book=self.code, values=[paper.value(at)], source="trader")
            self._stored_ms = now_ms

    def tell(self, paper: TradingBook, now: datetime, *, events: Sequence[Event]) -> None:
        """Tell watching pages the numbers of this instant."""
        value = paper.value(now)
        publish(
            "tick",
            book=self.code,
            at=isoformat_z(now),
            equity=str(value.equity),
            unit_value=str(value.unit_value),
            day_change=float(value.unit_value / value.day_start_unit_value - 1),
            open_positions=value.open_positions,
            prices={symbol: str(price) for symbol, price in paper.marks().items()},
            events=[type(event).__name__ for event in events],
        )

    def tell_start(self, done: int, total: int) -> None:
        """Tell how many of the instruments are read; about once a second, and the last one."""
        if done < total and time.monotonic() - self._told_at < START_EVERY_SECONDS:
            return
        self._told_at = time.monotonic()
        note_start(
            part="trader",
            instance=self.code,
            build_id=settings.BUILD_ID,
            at=isoformat_z(utc_now()),
            done=done,
            total=total,
        )

    def beat(
        self, paper: TradingBook, now: datetime, *, market: dict[str, Any], problems: list[str]
    ) -> None:
        """The heartbeat, with what the watchdog and the pages read of the book.

        The watchdog stops entries where ``price_at`` stands still.  An instrument that takes
        nothing new already, or that ended, does not make the prices of the others old.
        """
        known = {**market["doubts"], **market["ended"]}
        told = [at for symbol, at in market["price_at"].items() if symbol not in known]
        beat_heart(
            part="trader",
            instance=self.code,
            build_id=settings.BUILD_ID,
            holder=self.holder,
            price_at=min(told, default=isoformat_z(now)),
            market=market,
            equity=str(paper.value(now).equity),
            priced_at=isoformat_z(from_milliseconds(paper.book.time_ms)),
            prices={symbol: f"{price:f}" for symbol, price in paper.marks().items()},
            streaks=paper.streaks(),
            problems=problems,
        )
