"""Going on after a crash from what the venue says, whatever was left half done.

Executions that were not booked are booked, orders of unknown outcome are settled by asking, an
order that waits at the venue without our memory of it is remembered again, an entry that never
arrived is given up, and what rests is brought to what the slots want.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from trading.domain.engine.book import OrderIntent
from trading.models import Order
from trading.services.book.bookings import intent_of
from trading.services.book.desk import ENTRY, EXIT, reason_of
from trading.services.book.trading_book import TradingBook
from trading.services.orders import settle_orders


def recover(book: TradingBook, *, at: datetime) -> list[Order]:
    """Bring book, rows and venue together; returns the orders whose outcome was unknown."""
    book.book_late_events()
    settled = settle_orders(book.code, venue=book.venue, at=at)
    book.desk.find_again()
    book.book = replace(book.book, pending=_find_pending(book))
    book.settle(at=at)
    book.save()
    return settled


def _find_pending(book: TradingBook) -> tuple[OrderIntent, ...]:
    """Exits that were decided or wait at the venue, and entries that wait there."""
    kept = []
    for slot, held in enumerate(book.book.positions):
        decided = {i.reduces: i for i in book.book.pending if i.slot == slot}
        leaving, resting = decided.get(True), book.desk.live(slot, EXIT)
        if held is not None and leaving is None and resting is not None:
            lots = min(held.lots, int(resting.quantity / resting.instrument.lot))
            leaving = replace(
                intent_of(resting, equity=book.book.equity, lots=lots),
                slot=slot,
                close_reason=int(reason_of(resting)),
            )
        if held is not None and leaving is not None:
            kept.append(leaving)
        waiting = book.desk.live(slot, ENTRY)
        if waiting is not None:
            entry = decided.get(False) or intent_of(waiting, equity=book.book.equity)
            kept.append(replace(entry, slot=slot))
    return tuple(kept)
