"""Money that leaves: the states of a payment, who must sign it, and the instruction of the bank."""

from investors.domain.payments.instructions import (
    Debtor,
    Transfer,
    write_pain001,
    write_wallet_instructions,
)
from investors.domain.payments.machine import (
    ACTIVE,
    PaymentKind,
    PaymentState,
    is_director_needed,
    require_move,
)

__all__ = [
    "ACTIVE",
    "Debtor",
    "PaymentKind",
    "PaymentState",
    "Transfer",
    "is_director_needed",
    "require_move",
    "write_pain001",
    "write_wallet_instructions",
]
