"""Shadow mode: each order of the book as its venue would be sent it, which it never is.

It is written from the order's stored row, whose figures never change, so it is the same whenever
somebody looks.
"""

from __future__ import annotations

from django.conf import settings

from magnetfund.kernel.errors import InvalidInput
from trading.models import Order
from trading.services.book.desk import ticket_of
from trading.venues.binance_orders import WRITTEN, write_order


def is_shadow() -> bool:
    """Whether this home writes its orders as they would be sent."""
    return bool(settings.TRADING_MODE == "shadow")


def write_shadow(order: Order) -> str:
    """The request in one line, or why there is none; "" outside shadow mode."""
    if not is_shadow():
        return ""
    instrument = order.instrument
    if instrument.venue not in WRITTEN:
        return f"no order is written for {instrument.venue}"
    if order.state == "DENIED":
        return "not written: the pre-trade check denied it"
    try:
        return write_order(ticket_of(order), tick=instrument.tick, lot=instrument.lot).text
    except InvalidInput as error:
        return f"not written: {error.message} ({error.code})"
