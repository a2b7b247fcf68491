"""The paper book: one bar or tick of the whole flow, decided purely, written through the services.

``process_bar`` is the venue and the decision in one pure step; this module turns its events into
rows.  Entries pass the pre-trade check and PostgreSQL's order gate before the venue keeps them, so
an order that a person, a limit or the fuse forbids never fills.  The venue's own memory (the book)
is stored apart from our rows; after a restart the two are compared before anything trades.

Times are those of the bars.  Money of the decision is float64; what is booked is exact: whole ticks
times the tick, whole lots times the lot, fees at the instrument's rate.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import transaction

from magnetfund.core.actors import Actor
from magnetfund.kernel.clock import from_milliseconds, utc_midnight
from magnetfund.kernel.errors import InvariantBroken
from magnetfund.kernel.identifiers import derived_uuid
from magnetfund.kernel.money import decimal_from_float, quantize
from risk.domain.limits import LimitSet
from risk.domain.pretrade import OrderRequest, OrderType, Side
from risk.services.fuse import (
    FuseFacts,
    clear_instrument,
    lock_strategy,
    reduce_instrument,
    trip_fuse,
)
from risk.services.pretrade import check_and_reserve, release_reservation
from trading.domain.backtest import book as pure
from trading.domain.backtest.engine import process_bar
from trading.domain.backtest.rules import EngineRules
from trading.domain.backtest.storage import drop_pending, dump_book, load_book
from trading.domain.strategies.signals import Signal
from trading.models import Instrument, Order, PaperVenueState, Proposal
from trading.services.fills import (
    EntryFacts,
    FillReport,
    TradeFacts,
    record_fill,
    record_funding,
)
from trading.services.orders import (
    FINAL_STATES,
    GateRefused,
    NewOrder,
    claim_for_sending,
    commit_intent,
    record_move,
)
from trading.services.snapshots import build_snapshot

CENT18 = Decimal("1e-18")
FUND_TRIGGERS = (pure.Trigger.DAILY_LOSS, pure.Trigger.DRAWDOWN)
EXIT_PURPOSE = {
    pure.CloseReason.SIGNAL: "exit",
    pure.CloseReason.TIME: "exit",
    pure.CloseReason.FUSE: "fuse",
    pure.CloseReason.FUSE_CUT: "cut",
    pure.CloseReason.MANUAL: "manual",
    pure.CloseReason.LIQUIDATION: "exit",
}
WHY_CLOSED = {
    pure.CloseReason.TARGET: "The target was reached.",
    pure.CloseReason.STOP: "The protective stop was reached.",
    pure.CloseReason.SIGNAL: "The strategy's direction ended.",
    pure.CloseReason.TIME: "The longest holding time was over.",
    pure.CloseReason.FUSE: "The survival fuse closed every position.",
    pure.CloseReason.FUSE_CUT: "The survival fuse cut the position to nothing.",
    pure.CloseReason.LIQUIDATION: "The venue liquidated the position.",
    pure.CloseReason.MANUAL: "A person closed it.",
}

Resetter = Callable[[str, datetime], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sleeve:
    """One slot of the book: a strategy on an instrument."""

    strategy: str
    instrument: Instrument
    risk_fraction: float


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
    ) -> None:
        self.code = code
        self.rules = rules
        self.instruments = tuple(instruments)
        self.sleeves = tuple(sleeves)
        self.book = book
        self.actor = actor
        self.limits = limits
        self.counts = StepCounts()
        self._reset = reset
        self._entries: dict[int, Order] = {}
        self._exits: dict[int, Order] = {}
        self._protection: dict[int, dict[str, Order]] = {}
        self._intents: dict[int, pure.OrderIntent] = {}
        self._sequence = 0
        self._load_open_orders()

    # ---- one step ------------------------------------------------------------------------------

    def step(
        self,
        *,
        time_ms: int,
        bars: Sequence[pure.Bar | None],
        signals: Sequence[Signal | None],
        last: bool = False,
        rules: EngineRules | None = None,
    ) -> tuple[pure.Event, ...]:
        """Carry the book through one bar (or tick) and write everything that happened.

        Raises :class:`InvariantBroken` when our exact books and the decision's differ.
        """
        after, events = process_bar(
            rules=rules or self.rules,
            book=self.book,
            time_ms=time_ms,
            bars=bars,
            signals=signals,
            last=last,
        )
        self.book = after
        for event in _trips_first(events):
            self._write(event)
        self.counts.bars += 1
        return events

    def save(self) -> None:
        """Store the venue's memory; our own rows are already committed."""
        with transaction.atomic():
            row, _ = PaperVenueState.objects.select_for_update().get_or_create(book=self.code)
            row.revision += 1
            row.state = {"book": dump_book(self.book), "sequence": self._sequence}
            row.updated_at = from_milliseconds(self.book.time_ms)
            row.save()

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
        price = self._price(sleeve.instrument, intent.decision_ticks)
        if intent.reduces:
            order = self._send(
                sleeve,
                purpose=EXIT_PURPOSE[pure.CloseReason(intent.close_reason)],
                side=intent.side,
                kind="market",
                lots=intent.lots,
                reference=price,
                at=at,
                reason=pure.CloseReason(intent.close_reason).code,
            )
            self._exits[intent.slot] = order
            return
        stop = self._price(sleeve.instrument, intent.stop_ticks)
        target = (
            self._price(sleeve.instrument, intent.target_ticks) if intent.target_ticks else None
        )
        quantity = self._quantity(sleeve.instrument, intent.lots)
        side = "buy" if intent.side > 0 else "sell"
        order_id = derived_uuid(
            "order", self.code, sleeve.strategy, sleeve.instrument.symbol, str(intent.decided_at)
        )
        why = self._why(sleeve, intent, price, stop, target)
        with transaction.atomic():
            proposal = self._propose(sleeve, intent, at, price, stop, target, quantity, why)
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
        if order.state == "DENIED" or self._acknowledge(order, at) is None:
            self.counts.denied += 1
            self._forget_pending(intent)
            return
        self._entries[intent.slot] = order
        self._intents[intent.slot] = intent

    def _write_fill(self, fill: pure.Fill) -> None:
        sleeve = self.sleeves[fill.slot]
        at = from_milliseconds(fill.time_ms)
        price = self._price(sleeve.instrument, fill.price_ticks)
        quantity = self._quantity(sleeve.instrument, fill.lots)
        fee = quantize(price * quantity * sleeve.instrument.taker_fee, CENT18)
        self._sequence += 1
        reason = pure.CloseReason(fill.close_reason) if fill.close_reason else None
        report = FillReport(
            venue_trade_id=f"{self.code}-{fill.time_ms}-{self._sequence}",
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
        order = self._exit_order(fill, sleeve, reason, at)
        held = self.book.positions[fill.slot]
        _, trade = record_fill(
            order,
            report,
            trade=TradeFacts(
                account_balance=quantize(decimal_from_float(self.book.equity), Decimal("0.01")),
                why_opened=self._why_opened(fill.slot, sleeve),
                why_closed=WHY_CLOSED[reason],
            ),
        )
        if trade is not None:
            self._drop_protection(fill.slot, at)
            self._intents.pop(fill.slot, None)
        elif held is not None:
            self._resize_protection(fill.slot, sleeve, held, at)

    def _book_entry(self, fill: pure.Fill, sleeve: Sleeve, report: FillReport) -> None:
        order = self._entries.pop(fill.slot)
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
                liquidation_price=self._price(sleeve.instrument, liquidation)
                if liquidation
                else None,
                target_strength=_finite(intent.zone_strength),
                equity=quantize(decimal_from_float(intent.equity), Decimal("0.01")),
                risk_fraction=sleeve.risk_fraction,
                proposal=order.proposal_id,
            ),
        )
        self._protect(fill.slot, sleeve, order, fill.lots, report.occurred_at)

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
                "value": _finite(event.value),
                "threshold": _finite(event.threshold),
                "cut_share": event.cut_share,
            },
            limits_version=self.limits.version,
            positions_closed=event.positions,
        )
        if trigger in FUND_TRIGGERS:
            trip_fuse(book=self.code, facts=facts, actor=self.actor, at=at)
        elif trigger is pure.Trigger.LOSS_STREAK:
            strategy = self._strategy_code(event.strategy)
            lock_strategy(
                book=self.code,
                strategy=strategy,
                until=utc_midnight(at) + timedelta(days=1),
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
        sleeve = self.sleeves[refusal.slot]
        self.counts.refusals += 1
        Proposal.objects.get_or_create(
            book=self.code,
            strategy=sleeve.strategy,
            instrument=sleeve.instrument,
            decided_at=from_milliseconds(refusal.time_ms),
            defaults={
                "id": derived_uuid(
                    "proposal",
                    self.code,
                    sleeve.strategy,
                    sleeve.instrument.symbol,
                    str(refusal.time_ms),
                ),
                "direction": "long" if refusal.direction > 0 else "short",
                "is_trade": False,
                "reason": pure.Denial(refusal.denial).code,
            },
        )

    # ---- orders --------------------------------------------------------------------------------

    def _send(
        self,
        sleeve: Sleeve,
        *,
        purpose: str,
        side: int,
        kind: str,
        lots: int,
        reference: Decimal,
        at: datetime,
        reason: str = "",
        trigger: Decimal | None = None,
    ) -> Order:
        """A reducing order: intent, claim, acknowledgement, each in its own commit."""
        self._sequence += 1
        order_id = derived_uuid(
            "order",
            self.code,
            sleeve.strategy,
            sleeve.instrument.symbol,
            purpose,
            at.isoformat(),
            str(self._sequence),
        )
        order = commit_intent(
            NewOrder(
                id=order_id,
                book=self.code,
                instrument=sleeve.instrument,
                strategy=sleeve.strategy,
                purpose=purpose,
                side="buy" if side > 0 else "sell",
                type=kind,
                quantity=self._quantity(sleeve.instrument, lots),
                reference_price=reference,
                trigger_price=trigger,
                reason=reason,
            ),
            actor=self.actor,
            at=at,
        )
        self.counts.orders += 1
        sent = self._acknowledge(order, at)
        if sent is None:
            raise InvariantBroken(f"a reducing order was refused: {order.id}")
        return sent

    def _acknowledge(self, order: Order, at: datetime) -> Order | None:
        """Second and third commit; the paper venue acknowledges at once."""
        sending = claim_for_sending(order, at=at)
        if sending is None:
            release_reservation(order.id, at=at)
            return None
        return record_move(
            sending, "ACKED", kind="acknowledged", at=at, venue_order_id=f"p-{sending.id.hex[:24]}"
        )

    def _exit_order(
        self, fill: pure.Fill, sleeve: Sleeve, reason: pure.CloseReason, at: datetime
    ) -> Order:
        """The order that this fill executes; a forced exit gets its order now."""
        if reason in (pure.CloseReason.STOP, pure.CloseReason.TARGET):
            resting = self._protection[fill.slot].pop(reason.code)
            if resting.quantity == self._quantity(sleeve.instrument, fill.lots):
                return resting
            record_move(resting, "CANCELLED", kind="resized", at=at)
            return self._send(
                sleeve,
                purpose=resting.purpose,
                side=fill.side,
                kind=resting.type,
                lots=fill.lots,
                reference=resting.reference_price,
                at=at,
                trigger=resting.trigger_price,
            )
        waiting = self._exits.pop(fill.slot, None)
        if waiting is not None:
            return waiting
        return self._send(
            sleeve,
            purpose=EXIT_PURPOSE.get(reason, "exit"),
            side=fill.side,
            kind="market",
            lots=fill.lots,
            reference=self._price(sleeve.instrument, fill.price_ticks),
            at=at,
            reason=reason.code,
        )

    def _protect(self, slot: int, sleeve: Sleeve, entry: Order, lots: int, at: datetime) -> None:
        """Rest the stop, and the target where there is one, at the venue."""
        away = -1 if entry.side == "buy" else 1
        resting: dict[str, Order] = {}
        for name, kind, price in (
            ("stop", "stop", entry.stop_price),
            ("target", "take_profit", entry.target_price),
        ):
            if price is not None:
                resting[name] = self._send(
                    sleeve,
                    purpose=name,
                    side=away,
                    kind=kind,
                    lots=lots,
                    reference=entry.reference_price,
                    at=at,
                    trigger=price,
                )
        self._protection[slot] = resting

    def _drop_protection(self, slot: int, at: datetime) -> None:
        for order in self._protection.pop(slot, {}).values():
            record_move(order, "CANCELLED", kind="position_closed", at=at)
        waiting = self._exits.pop(slot, None)
        if waiting is not None:
            record_move(waiting, "CANCELLED", kind="position_closed", at=at)

    def _resize_protection(
        self, slot: int, sleeve: Sleeve, held: pure.Position, at: datetime
    ) -> None:
        """After a cut, rest protection for what is left: the smaller one first, then cancel."""
        for name, order in list(self._protection.get(slot, {}).items()):
            self._protection[slot][name] = self._send(
                sleeve,
                purpose=name,
                side=-held.side,
                kind=order.type,
                lots=held.lots,
                reference=order.reference_price,
                at=at,
                trigger=order.trigger_price,
            )
            record_move(order, "CANCELLED", kind="resized", at=at)

    def _forget_pending(self, intent: pure.OrderIntent) -> None:
        for index, pending in enumerate(self.book.pending):
            if pending == intent:
                self.book = drop_pending(book=self.book, index=index)
                return

    def _load_open_orders(self) -> None:
        """Find the orders that rest at the venue again after a restart."""
        by_key = {
            (sleeve.strategy, sleeve.instrument.pk): slot
            for slot, sleeve in enumerate(self.sleeves)
        }
        rows = Order.objects.filter(book=self.code).exclude(state__in=FINAL_STATES)
        for order in rows.select_related("instrument").order_by("occurred_at"):
            slot = by_key.get((order.strategy, order.instrument_id))
            if slot is None or order.state not in ("ACKED", "PARTIALLY_FILLED"):
                continue
            if order.purpose == "entry":
                self._entries[slot] = order
            elif order.purpose in ("stop", "target"):
                self._protection.setdefault(slot, {})[order.purpose] = order
            else:
                self._exits[slot] = order
        for intent in self.book.pending:
            if not intent.reduces:
                self._intents[intent.slot] = intent

    # ---- words and numbers ---------------------------------------------------------------------

    def marks(self) -> dict[str, Decimal]:
        """Last price of each instrument that has one."""
        return {
            instrument.symbol: self._price(instrument, ticks)
            for instrument, ticks in zip(self.instruments, self.book.marks, strict=True)
            if ticks > 0
        }

    def _propose(
        self,
        sleeve: Sleeve,
        intent: pure.OrderIntent,
        at: datetime,
        price: Decimal,
        stop: Decimal,
        target: Decimal | None,
        quantity: Decimal,
        why: str,
    ) -> Proposal:
        return Proposal.objects.create(
            id=derived_uuid(
                "proposal",
                self.code,
                sleeve.strategy,
                sleeve.instrument.symbol,
                str(intent.decided_at),
            ),
            book=self.code,
            strategy=sleeve.strategy,
            instrument=sleeve.instrument,
            decided_at=at,
            direction="long" if intent.side > 0 else "short",
            is_trade=True,
            entry_price=price,
            stop_price=stop,
            target_price=target,
            quantity=quantity,
            leverage=intent.leverage,
            tier=intent.tier or None,
            sizing_decision={
                "binding": pure.Binding(intent.binding).code,
                "equity": intent.equity,
                "risk_fraction": sleeve.risk_fraction,
            },
            why=why,
        )

    def _why(
        self,
        sleeve: Sleeve,
        intent: pure.OrderIntent,
        price: Decimal,
        stop: Decimal,
        target: Decimal | None,
    ) -> str:
        direction = "Long" if intent.side > 0 else "Short"
        binding = pure.Binding(intent.binding).code.replace("_", " ")
        aim = f", target {target:f}" if target is not None else ""
        zone = ""
        if _finite(intent.zone_strength):
            zone = f" toward a zone of strength {intent.zone_strength:.0f}"
        return (
            f"{direction} {sleeve.instrument.base}{zone} by the {sleeve.strategy} sleeve at "
            f"{price:f}, stop {stop:f}{aim}; {intent.leverage:.2f}x, size set by {binding}."
        )

    def _why_opened(self, slot: int, sleeve: Sleeve) -> str:
        from trading.models import Position

        row = Position.objects.filter(
            book=self.code, instrument=sleeve.instrument, strategy=sleeve.strategy
        ).first()
        if row is None or row.entry_proposal is None:
            return ""
        return (
            Proposal.objects.filter(pk=row.entry_proposal).values_list("why", flat=True).first()
            or ""
        )

    def _strategy_code(self, index: int) -> str:
        for slot, rules in enumerate(self.rules.slots):
            if rules.strategy == index:
                return self.sleeves[slot].strategy
        raise InvariantBroken(f"no strategy has the number {index}")

    @staticmethod
    def _price(instrument: Instrument, ticks: int) -> Decimal:
        return ticks * instrument.tick

    @staticmethod
    def _quantity(instrument: Instrument, lots: int) -> Decimal:
        return lots * instrument.lot


def load_paper_state(code: str) -> tuple[pure.Book, int] | None:
    """The venue's stored memory and its trade counter; None for a book that never traded."""
    row = PaperVenueState.objects.filter(book=code).first()
    if row is None:
        return None
    return load_book(row.state["book"]), int(row.state["sequence"])


def _trips_first(events: Sequence[pure.Event]) -> list[pure.Event]:
    """A trip is written before the fills that it caused, so its closing orders stand under it."""
    trips = [e for e in events if isinstance(e, pure.FuseEvent) and e.trigger in FUND_TRIGGERS]
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


def _finite(value: float) -> float | None:
    return value if value == value and abs(value) != float("inf") else None


def _fields(new: NewOrder) -> dict[str, Any]:
    return {name: getattr(new, name) for name in NewOrder.__slots__}
