"""What a book takes over from outside: a stop, a re-arming, orders by hand, money.

The trader calls :func:`follow` before each price, so what a person committed in the database acts
at the next price and not later.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import datetime

from django.db import connection

from magnetfund.kernel.clock import to_milliseconds
from risk.domain.fuse import Episode, Trigger
from risk.models import FUND_SCOPE
from risk.services.fuse import state_of
from trading.domain.engine.book import CloseReason
from trading.domain.engine.storage import exit_intent, rearm_book, trip_book
from trading.domain.orders import OrderState, OrderTooOld
from trading.models import Order
from trading.services.book.bookings import intent_of
from trading.services.book.recovery import recover
from trading.services.book.second_look import find_refusals
from trading.services.book.trading_book import TradingBook
from trading.services.orders import UNSETTLED, has_unsettled, record_events

#: Asked before each price, in one trip: whether money moved, the fuse's state, whether an order
#: waits or its outcome is unknown.  Only of open orders, which have an index of their own.
NEWS = """
SELECT EXISTS (SELECT FROM trading_bookflow WHERE book = %s AND id > %s), risk_fuse_state(%s, %s),
       EXISTS (SELECT FROM trading_order
               WHERE book = %s AND state = ANY(%s) AND closed_at IS NULL)
"""
WAITING = [str(state) for state in (OrderState.INTENT, *UNSETTLED)]


def follow(paper: TradingBook, *, instant: Callable[[], datetime]) -> bool:
    """Apply all pending intents and transfers; returns whether the book changed.

    An order whose answer was lost is settled first, by asking the venue.  ``instant`` gives each
    part its time; the book stands whole when it is called, so that a trader may step prices in it.
    """
    instant()
    if not _has_news(paper):
        return False
    if not paper.is_history and has_unsettled(paper.code):
        recover(paper, at=instant())
    instant()
    changed = paper.apply_flows() > 0
    changed |= follow_fuse(paper, at=instant())
    changed |= take_waiting_orders(paper, at=instant())
    return changed


def _has_news(paper: TradingBook) -> bool:
    code = paper.code
    with connection.cursor() as cursor:
        cursor.execute(NEWS, [code, paper.flow_id, code, FUND_SCOPE, code, WAITING])
        has_flows, state, has_waiting = cursor.fetchone()
    is_armed = not paper.book.fuse.tripped_by
    return bool(has_flows or has_waiting or (state == "ARMED") != is_armed)


def follow_fuse(paper: TradingBook, *, at: datetime) -> bool:
    """Bring the book's fuse to the state in force; a stop leaves an exit order for every slot."""
    state = state_of(paper.code)
    tripped = paper.book.fuse.tripped_by
    if state == "ARMED" and tripped:
        paper.book = rearm_book(book=paper.book)
        return True
    if state == "ARMED" or tripped:
        return False
    paper.book = trip_book(book=paper.book, slots=paper.rules.slots)
    paper.settle(at=at)
    return True


def continue_episodes(paper: TradingBook) -> None:
    """An instrument that joins while its fuse row says REDUCING goes on reducing here too."""
    episodes = list(paper.book.fuse.episodes)
    for index, instrument in enumerate(paper.instruments):
        is_new = not episodes[index].active and not paper.book.marks[index]
        if is_new and state_of(paper.code, instrument.symbol) == "REDUCING":
            episodes[index] = Episode(active=True, trigger=int(Trigger.VOLATILITY))
    fuse = replace(paper.book.fuse, episodes=tuple(episodes))
    paper.book = replace(paper.book, fuse=fuse)


def close_slots(paper: TradingBook, slots: Collection[int], *, at: datetime) -> bool:
    """Order the exit of every slot that leaves the book and still holds; entries are withdrawn."""
    changed = False
    for slot in sorted(slots):
        kept = tuple(i for i in paper.book.pending if i.reduces or i.slot != slot)
        leaves = any(intent.slot == slot for intent in kept)
        held = paper.book.positions[slot]
        if held is not None and not leaves:
            leaving = exit_intent(
                paper.book,
                slot,
                held,
                CloseReason.MANUAL,
                instrument=paper.rules.slots[slot].instrument,
            )
            kept = (*kept, leaving)
        if kept != paper.book.pending:
            paper.book = replace(paper.book, pending=kept)
            changed = True
    if changed:
        paper.settle(at=at)
    return changed


def is_flat(paper: TradingBook, slot: int) -> bool:
    """Nothing held and nothing waiting."""
    return paper.book.positions[slot] is None and not any(
        intent.slot == slot for intent in paper.book.pending
    )


def held_symbols(paper: TradingBook) -> set[str]:
    """Instruments of which the book holds something or waits for an order."""
    return {
        sleeve.instrument.symbol
        for slot, sleeve in enumerate(paper.sleeves)
        if not is_flat(paper, slot)
    }


def take_waiting_orders(paper: TradingBook, *, at: datetime) -> bool:
    """Send the intents that people or the API committed, oldest first."""
    waiting = (
        Order.objects.filter(book=paper.code, state=OrderState.INTENT, closed_at=None)
        .select_related("instrument")
        .order_by("occurred_at", "id")
    )
    taken = False
    for order in waiting:
        taken |= _take(paper, order, at)
    return taken


def _take(paper: TradingBook, order: Order, at: datetime) -> bool:
    slot = _slot_of(paper, order)
    held = paper.book.positions[slot] if slot is not None else None
    waits = slot is not None and any(intent.slot == slot for intent in paper.book.pending)
    barred = slot in paper.closed_slots and not order.reduces
    if slot is None or waits or barred or (held is None) == order.reduces:
        record_events(order, OrderTooOld(at=at, reason="nothing to act on"))
        return True
    if not order.reduces and (codes := find_refusals(paper, order, at=at)):
        record_events(order, OrderTooOld(at=at, reason=f"not within limits: {', '.join(codes)}"))
        return True
    sent = paper.desk.submit(slot, order, at=at)
    if sent is None:
        return True
    lots = int(sent.quantity / sent.instrument.lot)
    intent = replace(
        intent_of(
            sent,
            equity=paper.book.equity,
            lots=lots if held is None else min(lots, held.lots),
        ),
        slot=slot,
        decided_at=to_milliseconds(at),
        close_reason=int(CloseReason.MANUAL) if order.reduces else 0,
    )
    paper.book = replace(paper.book, pending=(*paper.book.pending, intent))
    return True


def _slot_of(paper: TradingBook, order: Order) -> int | None:
    for slot, sleeve in enumerate(paper.sleeves):
        if sleeve.strategy == order.strategy and sleeve.instrument.pk == order.instrument_id:
            return slot
    return None
