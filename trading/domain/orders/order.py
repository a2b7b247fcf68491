"""What the moves of an order depend on, and the states that it can be in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal, localcontext
from enum import StrEnum

from magnetfund.kernel.errors import InvalidInput
from magnetfund.kernel.money import CONTEXT, decimal_of
from trading.domain.orders.events import ZERO, OrderFilled


class OrderState(StrEnum):
    """State of an order."""

    INTENT = "INTENT"  # committed, not sent
    SENDING = "SENDING"  # claimed by the sender; nothing is known yet
    ACKED = "ACKED"  # the venue has it
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCEL_PENDING = "CANCEL_PENDING"  # a cancel was asked for; it may still fill
    CANCELLED = "CANCELLED"
    REJECTED = "REJECTED"
    UNKNOWN = "UNKNOWN"  # sent, outcome not seen
    ABSENT = "ABSENT"  # proven never to have reached the venue
    EXPIRED = "EXPIRED"
    DENIED = "DENIED"  # refused by our own pre-trade check


FINAL_STATES = frozenset(
    {
        OrderState.FILLED,
        OrderState.CANCELLED,
        OrderState.REJECTED,
        OrderState.ABSENT,
        OrderState.EXPIRED,
        OrderState.DENIED,
    }
)
NEVER_SENT_STATES = frozenset({OrderState.INTENT, OrderState.DENIED})
IN_DOUBT = frozenset({OrderState.SENDING, OrderState.UNKNOWN})


@dataclass(frozen=True, slots=True, kw_only=True)
class AbsenceRules:
    """When "order not found" proves that an order never arrived.

    Only queries later than ``validity_window`` after sending count (until then the request may
    still be accepted); ``queries_min`` of them, ``spacing`` apart, must all find nothing among
    open orders, history and trades.
    """

    validity_window: timedelta = timedelta(seconds=5)
    queries_min: int = 3
    spacing: timedelta = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class Told:
    """What an order's life is read from, of each stored event."""

    kind: str
    to_state: str
    occurred_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderLife:
    """What the future moves of an order depend on; what was ordered stands in its row.

    ``reported_filled`` and ``reported_final`` hold what the venue said of an order whose fills have
    not all arrived.  ``misses`` are the counted times at which a query found nothing.
    ``is_contradicted`` is set when a fill came after the venue, or we, had ended the order without
    it: a reconciliation break.
    """

    quantity: Decimal
    state: OrderState = OrderState.INTENT
    venue_order_id: str = ""
    sent_at: datetime | None = None
    closed_at: datetime | None = None
    filled_quantity: Decimal = ZERO
    filled_value: Decimal = ZERO
    fills: tuple[OrderFilled, ...] = ()
    is_cancel_requested: bool = False
    reported_final: OrderState | None = None
    reported_filled: Decimal = ZERO
    misses: tuple[datetime, ...] = ()
    is_contradicted: bool = False
    reason: str = ""

    def __post_init__(self) -> None:
        if decimal_of(self.quantity) <= 0:
            raise InvalidInput("an order needs a quantity", code="bad_quantity")

    @property
    def average_price(self) -> Decimal | None:
        """Mean price of the fills, None before the first."""
        if not self.filled_quantity:
            return None
        with localcontext(CONTEXT):
            return self.filled_value / self.filled_quantity
