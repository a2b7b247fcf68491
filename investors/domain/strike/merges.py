"""Side pockets that come back: the pocket units of each lot become main units at a strike's price.

It is a realisation in units.  The performance fee of each lot's terms is taken over the pocket
lot's own mark, as it would be of cash; what is left buys units at the price.  A lot that paid a
fee begins anew at the price and the day; one below its mark keeps its distance to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from investors.domain.exact import ZERO, exactly, positive
from investors.domain.fees import ClassTerms, compute_accrued_fee
from investors.domain.strike.types import (
    ClassInput,
    ClassMerge,
    ClassStrike,
    MergeInput,
    PocketLot,
)
from magnetfund.kernel.errors import InvalidInput
from magnetfund.kernel.money import Rounding, quantize

#: The fee a unit is rounded as a strike keeps it, so that no division decides about a cent.
FEE_QUANTUM = Decimal("1e-12")


@dataclass(frozen=True, slots=True, kw_only=True)
class PocketMerge:
    """Main units for the pocket units of one lot, with their mark and hurdle clock.

    ``price`` is that of a pocket unit.  ``consideration`` is what the units cost in cents;
    ``fee + consideration + residue`` is the lot's value, and the residue stays with the fund.
    """

    pocket: PocketLot
    price: Decimal
    fee: Decimal
    units: Decimal
    consideration: Decimal
    residue: Decimal
    mark: Decimal
    clock: date


@exactly
def merge_side_pocket(
    *,
    lots: Sequence[PocketLot],
    terms: Mapping[str, ClassTerms],
    prices: Mapping[str, Decimal],
    day: date,
) -> tuple[PocketMerge, ...]:
    """Merge all lots of a pocket back at the main price of each class.

    Main units are (value - fee) / main price, rounded down to steps.  The fee is that of the
    lot's terms, over its mark and with its hurdle to ``day``, in whole cents down and never above
    the value.  Where one is due the mark becomes the main price and the clock begins on ``day``;
    elsewhere the mark is m g / w, rounded up to the price step, with the main price g and the
    pocket unit's price w, so that the same fee is owed at the same gain; the clock runs on.
    Raises :class:`InvalidInput` (``pocket_empty``) where nothing is carried.
    """
    weight = sum((lot.units * lot.price for lot in lots), ZERO)
    worth = sum((lot.value for lot in lots), ZERO)
    if weight <= 0 or worth <= 0:
        raise InvalidInput("this side pocket has no value to merge", code="pocket_empty")
    return tuple(
        _merge(
            lot,
            terms[lot.share_class],
            prices[lot.share_class],
            worth=worth,
            weight=weight,
            day=day,
        )
        for lot in lots
    )


def _merge(
    lot: PocketLot,
    terms: ClassTerms,
    main: Decimal,
    *,
    worth: Decimal,
    weight: Decimal,
    day: date,
) -> PocketMerge:
    outer, price = positive(main, name="main_price"), lot.price * worth / weight
    accrued = compute_accrued_fee(
        terms=terms, price=price, mark=lot.mark, clock=lot.clock, day=max(day, lot.clock)
    )
    a_unit = quantize(accrued, FEE_QUANTUM)
    fee = min(lot.value, quantize(lot.units * a_unit, terms.cash_quantum, Rounding.DOWN))
    net = lot.value - fee
    units = quantize(net / outer, terms.unit_quantum, Rounding.DOWN)
    consideration = min(net, quantize(units * outer, terms.cash_quantum))
    # Divided last, as a price that no decimal can hold would add a step.
    kept = quantize(
        lot.mark * outer * weight / (lot.price * worth), terms.price_quantum, Rounding.UP
    )
    return PocketMerge(
        pocket=lot,
        price=price,
        fee=fee,
        units=units,
        consideration=consideration,
        residue=net - consideration,
        mark=outer if a_unit > 0 else kept,
        clock=day if a_unit > 0 else lot.clock,
    )


@exactly
def bring_back(
    classes: Sequence[ClassStrike],
    inputs: Sequence[ClassInput],
    merges: Sequence[MergeInput],
    *,
    day: date,
) -> tuple[ClassStrike, ...]:
    """The struck classes with what each pocket brings them when the strike is dealt.

    Raises what :func:`merge_side_pocket` raises.
    """
    if not merges:
        return tuple(classes)
    terms = {item.code: item.terms for item in inputs}
    prices = {item.code: item.issue_price for item in classes}
    found: dict[str, list[ClassMerge]] = {item.code: [] for item in classes}
    for merge in merges:
        parts = merge_side_pocket(lots=merge.lots, terms=terms, prices=prices, day=day)
        for code in dict.fromkeys(part.pocket.share_class for part in parts):
            own = [part for part in parts if part.pocket.share_class == code]
            found[code].append(
                ClassMerge(
                    pocket=merge.pocket,
                    value=sum((part.pocket.value for part in own), ZERO),
                    fee=sum((part.fee for part in own), ZERO),
                    units=sum((part.units for part in own), ZERO),
                )
            )
    return tuple(replace(item, merges=tuple(found[item.code])) for item in classes)
