"""Claims that a strike sets apart in side pockets: the same share of every lot of every class.

The share is the claim over the gross value of all classes.  Pocket units round down, so that the
main units keep what is finer than a step, and the price stays where it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from investors.domain.exact import exactly, round_to_total
from investors.domain.strike.types import ClassInput, ClassPocket, ClassStrike, PocketInput
from magnetfund.kernel.errors import InvalidInput
from magnetfund.kernel.money import Rounding, quantize

ZERO = Decimal(0)


@exactly
def count_pocket_units(units: Decimal, *, value: Decimal, gross: Decimal, step: Decimal) -> Decimal:
    """Units of a lot that go with a claim of ``value`` out of classes worth ``gross``, rounded
    down to whole steps.

    Raises :class:`InvalidInput` (``pocket_too_large``) where nothing would be left of the classes.
    """
    _require_smaller(value, gross)
    # Divided last: a share that no decimal can hold would lose a step of a lot that it divides.
    return quantize(units * value / gross, step, Rounding.DOWN)


def _require_smaller(value: Decimal, gross: Decimal) -> None:
    if value <= 0 or value >= gross:
        raise InvalidInput(
            f"a side pocket of {value:,.2f} is not below the {gross:,.2f} that the classes are "
            "worth",
            code="pocket_too_large",
        )


@exactly
def set_apart(
    classes: Sequence[ClassStrike], inputs: Sequence[ClassInput], pockets: Sequence[PocketInput]
) -> tuple[ClassStrike, ...]:
    """The struck classes with what each puts into the pockets, in cents by largest remainder.

    Raises :class:`InvalidInput`: ``pocket_too_large``, and ``pocket_too_small`` where a class's
    part of the money buys no step of units.
    """
    if not pockets:
        return tuple(classes)
    gross = sum((item.gav for item in classes if item.units > 0), ZERO)
    _require_smaller(sum((pocket.value for pocket in pockets), ZERO), gross)
    found: dict[str, list[ClassPocket]] = {item.code: [] for item in classes}
    holding = [(item, given) for item, given in zip(classes, inputs, strict=True) if item.units > 0]
    for pocket in pockets:
        values = round_to_total(
            [pocket.value * item.gav / gross for item, _ in holding],
            quantum=holding[0][1].terms.cash_quantum,
            total=pocket.value,
        )
        for (item, given), value in zip(holding, values, strict=True):
            if value:
                found[item.code].append(_class_part(item, given, pocket, gross, value))
    return tuple(replace(item, pockets=tuple(found[item.code])) for item in classes)


def _class_part(
    item: ClassStrike, given: ClassInput, pocket: PocketInput, gross: Decimal, value: Decimal
) -> ClassPocket:
    step = given.terms.unit_quantum
    taken = [
        count_pocket_units(lot.units, value=pocket.value, gross=gross, step=step)
        for lot in item.lots
    ]
    units = sum(taken, ZERO)
    if not units:
        raise InvalidInput(
            f"class {item.code} would put {value:,.2f} into {pocket.pocket} and no step of units",
            code="pocket_too_small",
        )
    owed = sum((part * lot.fee_per_unit for part, lot in zip(taken, item.lots, strict=True)), ZERO)
    released = quantize(owed, given.terms.cash_quantum, Rounding.DOWN)
    return ClassPocket(
        pocket=pocket.pocket,
        value=value,
        units=units,
        fee_released=min(released, item.performance_fee),
    )
