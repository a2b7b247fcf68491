"""The paper book: one bar or tick of the whole flow, decided purely, written through the services.

``process_bar`` is the venue and the decision in one pure step; this module turns its events into
rows.  Entries pass the pre-trade check and PostgreSQL's order gate before the venue keeps them, so
an order that a person, a limit or the fuse forbids never fills.  The venue's own memory (the book)
is stored apart from our rows; after a restart the two are compared before anything trades.

Times are those of the bars.  Money of the decision is float64; what is booked is exact: whole ticks
times the tick, whole lots times the lot, fees at the instrument's rate.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import transaction

from magnetfund.core.actors import Actor
from magnetfund.kernel.clock import from_milliseconds
from magnetfund.kernel.errors import Conflict, InvariantBroken
from magnetfund.kernel.identifiers import derived_uuid
from magnetfund.kernel.money import decimal_from_float, quantize
from risk.domain.fuse import LOSS_TRIGGERS, STRATEGY_TRIGGERS, lock_end
from risk.domain.limits import LimitSet
from risk.domain.pretrade import OrderRequest, OrderType, Side
from risk.services.fuse import (
    FuseFacts,
    clear_instrument,
    lock_strategy,
    reduce_instrument,
    state_of,
    trip_fuse,
)
from risk.services.pretrade import check_and_reserve, release_reservation
from trading.domain.engine import book as pure
from trading.domain.engine.rules import EngineRules
from trading.domain.engine.slots import Layout, carry_book
from trading.domain.engine.step import adjust_for_flow, process_bar
from trading.domain.engine.storage import drop_pending, dump_book, load_book
from trading.domain.strategies.signals import Signal
from trading.models import BookFlow, Instrument, PaperVenueState
from trading.services.fills import (
    EntryFacts,
    FillReport,
    TradeFacts,
    record_fill,
    record_funding,
)
from trading.services.orders import GateRefused, NewOrder, commit_intent
from trading.services.paper_orders import EXIT_PURPOSE, OrderDesk, price_of, quantity_of
from trading.services.paper_words import (
    WHY_CLOSED,
    explain_entry,
    explain_position,
    finite_or_none,
    keep_proposal,
    keep_refusal,
)
from trading.services.sleeves import Sleeve
from trading.services.snapshots import build_snapshot
from trading.services.valuation import BookValue

CENT18 = Decimal("1e-18")
#: Value of one of the book's own units before its first bar.
FIRST_UNIT_VALUE = 100.0
Resetter = Callable[[str, datetime], None]


@dataclass(slots=True, kw_only=True)
class StepCounts:
    """What a run has written so far."""

    bars: int = 0
    orders: int = 0
    denied: int = 0
    fills: int = 0
    trades: int = 0
    fuse_events: int = 0
    resets: int = 0
    refusals: int = 0
    by_trigger: dict[str, int] = field(default_factory=dict)


class PaperBook:
    """Drives one book.  Not thread-safe: the trader's lease makes its holder the only writer."""

    def __init__(
        self,
        *,
        code: str,
        rules: EngineRules,
        instruments: Sequence[Instrument],
        sleeves: Sequence[Sleeve],
        book: pure.Book,
        actor: Actor,
        limits: LimitSet,
        reset: Resetter | None = None,
        stored: StoredVenue | None = None,
    ) -> None:
        self.code = code
        self.rules = rules
        self.instruments = tuple(instruments)
        self.sleeves = tuple(sleeves)
        self.layout = layout_of(self.sleeves, self.instruments)
        self.book = book if stored is None else _laid_out(stored, self.layout)
        #: Slots that may not open a position now; their signals only close.
        self.closed_slots: frozenset[int] = frozenset()
        self.shares = 0.0 if stored is None else stored.shares
        self.flow_id = 0 if stored is None else stored.flow_id
        #: Open time of the newest hour that was decided on, by instrument.
        self.decided: dict[str, int] = {} if stored is None else dict(stored.decided)
        self.actor = actor
        self.limits = limits
        self.counts = StepCounts()
        self._reset = reset
        self._priced = time.monotonic()
        self.orders = OrderDesk(code=code, sleeves=self.sleeves, actor=actor)
        self.orders.sequence = 0 if stored is None else stored.sequence
        if not self.shares:
            self.shares = self.book.equity / FIRST_UNIT_VALUE
        self._intents: dict[int, pure.OrderIntent] = {
            intent.slot: intent for intent in self.book.pending if not intent.reduces
        }
        self.orders.find_again()

    def take_rules(self, rules: EngineRules, limits: LimitSet) -> None:
        """Go on under another version of the limits; instruments and slots stay what they are."""
        self.rules, self.limits = rules, limits

    # ---- one step ------------------------------------------------------------------------------

    def step(
        self,
        *,
        time_ms: int,
        bars: Sequence[pure.Bar | None],
        readings: Sequence[Mapping[str, Signal]] | None = None,
        bar_ms: int | None = None,
        last: bool = False,
    ) -> tuple[pure.Event, ...]:
        """Carry the book through one bar (or tick) and write everything that happened.

        ``bars`` has one entry an instrument; so has ``readings``, each strategy's signal where a
        bar of its timeframe closed with this one.  ``bar_ms`` is the length of the bars where it is
        not that of the rules.  Raises :class:`InvariantBroken` when our exact books and the
        decision's differ.
        """
        self._priced = time.monotonic()
        rules = self.rules if bar_ms is None else replace(self.rules, bar_ms=bar_ms)
        after, events = process_bar(
            rules=rules,
            book=self.book,
            time_ms=time_ms,
            bars=bars,
            signals=self._signals(readings),
            last=last,
        )
        self.book = after
        for event in _trips_first(events):
            self._write(event)
        self.counts.bars += 1
        return events

    def _signals(self, readings: Sequence[Mapping[str, Signal]] | None) -> list[Signal | None]:
        if readings is None:
            return [None] * len(self.sleeves)
        found = [
            readings[slot.instrument].get(sleeve.strategy)
            for slot, sleeve in zip(self.rules.slots, self.sleeves, strict=True)
        ]
        return [
            replace(signal, direction=0)
            if signal is not None and slot in self.closed_slots
            else signal
            for slot, signal in enumerate(found)
        ]

    def rearrange(
        self, *, rules: EngineRules, instruments: Sequence[Instrument], sleeves: Sequence[Sleeve]
    ) -> None:
        """Go on over other slots; what is held follows its strategy and instrument.

        Raises :class:`Conflict` when a slot that is dropped is not flat.
        """
        before, self.layout = self.layout, layout_of(sleeves, instruments)
        self.book = carry_book(book=self.book, before=before, after=self.layout)
        intents = {before.slots[slot]: intent for slot, intent in self._intents.items()}
        self._intents = {
            slot: replace(intents[key], slot=slot)
            for slot, key in enumerate(self.layout.slots)
            if key in intents
        }
        self.rules, self.sleeves = rules, tuple(sleeves)
        self.instruments = tuple(instruments)
        self.orders.rearrange(self.sleeves)

    def continue_episodes(self) -> None:
        """An instrument that joins while its fuse row says REDUCING goes on reducing here too."""
        episodes = list(self.book.fuse.episodes)
        for index, instrument in enumerate(self.instruments):
            is_new = not episodes[index].active and not self.book.marks[index]
            if is_new and state_of(self.code, instrument.symbol) == "REDUCING":
                episodes[index] = pure.Episode(active=True, trigger=int(pure.Trigger.VOLATILITY))
        fuse = replace(self.book.fuse, episodes=tuple(episodes))
        self.book = replace(self.book, fuse=fuse)

    def save(self) -> None:
        """Store the venue's memory; our own rows are already committed."""
        with transaction.atomic():
            row, _ = PaperVenueState.objects.select_for_update().get_or_create(book=self.code)
            row.revision += 1
            row.state = {
                "book": dump_book(self.book),
                "sequence": self.orders.sequence,
                "flow_id": self.flow_id,
                "shares": self.shares,
                "decided": self.decided,
                "layout": asdict(self.layout),
            }
            row.updated_at = from_milliseconds(self.book.time_ms)
            row.save()

    def remember(self, intent: pure.OrderIntent) -> None:
        """Keep the decision behind an entry until its fill."""
        self._intents[intent.slot] = intent

    def apply_flows(self) -> int:
        """Let money in and out that was booked since the last call; returns how many flows."""
        flows = list(BookFlow.objects.filter(book=self.code, id__gt=self.flow_id))
        for flow in flows:
            self.shares *= 1.0 + float(flow.amount) / self.book.equity
            self.book = adjust_for_flow(book=self.book, amount=float(flow.amount))
            self.flow_id = flow.pk
        return len(flows)

    def value(self, at: datetime) -> BookValue:
        """What the book is worth at its newest marks."""
        book = self.book
        detail: list[dict[str, Any]] = []
        unrealised = gross = net = margin = 0.0
        for slot, position in enumerate(book.positions):
            if position is None:
                continue
            rules = self.rules.slots[slot]
            instrument = self.rules.instruments[rules.instrument]
            mark = book.marks[rules.instrument]
            notional = mark * position.lots * instrument.tick_value
            profit = (mark - position.entry_ticks) * position.lots * instrument.tick_value
            unrealised += profit * position.side
            gross += notional
            net += notional * position.side
            margin += position.margin
            detail.append(
                {
                    "instrument": instrument.symbol,
                    "strategy": self.sleeves[slot].strategy,
                    "side": "long" if position.side > 0 else "short",
                    "mark": round(mark * instrument.tick_size, 10),
                    "notional": round(notional, 2),
                    "unrealised": round(profit * position.side, 2),
                }
            )
        return BookValue(
            at=at,
            equity=_money(book.equity),
            cash=_money(book.cash),
            unrealised=_money(unrealised),
            gross_exposure=_money(gross),
            net_exposure=_money(net),
            margin_used=_money(margin),
            unit_value=_unit(book.equity / self.shares),
            peak_unit_value=_unit(book.fuse.peak_equity / self.shares),
            day_start_unit_value=_unit(book.fuse.day_start_equity / self.shares),
            open_positions=len(detail),
            detail=detail,
        )

    # ---- events --------------------------------------------------------------------------------

    def _write(self, event: pure.Event) -> None:
        match event:
            case pure.Fill():
                self._write_fill(event)
            case pure.OrderIntent():
                self._write_intent(event)
            case pure.Funding():
                self._write_funding(event)
            case pure.FuseEvent():
                self._write_fuse_event(event)
            case pure.Refusal():
                self._write_refusal(event)
            case pure.Trade():
                self.counts.trades += 1

    def _write_intent(self, intent: pure.OrderIntent) -> None:
        sleeve = self.sleeves[intent.slot]
        at = from_milliseconds(intent.decided_at)
        price = price_of(sleeve.instrument, intent.decision_ticks)
        if intent.reduces:
            self.orders.replace_exit(intent.slot, at)
            order = self.orders.send(
                sleeve,
                purpose=EXIT_PURPOSE[pure.CloseReason(intent.close_reason)],
                side=intent.side,
                kind="market",
                lots=intent.lots,
                reference=price,
                at=at,
                reason=pure.CloseReason(intent.close_reason).code,
            )
            self.orders.exits[intent.slot] = order
            return
        stop = price_of(sleeve.instrument, intent.stop_ticks)
        target = price_of(sleeve.instrument, intent.target_ticks) if intent.target_ticks else None
        quantity = quantity_of(sleeve.instrument, intent.lots)
        side = "buy" if intent.side > 0 else "sell"
        order_id = derived_uuid(
            "order", self.code, sleeve.strategy, sleeve.instrument.symbol, str(intent.decided_at)
        )
        why = explain_entry(sleeve=sleeve, intent=intent, price=price, stop=stop, target=target)
        with transaction.atomic():
            proposal = keep_proposal(
                code=self.code,
                sleeve=sleeve,
                intent=intent,
                at=at,
                price=price,
                stop=stop,
                target=target,
                quantity=quantity,
                why=why,
            )
            verdict, check = check_and_reserve(
                order_id=order_id,
                book=self.code,
                order=OrderRequest(
                    instrument=sleeve.instrument.symbol,
                    strategy=sleeve.strategy,
                    side=Side(side),
                    type=OrderType.MARKET,
                    quantity=quantity,
                    stop_price=stop,
                    leverage=decimal_from_float(intent.leverage),
                    tier=intent.tier or None,
                ),
                snapshot=build_snapshot(
                    book=self.code,
                    instrument=sleeve.instrument,
                    strategy=sleeve.strategy,
                    equity=decimal_from_float(self.book.equity),
                    marks=self.marks(),
                    reference=price,
                    at=at,
                    limits=self.limits,
                ),
                limits=self.limits,
                now=at,
            )
            new = NewOrder(
                id=order_id,
                book=self.code,
                instrument=sleeve.instrument,
                strategy=sleeve.strategy,
                purpose="entry",
                side=side,
                type="market",
                quantity=quantity,
                reference_price=price,
                stop_price=stop,
                target_price=target,
                leverage=intent.leverage,
                tier=intent.tier or None,
                proposal_id=proposal.id,
                pretrade_check=check.id,
                reason=why[:300],
                denial_codes=() if verdict.accepted else verdict.codes,
            )
            try:
                order = commit_intent(new, actor=self.actor, at=at)
            except GateRefused as refusal:
                release_reservation(order_id, at=at)
                denied = NewOrder(
                    **{**_fields(new), "denial_codes": ("order_gate",), "reason": refusal.message}
                )
                order = commit_intent(denied, actor=self.actor, at=at)
        self.counts.orders += 1
        if order.state == "DENIED" or self.orders.acknowledge(order, at) is None:
            self.counts.denied += 1
            self._forget_pending(intent)
            return
        self.orders.entries[intent.slot] = order
        self.remember(intent)

    def _write_fill(self, fill: pure.Fill) -> None:
        sleeve = self.sleeves[fill.slot]
        at = from_milliseconds(fill.time_ms)
        price = price_of(sleeve.instrument, fill.price_ticks)
        quantity = quantity_of(sleeve.instrument, fill.lots)
        fee = quantize(price * quantity * sleeve.instrument.taker_fee, CENT18)
        number = self.orders.next_number()
        reason = pure.CloseReason(fill.close_reason) if fill.close_reason else None
        report = FillReport(
            venue_trade_id=f"{self.code}-{fill.time_ms}-{number}",
            quantity=quantity,
            price=price,
            fee=fee,
            occurred_at=at,
            reason=reason.code if reason else "",
        )
        self.counts.fills += 1
        if reason is None:
            self._book_entry(fill, sleeve, report)
            return
        order = self.orders.exit_order(fill, sleeve, reason, at)
        held = self.book.positions[fill.slot]
        _, trade = record_fill(
            order,
            report,
            trade=TradeFacts(
                account_balance=quantize(decimal_from_float(self.book.equity), Decimal("0.01")),
                why_opened=explain_position(code=self.code, sleeve=sleeve),
                why_closed=WHY_CLOSED[reason],
            ),
        )
        if trade is not None:
            self.orders.drop_protection(fill.slot, at)
            if fill.slot not in self.orders.entries:
                # A re-entry at the same open keeps the decision that waits for it.
                self._intents.pop(fill.slot, None)
        elif held is not None:
            self.orders.resize_protection(fill.slot, sleeve, held, at)

    def _book_entry(self, fill: pure.Fill, sleeve: Sleeve, report: FillReport) -> None:
        order = self.orders.entries.pop(fill.slot)
        intent = self._intents[fill.slot]
        liquidation = _liquidation_of(self.book, fill.slot)
        record_fill(
            order,
            report,
            entry=EntryFacts(
                leverage=intent.leverage,
                tier=intent.tier or None,
                stop_price=order.stop_price,
                target_price=order.target_price,
                liquidation_price=price_of(sleeve.instrument, liquidation) if liquidation else None,
                target_strength=finite_or_none(intent.zone_strength),
                equity=quantize(decimal_from_float(intent.equity), Decimal("0.01")),
                risk_fraction=sleeve.risk_fraction,
                proposal=order.proposal_id,
            ),
        )
        self.orders.protect(fill.slot, sleeve, order, fill.lots, report.occurred_at)

    def _write_funding(self, funding: pure.Funding) -> None:
        sleeve = self.sleeves[funding.slot]
        record_funding(
            book=self.code,
            instrument=sleeve.instrument,
            strategy=sleeve.strategy,
            stamp=from_milliseconds(funding.time_ms),
            rate=funding.rate,
            notional=quantize(decimal_from_float(funding.notional), Decimal("1e-8")),
            amount=quantize(decimal_from_float(funding.cash), Decimal("1e-8")),
        )

    def _write_fuse_event(self, event: pure.FuseEvent) -> None:
        trigger = pure.Trigger(event.trigger)
        at = from_milliseconds(event.time_ms)
        self.counts.fuse_events += 1
        self.counts.by_trigger[trigger.code] = self.counts.by_trigger.get(trigger.code, 0) + 1
        facts = FuseFacts(
            trigger=trigger.code,
            severity=event.severity,
            measured={
                "value": finite_or_none(event.value),
                "threshold": finite_or_none(event.threshold),
                "cut_share": event.cut_share,
            },
            limits_version=self.rules.fuse.limits_version,
            positions_closed=event.positions,
            latency_ms=(time.monotonic() - self._priced) * 1000.0,
        )
        if trigger in LOSS_TRIGGERS:
            trip_fuse(book=self.code, facts=facts, actor=self.actor, at=at)
        elif trigger in STRATEGY_TRIGGERS:
            strategy = self._strategy_code(event.strategy)
            lock_strategy(
                book=self.code,
                strategy=strategy,
                until=from_milliseconds(lock_end(event.time_ms)),
                facts=facts,
                actor=self.actor,
                at=at,
            )
        elif trigger is pure.Trigger.RESET:
            self.counts.resets += 1
            if self._reset is None:
                raise InvariantBroken("a reset came without people who may reset")
            self._reset(self.code, at)
        else:
            symbol = self.instruments[event.instrument].symbol
            writer = clear_instrument if trigger is pure.Trigger.CLEARED else reduce_instrument
            writer(book=self.code, instrument=symbol, facts=facts, actor=self.actor, at=at)

    def _write_refusal(self, refusal: pure.Refusal) -> None:
        self.counts.refusals += 1
        keep_refusal(
            code=self.code,
            sleeve=self.sleeves[refusal.slot],
            refusal=refusal,
            decided_ms=refusal.time_ms,
            at=from_milliseconds(refusal.time_ms),
        )

    def _forget_pending(self, intent: pure.OrderIntent) -> None:
        for index, pending in enumerate(self.book.pending):
            if pending == intent:
                self.book = drop_pending(book=self.book, index=index)
                return

    # ---- words and numbers ---------------------------------------------------------------------

    def marks(self) -> dict[str, Decimal]:
        """Last price of each instrument that has one."""
        return {
            instrument.symbol: price_of(instrument, ticks)
            for instrument, ticks in zip(self.instruments, self.book.marks, strict=True)
            if ticks > 0
        }

    def streaks(self) -> list[dict[str, Any]]:
        """Each strategy's losses in a row, and until when it is locked (0: it is not)."""
        fuse = self.book.fuse
        return [
            {
                "strategy": self._strategy_code(index),
                "losses": fuse.losses_in_a_row[index],
                "locked_until_ms": fuse.lock_until[index],
            }
            for index in range(self.rules.strategy_count)
        ]

    def _strategy_code(self, index: int) -> str:
        for slot, rules in enumerate(self.rules.slots):
            if rules.strategy == index:
                return self.sleeves[slot].strategy
        raise InvariantBroken(f"no strategy has the number {index}")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredVenue:
    """The venue's memory as it was saved.

    ``sequence`` counts orders and fills, ``flow_id`` is the last flow applied, ``shares`` the units
    in which the book's own value is measured (dealing units are those of the share classes),
    ``decided`` the open time of the newest hour that was decided on, by instrument, ``layout`` the
    names of the book's parts.
    """

    book: pure.Book
    sequence: int
    flow_id: int
    shares: float
    decided: Mapping[str, int] = field(default_factory=dict)
    layout: Layout | None = None


