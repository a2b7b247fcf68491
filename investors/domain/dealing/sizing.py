"""From what an investor asks for to what is dealt: gross and net redemptions.

The dealing engine takes a subscription by gross amount and a redemption by units
(:mod:`investors.domain.strike.dealing`); these functions turn every other wording into those two.
Money is rounded at the cash quantum and units down, so nobody receives more than was asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from investors.domain.exact import (
    ONE,
    ZERO,
    Number,
    exactly,
    fraction_below_one,
    positive,
)
from investors.domain.strike.types import LotInput
from magnetfund.kernel.errors import InvalidInput
from magnetfund.kernel.money import Rounding, quantize


@dataclass(frozen=True, slots=True, kw_only=True)
class LotUnits:
    """Units of one lot."""

    lot: str
    units: Decimal


def order_first_in_first_out(lots: Sequence[LotInput]) -> tuple[LotInput, ...]:
    """By dealing day, then number of issue: the order in which lots are redeemed and moved."""
    return tuple(sorted(lots, key=lambda lot: (lot.dealing_day, lot.number)))


@exactly
def size_gross_redemption(
    *,
    lots: Sequence[LotInput],
    price: Number,
    fees: Mapping[str, Decimal],
    gross: Number,
    unit_quantum: Decimal = Decimal("0.000001"),
) -> tuple[LotUnits, ...]:
    """Units, lot by lot first in first out, that are worth at most ``gross`` at n = g - pf.

    Falls short by less than one unit step at the last lot's value.  Raises ``InvalidInput``
    (``not_enough_value``) when all lots together are worth less.
    """
    g, wanted = positive(price, name="price"), positive(gross, name="gross")
    found: list[LotUnits] = []
    for lot in order_first_in_first_out(lots):
        net = g - fees.get(lot.lot, ZERO)
        if net <= 0:
            raise InvalidInput("a lot has no value to redeem", code="not_positive")
        units = min(lot.units, quantize(wanted / net, unit_quantum, Rounding.DOWN))
        if units > 0:
            found.append(LotUnits(lot=lot.lot, units=units))
            wanted -= units * net
        if units < lot.units:
            return tuple(found)
    if wanted > 0:
        raise InvalidInput("the amount exceeds the value of the holding", code="not_enough_value")
    return tuple(found)


@exactly
def gross_of_net(*, net: Number, exit_fee_rate: Number) -> Decimal:
    """Gross proceeds that leave ``net`` after the exit fee: net / (1 - x), unrounded."""
    return positive(net, name="net") / (
        ONE - fraction_below_one(exit_fee_rate, name="exit_fee_rate")
    )
