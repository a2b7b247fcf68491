"""The life of a payment: prepared, approved, released in a file, confirmed by the bank or returned.

Nothing is paid before its confirmation.  A returned payment is over; its money is owed again and
takes a new payment.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

from magnetfund.kernel.errors import Conflict


class PaymentState(StrEnum):
    """Where a payment stands."""

    PREPARED = "prepared"
    APPROVED = "approved"
    RELEASED = "released"
    CONFIRMED = "confirmed"
    RETURNED = "returned"
    CANCELLED = "cancelled"


class PaymentKind(StrEnum):
    """What is paid; each clears one liability."""

    REDEMPTION = "redemption"
    DISTRIBUTION = "distribution"
    COMPENSATION = "compensation"
    REFUND = "refund"
    MANAGEMENT_FEE = "management_fee"
    PERFORMANCE_FEE = "performance_fee"
    EXPENSE = "expense"
    REBATE = "rebate"
    POCKET = "pocket"


_S = PaymentState
#: States in which the money is spoken for.
ACTIVE = (_S.PREPARED, _S.APPROVED, _S.RELEASED)
_NEXT: dict[PaymentState, frozenset[PaymentState]] = {
    _S.PREPARED: frozenset({_S.APPROVED, _S.CANCELLED}),
    _S.APPROVED: frozenset({_S.RELEASED, _S.CANCELLED}),
    _S.RELEASED: frozenset({_S.CONFIRMED, _S.RETURNED}),
    _S.CONFIRMED: frozenset({_S.RETURNED}),
    _S.RETURNED: frozenset(),
    _S.CANCELLED: frozenset(),
}


def require_move(state: str, to: PaymentState) -> None:
    """Raise :class:`Conflict` (``wrong_state``) unless a payment may go from a state to another."""
    if to not in _NEXT[PaymentState(state)]:
        raise Conflict(f"a payment that is {state} cannot be {to}", code="wrong_state")


def is_director_needed(*, amount: Decimal, band: Decimal) -> bool:
    """Whether a director signs too: above the fund's band, in its currency."""
    return amount > band
