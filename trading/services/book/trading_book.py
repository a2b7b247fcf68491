"""One book bar by bar (or tick by tick): the engine decides, the venue executes, rows follow.

The engine stops wherever the venue has to act (:func:`trading.domain.engine.step.run_bar`).  There
the desk places what the slots want, the venue executes and commits, and each of its events is
booked with the engine's memory in one commit.  A decision is committed before any order of it is
sent.  Whatever dies between two commits is made good by :mod:`trading.services.book.recovery`.

Times are those of the bars.  Money of the decision is float64; what is booked is exact: whole ticks
times the tick, whole lots times the lot, fees at the instrument's rate.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import transaction

from magnetfund.core.actors import Actor
from magnetfund.kernel.clock import from_milliseconds, to_milliseconds
from magnetfund.kernel.errors import InvariantBroken
from magnetfund.kernel.money import decimal_from_float
from risk.domain.fuse import FuseMove
from risk.domain.limits import Limits
from trading.domain.engine.book import (
    Bar,
    Book,
    BookFill,
    CloseReason,
    Event,
    Funding,
    OrderIntent,
    Refusal,
    RoundTrip,
)
from trading.domain.engine.rules import EngineRules
from trading.domain.engine.slots import carry_book
from trading.domain.engine.step import adjust_for_flow, run_bar
from trading.domain.engine.storage import drop_pending
from trading.domain.engine.working import Working, take
from trading.domain.strategies.signals import Signal
from trading.models import Instrument
from trading.services.book.bookings import (
    book_entry,
    book_exit,
    charge_in_lots,
    fill_in_lots,
    funding_of,
    intent_of,
)
from trading.services.book.counts import StepCounts
from trading.services.book.desk import OrderDesk, Wants, reason_of
from trading.services.book.entries import commit_entry
from trading.services.book.fuse_rows import Resetter, write_fuse_event
from trading.services.book.memory import Memory, keep_memory, lay_out, layout_of, read_flows
from trading.services.book.slots import signals_by_slot, slot_of
from trading.services.book.words import keep_refusal
from trading.services.book.worth import count_marks, marks_of, streaks_of, value_book
from trading.services.funding_payments import FundingLog
from trading.services.paper_venue import PaperVenue
from trading.services.sleeves import Sleeve
from trading.services.valuation import BookValue
from trading.venues.execution import FundingCharge, VenueEvent


class TradingBook:
    """Drives one book.  Not thread-safe: the trader's lease makes its holder the only writer.

    ``memory`` is where it goes on from.  A history (``is_history``) can be told again from its
    candles, so it stores its memory and its venue's when :meth:`save` is called and not before.
    """

    def __init__(
        self,
        *,
        code: str,
        rules: EngineRules,
        instruments: Sequence[Instrument],
        sleeves: Sequence[Sleeve],
        memory: Memory,
        actor: Actor,
        limits: Limits,
        reset: Resetter | None = None,
        is_history: bool = False,
    ) -> None:
        if not (rules.fuse.acting or is_history):
            raise InvariantBroken("only a history may trade without a fuse")
        self.code = code
        self._take_rules(rules)
        self.instruments = tuple(instruments)
        self.sleeves = tuple(sleeves)
        self.layout = layout_of(self.sleeves, self.instruments)
        self.book = lay_out(memory, self.layout)
        #: Slots that may not open a position now; their signals only close.
        self.closed_slots: frozenset[int] = frozenset()
        #: What a unit costs while the book has no capital.
        self.idle_unit = memory.idle_unit
        self.shares = memory.shares or self.book.equity / self.idle_unit
        self.flow_id = memory.flow_id
        self.booked = memory.booked
        #: Open time of the newest hour that was decided on, by instrument.
        self.decided: dict[str, int] = dict(memory.decided)
        self.actor = actor
        self.limits = limits
        self.counts = StepCounts()
        self.is_history = is_history
        self._reset = reset
        self._funding = FundingLog(code, is_history=is_history)
        self._priced = time.monotonic()
        self.venue = PaperVenue(
            code=code,
            rules=rules,
            sleeves=self.sleeves,
            cash=decimal_from_float(self.book.cash),
            is_history=is_history,
        )
        if not is_history:
            self.venue.restore()
        self.desk = OrderDesk(
            code=code, sleeves=self.sleeves, venue=self.venue, actor=actor, is_history=is_history
        )
        self.desk.find_again()

    # ---- one step ------------------------------------------------------------------------------

    def step(
        self,
        *,
        time_ms: int,
        bars: Sequence[Bar | None],
        readings: Sequence[Mapping[str, Signal]] | None = None,
        bar_ms: int | None = None,
        last: bool = False,
    ) -> tuple[Event, ...]:
        """Carry the book through one bar (or tick) and write everything that happened.

        ``bars`` has one entry per instrument; so has ``readings``, each strategy's signal where a
        bar of its timeframe closed with this one.  ``bar_ms`` is the length of the bars where it is
        not that of the rules.
        """
        self._priced = time.monotonic()
        working = Working(
            rules=self._rules_for(bar_ms or self.rules.bar_ms),
            book=self.book,
            time_ms=time_ms,
            bars=bars,
            signals=signals_by_slot(
                readings, rules=self.rules, sleeves=self.sleeves, closed=self.closed_slots
            ),
        )
        at, told = from_milliseconds(time_ms), 0
        for walk in run_bar(working, last=last):
            told = self._tell(working.events, told)
            self._settle(working, at)
            self.venue.walk(walk, time_ms=time_ms, bars=bars)
            told = self._book_events(working, told)
        self.book = working.freeze()
        if working.events or readings is not None:
            with self._one_commit():
                self._tell(working.events, told)
                self._keep(self.book)
        self._settle(working, from_milliseconds(self.book.time_ms))
        for event in working.events:
            if isinstance(event, OrderIntent) and not event.reduces:
                self._enter(event)
        self.counts.bars += 1
        return tuple(working.events)

    def _settle(self, working: Working, at: datetime) -> None:
        slots = zip(working.positions, working.exits, working.entries, strict=True)
        for slot, (held, leaving, entry) in enumerate(slots):
            self.desk.settle(slot, Wants(held=held, leaving=leaving, entry=entry), at=at)

    def _enter(self, intent: OrderIntent) -> None:
        """Check, commit and send an entry; what is not sent is not wanted any more."""
        order = commit_entry(
            intent,
            book=self.code,
            sleeve=self.sleeves[intent.slot],
            equity=self.book.equity,
            marks=self.marks(),
            limits=self.limits,
            actor=self.actor,
            is_history=self.is_history,
            is_bare=not self.rules.fuse.acting,
        )
        self.counts.orders += 1
        at = from_milliseconds(intent.decided_at)
        if order.state == "DENIED" or self.desk.submit(intent.slot, order, at=at) is None:
            self.counts.denied += 1
            index = self.book.pending.index(intent)
            self.book = drop_pending(book=self.book, index=index)

    # ---- what the venue says -------------------------------------------------------------------

    def _book_events(self, working: Working, told: int, *, until: int | None = None) -> int:
        """Book what the venue did since the last event booked, each with our memory of it."""
        for event in self.venue.events(since=self.booked):
            if until is not None and event.number > until:
                break
            with self._one_commit():
                self._book(working, event)
                told = self._tell(working.events, told)
                self.booked = event.number
                # Past the instant: a stamp of funding at it is charged, though the step be cut off.
                self._keep(working.freeze(time_ms=max(working.time_ms + 1, self.book.time_ms)))
        return told

    def _book(self, working: Working, event: VenueEvent) -> None:
        slot = slot_of(event, self.sleeves)
        sleeve = self.sleeves[slot]
        if isinstance(event, FundingCharge):
            take(working, charge_in_lots(event, slot, sleeve.instrument))
            funding = working.events[-1]
            assert isinstance(funding, Funding)
            self._funding.note(funding_of(event, funding, sleeve=sleeve))
            return
        self._funding.save()  # a round trip that ends here counts it
        self.counts.fills += 1
        order = self.desk.find(event.client_order_id) if event.client_order_id else None
        execution = fill_in_lots(event, slot, sleeve.instrument, order)
        if order is None:
            self.desk.drop_exit(slot, at=event.occurred_at)
            order = self.desk.record_liquidation(
                slot,
                lots=execution.lots,
                side=execution.side,
                price=event.price,
                at=event.occurred_at,
            )
        intent = working.entries[slot] or intent_of(order, equity=working.equity)
        is_entry = working.positions[slot] is None
        take(working, execution, reason=reason_of(order), entry=replace(intent, slot=slot))
        held = working.positions[slot]
        if is_entry:
            assert held is not None
            order = book_entry(order, event, intent=intent, held=held, sleeve=sleeve)
        else:
            told = [e for e in working.events if isinstance(e, BookFill)][-1]
            order = book_exit(
                order, event, reason=CloseReason(told.close_reason), equity=working.worth()
            )
        self.desk.note_executed(order, at=event.occurred_at)

    def _tell(self, events: Sequence[Event], told: int) -> int:
        """Write the fuse's moves and the refusals among the events from ``told`` on."""
        for event in events[told:]:
            match event:
                case FuseMove():
                    self._write_fuse_event(event)
                case Refusal():
                    self.counts.refusals += 1
                    keep_refusal(
                        code=self.code,
                        sleeve=self.sleeves[event.slot],
                        refusal=event,
                        decided_ms=event.time_ms,
                        at=from_milliseconds(event.time_ms),
                    )
                case RoundTrip():
                    self.counts.trades += 1
        return len(events)

    def _write_fuse_event(self, event: FuseMove) -> None:
        self.counts.note_fuse(event)
        write_fuse_event(
            event,
            book=self.code,
            rules=self.rules,
            sleeves=self.sleeves,
            actor=self.actor,
            reset=self._reset,
            latency_ms=(time.monotonic() - self._priced) * 1000.0,
        )

    # ---- outside a bar -------------------------------------------------------------------------

    def book_late_events(self) -> None:
        """Book what the venue did and we did not see: its own times, no price since."""
        for event in self.venue.events(since=self.booked):
            working = self.working(to_milliseconds(event.occurred_at))
            self._book_events(working, 0, until=event.number)
            self.book = working.freeze(time_ms=max(working.time_ms + 1, self.book.time_ms))

    def working(self, time_ms: int) -> Working:
        """The book at work between two bars: no price, no signal."""
        return Working(
            rules=self.rules,
            book=self.book,
            time_ms=time_ms,
            bars=(None,) * len(self.instruments),
            signals=(None,) * len(self.sleeves),
        )

    def settle(self, *, at: datetime) -> None:
        """Bring what rests at the venue to what the book wants, outside a bar."""
        decided = {(intent.slot, intent.reduces): intent for intent in self.book.pending}
        for slot, held in enumerate(self.book.positions):
            leaving, entry = decided.get((slot, True)), decided.get((slot, False))
            self.desk.settle(slot, Wants(held=held, leaving=leaving, entry=entry), at=at)

    # ---- memory --------------------------------------------------------------------------------

    def save(self) -> None:
        """Store what is remembered; a history stores its venue's rows with it."""
        with transaction.atomic():
            if self.is_history:
                self._funding.save()
                self.venue.store()
            keep_memory(self.code, self._memory(self.book))

    def _keep(self, book: Book) -> None:
        if not self.is_history:
            keep_memory(self.code, self._memory(book))

    def _memory(self, book: Book) -> Memory:
        return Memory(
            book=book,
            shares=self.shares,
            idle_unit=self.idle_unit,
            booked=self.booked,
            flow_id=self.flow_id,
            decided=self.decided,
            layout=self.layout,
        )

    def _one_commit(self) -> Any:
        return nullcontext() if self.is_history else transaction.atomic()

    # ---- changes from outside ------------------------------------------------------------------

    def take_rules(self, rules: EngineRules, limits: Limits) -> None:
        """Go on under another version of the limits; instruments and slots stay what they are."""
        self._take_rules(rules)
        self.limits, self.venue.rules = limits, rules

    def _take_rules(self, rules: EngineRules) -> None:
        self.rules, self._by_length = rules, {rules.bar_ms: rules}

    def _rules_for(self, bar_ms: int) -> EngineRules:
        """The rules for bars of a length; to check them anew at each bar takes longer than it."""
        if bar_ms not in self._by_length:
            self._by_length[bar_ms] = replace(self.rules, bar_ms=bar_ms)
        return self._by_length[bar_ms]

    def rearrange(
        self, *, rules: EngineRules, instruments: Sequence[Instrument], sleeves: Sequence[Sleeve]
    ) -> None:
        """Go on over other slots; what is held follows its strategy and instrument.

        Raises :class:`Conflict` when a slot that is dropped is not flat.
        """
        before, self.layout = self.layout, layout_of(sleeves, instruments)
        book = count_marks(self.book, before=self.instruments, after=instruments)
        self.book = carry_book(book=book, before=before, after=self.layout)
        self._take_rules(rules)
        self.sleeves = tuple(sleeves)
        self.instruments = tuple(instruments)
        self.venue.rearrange(rules=rules, sleeves=self.sleeves)
        self.desk.rearrange(self.sleeves)

    def apply_flows(self) -> int:
        """Let money in and out that was booked since the last call; returns how many flows."""
        flows = read_flows(self.code, after=self.flow_id)
        for flow in flows:
            self.venue.deposit(flow_id=flow.pk, amount=flow.amount)
            unit = self.book.equity / self.shares if self.shares else self.idle_unit
            self.book = adjust_for_flow(book=self.book, amount=float(flow.amount))
            self.shares += float(flow.amount) / unit
            if self.book.equity == 0.0:
                self.shares, self.idle_unit = 0.0, unit
            self.flow_id = flow.pk
        return len(flows)

    # ---- numbers -------------------------------------------------------------------------------

    def value(self, at: datetime) -> BookValue:
        """What the book is worth at its newest marks."""
        return value_book(
            self.book,
            rules=self.rules,
            sleeves=self.sleeves,
            shares=self.shares,
            idle_unit=self.idle_unit,
            at=at,
        )

    def marks(self) -> dict[str, Decimal]:
        """Last price of each instrument that has one."""
        return marks_of(self.book, self.instruments)

    def streaks(self) -> list[dict[str, Any]]:
        """Each strategy's losses in a row, and until when it is locked (0: it is not)."""
        return streaks_of(self.book, rules=self.rules, sleeves=self.sleeves)
