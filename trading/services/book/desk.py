"""Our orders at the venue, by slot: placed as the book wants them, found again after a crash.

What a slot wants follows from the book alone: a stop and a target for what it holds, the exit that
it decided on.  :meth:`OrderDesk.settle` compares that with what rests and sends the difference, so
the way forward and the way back after a crash are one.  Entries are sent once, by whoever had them
checked; the desk only withdraws them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from magnetfund.core.actors import Actor
from magnetfund.kernel.errors import InvariantBroken, Unavailable
from magnetfund.kernel.identifiers import derived_uuid
from risk.domain.pretrade import OrderType, Side
from trading.domain.engine.book import CloseReason, OrderIntent, SlotPosition
from trading.domain.engine.wants import orders_of
from trading.domain.orders import (
    FINAL_STATES,
    CancelRequested,
    OrderAcknowledged,
    OrderRejected,
    OrderState,
    OutcomeUnseen,
    VenueStatus,
)
from trading.domain.paper_venue import Kind, RestingOrder
from trading.models import Order
from trading.services.book.worth import price_of, quantity_of
from trading.services.orders import (
    claim_for_sending,
    commit_exit,
    commit_intent,
    commit_taken,
    record_events,
)
from trading.services.sleeves import Sleeve
from trading.venues.execution import ExecutionVenue, OrderTicket

ENTRY, EXIT, STOP, TARGET = "entry", "exit", "stop", "target"
EXIT_PURPOSE = {
    CloseReason.FUSE: "fuse",
    CloseReason.FUSE_CUT: "cut",
    CloseReason.MANUAL: "manual",
}
#: Purposes of orders that leave at any price.
URGENT_PURPOSES = ("fuse", "cut")
RESTING = (STOP, TARGET)


class Wants(NamedTuple):
    """What a slot holds, and the orders that it decided on."""

    held: SlotPosition | None
    leaving: OrderIntent | None
    entry: OrderIntent | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Placed:
    """A live order and what it was placed for: lots, and its trigger or its reason."""

    order: Order
    lots: int
    mark: int


class OrderDesk:
    """Live orders of one book.  Not thread-safe: the trader's lease makes it the only sender."""

    def __init__(
        self,
        *,
        code: str,
        sleeves: Sequence[Sleeve],
        venue: ExecutionVenue,
        actor: Actor,
        is_history: bool = False,
    ) -> None:
        self.code = code
        self.is_history = is_history
        self.actor = actor
        self.venue = venue
        self._sleeves = tuple(sleeves)
        self._live: dict[tuple[int, str], _Placed] = {}
        self._settled: dict[int, object] = {}
        self._sent = Order.objects.filter(book=code).count()

    # ---- what rests ----------------------------------------------------------------------------

    def live(self, slot: int, role: str) -> Order | None:
        """The order of a slot in a role (entry, exit, stop, target), where one rests."""
        placed = self._live.get((slot, role))
        return None if placed is None else placed.order

    def find(self, client_order_id: str) -> Order | None:
        """A live order by its client id, or the stored one."""
        for placed in self._live.values():
            if placed.order.client_order_id == client_order_id:
                return placed.order
        rows = Order.objects.filter(book=self.code, client_order_id=client_order_id)
        return rows.select_related("instrument").first()

    def note_executed(self, order: Order, *, at: datetime) -> None:
        """An order, as it stands now, was executed; what the venue did not need of it has lapsed
        there."""
        if order.state not in FINAL_STATES:
            record_events(order, self.venue.query(order.client_order_id, at=at))
        for (slot, role), placed in list(self._live.items()):
            if placed.order.pk == order.pk:
                del self._live[slot, role]
                self._settled.pop(slot, None)

    def rearrange(self, sleeves: Sequence[Sleeve]) -> None:
        """Take other slots; the orders behind them are found again."""
        self._sleeves = tuple(sleeves)
        self.find_again()

    def find_again(self) -> None:
        """Find the orders that rest at the venue again after a restart."""
        self._live, self._settled = {}, {}
        by_key = {
            (sleeve.strategy, sleeve.instrument.pk): slot
            for slot, sleeve in enumerate(self._sleeves)
        }
        rows = Order.objects.filter(book=self.code).exclude(state__in=FINAL_STATES)
        for order in rows.select_related("instrument").order_by("occurred_at", "recorded_at"):
            slot = by_key.get((order.strategy, order.instrument_id))
            if slot is None or order.state not in (OrderState.ACKED, OrderState.PARTIALLY_FILLED):
                continue
            role = order.purpose if order.purpose in (ENTRY, STOP, TARGET) else EXIT
            twice = self._live.get((slot, role))
            self._remember(slot, role, order)
            if twice is not None:  # a crash between placing the new one and withdrawing the old
                self.cancel(twice.order, reason="resized", at=order.occurred_at)

    # ---- sending -------------------------------------------------------------------------------

    def settle(self, slot: int, wants: Wants, *, at: datetime) -> None:
        """Bring what rests at the venue to what a slot wants."""
        state = _signature(wants)
        if self._settled.get(slot) == state:
            return
        wanted = {
            role_of(order): order
            for order in orders_of(slot, held=wants.held, leaving=wants.leaving, entry=wants.entry)
        }
        if ENTRY not in wanted:
            self._withdraw(slot, ENTRY, reason="no longer wanted", at=at)
        self._settle_exit(slot, wants.leaving, at)
        for role in (STOP, TARGET):
            if role not in wanted or wants.held is None:
                self._withdraw(slot, role, reason="position_closed", at=at)
            else:
                self._rest(slot, role, wanted[role], wants.held.decision_ticks, at)
        self._settled[slot] = state

    def _settle_exit(self, slot: int, leaving: OrderIntent | None, at: datetime) -> None:
        placed = self._live.get((slot, EXIT))
        if leaving is None:
            self._withdraw(slot, EXIT, reason="no longer wanted", at=at)
            return
        if placed is not None:
            if (placed.lots, placed.mark) == (leaving.lots, leaving.close_reason):
                return
            self._withdraw(slot, EXIT, reason="replaced", at=at)
        reason = CloseReason(leaving.close_reason)
        self._send(
            slot,
            EXIT,
            purpose=EXIT_PURPOSE.get(reason, "exit"),
            side=leaving.side,
            kind="market",
            lots=leaving.lots,
            reference_ticks=leaving.decision_ticks,
            at=at,
            reason=reason.code,
        )

    def _rest(
        self, slot: int, role: str, wanted: RestingOrder, reference_ticks: int, at: datetime
    ) -> None:
        """Rest protection for what is held: the new one first, then the old one goes."""
        placed = self._live.get((slot, role))
        if placed is not None and (placed.lots, placed.mark) == (wanted.lots, wanted.trigger_ticks):
            return
        self._send(
            slot,
            role,
            purpose=role,
            side=wanted.side,
            kind=wanted.kind.value,
            lots=wanted.lots,
            reference_ticks=reference_ticks,
            at=at,
            trigger_ticks=wanted.trigger_ticks,
        )
        if placed is not None:
            self.cancel(placed.order, reason="resized", at=at)

    def _send(
        self,
        slot: int,
        role: str,
        *,
        purpose: str,
        side: int,
        kind: str,
        lots: int,
        reference_ticks: int,
        at: datetime,
        reason: str = "",
        trigger_ticks: int = 0,
    ) -> None:
        """A reducing order: intent, claim, the venue's answer, each in its own commit; in a
        history, where no answer is lost, in one."""
        sleeve = self._sleeves[slot]
        order = Order(
            id=self._next_id(sleeve, purpose, at),
            book=self.code,
            instrument=sleeve.instrument,
            strategy=sleeve.strategy,
            purpose=purpose,
            side="buy" if side > 0 else "sell",
            type=kind,
            quantity=quantity_of(sleeve.instrument, lots),
            reference_price=price_of(sleeve.instrument, reference_ticks),
            trigger_price=price_of(sleeve.instrument, trigger_ticks) if trigger_ticks else None,
            reason=reason,
        )
        if self.is_history:
            commit_taken(order, submit=lambda row: self._taken(row, at), actor=self.actor, at=at)
            self._remember(slot, role, order)
            return
        commit_exit(order, actor=self.actor, at=at)
        if self.submit(slot, order, at=at) is None:
            raise InvariantBroken(f"a reducing order was refused: {order.id}")

    def _taken(self, order: Order, at: datetime) -> OrderAcknowledged:
        """The answer of a venue that fills in memory."""
        answer = self.venue.submit(ticket_of(order), at=at)
        if answer.status is not VenueStatus.OPEN:
            raise InvariantBroken(f"a reducing order was refused: {order.id}")
        return OrderAcknowledged(at=at, venue_order_id=answer.venue_order_id)

    def submit(self, slot: int, order: Order, *, at: datetime) -> Order | None:
        """Claim an intent, hand it to the venue, record the answer.

        None where it was not taken; UNKNOWN where the venue's answer was lost.
        """
        sending = claim_for_sending(order, at=at)
        if sending is None:
            return None
        try:
            answer = self.venue.submit(ticket_of(sending), at=at)
        except Unavailable as error:  # it may have arrived: the next beat asks
            return record_events(sending, OutcomeUnseen(at=at, reason=error.message))
        if answer.status is not VenueStatus.OPEN:
            record_events(sending, OrderRejected(at=at, reason=answer.reason))
            return None
        acked = record_events(
            sending, OrderAcknowledged(at=at, venue_order_id=answer.venue_order_id)
        )
        role = order.purpose if order.purpose in (ENTRY, STOP, TARGET) else EXIT
        self._remember(slot, role, acked)
        return acked

    def record_liquidation(
        self, slot: int, *, lots: int, side: int, price: Decimal, at: datetime
    ) -> Order:
        """The order that the venue gave by itself, so that its fill has one.

        The venue chose ``price``, so the fill is measured against that: nothing slipped.
        """
        sleeve = self._sleeves[slot]
        order = commit_intent(
            Order(
                id=self._next_id(sleeve, "liquidation", at),
                book=self.code,
                instrument=sleeve.instrument,
                strategy=sleeve.strategy,
                purpose="exit",
                side="buy" if side > 0 else "sell",
                type="market",
                quantity=quantity_of(sleeve.instrument, lots),
                reference_price=price,
                reason=CloseReason.LIQUIDATION.code,
            ),
            actor=self.actor,
            at=at,
            is_history=self.is_history,
        )
        claimed = claim_for_sending(order, at=at)
        if claimed is None:
            raise InvariantBroken(f"a liquidation could not be recorded: {order.id}")
        return record_events(claimed, OrderAcknowledged(at=at))

    # ---- withdrawing ---------------------------------------------------------------------------

    def cancel(self, order: Order, *, reason: str, at: datetime) -> Order:
        """Ask the venue to withdraw an order, and record what it says; an intent never left."""
        asks = CancelRequested(at=at)
        if self.is_history and order.state == OrderState.ACKED:
            # No answer is lost in a story, so question and answer are one commit.
            answer = self.venue.cancel(order.client_order_id, at=at)
            return record_events(order, asks, answer, detail={"reason": reason})
        asked = record_events(order, asks, detail={"reason": reason})
        if asked.state != OrderState.CANCEL_PENDING:
            return asked
        try:
            answer = self.venue.cancel(order.client_order_id, at=at)
        except Unavailable:  # the next beat asks what became of it
            return asked
        return record_events(asked, answer, detail={"reason": reason})

    def drop_exit(self, slot: int, *, at: datetime) -> None:
        """Withdraw the closing order of a slot that something else has closed."""
        self._withdraw(slot, EXIT, reason="position_closed", at=at)

    def _withdraw(self, slot: int, role: str, *, reason: str, at: datetime) -> None:
        placed = self._live.pop((slot, role), None)
        if placed is not None:
            self.cancel(placed.order, reason=reason, at=at)

    # ---- memory --------------------------------------------------------------------------------

    def _remember(self, slot: int, role: str, order: Order) -> None:
        instrument = self._sleeves[slot].instrument
        self._live[slot, role] = _Placed(
            order=order,
            lots=int(order.quantity / instrument.lot),
            mark=(
                int((order.trigger_price or Decimal(0)) / instrument.tick)
                if role in RESTING
                else reason_of(order)
            ),
        )
        self._settled.pop(slot, None)

    def _next_id(self, sleeve: Sleeve, purpose: str, at: datetime) -> UUID:
        self._sent += 1
        return derived_uuid(
            "order",
            self.code,
            sleeve.strategy,
            sleeve.instrument.symbol,
            purpose,
            at.isoformat(),
            str(self._sent),
        )


