"""An order with everything that its future moves depend on, and the states that it can be in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal, localcontext
from enum import StrEnum
from uuid import UUID

from magnetfund.kernel.errors import InvalidInput
from magnetfund.kernel.identifiers import client_order_id
from magnetfund.kernel.money import CONTEXT, decimal_of
from risk.domain.pretrade import OrderType, Side
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An order and everything that its future moves depend on.

    ``limit_price`` belongs to limit orders, ``trigger_price`` to stops and take-profits.
    ``reported_filled`` and ``reported_final`` hold what the venue said of an order whose fills have
    not all arrived.  ``misses`` are the counted times at which a query found nothing.
    ``is_contradicted`` is set when a fill came after the venue, or we, had ended the order without
    it: a reconciliation break.
    """

    id: UUID
    client_order_id: str
    venue: str
    symbol: str
    side: Side
    type: OrderType
    quantity: Decimal
    created_at: datetime
    limit_price: Decimal | None = None
    trigger_price: Decimal | None = None
    reduce_only: bool = False
    expires_at: datetime | None = None
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
        has_limit, has_trigger = self.limit_price is not None, self.trigger_price is not None
        wanted = {
            OrderType.MARKET: (False, False),
            OrderType.LIMIT: (True, False),
            OrderType.STOP: (False, True),
            OrderType.TAKE_PROFIT: (False, True),
        }[self.type]
        if (has_limit, has_trigger) != wanted:
            raise InvalidInput("the prices do not fit the order type", code="bad_order_price")
        for price in (self.limit_price, self.trigger_price):
            if price is not None and decimal_of(price) <= 0:
                raise InvalidInput("a price must be positive", code="price_not_positive")

    @property
    def open_quantity(self) -> Decimal:
        """What may still execute; zero once final."""
        return ZERO if self.state in FINAL_STATES else self.quantity - self.filled_quantity

    @property
    def average_price(self) -> Decimal | None:
        """Mean price of the fills, None before the first."""
        if not self.filled_quantity:
            return None
        with localcontext(CONTEXT):
            return self.filled_value / self.filled_quantity


def build_order(
    *,
    id: UUID,
    venue: str,
    symbol: str,
    side: Side,
    type: OrderType,
    quantity: Decimal,
    created_at: datetime,
    limit_price: Decimal | None = None,
    trigger_price: Decimal | None = None,
    reduce_only: bool = False,
    expires_at: datetime | None = None,
) -> Order:
    """An intent with its deterministic client order id (a pure function of id and venue)."""
    return Order(
        id=id,
        client_order_id=client_order_id(id, venue),
        venue=venue,
        symbol=symbol,
        side=side,
        type=type,
        quantity=quantity,
        created_at=created_at,
        limit_price=limit_price,
        trigger_price=trigger_price,
        reduce_only=reduce_only,
        expires_at=expires_at,
    )
