"""What a distribution pays each holder, and the marks that it lowers.

A distribution of ``d`` per unit lowers the next price by ``d``; every high-water mark falls by the
same, so that no fee is taken twice or forgiven (fund-accounting rule: "on a cash distribution of d
per unit, lower each h by d").  Reinvested money buys units at the price after it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from investors.domain.exact import ZERO, exactly, positive, round_to_total
from magnetfund.kernel.errors import InvalidInput
from magnetfund.kernel.money import Rounding, quantize


@dataclass(frozen=True, slots=True, kw_only=True)
class Allotment:
    """``total`` money for all holders, in whole cash steps; ``shares`` by holder add to it.

    ``per_unit`` is what each mark falls by.  Holders whose share rounds to nothing are left out.
    """

    per_unit: Decimal
    total: Decimal
    shares: Mapping[str, Decimal]


@exactly
def allot_distribution(
    *,
    units: Mapping[str, Decimal],
    per_unit: Decimal | None = None,
    amount: Decimal | None = None,
    price_quantum: Decimal,
    cash_quantum: Decimal,
) -> Allotment:
    """Allot a distribution by units: given per unit, or as a total ``amount`` of money.

    ``units`` by holder, in the order in which equal remainders take the last cash steps.  The money
    is split once, by largest remainder.  Raises ``InvalidInput``: ``measure``, ``not_positive``,
    ``too_fine``, ``no_units``, ``amount_too_small`` (nothing per unit, or no cash step in all).
    """
    issued = sum(units.values(), ZERO)
    if (per_unit is None) == (amount is None):
        raise InvalidInput("give an amount per unit or one in all", code="measure")
    if issued <= 0:
        raise InvalidInput("nobody held units at this NAV", code="no_units")
    if per_unit is not None:
        each = _measured(per_unit, price_quantum, "amount per unit")
        total = quantize(each * issued, cash_quantum, Rounding.DOWN)
    else:
        assert amount is not None
        total = _measured(amount, cash_quantum, "amount")
        each = quantize(total / issued, price_quantum, Rounding.DOWN)
    if total <= 0 or each <= 0:
        raise InvalidInput("this is less than the smallest step", code="amount_too_small")
    parts = round_to_total(
        [total * held / issued for held in units.values()], quantum=cash_quantum, total=total
    )
    shares = {name: part for name, part in zip(units, parts, strict=True) if part}
    return Allotment(per_unit=each, total=total, shares=shares)


def _measured(value: Decimal, quantum: Decimal, name: str) -> Decimal:
    number = positive(value, name=name)
    if quantize(number, quantum) != number:
        raise InvalidInput(f"the {name} must be a multiple of {quantum:f}", code="too_fine")
    return number


@exactly
def lower_mark(*, mark: Decimal, net_value: Decimal, per_unit: Decimal) -> Decimal:
    """The mark of a lot after a distribution.

    Raises ``InvalidInput``: ``over_value`` where the lot's net value per unit does not cover it,
    ``over_mark`` where no positive mark would be left.
    """
    if per_unit >= net_value:
        raise InvalidInput("a distribution takes less than a unit is worth", code="over_value")
    if per_unit >= mark:
        raise InvalidInput("a lot's high-water mark would not stay positive", code="over_mark")
    return mark - per_unit
