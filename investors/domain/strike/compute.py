"""A strike in the fixed order: net assets, management fee, GAV, performance fee, NAV.

1. what the fund earned since the last dealing goes to the classes by their NAV after it (the cents
   by largest remainder, so the classes add to the fund exactly);
2. management fee per class on that same NAV, posted as the change of the rounded cumulative;
3. g = GAV / units, rounded half even to the price step: what everybody deals at;
4. performance fee per lot over its own mark, its sum rounded to cash;
5. NAV = GAV - fee; n = g - pf per lot.

A class without units is priced at its last price, or its launch price before its first unit.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from investors.domain.exact import exactly, round_to_total
from investors.domain.strike.terms import performance_fee_per_unit
from investors.domain.strike.types import (
    ClassInput,
    ClassStrike,
    LotStrike,
    Strike,
    StrikeInputs,
)
from magnetfund.kernel.errors import InvalidInput
from magnetfund.kernel.money import quantize

ZERO = Decimal(0)


@exactly
def compute_strike(inputs: StrikeInputs) -> Strike:
    """The strike of a fund.

    Raises :class:`InvalidInput` (``nav_not_positive``) where a class with units would be worth
    nothing or less: such a fund is suspended, never priced, and (``no_weights``) where money is
    there but no class has units.
    """
    earned = _allocate(inputs)
    days = (inputs.day - inputs.previous_day).days if inputs.previous_day is not None else 0
    if days < 0:
        raise InvalidInput("a strike lies after the one before it", code="strike_order")
    classes = tuple(
        _strike_class(item, gain, days=days, day=inputs.day)
        for item, gain in zip(inputs.classes, earned, strict=True)
    )
    fees = sum((item.management_fee for item in classes), ZERO)
    performance = sum((item.performance_fee for item in classes), ZERO)
    nav = sum((item.nav for item in classes), ZERO)
    before = sum((item.gav_before for item in inputs.classes), ZERO)
    return Strike(
        day=inputs.day,
        net_assets=inputs.net_assets,
        nav=nav,
        classes=classes,
        waterfall=(
            ("opening net assets, before performance fee", before),
            ("trading result for the period", inputs.net_assets - before),
            ("net assets before fees", inputs.net_assets),
            ("management fee", -fees),
            ("NAV before performance fee", inputs.net_assets - fees),
            ("accrued performance fee (not crystallised)", -performance),
            ("net asset value", nav),
        ),
    )


def _allocate(inputs: StrikeInputs) -> tuple[Decimal, ...]:
    """Each class's part of what the fund earned since the last dealing, exact in sum."""
    result = inputs.net_assets - sum((item.gav_before for item in inputs.classes), ZERO)
    weights = [item.nav_before if item.units > 0 else ZERO for item in inputs.classes]
    total = sum(weights, ZERO)
    if total <= 0:
        if result != 0 and any(item.units > 0 for item in inputs.classes):
            raise InvalidInput("no class has a value to share by", code="no_weights")
        return tuple(ZERO for _ in inputs.classes)
    quantum = inputs.classes[0].terms.cash_quantum
    exact = quantize(result, quantum)
    parts = list(
        round_to_total([exact * weight / total for weight in weights], quantum=quantum, total=exact)
    )
    # What is finer than a cent stays with the first class that has units.
    first = next(i for i, item in enumerate(inputs.classes) if item.units > 0)
    parts[first] += result - exact
    return tuple(parts)


def _strike_class(item: ClassInput, gain: Decimal, *, days: int, day: date) -> ClassStrike:
    terms, units = item.terms, item.units
    gav0 = item.gav_before + gain
    cumulative = item.fee_cumulative
    if units > 0:
        cumulative += max(ZERO, item.nav_before) * terms.management_rate * days / 365
    fee = quantize(cumulative, terms.cash_quantum) - quantize(
        item.fee_cumulative, terms.cash_quantum
    )
    gav = gav0 - fee
    if units > 0:
        unrounded = gav / units
        price = quantize(unrounded, terms.price_quantum)
        if price <= 0:
            raise InvalidInput(
                f"class {item.code} has no positive value: dealing is suspended and no price "
                f"is set",
                code="nav_not_positive",
            )
    else:
        unrounded = price = item.price_before or item.launch_price
    lots = tuple(
        _strike_lot(item, lot.lot, lot.number, lot.units, lot.mark, lot.clock, price, day)
        for lot in item.lots
    )
    accrual = quantize(
        sum((lot.units * lot.fee_per_unit for lot in lots), ZERO), terms.cash_quantum
    )
    nav = gav - accrual
    return ClassStrike(
        code=item.code,
        units=units,
        gav0=gav0,
        management_fee=fee,
        fee_cumulative=cumulative,
        gav=gav,
        price=price,
        price_unrounded=unrounded,
        performance_fee=accrual,
        accrual_change=accrual - item.accrual_before,
        nav=nav,
        nav_per_unit=quantize(nav / units, terms.price_quantum) if units > 0 else price,
        residue=gav - price * units,
        lots=lots,
    )


def _strike_lot(
    item: ClassInput,
    lot: str,
    number: int,
    units: Decimal,
    mark: Decimal,
    clock: date,
    price: Decimal,
    day: date,
) -> LotStrike:
    fee = performance_fee_per_unit(terms=item.terms, price=price, mark=mark, clock=clock, day=day)
    return LotStrike(
        lot=lot,
        number=number,
        units=units,
        mark=mark,
        fee_per_unit=fee,
        net_per_unit=price - fee,
    )
