"""Crystallisation and redemption under equalisation.

A fee that became final has left the price, so marks move to the new price; a lot that owed nothing
keeps its own mark in money, spread over the units that it has now.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

from investors.domain.equalisation.types import (
    ClassCrystallisation,
    ClassValue,
    EqualisedClass,
    EqualisedLot,
    EqualisedRedemption,
    LotCrystallisation,
    LotEqualisation,
)
from investors.domain.equalisation.value import CASH_QUANTUM, UNIT_QUANTUM, value_class
from investors.domain.exact import ZERO, Number, exactly, positive, total_of
from investors.domain.fees import ClassTerms, choose_clock
from magnetfund.kernel.errors import InvalidInput
from magnetfund.kernel.money import Rounding, quantize


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

    Units change by u (credit - contingent) / n; a deposit pays the contingent fee first, and what
    is left of it returns once the lot stands at or above the class's mark.  Unit changes and
    payables round down, so the manager never gains by rounding.
    """
    value = value_class(terms=terms, equalised=equalised, gross=gross, day=day)
    fee_taken = value.fee_per_unit > 0
    mark = value.price if fee_taken else equalised.mark
    lots: list[EqualisedLot] = []
    found: list[LotCrystallisation] = []
    for lot, each in zip(equalised.lots, value.lots, strict=True):
        after, event = _crystallise_lot(
            terms, value, lot, each, day, mark, unit_quantum, cash_quantum
        )
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
    class_mark: Decimal,
    unit_quantum: Decimal,
    cash_quantum: Decimal,
) -> tuple[EqualisedLot | None, LotCrystallisation]:
    contingent = lot.units * each.contingent
    from_deposit = quantize(min(lot.deposit, contingent), cash_quantum, Rounding.DOWN)
    owed_to_lot = lot.units * each.credit - contingent + from_deposit
    change = quantize(owed_to_lot / value.price, unit_quantum, Rounding.FLOOR)
    units = lot.units + change
    payable = quantize(lot.units * each.fee_per_unit, cash_quantum, Rounding.DOWN)
    fee_taken = each.fee_per_unit > 0
    mark = lot.mark
    if fee_taken:
        mark = value.price
    elif change and units > 0:
        mark = lot.mark * lot.units / units
    left = lot.deposit - from_deposit
    returned = left if units <= 0 or mark >= class_mark else ZERO
    event = LotCrystallisation(
        lot=lot.lot,
        units_change=change,
        fee_per_unit=each.fee_per_unit,
        payable=payable,
        from_deposit=from_deposit,
        deposit_returned=returned,
        residue=lot.units * value.gross - (payable - from_deposit) - units * value.price,
    )
    if units <= 0:
        return None, event
    clock = choose_clock(terms=terms, clock=lot.clock, day=day, fee_taken=fee_taken)
    return replace(lot, units=units, mark=mark, clock=clock, deposit=left - returned), event


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
    """Redeem units of one lot at the price, with their share of credit, contingent and deposit.

    The lot's own fee on them becomes payable; a deposit's share comes back less what it owed.  The
    gross value of the units that stay does not move.  Raises ``InvalidInput``: ``unknown_lot``,
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
    share = own.deposit
    if wanted < own.units:
        share = quantize(own.deposit * wanted / own.units, cash_quantum, Rounding.DOWN)
    payout = quantize(
        wanted * (value.gross - each.fee_per_unit) + share, cash_quantum, Rounding.DOWN
    )
    payable = quantize(wanted * each.fee_per_unit, cash_quantum, Rounding.DOWN)
    if wanted < own.units:
        held[lot] = replace(own, units=own.units - wanted, deposit=own.deposit - share)
    else:
        del held[lot]
    return EqualisedRedemption(
        equalised=replace(equalised, lots=tuple(held.values())),
        units=wanted,
        price=value.price,
        credit_paid=wanted * each.credit,
        withheld=wanted * each.contingent,
        deposit_released=share,
        payout=payout,
        payable=payable,
        residue=wanted * value.gross + share - payout - payable,
    )
