"""What the trader asks of an entry that another process had checked, before it sends it.

The check was made in the web's role, beside other entries that nobody had sent yet, and perhaps
under limits that have changed since.  Here it is asked again of the book as the trader holds it.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from magnetfund.kernel.money import decimal_from_float, round_to_step
from risk.domain.pretrade import Control, check_order
from risk.domain.pretrade.check import SIZE_CONTROLS
from trading.models import Order
from trading.services.book.trading_book import TradingBook
from trading.services.orders import request_of
from trading.services.snapshots import build_snapshot

#: What equity and price may have moved since the check, as a share of the size: an entry of the
#: largest size allowed is not refused for a tick.
MOVED_SHARE = Decimal("0.02")
ASKED = SIZE_CONTROLS | {Control.LEVERAGE, Control.BOOK_LEVERAGE, Control.PROTECTIVE_STOP}


def find_refusals(paper: TradingBook, order: Order, *, at: datetime) -> tuple[str, ...]:
    """The codes of the limits that stand against sending an entry now; empty where none does."""
    instrument = order.instrument
    price = paper.marks().get(instrument.symbol)
    if price is None:
        return (Control.STALE_PRICE.value,)
    snapshot = build_snapshot(
        book=paper.code,
        instrument=instrument,
        strategy=order.strategy,
        equity=decimal_from_float(paper.book.equity),
        marks=paper.marks(),
        reference=price,
        at=at,
        limits=paper.limits,
        is_before_sending=True,
    )
    quantity = round_to_step(order.quantity * (1 - MOVED_SHARE), instrument.lot)
    asked = replace(request_of(order), quantity=max(quantity, instrument.lot))
    verdict = check_order(order=asked, book=snapshot, limits=paper.limits, now=at)
    return tuple(item.control.value for item in verdict.denials if item.control in ASKED)
