"""Implementation shortfall: what trading cost against deciding (Perold 1988).

Signs: costs are positive.  All parts are in money; ``share`` divides by the order's value at the
decision price.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from magnetfund.kernel.errors import InvalidInput


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutedOrder:
    """One order.  ``side`` is 1 for a purchase and -1 for a sale; sizes in units of the asset.

    ``decision_price`` stood when it was decided, ``arrival_price`` when it reached the market,
    ``closing_price`` when it was given up or complete.  ``execution_price`` is the fills' average.
    """

    side: int
    size: float
    filled: float
    decision_price: float
    arrival_price: float
    execution_price: float
    closing_price: float
    fees: float = 0.0

    def __post_init__(self) -> None:
        if self.side not in (1, -1):
            raise InvalidInput("the side is 1 or -1", code="bad_side")
        prices = (
            self.decision_price,
            self.arrival_price,
            self.execution_price,
            self.closing_price,
        )
        if not all(math.isfinite(price) and price > 0 for price in prices):
            raise InvalidInput("prices must be positive", code="not_positive")
        if not (0 < self.size < math.inf and 0 <= self.filled <= self.size):
            raise InvalidInput("fills lie between 0 and the order", code="bad_size")
        if not math.isfinite(self.fees):
            raise InvalidInput("the fees are not finite", code="not_finite")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortfall:
    """``total`` is the paper portfolio's gain less the real one's."""

    delay: float
    impact: float
    opportunity: float
    fees: float
    value_at_decision: float

    @property
    def total(self) -> float:
        """Delay + impact + opportunity + fees."""
        return self.delay + self.impact + self.opportunity + self.fees

    @property
    def share(self) -> float:
        """Total over the order's value at the decision price."""
        return self.total / self.value_at_decision


def compute_shortfall(*, order: ExecutedOrder) -> Shortfall:
    """Split the shortfall: delay to arrival, impact to execution, opportunity of the unfilled."""
    filled, open_size = order.side * order.filled, order.side * (order.size - order.filled)
    return Shortfall(
        delay=filled * (order.arrival_price - order.decision_price),
        impact=filled * (order.execution_price - order.arrival_price),
        opportunity=open_size * (order.closing_price - order.decision_price),
        fees=order.fees,
        value_at_decision=order.size * order.decision_price,
    )
