"""The mutable side of one bar: what the steps change before the book is frozen again.

A :class:`Working` never outlives its bar.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from magnetfund.kernel.errors import InvariantBroken
from risk.domain.fuse import Condition, count_round_trip
from trading.domain.engine.book import (
    Bar,
    Book,
    BookFill,
    CloseReason,
    Event,
    Funding,
    FuseBook,
    FuseMove,
    OrderIntent,
    RoundTrip,
    SlotPosition,
)
from trading.domain.engine.rules import EngineRules, SlotRules, TradedInstrument
from trading.domain.engine.scalars import compute_liquidation_ticks
from trading.domain.paper_venue import Charge, Execution, Happening, Kind
from trading.domain.strategies.signals import Signal

REASON_OF = {
    Kind.STOP: CloseReason.STOP,
    Kind.TAKE_PROFIT: CloseReason.TARGET,
    Kind.LIQUIDATION: CloseReason.LIQUIDATION,
}


class Working:
    """One bar at work: the book's parts as lists, the bar's inputs, the events so far."""

    def __init__(
        self,
        *,
        rules: EngineRules,
        book: Book,
        time_ms: int,
        bars: Sequence[Bar | None],
        signals: Sequence[Signal | None],
    ) -> None:
        self.rules = rules
        self.time_ms = time_ms
        self.close_ms = time_ms + rules.bar_ms
        self.bars = bars
        self.signals = signals
        self.cash = book.cash
        self.equity = book.equity
        self.marks = list(book.marks)
        self.positions = list(book.positions)
        self.exits: list[OrderIntent | None] = [None] * len(rules.slots)
        self.entries: list[OrderIntent | None] = [None] * len(rules.slots)
        for intent in book.pending:
            (self.exits if intent.reduces else self.entries)[intent.slot] = intent
        self.fuse = book.fuse
        #: What holds against each instrument at this close, whether an episode is open or not.
        self.conditions: list[Condition | None] = [None] * len(rules.instruments)
        self.events: list[Event] = []

    def slot_rules(self, slot: int) -> tuple[SlotRules, TradedInstrument]:
        """The rules of a slot and of its instrument."""
        rules = self.rules.slots[slot]
        return rules, self.rules.instruments[rules.instrument]

    def bar_of(self, slot: int) -> Bar | None:
        """The bar of a slot's instrument."""
        return self.bars[self.rules.slots[slot].instrument]

    def held(self) -> list[tuple[int, SlotPosition, Bar]]:
        """Slots with a position whose instrument has a bar, in slot order."""
        found = []
        for slot, position in enumerate(self.positions):
            bar = self.bar_of(slot)
            if position is not None and bar is not None:
                found.append((slot, position, bar))
        return found

    def value_at(self, slot: int, price_ticks: int) -> float:
        """Open profit of a slot's position at a price."""
        position = self.positions[slot]
        if position is None:
            return 0.0
        instrument = self.slot_rules(slot)[1]
        moved = (price_ticks - position.entry_ticks) * position.side * position.lots
        return moved * instrument.tick_value

    def enter(self, happened: Execution, intent: OrderIntent) -> None:
        """Book the fill that opens a slot; ``intent`` is the decision behind it."""
        slot = happened.account
        instrument = self.slot_rules(slot)[1]
        notional = happened.price_ticks * happened.lots * instrument.tick_value
        fee = notional * instrument.taker_fee_rate
        self.cash -= fee
        self.entries[slot] = None
        self.positions[slot] = SlotPosition(
            side=happened.side,
            lots=happened.lots,
            lots_opened=happened.lots,
            entry_ticks=happened.price_ticks,
            decision_ticks=intent.decision_ticks,
            entry_time=self.time_ms,
            stop_ticks=intent.stop_ticks,
            target_ticks=intent.target_ticks,
            liquidation_ticks=compute_liquidation_ticks(
                happened.price_ticks, happened.side, intent.leverage, instrument.maintenance_rate
            ),
            leverage=intent.leverage,
            margin=notional / intent.leverage,
            tier=intent.tier,
            zone_price=intent.zone_price,
            zone_strength=intent.zone_strength,
            fees=fee,
            funding=0.0,
            realised=0.0,
            ticks_lots_realised=0,
            conflict_bars=0,
            flip_bars=0,
            episode_lots=0,
            cuts=0,
            ambiguous=False,
            equity_at_entry=intent.equity,
            binding=intent.binding,
        )
        self._tell(happened, fee, 0)

    def leave(self, happened: Execution, reason: CloseReason) -> None:
        """Book a fill that closes lots of a slot; the last lots end the round trip."""
        slot, lots, price_ticks = happened.account, happened.lots, happened.price_ticks
        position = self.positions[slot]
        assert position is not None
        instrument = self.slot_rules(slot)[1]
        moved = (price_ticks - position.entry_ticks) * position.side * lots
        gain = moved * instrument.tick_value
        if reason is CloseReason.LIQUIDATION:
            gain = max(gain, -position.margin)
        fee = price_ticks * lots * instrument.tick_value * instrument.taker_fee_rate
        self.cash += gain - fee
        self._tell(happened, fee, int(reason))
        if happened.kind is Kind.MARKET:
            self.exits[slot] = None
        kept = position.lots - lots
        after = replace(
            position,
            lots=kept,
            margin=position.margin * kept / position.lots,
            fees=position.fees + fee,
            ticks_lots_realised=position.ticks_lots_realised + moved,
            realised=position.realised + gain,
            cuts=position.cuts + (1 if kept else 0),
        )
        if kept:
            self.positions[slot] = after
            return
        self.positions[slot] = None
        self.exits[slot] = None
        self._end_round_trip(slot, after, price_ticks, reason)

    def fund(self, charge: Charge) -> None:
        """Book funding: long pays a positive rate on the notional at the stamp, short receives."""
        slot = charge.account
        position = self.positions[slot]
        assert position is not None
        instrument = self.slot_rules(slot)[1]
        notional = charge.price_ticks * charge.lots * instrument.tick_value
        cash = -charge.side * notional * charge.rate
        self.cash += cash
        self.positions[slot] = replace(position, funding=position.funding + cash)
        self.events.append(
            Funding(time_ms=self.time_ms, slot=slot, rate=charge.rate, notional=notional, cash=cash)
        )

    def _tell(self, happened: Execution, fee: float, close_reason: int) -> None:
        self.events.append(
            BookFill(
                time_ms=self.time_ms,
                slot=happened.account,
                side=happened.side,
                lots=happened.lots,
                price_ticks=happened.price_ticks,
                fee=fee,
                close_reason=close_reason,
                gapped=happened.gapped,
            )
        )

    def _end_round_trip(
        self, slot: int, position: SlotPosition, exit_ticks: int, reason: CloseReason
    ) -> None:
        rules, instrument = self.slot_rules(slot)
        net = position.realised - position.fees + position.funding
        stop_ticks = abs(position.decision_ticks - position.stop_ticks)
        at_risk = stop_ticks * position.lots_opened * instrument.tick_value
        self.events.append(
            RoundTrip(
                slot=slot,
                side=position.side,
                lots=position.lots_opened,
                entry_time=position.entry_time,
                exit_time=self.time_ms,
                entry_ticks=position.entry_ticks,
                exit_ticks=exit_ticks,
                decision_ticks=position.decision_ticks,
                stop_ticks=position.stop_ticks,
                target_ticks=position.target_ticks,
                reason=int(reason),
                ticks_lots=position.ticks_lots_realised,
                fees=position.fees,
                funding=position.funding,
                net=net,
                r_multiple=net / at_risk if at_risk > 0.0 else 0.0,
                leverage=position.leverage,
                tier=position.tier,
                binding=position.binding,
                ambiguous=position.ambiguous,
                cuts=position.cuts,
                equity_at_entry=position.equity_at_entry,
            )
        )
        self.move_fuse(
            count_round_trip(
                self.fuse,
                strategy=rules.strategy,
                net=net,
                time_ms=self.time_ms,
                rules=self.rules.fuse,
                own=rules.limits,
            )
        )

    def worth(self) -> float:
        """Equity at the marks so far."""
        equity = self.cash
        for slot, position in enumerate(self.positions):
            if position is not None:
                equity += self.value_at(slot, self.marks[self.rules.slots[slot].instrument])
        return equity

    def move_fuse(self, moved: tuple[FuseBook, FuseMove | None]) -> None:
        """Take over what a function of the fuse answered, and tell its event."""
        self.fuse, event = moved
        if event is not None:
            self.events.append(event)

    def results(self) -> tuple[float, ...]:
        """Each strategy's result so far: finished round trips, and what is open at its mark."""
        found = list(self.fuse.result_closed)
        for slot, position in enumerate(self.positions):
            if position is not None:
                rules = self.rules.slots[slot]
                found[rules.strategy] += (
                    position.realised
                    - position.fees
                    + position.funding
                    + self.value_at(slot, self.marks[rules.instrument])
                )
        return tuple(found)

    def freeze(self, *, time_ms: int | None = None) -> Book:
        """The book as it now stands; inside a bar, ``time_ms`` says when."""
        pending = [*self.exits, *self.entries]
        return Book(
            time_ms=self.close_ms if time_ms is None else time_ms,
            cash=self.cash,
            equity=self.equity,
            marks=tuple(self.marks),
            positions=tuple(self.positions),
            pending=tuple(intent for intent in pending if intent is not None),
            fuse=self.fuse,
        )


