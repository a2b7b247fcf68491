"""The trader: one process per book that reads prices, applies user actions, trades and publishes
figures.

Order of a beat: keep the lease, take over what waits, process closed hours with their signals,
process the price, snapshot.  On start it reconciles first and trades after; a difference trips the
fuse.  Time that passed while it was down is walked minute by minute without decisions, as a venue
would have executed resting stops meanwhile.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable
from datetime import datetime, timedelta

import psycopg
from django.conf import settings
from django.db import OperationalError, connection, transaction

from magnetfund.core.actors import Actor
from magnetfund.core.live import publish
from magnetfund.core.services.jobs import beat_heart
from magnetfund.core.services.leases import (
    HeldLease,
    acquire_lease,
    release_lease,
    renew_lease,
)
from magnetfund.kernel.clock import from_milliseconds, isoformat_z, to_milliseconds, utc_now
from magnetfund.kernel.errors import Conflict, InvalidInput
from risk.services.fuse import FuseFacts, state_of, trip_fuse
from risk.services.limits import limits_in_force
from trading.domain.engine import book as pure
from trading.domain.engine.step import open_book
from trading.domain.market import HOUR_MS, MINUTE_MS, Candles
from trading.models import Instrument
from trading.services.book_setup import BookSetup, active_sleeves, build_setup
from trading.services.candle_store import load_candles, store_candles
from trading.services.engine import begin_reconciling, make_ready, stop_engine
from trading.services.feeds import InstrumentFeed
from trading.services.history import FUNDING_RATE, FUNDING_STAMP_MS
from trading.services.manual import BELL
from trading.services.market_source import MarketSource
from trading.services.orders import settle_leftovers
from trading.services.paper_book import PaperBook, load_venue
from trading.services.paper_follow import follow
from trading.services.readings import ReadingLog
from trading.services.reconcile import reconcile
from trading.services.valuation import take_valuations

_log = logging.getLogger("magnetfund.trader")
LEASE_SECONDS = 20
BEAT_SECONDS = 1.0
SNAPSHOT_MS = MINUTE_MS
RECONCILE_MS = MINUTE_MS
WARM_HOURS = 24 * 400


class Trader:
    """Trades one book until it is told to stop."""

    def __init__(self, *, book: str, source: MarketSource) -> None:
        self.code = book
        self.source = source
        self.actor = Actor.system("trader")
        self.holder = f"{socket.gethostname()}:{os.getpid()}"
        self.lease: HeldLease | None = None
        self.is_stopping = False
        self._is_listening = False
        self._heard_on: object = None
        self._snapshot_ms = self._reconciled_ms = self._funded_ms = 0

    # ---- start and stop ------------------------------------------------------------------------

    def start(self) -> None:
        """Take the book: lease, memory, missed time, reconciliation.

        Raises :class:`Conflict` when another trader holds the book.
        """
        self.lease = acquire_lease(
            name=f"trader:{self.code}", holder=self.holder, seconds=LEASE_SECONDS
        )
        now = utc_now()
        begin_reconciling(book=self.code, actor=self.actor, reason="trader started", at=now)
        self.setup = self._setup()
        self._live_rules = self.setup.live_rules()
        stored = load_venue(self.code)
        limits = limits_in_force(self.code, at=now)
        fresh = open_book(rules=self.setup.rules, time_ms=to_milliseconds(now))
        self.paper = PaperBook(
            code=self.code,
            rules=self.setup.rules,
            instruments=self.setup.instruments,
            sleeves=self.setup.sleeves,
            book=fresh,
            stored=stored,
            actor=self.actor,
            limits=limits,
        )
        if len(self.paper.book.positions) != len(self.setup.sleeves):
            raise Conflict(
                "the stored book has other sleeves than are configured", code="sleeves_differ"
            )
        settle_leftovers(self.code, at=now)
        self.feeds = [
            InstrumentFeed(instrument=item, strategies=self.setup.strategies)
            for item in self.setup.instruments
        ]
        self.logs: list[ReadingLog] = []
        self._warm_up(to_milliseconds(now))
        self._catch_up(to_milliseconds(now))
        self._reconcile(utc_now(), is_start=True)

    def _setup(self) -> BookSetup:
        instruments = list(Instrument.objects.filter(is_active=True).order_by("symbol"))
        sleeves = active_sleeves()
        if not instruments or not sleeves:
            raise InvalidInput("the book has no instruments or sleeves yet", code="no_sleeves")
        return build_setup(
            instruments=instruments,
            sleeves=sleeves,
            limits=limits_in_force(self.code),
            cash=float(settings.INITIAL_EQUITY),
        )

    def _warm_up(self, now_ms: int) -> None:
        """Warm up the strategies with past hours and store new candles."""
        last_hour = now_ms // HOUR_MS * HOUR_MS
        for feed in self.feeds:
            stored = load_candles(feed.instrument, "1h", start_ms=last_hour - WARM_HOURS * HOUR_MS)
            feed.warm(stored)
            self.logs.append(ReadingLog(feed=feed))
            newest = int(stored.open_time[-1]) + HOUR_MS if len(stored) else 0
            missed = self.source.candles(feed.instrument.symbol, newest, last_hour)
            self._store(feed, missed)
            for index in range(len(missed)):
                candle = missed.at(index)
                signals = feed.update(candle)
                self.logs[-1].note(
                    candle.open_time + HOUR_MS,
                    candle.close,
                    signals,
                    full=index >= len(missed) - 48,
                )
            self.logs[-1].save()
        self._hour_ms = last_hour

    def _catch_up(self, now_ms: int) -> None:
        """Walk the minutes that passed unwatched: resting orders execute, nothing is decided."""
        start = self.paper.book.time_ms // MINUTE_MS * MINUTE_MS + MINUTE_MS
        for minute in range(start, now_ms, MINUTE_MS):
            self._price_step(minute, signals=None)
        self.paper.save()

    def stop(self) -> None:
        """Release the lease on the book; resting stops and targets stay at the venue."""
        if self.lease is None:
            return
        stop_engine(book=self.code, actor=self.actor, reason="trader stopped")
        release_lease(self.lease)
        self.lease = None

    # ---- beats ---------------------------------------------------------------------------------

    def run(self, *, should_stop: Callable[[], bool]) -> None:
        """Run one cycle per second until stopped; reconnect if the database is lost."""
        while not should_stop():
            began = time.monotonic()
            try:
                self.beat()
            except OperationalError as error:
                _log.error("database unavailable, retrying: %s", str(error).splitlines()[0])
                connection.close()
                time.sleep(2.0)
            self._rest(max(0.05, BEAT_SECONDS - (time.monotonic() - began)))

    def _rest(self, seconds: float) -> None:
        """Wait until the next cycle or a database notification."""
        try:
            connection.ensure_connection()
            raw = connection.connection
            if not self._is_listening or raw is not self._heard_on:
                raw.execute(f"LISTEN {BELL}")
                self._heard_on, self._is_listening = raw, True
            for _ in raw.notifies(timeout=seconds, stop_after=1):
                return
        except (OperationalError, psycopg.Error):
            connection.close()
            self._is_listening = False
            time.sleep(1.0)

    def beat(self) -> None:
        """One beat; raises :class:`Conflict` when another trader took the book over."""
        assert self.lease is not None
        renew_lease(self.lease, seconds=LEASE_SECONDS)
        now = utc_now()
        now_ms = to_milliseconds(now)
        changed = follow(self.paper, at=now)
        signals = self._close_hours(now_ms)
        events = self._price_step(now_ms, signals=signals)
        if self.paper.book.pending:
            # What was decided or ordered just now fills at the next price, which is this one.
            events += self._price_step(now_ms + 1, signals=None)
        if changed or signals is not None or events:
            self.paper.save()
        if now_ms - self._snapshot_ms >= SNAPSHOT_MS or events:
            self._snapshot(now, now_ms)
        if now_ms - self._reconciled_ms >= RECONCILE_MS:
            self.paper.limits = limits_in_force(self.code, at=now)
            self._reconcile(now, is_start=False)
        self._tell(now, events)
        beat_heart(
            part="trader",
            instance=self.code,
            build_id=settings.BUILD_ID,
            holder=self.holder,
            price_at=isoformat_z(now),
            prices={symbol: f"{price:f}" for symbol, price in self.paper.marks().items()},
        )

    def _close_hours(self, now_ms: int) -> list[dict[str, object]] | None:
        """Signals of the newest hour that closed since the last beat; None when none did."""
        hour = now_ms // HOUR_MS * HOUR_MS
        if hour <= self._hour_ms:
            return None
        signals: list[dict[str, object]] = []
        for feed, log in zip(self.feeds, self.logs, strict=True):
            candles = self.source.candles(
                feed.instrument.symbol, feed.newest_open_ms + HOUR_MS, hour
            )
            self._store(feed, candles)
            found: dict[str, object] = {}
            for index in range(len(candles)):
                candle = candles.at(index)
                known = feed.update(candle)
                log.note(candle.open_time + HOUR_MS, candle.close, known, full=True)
                found = dict(known) if candle.open_time + HOUR_MS == hour else {}
            log.save()
            signals.append(found)
        self._hour_ms = hour
        return signals

    def _price_step(
        self, now_ms: int, *, signals: list[dict[str, object]] | None
    ) -> tuple[pure.Event, ...]:
        if now_ms < self.paper.book.time_ms:
            return ()
        rate = self._funding_due(now_ms)
        bars: list[pure.Bar | None] = [
            feed.tick_bar(self.source.price(feed.instrument.symbol, now_ms), funding_rate=rate)
            for feed in self.feeds
        ]
        by_slot = [
            signals[slot.instrument].get(sleeve.strategy) if signals is not None else None
            for slot, sleeve in zip(self.setup.rules.slots, self.setup.sleeves, strict=True)
        ]
        return self.paper.step(
            time_ms=now_ms,
            bars=bars,
            signals=by_slot,  # type: ignore[arg-type]  # signals of the feeds
            rules=self._live_rules,
        )

    def _funding_due(self, now_ms: int) -> float:
        """The rate of an 8-hour stamp once, at the first price on or after it."""
        stamp = now_ms // FUNDING_STAMP_MS * FUNDING_STAMP_MS
        before = self.paper.book.time_ms
        if self._funded_ms >= stamp or before >= stamp:
            return 0.0
        self._funded_ms = stamp
        return FUNDING_RATE

    def _store(self, feed: InstrumentFeed, candles: Candles) -> None:
        if len(candles):
            with transaction.atomic():
                store_candles(
                    candles,
                    instrument=feed.instrument,
                    timeframe="1h",
                    source=self.source.label,
                    available_ms=int(candles.open_time[-1]) + HOUR_MS,
                )

    def _snapshot(self, now: datetime, now_ms: int) -> None:
        at = from_milliseconds(now_ms // 1000 * 1000)
        take_valuations(book=self.code, values=[self.paper.value(at)], source="trader")
        self._snapshot_ms = now_ms

    def _reconcile(self, now: datetime, *, is_start: bool) -> None:
        result = reconcile(self.paper, at=now)
        self._reconciled_ms = to_milliseconds(now)
        if result.is_clean:
            if is_start:
                make_ready(book=self.code, reconciliation=result, actor=self.actor, at=now)
            return
        begin_reconciling(book=self.code, actor=self.actor, reason="books do not reconcile", at=now)
        if state_of(self.code) == "ARMED":
            trip_fuse(
                book=self.code,
                facts=FuseFacts(
                    trigger="reconciliation",
                    reason="Books and venue do not reconcile.",
                    measured={"differences": len(result.differences)},
                ),
                actor=self.actor,
                at=now,
            )

    def _tell(self, now: datetime, events: tuple[pure.Event, ...]) -> None:
        """Tell watching pages the numbers of this instant."""
        value = self.paper.value(now)
        publish(
            "tick",
            book=self.code,
            at=isoformat_z(now),
            equity=str(value.equity),
            unit_value=str(value.unit_value),
            day_change=float(value.unit_value / value.day_start_unit_value - 1),
            open_positions=value.open_positions,
            prices={symbol: str(price) for symbol, price in self.paper.marks().items()},
            events=[type(event).__name__ for event in events],
        )


def dead_man_after() -> timedelta:
    """How old the trader's last beat may be before entries are stopped for it."""
    return timedelta(seconds=15)
