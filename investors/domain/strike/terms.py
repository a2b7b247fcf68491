"""Fee and rounding terms of a share class, and the fee per unit that they mean."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum

from investors.domain.exact import coerce_decimals, exactly
from magnetfund.kernel.errors import InvalidInput

ZERO = Decimal(0)


class Hurdle(StrEnum):
    """How the hurdle return bounds the performance fee."""

    NONE = "none"
    HARD = "hard"  # a fee on what exceeds the hurdle
    SOFT_CATCH_UP = "soft_catch_up"  # a fee on everything once the hurdle is passed, continuous


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassTerms:
    """Rates are fractions a year, quanta are the smallest steps of price, units and cash.

    Management fee: NAV after the previous dealing x rate x calendar days / 365 (Act/365 fixed).
    Performance fee: per lot over its high-water mark; the hurdle grows simply from the lot's
    clock.  ``fiscal_month`` is the month whose first dealing day crystallises the year.
    """

    management_rate: Decimal = ZERO
    performance_rate: Decimal = ZERO
    hurdle: Hurdle = Hurdle.NONE
    hurdle_rate: Decimal = ZERO
    entry_fee_rate: Decimal = ZERO
    exit_fee_rate: Decimal = ZERO
    gate_share: Decimal = Decimal(1)
    price_quantum: Decimal = Decimal("0.000001")
    unit_quantum: Decimal = Decimal("0.000001")
    cash_quantum: Decimal = Decimal("0.01")
    fiscal_month: int = 1

    def __post_init__(self) -> None:
        coerce_decimals(
            self,
            "management_rate",
            "performance_rate",
            "hurdle_rate",
            "entry_fee_rate",
            "exit_fee_rate",
            "gate_share",
            "price_quantum",
            "unit_quantum",
            "cash_quantum",
        )
        for name in ("management_rate", "performance_rate", "entry_fee_rate", "exit_fee_rate"):
            if not 0 <= getattr(self, name) < 1:
                raise InvalidInput(f"{name} must lie in [0, 1)", code="rate_out_of_range")
        if not 0 < self.gate_share <= 1 or not 1 <= self.fiscal_month <= 12:
            raise InvalidInput("a gate is a share, a month 1 to 12", code="bad_terms")


@exactly
def performance_fee_per_unit(
    *, terms: ClassTerms, price: Decimal, mark: Decimal, clock: date, day: date
) -> Decimal:
    """``pf`` of a lot at the gross price ``g``: 0 up to its mark, never negative, unrounded.

    hard: p max(0, g - h(1+H)); soft with catch-up: max(0, min(p(g-h), g - h(1+H))); H is simple,
    r days / 365 from the lot's clock.
    """
    if price <= mark:
        return ZERO
    threshold = mark
    if terms.hurdle is not Hurdle.NONE:
        days = max(0, (day - clock).days)
        threshold = mark * (1 + terms.hurdle_rate * days / 365)
    if terms.hurdle is Hurdle.SOFT_CATCH_UP:
        return max(ZERO, min(terms.performance_rate * (price - mark), price - threshold))
    return terms.performance_rate * max(ZERO, price - threshold)