def role_of(order: RestingOrder) -> str:
    """The part that a waiting order plays for its slot."""
    if order.kind is Kind.MARKET:
        return EXIT if order.reduces else ENTRY
    return STOP if order.kind is Kind.STOP else TARGET


def ticket_of(order: Order) -> OrderTicket:
    """The stored order as it is sent: all but an entry may only reduce."""
    return OrderTicket(
        client_order_id=order.client_order_id,
        account=order.strategy,
        symbol=order.instrument.symbol,
        side=Side(order.side),
        type=OrderType(order.type),
        quantity=order.quantity,
        reduce_only=order.purpose != ENTRY,
        trigger_price=order.trigger_price,
        leverage=order.leverage,
        is_urgent=order.purpose in URGENT_PURPOSES,
    )


def reason_of(order: Order) -> CloseReason:
    """Why a closing market order was given; by hand where nothing else is said."""
    for reason in CloseReason:
        if order.reason == reason.code:
            return reason
    by_purpose = {purpose: reason for reason, purpose in EXIT_PURPOSE.items()}
    return by_purpose.get(order.purpose, CloseReason.MANUAL)


def _signature(wants: Wants) -> object:
    held, leaving = wants.held, wants.leaving
    return (
        None if held is None else (held.side, held.lots, held.stop_ticks, held.target_ticks),
        None if leaving is None else (leaving.lots, leaving.close_reason),
        wants.entry is None,
    )
