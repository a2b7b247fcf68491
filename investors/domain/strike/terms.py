"""Fee and rounding terms of a share class, and the fee per unit that they mean."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from investors.domain.exact import ZERO, coerce_decimals, exactly, not_negative
from investors.domain.fees import Hurdle, compute_fee_over_mark, compute_simple_hurdle
from magnetfund.kernel.errors import InvalidInput


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
        not_negative(self.hurdle_rate, name="hurdle_rate")
        if not 0 < self.gate_share <= 1 or not 1 <= self.fiscal_month <= 12:
            raise InvalidInput("a gate is a share, a month 1 to 12", code="bad_terms")


@exactly
def performance_fee_per_unit(
    *, terms: ClassTerms, price: Decimal, mark: Decimal, clock: date, day: date
) -> Decimal:
    """``pf`` of a lot at the gross price ``g``: 0 up to its mark, never negative, unrounded.

    The formula is :func:`investors.domain.fees.compute_fee_over_mark`; the hurdle return is simple,
    r days / 365 from the lot's clock, and 0 before the clock starts.
    """
    due = ZERO
    if terms.hurdle is not Hurdle.NONE:
        due = compute_simple_hurdle(rate=terms.hurdle_rate, days=max(0, (day - clock).days))
    return compute_fee_over_mark(
        rate=terms.performance_rate,
        hurdle=terms.hurdle,
        price=price,
        mark=mark,
        hurdle_return=due,
    )
