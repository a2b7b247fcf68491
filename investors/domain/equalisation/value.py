"""The one price of a class, the corrections of its lots, and what a new subscriber pays."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

from investors.domain.equalisation.types import (
    ClassValue,
    EqualisedClass,
    EqualisedLot,
    EqualisedSubscription,
    LotEqualisation,
)
from investors.domain.exact import ZERO, Number, exactly, positive, total_of
from investors.domain.fees import ClassTerms, compute_accrued_fee
from magnetfund.kernel.errors import InvalidInput
from magnetfund.kernel.money import Rounding, quantize

UNIT_QUANTUM = Decimal("0.000001")
CASH_QUANTUM = Decimal("0.01")


@exactly
def value_class(
    *, terms: ClassTerms, equalised: EqualisedClass, gross: Number, day: date
) -> ClassValue:
    """Price, credits and contingent redemptions at ``gross`` value per unit; nothing is rounded.

    A credit follows the class's fee: it shrinks as the market falls, is nothing at the class's
    mark, and comes back as the market recovers, never above what the subscription brought in.
    """
    g = positive(gross, name="gross")
    fee = compute_accrued_fee(
        terms=terms, price=g, mark=equalised.mark, clock=equalised.clock, day=day
    )
    lots = tuple(_equalise(terms, lot, g, fee, day) for lot in equalised.lots)
    return ClassValue(
        gross=g,
        fee_per_unit=fee,
        price=g - fee,
        accrual=total_of(lot.units * lot.fee_per_unit for lot in lots),
        lots=lots,
    )


def _equalise(
    terms: ClassTerms, lot: EqualisedLot, gross: Decimal, class_fee: Decimal, day: date
) -> LotEqualisation:
    own = compute_accrued_fee(terms=terms, price=gross, mark=lot.mark, clock=lot.clock, day=day)
    return LotEqualisation(
        lot=lot.lot,
        units=lot.units,
        fee_per_unit=own,
        credit=max(ZERO, class_fee - own),
        contingent=max(ZERO, own - class_fee),
        deposit=lot.deposit,
        net_value=lot.units * (gross - own) + lot.deposit,
    )


@exactly
def subscribe_equalised(
    *,
    terms: ClassTerms,
    equalised: EqualisedClass,
    gross: Number,
    day: date,
    lot: str,
    holder: str,
    amount: Number,
    with_deposit: bool = False,
    unit_quantum: Decimal = UNIT_QUANTUM,
    cash_quantum: Decimal = CASH_QUANTUM,
) -> EqualisedSubscription:
    """Sell units at gross value: the price buys the unit, the class's accrued fee the credit.

    With ``with_deposit`` a subscriber below the class's mark also leaves p (h - g) a unit outside
    the fund: the fee on his way up to the mark, which the class's price will not take.  Units round
    down.  Raises ``InvalidInput``: ``amount_too_small``, ``duplicate_lot``.
    """
    g, paid = positive(gross, name="gross"), positive(amount, name="amount")
    before = value_class(terms=terms, equalised=equalised, gross=g, day=day)
    ahead = terms.performance_rate * max(ZERO, equalised.mark - g) if with_deposit else ZERO
    units = quantize(paid / (g + ahead), unit_quantum, Rounding.DOWN)
    if units <= 0:
        raise InvalidInput("the amount is too small for one unit step", code="amount_too_small")
    deposit = quantize(units * ahead, cash_quantum, Rounding.DOWN)
    bought = EqualisedLot(lot=lot, holder=holder, units=units, mark=g, clock=day, deposit=deposit)
    return EqualisedSubscription(
        equalised=replace(equalised, lots=(*equalised.lots, bought)),
        lot=bought,
        to_units=units * before.price,
        credit=units * before.fee_per_unit,
        deposit=deposit,
        residue=paid - units * g - deposit,
    )
