"""The orders of the paper book: sent, acknowledged, resting, resized and found again.

One collaborator of :class:`trading.services.paper_book.PaperBook`; it remembers which order stands
behind each slot's entry, exit and protection.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from decimal import Decimal

from magnetfund.core.actors import Actor
from magnetfund.kernel.errors import InvariantBroken
from magnetfund.kernel.identifiers import derived_uuid
from trading.domain.engine import book as pure
from trading.domain.orders import FINAL_STATES, OrderAcknowledged, OrderState
from trading.models import Instrument, Order
from trading.services.orders import (
    NewOrder,
    cancel_order,
    claim_for_sending,
    commit_intent,
    record_events,
)
from trading.services.sleeves import Sleeve

EXIT_PURPOSE = {
    pure.CloseReason.SIGNAL: "exit",
    pure.CloseReason.TIME: "exit",
    pure.CloseReason.FUSE: "fuse",
    pure.CloseReason.FUSE_CUT: "cut",
    pure.CloseReason.MANUAL: "manual",
    pure.CloseReason.LIQUIDATION: "exit",
}


class OrderDesk:
    """Orders of one book, by slot."""

    def __init__(self, *, code: str, sleeves: Sequence[Sleeve], actor: Actor) -> None:
        self.code = code
        self.actor = actor
        self.entries: dict[int, Order] = {}
        self.exits: dict[int, Order] = {}
        self.protection: dict[int, dict[str, Order]] = {}
        self.sequence = 0
        self.sent = 0
        self._sleeves = tuple(sleeves)

    def next_number(self) -> int:
        """A number that no other order or fill of this book has."""
        self.sequence += 1
        return self.sequence

    def send(
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
        number = self.next_number()
        order_id = derived_uuid(
            "order",
            self.code,
            sleeve.strategy,
            sleeve.instrument.symbol,
            purpose,
            at.isoformat(),
            str(number),
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
                quantity=quantity_of(sleeve.instrument, lots),
                reference_price=reference,
                trigger_price=trigger,
                reason=reason,
            ),
            actor=self.actor,
            at=at,
        )
        self.sent += 1
        sent = self.acknowledge(order, at)
        if sent is None:
            raise InvariantBroken(f"a reducing order was refused: {order.id}")
        return sent

    def acknowledge(self, order: Order, at: datetime) -> Order | None:
        """Second and third commit; the paper venue acknowledges at once."""
        sending = claim_for_sending(order, at=at)
        if sending is None:
            return None
        return record_events(
            sending, OrderAcknowledged(at=at, venue_order_id=f"p-{sending.id.hex[:24]}")
        )

    def exit_order(
        self, fill: pure.Fill, sleeve: Sleeve, reason: pure.CloseReason, at: datetime
    ) -> Order:
        """The order that this fill executes; a forced exit gets its order now."""
        if reason in (pure.CloseReason.STOP, pure.CloseReason.TARGET):
            resting = self.protection[fill.slot].pop(reason.code)
            if resting.quantity == quantity_of(sleeve.instrument, fill.lots):
                return resting
            cancel_order(resting, reason="resized", at=at)
            return self.send(
                sleeve,
                purpose=resting.purpose,
                side=fill.side,
                kind=resting.type,
                lots=fill.lots,
                reference=resting.reference_price,
                at=at,
                trigger=resting.trigger_price,
            )
        waiting = self.exits.pop(fill.slot, None)
        if waiting is not None:
            if waiting.quantity == quantity_of(sleeve.instrument, fill.lots):
                return waiting
            cancel_order(waiting, reason="replaced", at=at)
        return self.send(
            sleeve,
            purpose=EXIT_PURPOSE.get(reason, "exit"),
            side=fill.side,
            kind="market",
            lots=fill.lots,
            reference=price_of(sleeve.instrument, fill.price_ticks),
            at=at,
            reason=reason.code,
        )

    def replace_exit(self, slot: int, at: datetime) -> None:
        """Cancel a closing order that a newer decision for the slot supersedes."""
        waiting = self.exits.pop(slot, None)
        if waiting is not None:
            cancel_order(waiting, reason="replaced", at=at)

    def protect(self, slot: int, sleeve: Sleeve, entry: Order, lots: int, at: datetime) -> None:
        """Rest the stop, and the target where there is one, at the venue."""
        away = -1 if entry.side == "buy" else 1
        resting: dict[str, Order] = {}
        for name, kind, price in (
            ("stop", "stop", entry.stop_price),
            ("target", "take_profit", entry.target_price),
        ):
            if price is not None:
                resting[name] = self.send(
                    sleeve,
                    purpose=name,
                    side=away,
                    kind=kind,
                    lots=lots,
                    reference=entry.reference_price,
                    at=at,
                    trigger=price,
                )
        self.protection[slot] = resting

    def drop_protection(self, slot: int, at: datetime) -> None:
        for order in self.protection.pop(slot, {}).values():
            cancel_order(order, reason="position_closed", at=at)
        waiting = self.exits.pop(slot, None)
        if waiting is not None:
            cancel_order(waiting, reason="position_closed", at=at)

    def resize_protection(
        self, slot: int, sleeve: Sleeve, held: pure.Position, at: datetime
    ) -> None:
        """After a cut, rest protection for what is left: the smaller one first, then cancel."""
        for name, order in list(self.protection.get(slot, {}).items()):
            self.protection[slot][name] = self.send(
                sleeve,
                purpose=name,
                side=-held.side,
                kind=order.type,
                lots=held.lots,
                reference=order.reference_price,
                at=at,
                trigger=order.trigger_price,
            )
            cancel_order(order, reason="resized", at=at)

    def settle_orphans(self, waiting: Collection[int], at: datetime) -> None:
        """Cancel market orders of slots for which the venue remembers none waiting.

        A crash between an acknowledgement and the venue's memory leaves such an order; the venue
        wins.  ``waiting`` are the slots with an order in its memory.
        """
        for orders in (self.entries, self.exits):
            for slot in [slot for slot in orders if slot not in waiting]:
                cancel_order(orders.pop(slot), reason="the venue does not have it", at=at)

    def rearrange(self, sleeves: Sequence[Sleeve]) -> None:
        """Take other slots; the orders behind them are found again."""
        self._sleeves = tuple(sleeves)
        self.entries, self.exits, self.protection = {}, {}, {}
        self.find_again()

    def find_again(self) -> None:
        """Find the orders that rest at the venue again after a restart."""
        by_key = {
            (sleeve.strategy, sleeve.instrument.pk): slot
            for slot, sleeve in enumerate(self._sleeves)
        }
        rows = Order.objects.filter(book=self.code).exclude(state__in=FINAL_STATES)
        for order in rows.select_related("instrument").order_by("occurred_at"):
            slot = by_key.get((order.strategy, order.instrument_id))
            if slot is None or order.state not in (OrderState.ACKED, OrderState.PARTIALLY_FILLED):
                continue
            if order.purpose == "entry":
                self.entries[slot] = order
            elif order.purpose in ("stop", "target"):
                self.protection.setdefault(slot, {})[order.purpose] = order
            else:
                self.exits[slot] = order


def price_of(instrument: Instrument, ticks: int) -> Decimal:
    """The exact price of whole ticks."""
    return Decimal(ticks * instrument.tick)


def quantity_of(instrument: Instrument, lots: int) -> Decimal:
    """The exact quantity of whole lots."""
    return Decimal(lots * instrument.lot)
