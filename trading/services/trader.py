"""The trader: one process per book that reads prices, applies user actions, trades and publishes
figures.

Order of a beat: keep the lease, decide on the hours that closed, take over what waits, process the
price, snapshot.  An hour is decided on at its close, before any price of the next one; a candle
that comes later is decided on when it comes, at the price of then.  On start it reconciles first
and trades after; a difference trips the fuse.  Time that passed unwatched is walked minute by
minute without decisions, as a venue would have executed resting stops meanwhile; the hours of that
time are decided on afterwards, the past ones only to reduce.
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
from django.db import OperationalError, connection

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
from risk.domain.limits import LimitSet
from risk.services.fuse import FuseFacts, state_of, trip_fuse
from risk.services.limits import limits_in_force
from trading.domain.engine import book as pure
from trading.domain.engine.step import open_book
from trading.domain.market import MINUTE_MS
from trading.domain.market.candles import HOUR_MS
from trading.models import Instrument
from trading.services.book_setup import active_sleeves, build_setup
from trading.services.correlations import find_correlation_groups, measure_correlations
from trading.services.engine import (
    begin_reconciling,
    make_ready,
    stop_engine,
    was_stopped_by_watchdog,
)
from trading.services.feeds import InstrumentFeed
from trading.services.funding import load_funding
from trading.services.hours import ClosedHour, HourReader
from trading.services.manual import BELL
from trading.services.market_source import MarketSource
from trading.services.orders import settle_leftovers
from trading.services.paper_book import PaperBook, load_venue
from trading.services.paper_follow import follow
from trading.services.reconcile import reconcile
from trading.services.valuation import take_valuations

_log = logging.getLogger("magnetfund.trader")
LEASE_SECONDS = 20
BEAT_SECONDS = 1.0
SNAPSHOT_MS = MINUTE_MS
RECONCILE_MS = MINUTE_MS


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
        limits = limits_in_force(self.code, at=now)
        self._find_members()
        self._set_up(limits, now)
        stored = load_venue(self.code)
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
        self.hours = [HourReader(feed=feed, source=self.source) for feed in self.feeds]
        self._warm_up(to_milliseconds(now))
        self._walk_missed(to_milliseconds(now))
        self.paper.save()
        self._reconcile(utc_now(), is_start=True)

    def _find_members(self) -> None:
        self._instruments = list(
            Instrument.objects.filter(is_active=True, venue=self.source.venue).order_by("symbol")
        )
        self._sleeve_rows = active_sleeves()
        if not self._instruments or not self._sleeve_rows:
            raise InvalidInput("the book has no instruments or sleeves yet", code="no_sleeves")

    def _set_up(self, limits: LimitSet, now: datetime) -> None:
        """The rules of this book's members under ``limits``, correlations measured anew."""
        measure_correlations(book=self.code, instruments=self._instruments, at=now)
        symbols = [item.symbol for item in self._instruments]
        self.setup = build_setup(
            instruments=self._instruments,
            sleeves=self._sleeve_rows,
            limits=limits,
            cash=float(settings.INITIAL_EQUITY),
            groups=find_correlation_groups(book=self.code, symbols=symbols, limits=limits, at=now),
        )

    def _follow_limits(self, now: datetime) -> None:
        """Act under the limits in force from this beat on; a new version needs no restart."""
        limits = limits_in_force(self.code, at=now)
        if limits.version == self.paper.limits.version:
            return
        self._set_up(limits, now)
        self.paper.take_rules(self.setup.rules, limits)
        for feed in self.feeds:
            feed.set_heavy_reach(float(limits.opposite_distance_atr))
        _log.info("limits version %s in force", limits.version)

    def _warm_up(self, now_ms: int) -> None:
        """Give the strategies the past; hours that the book has not decided on wait."""
        known = self.paper.decided
        for reader in self.hours:
            symbol = reader.feed.instrument.symbol
            decided = known.get(symbol)
            reader.warm(decided_ms=decided, now_ms=now_ms)
            if decided is None:
                reader.read(now_ms)
                known[symbol] = reader.feed.newest_open_ms

    def _walk_missed(self, now_ms: int) -> tuple[pure.Event, ...]:
        """Walk the minutes that passed unwatched: resting orders execute, nothing is decided."""
        start = self.paper.book.time_ms // MINUTE_MS * MINUTE_MS + MINUTE_MS
        events: tuple[pure.Event, ...] = ()
        for minute in range(start, now_ms, MINUTE_MS):
            events += self._price_step(minute)
        return events

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
        self._follow_limits(now)
        missed = self._walk_missed(now_ms)
        decided, events = self._decide(now_ms)
        changed = follow(self.paper, at=now)
        events = missed + events + self._price_step(now_ms)
        if changed or decided or events:
            self.paper.save()
        if now_ms - self._snapshot_ms >= SNAPSHOT_MS or events:
            self._snapshot(now, now_ms)
        if now_ms - self._reconciled_ms >= RECONCILE_MS:
            self._reconcile(now, is_start=False)
        self._tell(now, events)
        beat_heart(
            part="trader",
            instance=self.code,
            build_id=settings.BUILD_ID,
            holder=self.holder,
            price_at=isoformat_z(now),
            equity=str(self.paper.value(now).equity),
            prices={symbol: f"{price:f}" for symbol, price in self.paper.marks().items()},
            streaks=self.paper.streaks(),
        )

    def _decide(self, now_ms: int) -> tuple[bool, tuple[pure.Event, ...]]:
        """Decide on the hours that closed since the last beat, each once, oldest first.

        An hour is decided at its close while no later price was processed; a candle that came
        after one is decided now, at the present price.  Returns whether any hour was read.
        """
        read: dict[int, dict[int, ClosedHour]] = {}
        for index, reader in enumerate(self.hours):
            for hour in reader.read(now_ms):
                read.setdefault(hour.close_ms, {})[index] = hour
        events: tuple[pure.Event, ...] = ()
        for close_ms in sorted(read):
            hours = read[close_ms]
            in_time = self.paper.book.time_ms < close_ms
            bars: list[pure.Bar | None] = [None] * len(self.feeds)
            for index, hour in hours.items():
                feed = self.feeds[index]
                bars[index] = feed.tick_bar(
                    hour.candle.close
                    if in_time
                    else self.source.price(feed.instrument.symbol, now_ms),
                    depth_value=self.source.depth(feed.instrument.symbol, now_ms),
                )
                self.paper.decided[feed.instrument.symbol] = hour.candle.open_time
            events += self.paper.step(
                time_ms=close_ms - 1 if in_time else max(now_ms - 1, self.paper.book.time_ms),
                bars=bars,
                readings=[
                    hours[index].signals_at(now_ms) if index in hours else {}
                    for index in range(len(self.feeds))
                ],
                bar_ms=1,
            )
        return bool(read), events

    def _price_step(self, now_ms: int) -> tuple[pure.Event, ...]:
        if now_ms < self.paper.book.time_ms:
            return ()
        due = self._funding_due(now_ms)
        bars: list[pure.Bar | None] = [
            feed.tick_bar(
                self.source.price(feed.instrument.symbol, now_ms),
                funding_rate=rate,
                depth_value=self.source.depth(feed.instrument.symbol, now_ms),
            )
            for feed, rate in zip(self.feeds, due, strict=True)
        ]
        return self.paper.step(time_ms=now_ms, bars=bars, bar_ms=1)

    def _funding_due(self, now_ms: int) -> list[float]:
        """By feed: the rate of each stamp once, at the first price on or after it."""
        since = max(self._funded_ms + 1, self.paper.book.time_ms)
        self._funded_ms = max(self._funded_ms, now_ms)
        if now_ms // HOUR_MS == (since - 1) // HOUR_MS:
            return [0.0] * len(self.feeds)  # stamps fall on whole hours
        return [
            load_funding(feed.instrument, start_ms=since, end_ms=now_ms + 1).due(since, now_ms + 1)
            for feed in self.feeds
        ]

    def _snapshot(self, now: datetime, now_ms: int) -> None:
        at = from_milliseconds(now_ms // 1000 * 1000)
        take_valuations(book=self.code, values=[self.paper.value(at)], source="trader")
        self._snapshot_ms = now_ms

    def _reconcile(self, now: datetime, *, is_start: bool) -> None:
        result = reconcile(self.paper, at=now)
        self._reconciled_ms = to_milliseconds(now)
        if result.is_clean:
            if is_start or was_stopped_by_watchdog(self.code):
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