def load_venue(code: str) -> StoredVenue | None:
    """The stored memory of a book's venue; None for a book that never traded."""
    row = PaperVenueState.objects.filter(book=code).first()
    if row is None:
        return None
    return StoredVenue(
        book=load_book(row.state["book"]),
        sequence=int(row.state["sequence"]),
        flow_id=int(row.state["flow_id"]),
        shares=float(row.state["shares"]),
        decided=row.state.get("decided", {}),
        layout=_load_layout(row.state.get("layout")),
    )


def layout_of(sleeves: Sequence[Sleeve], instruments: Sequence[Instrument]) -> Layout:
    """Names that outlast a change of the list: a strategy's code, an instrument's key."""
    return Layout(
        strategies=tuple(dict.fromkeys(sleeve.strategy for sleeve in sleeves)),
        instruments=tuple(str(item.pk) for item in instruments),
        slots=tuple((sleeve.strategy, str(sleeve.instrument.pk)) for sleeve in sleeves),
    )


def _load_layout(plain: Mapping[str, Any] | None) -> Layout | None:
    if plain is None:
        return None
    return Layout(
        strategies=tuple(plain["strategies"]),
        instruments=tuple(plain["instruments"]),
        slots=tuple((slot[0], slot[1]) for slot in plain["slots"]),
    )


