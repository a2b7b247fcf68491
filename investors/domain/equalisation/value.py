"""The one price of a class and the corrections of its lots."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from investors.domain.equalisation.types import (
    ClassValue,
    EqualisedClass,
    EqualisedLot,
    LotEqualisation,
)
from investors.domain.exact import ZERO, Number, exactly, positive, total_of
from investors.domain.fees import ClassTerms, compute_accrued_fee


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
        net_value=lot.units * (gross - own),
    )
