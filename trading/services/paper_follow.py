"""What the paper book takes over from outside: a stop, a re-arming, orders by hand, money.

The trader calls :func:`follow` before each price, so what a person committed in the database acts
at the next price and not later.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import replace
from datetime import datetime

from magnetfund.kernel.clock import to_milliseconds
from risk.services.fuse import state_of
from trading.domain.engine import book as pure
from trading.domain.engine.storage import rearm_book, trip_book
from trading.domain.orders import OrderState, OrderTooOld
from trading.models import Order
from trading.services.orders import cancel_order, record_events
from trading.services.paper_book import PaperBook
from trading.services.paper_orders import price_of


def follow(paper: PaperBook, *, at: datetime) -> bool:
    """Apply all pending intents and transfers; returns whether the book changed."""
    changed = paper.apply_flows() > 0
    changed |= follow_fuse(paper, at=at)
    changed |= take_waiting_orders(paper, at=at)
    return changed


def follow_fuse(paper: PaperBook, *, at: datetime) -> bool:
    """Bring the book's fuse to the state in force; a stop leaves an exit order for every slot."""
    state = state_of(paper.code)
    tripped = paper.book.fuse.tripped_by
    if state == "ARMED" and tripped:
        paper.book = rearm_book(book=paper.book)
        return True
    if state == "ARMED" or tripped:
        return False
    _drop_entries(paper, at)
    paper.book = trip_book(book=paper.book)
    for intent in paper.book.pending:
        if intent.slot not in paper.orders.exits:
            sleeve = paper.sleeves[intent.slot]
            paper.orders.exits[intent.slot] = paper.orders.send(
                sleeve,
                purpose="fuse",
                side=intent.side,
                kind="market",
                lots=intent.lots,
                reference=price_of(
                    sleeve.instrument,
                    paper.book.marks[paper.rules.slots[intent.slot].instrument],
                ),
                at=at,
                reason="fuse",
            )
    return True


def close_slots(paper: PaperBook, slots: Collection[int], *, at: datetime) -> bool:
    """Order the exit of every slot that leaves the book and still holds; entries are withdrawn."""
    changed = False
    for slot in sorted(slots):
        waiting = [intent for intent in paper.book.pending if intent.slot == slot]
        entry = paper.orders.entries.pop(slot, None)
        if entry is not None:
            cancel_order(entry, reason="the slot leaves the book", at=at)
            paper.book = replace(
                paper.book,
                pending=tuple(i for i in paper.book.pending if i.reduces or i.slot != slot),
            )
            changed = True
        held = paper.book.positions[slot]
        if held is None or any(intent.reduces for intent in waiting):
            continue
        sleeve = paper.sleeves[slot]
        mark = paper.book.marks[paper.rules.slots[slot].instrument]
        order = paper.orders.send(
            sleeve,
            purpose="manual",
            side=-held.side,
            kind="market",
            lots=held.lots,
            reference=price_of(sleeve.instrument, mark),
            at=at,
            reason="the slot leaves the book",
        )
        paper.orders.exits[slot] = order
        intent = _intent(paper, slot, order, at)
        paper.book = replace(paper.book, pending=(*paper.book.pending, intent))
        changed = True
    return changed


def is_flat(paper: PaperBook, slot: int) -> bool:
    """Nothing held and nothing waiting."""
    return paper.book.positions[slot] is None and not any(
        intent.slot == slot for intent in paper.book.pending
    )


def take_waiting_orders(paper: PaperBook, *, at: datetime) -> bool:
    """Send the intents that people or the API committed, oldest first."""
    waiting = (
        Order.objects.filter(book=paper.code, state=OrderState.INTENT)
        .select_related("instrument")
        .order_by("occurred_at", "id")
    )
    taken = False
    for order in waiting:
        taken |= _take(paper, order, at)
    return taken


def _take(paper: PaperBook, order: Order, at: datetime) -> bool:
    slot = _slot_of(paper, order)
    held = paper.book.positions[slot] if slot is not None else None
    waits = slot is not None and any(intent.slot == slot for intent in paper.book.pending)
    barred = slot in paper.closed_slots and not order.reduces
    if slot is None or waits or barred or (held is None) == order.reduces:
        record_events(order, OrderTooOld(at=at, reason="nothing to act on"))
        return True
    sent = paper.orders.acknowledge(order, at)
    if sent is None:
        return True
    intent = _intent(paper, slot, sent, at)
    paper.book = replace(paper.book, pending=(*paper.book.pending, intent))
    if order.reduces:
        paper.orders.exits[slot] = sent
    else:
        paper.orders.entries[slot] = sent
        paper.remember(intent)
    return True


def _intent(paper: PaperBook, slot: int, order: Order, at: datetime) -> pure.OrderIntent:
    instrument = order.instrument
    held = paper.book.positions[slot]
    lots = int(order.quantity / instrument.lot)
    if order.reduces and held is not None:
        lots = min(lots, held.lots)
    return pure.OrderIntent(
        slot=slot,
        decided_at=to_milliseconds(at),
        side=1 if order.side == "buy" else -1,
        lots=lots,
        reduces=order.reduces,
        close_reason=int(pure.CloseReason.MANUAL) if order.reduces else 0,
        stop_ticks=int(order.stop_price / instrument.tick) if order.stop_price else 0,
        target_ticks=int(order.target_price / instrument.tick) if order.target_price else 0,
        decision_ticks=int(order.reference_price / instrument.tick),
        leverage=order.leverage,
        tier=order.tier or 0,
        zone_price=math.nan,
        zone_strength=math.nan,
        equity=paper.book.equity,
        binding=0,
    )


def _slot_of(paper: PaperBook, order: Order) -> int | None:
    for slot, sleeve in enumerate(paper.sleeves):
        if sleeve.strategy == order.strategy and sleeve.instrument.pk == order.instrument_id:
            return slot
    return None


def _drop_entries(paper: PaperBook, at: datetime) -> None:
    for slot, order in list(paper.orders.entries.items()):
        cancel_order(order, reason="the fuse tripped", at=at)
        del paper.orders.entries[slot]