def _laid_out(stored: StoredVenue, layout: Layout) -> pure.Book:
    if stored.layout is not None:
        return carry_book(book=stored.book, before=stored.layout, after=layout)
    if len(stored.book.positions) != len(layout.slots):
        raise Conflict(
            "the stored book does not name its slots and has another number of them",
            code="sleeves_differ",
        )
    return stored.book


def _money(value: float) -> Decimal:
    return quantize(decimal_from_float(value), Decimal("0.01"))


def _unit(value: float) -> Decimal:
    return quantize(decimal_from_float(value), Decimal("1e-8"))


def _trips_first(events: Sequence[pure.Event]) -> list[pure.Event]:
    """A trip is written before the fills that it caused, so its closing orders stand under it."""
    trips = [e for e in events if isinstance(e, pure.FuseEvent) and e.trigger in LOSS_TRIGGERS]
    if not trips:
        return list(events)
    rest = [e for e in events if e not in trips]
    first = next(
        (
            k
            for k, e in enumerate(rest)
            if isinstance(e, pure.Fill) and e.close_reason == pure.CloseReason.FUSE
        ),
        len(rest),
    )
    return [*rest[:first], *trips, *rest[first:]]


def _liquidation_of(book: pure.Book, slot: int) -> int:
    position = book.positions[slot]
    return position.liquidation_ticks if position is not None else 0


def _fields(new: NewOrder) -> dict[str, Any]:
    return {name: getattr(new, name) for name in NewOrder.__slots__}
