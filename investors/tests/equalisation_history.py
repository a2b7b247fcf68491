"""A class played by equalisation: entries at gross value, fees that leave the price, credits given
back as units, contingent redemptions, redemptions.

The fund deals by marks per lot and does none of this; the tests play whole histories by it and hold
marks per lot against it.  The figures of its steps come from published examples.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from investors.domain.equalisation import (
    ClassValue,
    EqualisedClass,
    EqualisedLot,
    LotEqualisation,
    value_class,
)
from investors.domain.exact import Number, exactly, positive, total_of
from investors.domain.fees import ClassTerms, choose_clock
from magnetfund.kernel.errors import InvalidInput
from magnetfund.kernel.money import Rounding, quantize

UNIT_QUANTUM = Decimal("0.000001")
CASH_QUANTUM = Decimal("0.01")


@dataclass(frozen=True, slots=True, kw_only=True)
class EqualisedSubscription:
    """``to_units + credit + residue`` is the amount paid.

    ``to_units`` is units x price and ``credit`` units x (g - price); both enter the fund.
    """

    equalised: EqualisedClass
    lot: EqualisedLot
    to_units: Decimal
    credit: Decimal
    residue: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class LotCrystallisation:
    """One lot at crystallisation.  ``units_change`` is positive for a credit returned as units.

    ``payable`` is the manager's cash from this lot, ``residue`` what rounding leaves the fund.
    """

    lot: str
    units_change: Decimal
    fee_per_unit: Decimal
    payable: Decimal
    residue: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassCrystallisation:
    """The class after its fees became final; ``price`` is the new gross value of a unit."""

    equalised: EqualisedClass
    price: Decimal
    payable: Decimal
    residue: Decimal
    lots: tuple[LotCrystallisation, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EqualisedRedemption:
    """Units that left at the price, with their share of credit paid and of contingent withheld.

    ``payout + payable + residue`` is the gross value of the units.
    """

    equalised: EqualisedClass
    units: Decimal
    price: Decimal
    credit_paid: Decimal
    withheld: Decimal
    payout: Decimal
    payable: Decimal
    residue: Decimal


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
    unit_quantum: Decimal = UNIT_QUANTUM,
) -> EqualisedSubscription:
    """Sell units at gross value: the price buys the unit, the class's accrued fee the credit.

    Units round down.  Raises ``InvalidInput``: ``amount_too_small``, ``duplicate_lot``.
    """
    g, paid = positive(gross, name="gross"), positive(amount, name="amount")
    before = value_class(terms=terms, equalised=equalised, gross=g, day=day)
    units = quantize(paid / g, unit_quantum, Rounding.DOWN)
    if units <= 0:
        raise InvalidInput("the amount is too small for one unit step", code="amount_too_small")
    bought = EqualisedLot(lot=lot, holder=holder, units=units, mark=g, clock=day)
    return EqualisedSubscription(
        equalised=replace(equalised, lots=(*equalised.lots, bought)),
        lot=bought,
        to_units=units * before.price,
        credit=units * before.fee_per_unit,
        residue=paid - units * g,
    )


@exactly
def crystallise_class(
    *,
    terms: ClassTerms,
    equalised: EqualisedClass,
    gross: Number,
    day: date,
    unit_quantum: Decimal = UNIT_QUANTUM,
    cash_quantum: Decimal = CASH_QUANTUM,
) -> ClassCrystallisation:
    """Make all fees final: the price falls to n, credits come back as units, contingent units go.

    Units change by u (credit - contingent) / n.  Unit changes and payables round down, so the
    manager never gains by rounding.
    """
    value = value_class(terms=terms, equalised=equalised, gross=gross, day=day)
    fee_taken = value.fee_per_unit > 0
    mark = value.price if fee_taken else equalised.mark
    lots: list[EqualisedLot] = []
    found: list[LotCrystallisation] = []
    for lot, each in zip(equalised.lots, value.lots, strict=True):
        after, event = _crystallise_lot(terms, value, lot, each, day, unit_quantum, cash_quantum)
        found.append(event)
        if after is not None:
            lots.append(after)
    clock = choose_clock(terms=terms, clock=equalised.clock, day=day, fee_taken=fee_taken)
    return ClassCrystallisation(
        equalised=EqualisedClass(mark=mark, clock=clock, lots=tuple(lots)),
        price=value.price,
        payable=total_of(event.payable for event in found),
        residue=total_of(event.residue for event in found),
        lots=tuple(found),
    )


def _crystallise_lot(
    terms: ClassTerms,
    value: ClassValue,
    lot: EqualisedLot,
    each: LotEqualisation,
    day: date,
    unit_quantum: Decimal,
    cash_quantum: Decimal,
) -> tuple[EqualisedLot | None, LotCrystallisation]:
    owed_to_lot = lot.units * (each.credit - each.contingent)
    change = quantize(owed_to_lot / value.price, unit_quantum, Rounding.FLOOR)
    units = lot.units + change
    payable = quantize(lot.units * each.fee_per_unit, cash_quantum, Rounding.DOWN)
    fee_taken = each.fee_per_unit > 0
    mark = lot.mark
    if fee_taken:
        mark = value.price
    elif change and units > 0:
        mark = lot.mark * lot.units / units
    event = LotCrystallisation(
        lot=lot.lot,
        units_change=change,
        fee_per_unit=each.fee_per_unit,
        payable=payable,
        residue=lot.units * value.gross - payable - units * value.price,
    )
    if units <= 0:
        return None, event
    clock = choose_clock(terms=terms, clock=lot.clock, day=day, fee_taken=fee_taken)
    return replace(lot, units=units, mark=mark, clock=clock), event


@exactly
def redeem_equalised(
    *,
    terms: ClassTerms,
    equalised: EqualisedClass,
    gross: Number,
    day: date,
    lot: str,
    units: Number,
    cash_quantum: Decimal = CASH_QUANTUM,
) -> EqualisedRedemption:
    """Redeem units of one lot at the price, with their share of credit and contingent.

    The lot's own fee on them becomes payable.  The gross value of the units that stay does not
    move.  Raises ``InvalidInput``: ``unknown_lot``,
    ``not_enough_units``, ``not_positive``.
    """
    wanted = positive(units, name="units")
    value = value_class(terms=terms, equalised=equalised, gross=gross, day=day)
    held = {item.lot: item for item in equalised.lots}
    if lot not in held:
        raise InvalidInput(f"no lot {lot}", code="unknown_lot")
    own = held[lot]
    if wanted > own.units:
        raise InvalidInput("more units than are held", code="not_enough_units")
    each = next(item for item in value.lots if item.lot == lot)
    payout = quantize(wanted * (value.gross - each.fee_per_unit), cash_quantum, Rounding.DOWN)
    payable = quantize(wanted * each.fee_per_unit, cash_quantum, Rounding.DOWN)
    if wanted < own.units:
        held[lot] = replace(own, units=own.units - wanted)
    else:
        del held[lot]
    return EqualisedRedemption(
        equalised=replace(equalised, lots=tuple(held.values())),
        units=wanted,
        price=value.price,
        credit_paid=wanted * each.credit,
        withheld=wanted * each.contingent,
        payout=payout,
        payable=payable,
        residue=wanted * value.gross - payout - payable,
    )