def take(
    working: Working,
    happened: Happening,
    *,
    reason: CloseReason | None = None,
    entry: OrderIntent | None = None,
) -> None:
    """Book what the venue executed or charged.

    Why a market order left, and the decision behind an entry, are what waits in the slot; after a
    crash that lost it, ``reason`` and ``entry`` say so.  Raises :class:`InvariantBroken` for an
    execution that nothing here asked for.
    """
    if isinstance(happened, Charge):
        working.fund(happened)
        return
    slot = happened.account
    held = working.positions[slot]
    if held is None:
        intent = working.entries[slot] or entry
        if intent is None or happened.side != intent.side:
            raise InvariantBroken(f"slot {slot} was filled without an order to enter")
        working.enter(happened, intent)
        return
    if happened.side != -held.side or happened.lots > held.lots:
        raise InvariantBroken(f"slot {slot} was filled beyond what it holds")
    leaving = working.exits[slot]
    if happened.kind is not Kind.MARKET:
        reason = REASON_OF[happened.kind]
    elif leaving is not None:
        reason = CloseReason(leaving.close_reason)
    working.leave(happened, reason or CloseReason.MANUAL)


def make_exit(
    working: Working, slot: int, position: SlotPosition, reason: CloseReason, lots: int
) -> OrderIntent:
    """Order ``lots`` of a slot's position to be closed by its instrument's next fill."""
    intent = exit_of(working, slot, position, reason, lots)
    working.events.append(intent)
    return intent


def exit_of(
    working: Working, slot: int, position: SlotPosition, reason: CloseReason, lots: int
) -> OrderIntent:
    """The intent to close ``lots`` of a slot, untold."""
    return OrderIntent(
        slot=slot,
        decided_at=working.close_ms,
        side=-position.side,
        lots=lots,
        reduces=True,
        close_reason=int(reason),
        stop_ticks=0,
        target_ticks=0,
        decision_ticks=working.marks[working.rules.slots[slot].instrument],
        leverage=position.leverage,
        tier=position.tier,
        zone_price=math.nan,
        zone_strength=math.nan,
        equity=working.equity,
        binding=0,
    )
