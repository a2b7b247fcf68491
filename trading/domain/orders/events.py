"""What can become known of an order, from us or from its venue."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

ZERO = Decimal(0)


class VenueStatus(StrEnum):
    """What a venue says about an order when asked, or pushes."""

    OPEN = "open"
    FILLED = "filled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderDenied:
    """Our own check refused the intent."""

    at: datetime
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderClaimed:
    """The sender took the intent; from here on it may be at the venue."""

    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderTooOld:
    """The intent was not sent in time: its age, the gate or the book stood against it."""

    at: datetime
    reason: str = "too old"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderAcknowledged:
    """The venue accepted the order."""

    at: datetime
    venue_order_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRejected:
    """The venue definitely refused the order (a listed code, never a timeout)."""

    at: datetime
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeUnseen:
    """Timeout, reset, 5xx, unreadable answer, or a restart while sending."""

    at: datetime
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderFilled:
    """An execution as the venue reported it; ``trade_id`` is unique at the venue."""

    at: datetime
    trade_id: str
    quantity: Decimal
    price: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelRequested:
    """We want a cancel.  The sender sends it whenever the order enters CANCEL_PENDING: at once
    for a live order, and for one in doubt as soon as the venue is known to have it.
    """

    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelRefused:
    """The venue would not cancel (and the order lives on)."""

    at: datetime
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueReported:
    """The venue's answer to a query, or its push: status and how much it has filled in all."""

    at: datetime
    status: VenueStatus
    filled_quantity: Decimal = ZERO
    venue_order_id: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderNotFound:
    """A query found the order neither open, nor in the history, nor among the trades."""

    at: datetime


OrderNews = (
    OrderDenied
    | OrderClaimed
    | OrderTooOld
    | OrderAcknowledged
    | OrderRejected
    | OutcomeUnseen
    | OrderFilled
    | CancelRequested
    | CancelRefused
    | VenueReported
    | OrderNotFound
)
