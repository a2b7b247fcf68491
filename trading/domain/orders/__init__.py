"""The life of an order: states, events, and the one function that moves it.

An intent is committed before anything is sent.  What the venue did is learnt from events, in any
order and possibly twice; an outcome that nobody saw is UNKNOWN and is settled by asking, never by
sending again.  A cancel that was sent is not a cancel that happened: fills are taken until the
venue reports a final state, and even after it, because the venue's fills are the truth.

Quantities are positive Decimals in the base unit, the side carries the sign.  Invariants:
``0 <= filled_quantity <= quantity``; a trade id is booked once; an order that was never sent has
no fills; a final state is left only when the venue proves it wrong by a fill.
"""

from trading.domain.orders.events import (
    CancelRefused,
    CancelRequested,
    OrderAcknowledged,
    OrderClaimed,
    OrderDenied,
    OrderFilled,
    OrderNews,
    OrderNotFound,
    OrderRejected,
    OrderTooOld,
    OutcomeUnseen,
    VenueReported,
    VenueStatus,
)
from trading.domain.orders.life import transition
from trading.domain.orders.order import (
    FINAL_STATES,
    IN_DOUBT,
    NEVER_SENT_STATES,
    AbsenceRules,
    OrderLife,
    OrderState,
    Told,
)

__all__ = [
    "FINAL_STATES",
    "IN_DOUBT",
    "NEVER_SENT_STATES",
    "AbsenceRules",
    "CancelRefused",
    "CancelRequested",
    "OrderAcknowledged",
    "OrderClaimed",
    "OrderDenied",
    "OrderFilled",
    "OrderLife",
    "OrderNews",
    "OrderNotFound",
    "OrderRejected",
    "OrderState",
    "OrderTooOld",
    "OutcomeUnseen",
    "Told",
    "VenueReported",
    "VenueStatus",
    "transition",
]
