"""The port through which orders execute: what a venue takes, and what it says happened.

We decide and send; the venue executes and answers.  An answer speaks of what the venue has already
committed: after it, no crash of ours or of the venue's makes it untrue.  Executions are learnt by
their running numbers, so whoever lost sight asks again from the last number that it booked.

Quantities and prices are Decimals in units of the instrument, times UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from magnetfund.kernel.errors import InvalidInput
from risk.domain.pretrade import OrderType, Side
from trading.domain.orders import OrderNotFound, VenueReported


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderTicket:
    """An order as it is sent.

    ``account`` is the sleeve whose position it changes.  A ``reduce_only`` order never turns that
    position round.  ``is_urgent`` takes any price.  Raises :class:`InvalidInput` for a trigger
    that does not fit the type; no order is sent with a limit.
    """

    client_order_id: str
    account: str
    symbol: str
    side: Side
    type: OrderType
    quantity: Decimal
    reduce_only: bool
    trigger_price: Decimal | None = None
    leverage: float = 1.0
    is_urgent: bool = False

    def __post_init__(self) -> None:
        if self.type is OrderType.LIMIT:
            raise InvalidInput("no order is sent with a limit", code="bad_order_price")
        if (self.trigger_price is None) != (self.type is OrderType.MARKET):
            raise InvalidInput("the trigger does not fit the order type", code="bad_order_price")


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueFill:
    """An execution; ``client_order_id`` is empty where the venue closed by itself (liquidation).

    ``fee`` paid is positive.  ``is_gapped``: the price had jumped the level of the order.
    """

    number: int
    trade_id: str
    client_order_id: str
    account: str
    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal
    fee: Decimal
    occurred_at: datetime
    is_gapped: bool = False
    liquidity: str = "taker"


@dataclass(frozen=True, slots=True, kw_only=True)
class FundingCharge:
    """Funding of one position at one stamp: ``amount`` received is positive, paid negative."""

    number: int
    account: str
    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal
    rate: float
    amount: Decimal
    occurred_at: datetime


VenueEvent = VenueFill | FundingCharge


@dataclass(frozen=True, slots=True, kw_only=True)
class VenuePosition:
    """What an account holds of an instrument; bought is positive."""

    account: str
    symbol: str
    quantity: Decimal
    entry_price: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueBalance:
    """Cash of one currency, before the value of open positions."""

    currency: str
    cash: Decimal


class ExecutionVenue(Protocol):
    """Where orders of one book execute."""

    def submit(self, ticket: OrderTicket, *, at: datetime) -> VenueReported:
        """Take an order: open, or rejected with its reason.

        The same client id sent again is not another order; the answer is that of the first.
        Raises :class:`Unavailable` where the outcome is unknown: ask by :meth:`query`.
        """
        ...

    def cancel(self, client_order_id: str, *, at: datetime) -> VenueReported | OrderNotFound:
        """Withdraw what is left of an order; the answer says what became of it."""
        ...

    def query(self, client_order_id: str, *, at: datetime) -> VenueReported | OrderNotFound:
        """What became of an order."""
        ...

    def open_orders(self, *, at: datetime) -> Mapping[str, VenueReported]:
        """What waits, by client id."""
        ...

    def events(self, *, since: int) -> tuple[VenueEvent, ...]:
        """Everything that happened with a number above ``since``, in order."""
        ...

    def fills(self, *, since: int) -> tuple[VenueFill, ...]:
        """The executions among the events."""
        ...

    def positions(self) -> tuple[VenuePosition, ...]:
        """What is held, flat accounts left out."""
        ...

    def balances(self) -> tuple[VenueBalance, ...]:
        """Cash by currency."""
        ...
