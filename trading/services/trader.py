"""The trader: one process per book that reads prices, applies user actions, trades and publishes
figures.

Order of a beat: keep the lease, decide on the hours that closed, take over what waits, process the
price, snapshot.  Between its parts it steps the prices that came meanwhile, so that a stop or the
fuse never waits for a beat's end.  An hour is decided on at its close, before any price of the next
one; a candle that comes later is decided on when it comes, at the price of then.  On start it
reconciles first and trades after; a difference trips the fuse.  Time that passed unwatched is
walked minute by minute without decisions, as a venue would have executed resting stops meanwhile;
the hours of that time are decided on afterwards, the past ones only to reduce.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable, Collection
from datetime import datetime

from django.conf import settings
from django.db import OperationalError, connection

from magnetfund.core.actors import Actor
from magnetfund.core.services.leases import HeldLease, acquire_lease, release_lease, renew_lease
from magnetfund.kernel.clock import to_milliseconds, utc_now
from risk.domain.limits import Limits
from risk.services.limits import limits_in_force
from trading.domain.market import MINUTE_MS
from trading.models import BookMember, Instrument
from trading.services.blackouts import find_barred_now
from trading.services.book.follow import (
    close_slots,
    continue_episodes,
    follow,
    follow_fuse,
    held_symbols,
    is_flat,
)
from trading.services.book.memory import first_memory, load_memory
from trading.services.book.recovery import recover
from trading.services.book.slots import slots_on
from trading.services.book.trading_book import TradingBook
from trading.services.book_setup import BookSetup
from trading.services.book_slots import BookSlots
from trading.services.book_walk import decide_hours, step_price, walk_missed
from trading.services.engine import (
    begin_reconciling,
    make_ready,
    stop_engine,
    waits_for_comparison,
)
from trading.services.feeds import InstrumentFeed
from trading.services.hours import HourReader
from trading.services.market_doubt import MarketDoubt
from trading.services.market_reader import MarketReader
from trading.services.membership import Membership, members_of, pause_failed, terms_of
from trading.services.reconcile import reconcile, stop_for_difference
from trading.services.trader_bell import Bell, PriceWatch, favour_ticks
from trading.services.trader_figures import TraderFigures
from trading.venues.market_data import MarketData

_log = logging.getLogger("magnetfund.trader")
LEASE_SECONDS = 20
BEAT_SECONDS = 1.0
#: How long a beat may write levels that wait.
LEVELS_SECONDS = 0.2
RECONCILE_MS = MINUTE_MS


class Trader:
    """Trades one book until it is told to stop."""

    def __init__(self, *, book: str, source: MarketData) -> None:
        self.code = book
        self.source = source
        self.actor = Actor.system("trader")
        self.holder = f"{socket.gethostname()}:{os.getpid()}"
        self.lease: HeldLease | None = None
        self.doubt = MarketDoubt(book=book, source=source, actor=self.actor)
        self.prices = PriceWatch(Bell(source.wake_handle), self._step_tick)
        self._is_torn = self._is_arranging = False
        self._evidence_hour: datetime | None = None
        self.slots = BookSlots(book=book, actor=self.actor)
        self.reader = MarketReader(source=source, doubt=self.doubt, actor=self.actor)
        self.figures = TraderFigures(book=book, holder=self.holder)
        self._reconciled_ms = 0
        self._renewed = 0.0

    # ---- start and stop ------------------------------------------------------------------------

    def start(self) -> None:
        """Take the book: lease, memory, missed time, reconciliation.

        Raises :class:`Unavailable` when the market does not answer and :class:`Conflict` when
        another trader holds the book; neither has written anything.
        """
        stored = load_memory(self.code)
        known = members_of(self.code).instruments or Instrument.objects.filter(
            is_active=True, venue=self.source.venue
        )
        self.doubt.settle_ended([item.symbol for item in known])
        self.source.open(
            [item.symbol for item in known],
            since_ms=stored.book.time_ms if stored else to_milliseconds(utc_now()),
        )
        self.lease = acquire_lease(
            name=f"trader:{self.code}", holder=self.holder, seconds=LEASE_SECONDS
        )
        now = utc_now()
        begin_reconciling(book=self.code, actor=self.actor, reason="trader started", at=now)
        limits = limits_in_force(self.code, at=now)
        self.slots.begin(venue=self.source.venue, limits=limits, at=now)
        self._open_book(limits, now)
        self.reader.hours = self.reader.prepare(
            self.setup,
            decided=self.paper.decided,
            now_ms=to_milliseconds(now),
            on_progress=self.figures.tell_start,
        )
        self.source.follow()
        doubt = self._find_doubt(to_milliseconds(now))
        if not doubt:
            walk_missed(self.paper, self.reader, now_ms=to_milliseconds(now))
        self.paper.save()
        self.doubt.note(doubt, now=now)
        if not doubt:
            self._reconcile(utc_now(), is_start=True)

    def _open_book(self, limits: Limits, now: datetime) -> None:
        """Take up the book where its memory and the venue say that it stands."""
        setup = self.setup
        self.paper = TradingBook(
            code=self.code,
            rules=setup.rules,
            instruments=setup.instruments,
            sleeves=setup.sleeves,
            memory=load_memory(self.code)
            or first_memory(
                self.code,
                rules=setup.rules,
                time_ms=to_milliseconds(now),
                cash=float(settings.INITIAL_EQUITY),
            ),
            actor=self.actor,
            limits=limits,
        )
        self._close_slots()
        recover(self.paper, at=now)

    def _close_slots(self) -> None:
        """Let the slots that are paused, leaving, in doubt or near a dated event open nothing."""
        symbols = [item.symbol for item in self.setup.instruments]
        barred = find_barred_now(self.code, symbols, at=utc_now())
        doubted = self._slots_of({*self.doubt.instruments, *self.doubt.ended, *barred})
        self.paper.closed_slots = self.slots.closed() | doubted

    def _slots_of(self, symbols: Collection[str]) -> frozenset[int]:
        return slots_on(self.setup.sleeves, symbols)

    @property
    def setup(self) -> BookSetup:
        """Rules, instruments and sleeves that are traded now."""
        return self.slots.setup

    @property
    def feeds(self) -> list[InstrumentFeed]:
        """The feed of each instrument."""
        return self.reader.feeds

    def _follow_limits(self, now: datetime) -> None:
        """Act under the limits in force from this beat on; a new version needs no restart.

        What the evidence allows is asked once an hour, before its entries are decided.
        """
        limits = limits_in_force(self.code, at=now)
        hour = now.replace(minute=0, second=0, microsecond=0)
        is_known = hour == self._evidence_hour or not self.slots.has_other_evidence(limits, at=now)
        if not is_known or limits.version != self.paper.limits.version:
            self.slots.set_up(limits, at=now)
            self.paper.take_rules(self.setup.rules, limits)
            self.reader.set_heavy_reach(float(limits.opposite_distance_atr))
            _log.info("limits version %s in force", limits.version)
        self._evidence_hour = hour

    def _follow_members(self, now: datetime, *, look: bool) -> bool:
        """Take over a new membership; close what leaves, and let go of it once it is flat."""
        found = self.slots.find_change(look=look)
        if found is not None:
            self._rearrange(found, now)
        changed = found is not None
        leaving = self.slots.leaving()
        ended = self._slots_of(self.doubt.ended)
        if ended - leaving:  # paused, as a book's last slots are, or not told to leave yet
            self._close_slots()
            changed |= close_slots(self.paper, ended - leaving, at=now)
        if leaving:
            changed |= close_slots(self.paper, leaving, at=now)
            flat = frozenset(slot for slot in leaving if is_flat(self.paper, slot))
            if flat:
                self._rearrange(self.slots.let_go(flat, at=now), now)
                changed = True
        return changed

    def _pause_failed(self, now: datetime) -> bool:
        """Let sleeves whose own process failed open nothing; stops and targets stay in place."""
        return pause_failed(
            book=self.code,
            members=self.slots.members.members,
            failures={feed.instrument.pk: feed.find_failures() for feed in self.feeds},
            actor=self.actor,
            at=now,
        )

    def _take_up_again(self, now: datetime) -> None:
        """What was under way when the database went may stand half done: begin as a start does."""
        if self._is_arranging:
            self.slots.take(members_of(self.code), limits=self.paper.limits, at=now)
        self._open_book(self.paper.limits, now)
        if self._is_arranging:
            readers = self.reader.prepare(
                self.setup, decided=self.paper.decided, now_ms=to_milliseconds(now),
                between=self._keep_lease_in_time,
            )  # fmt: skip
            self._end_arranging(readers)
            self.paper.save()

    def _rearrange(self, members: Membership, now: datetime) -> None:
        """Trade other slots from here on; only what is new, restated or failed is warmed up."""
        self._is_arranging = True
        trading = {m.key for m in members.members if m.state == BookMember.State.TRADING}
        sound = frozenset(
            feed.instrument.pk
            for feed in self.feeds
            if members.terms.get(feed.instrument.pk) == terms_of(feed.instrument)
            and not any((code, feed.instrument.pk) in trading for code in feed.find_failures())
        )
        codes = set(self.setup.strategies)
        self.slots.take(members, limits=self.paper.limits, at=now)
        setup = self.setup
        readers = self.reader.prepare(
            setup,
            decided=self.paper.decided,
            now_ms=to_milliseconds(now),
            # Other strategies read every instrument anew.
            keep=sound if set(setup.strategies) == codes else frozenset(),
            between=self._heed_prices,
        )
        self.paper.rearrange(
            rules=setup.rules, instruments=setup.instruments, sleeves=setup.sleeves
        )
        self._end_arranging(readers)

    def _end_arranging(self, readers: list[HourReader]) -> None:
        self.reader.hours = readers
        self.reader.set_heavy_reach(float(self.paper.limits.opposite_distance_atr))
        self._close_slots()
        self.source.watch([item.symbol for item in self.setup.instruments])
        continue_episodes(self.paper)
        self._is_arranging = False
        # One that is new has no price yet: the doubts of this beat are those of the former ones.
        self._find_doubt(to_milliseconds(self.prices.now))

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
        favour_ticks()
        while not should_stop():
            began = time.monotonic()
            try:
                self.beat()
                self.prices.wait(began + BEAT_SECONDS, should_stop)
            except OperationalError as error:
                _log.error("database unavailable, retrying: %s", str(error).splitlines()[0])
                connection.close()
                self._is_torn = True
                time.sleep(2.0)

    def _step_tick(self, now: datetime) -> bool:
        """Step the prices of this instant where the book may go on; returns whether it did.

        A stop, a target or the fuse acts on the tick itself; hours, orders and accounts wait for
        the beat.
        """
        now_ms, of_beat = to_milliseconds(now), self.doubt.unpriced
        is_held = self.doubt.reason or self._find_doubt(now_ms)
        if is_held or now_ms <= self.paper.book.time_ms:
            self.doubt.unpriced = of_beat  # a beat under way goes on at its own instant
            return False
        events = walk_missed(self.paper, self.reader, now_ms=now_ms)
        events += step_price(self.paper, self.reader, now_ms=now_ms)
        if events:
            self.paper.save()
            self.figures.store(self.paper, now_ms, events=events)
            self.figures.tell(self.paper, now, events=events)
        return True

    def _heed_prices(self) -> datetime:
        """Between two parts of a beat: what protects acts on the newest prices.

        Returns the instant at which the beat goes on.  A long beat keeps the lease as well.
        """
        self._keep_lease_in_time()
        return self.prices.heed()

    def _keep_lease_in_time(self) -> None:
        if time.monotonic() - self._renewed > LEASE_SECONDS / 4:
            self._keep_lease()

    def _keep_lease(self) -> None:
        assert self.lease is not None
        renew_lease(self.lease, seconds=LEASE_SECONDS)
        self._renewed = time.monotonic()

    def beat(self) -> None:
        """One beat; raises :class:`Conflict` when another trader took the book over."""
        now = self.prices.begin_beat()
        self._keep_lease()
        if self._is_torn:
            self._take_up_again(now)
            self._is_torn = False
        self._follow_limits(self._heed_prices())
        now = self._heed_prices()
        doubt = self._find_doubt(to_milliseconds(now))
        if doubt:
            self._stand_still(doubt, now)
        else:
            self._trade(now)
        self._heed_prices()
        self.doubt.record_notes()
        now = self._heed_prices()
        self.figures.beat(
            self.paper, now, market=self.doubt.facts(now), problems=self.reader.find_problems()
        )
        self._heed_prices()
        self.reader.store_levels(seconds=LEVELS_SECONDS, between=self._heed_prices)

    def _find_doubt(self, now_ms: int) -> str:
        """Why the book cannot go on; see :meth:`MarketDoubt.find`."""
        return self.doubt.find(
            now_ms,
            since_ms=self.paper.book.time_ms,
            symbols=[feed.instrument.symbol for feed in self.feeds],
            held=held_symbols(self.paper),
        )

    def _note_late(self, now_ms: int, now: datetime) -> str:
        """Let doubtful and late instruments only reduce; returns why the whole book has to."""
        symbols = [feed.instrument.symbol for feed in self.feeds]
        late = {
            symbol: f"the last hour of {symbol} is late"
            for symbol in self.reader.find_late(now_ms)
            if symbol not in self.doubt.ended
        }
        reason, changed = self.doubt.note_instruments(late, symbols=symbols, now=now)
        if changed:
            self._close_slots()
        return reason

    def _trade(self, now: datetime) -> None:
        """One beat on believable prices; the way back after a doubt is a reconciliation."""
        is_minute = to_milliseconds(now) - self._reconciled_ms >= RECONCILE_MS
        failed = self._pause_failed(now)
        changed = self._follow_members(now, look=is_minute or failed)
        now_ms = to_milliseconds(self._heed_prices())
        missed = walk_missed(self.paper, self.reader, now_ms=now_ms)
        self.reader.drop_decided(self.paper.decided)
        self.reader.cut_minutes(now_ms, between=self._heed_prices)
        read = self.reader.closed_hours(now_ms, between=self._heed_prices)
        now = self.prices.now
        now_ms = to_milliseconds(now)
        if self.doubt.note(self._note_late(now_ms, now), now=now):
            self._reconcile(now, is_start=True)
        if read or is_minute:
            self._close_slots()
        events = decide_hours(self.paper, self.reader, read, now_ms=now_ms)
        changed |= follow(self.paper, instant=self._heed_prices)
        now_ms = to_milliseconds(self._heed_prices())
        events = missed + events + step_price(self.paper, self.reader, now_ms=now_ms)
        if changed or read or events:
            self.paper.save()
        self.figures.store(self.paper, to_milliseconds(self._heed_prices()), events=events)
        if is_minute:
            self._reconcile(self._heed_prices(), is_start=False)
        self.figures.tell(self.paper, self._heed_prices(), events=events)

    def _stand_still(self, doubt: str, now: datetime) -> None:
        """A beat without a price that can be believed: nothing is decided, valued or filled.

        A stop of the fuse is taken over; its exits fill at the first price that comes.
        """
        self.doubt.note(doubt, now=now)
        if follow_fuse(self.paper, at=now):
            self.paper.save()

    def _reconcile(self, now: datetime, *, is_start: bool) -> None:
        result = reconcile(self.paper, at=now)
        self._reconciled_ms = to_milliseconds(now)
        if result.is_clean:
            if is_start or waits_for_comparison(self.code):
                make_ready(book=self.code, reconciliation=result, actor=self.actor, at=now)
            return
        stop_for_difference(self.code, result, actor=self.actor, at=now)
