"""A strike in the fixed order: net assets, management fee, GAV, performance fee, NAV.

1. net assets, after expenses, in whole cents go to the classes: each keeps where the last dealing
   left it and takes its part of what the fund earned since, by its NAV after that dealing.  Cents
   are allocated by largest remainder, ties by class code, so the classes add to the fund exactly;
   what is finer than a cent stays in the books until the next strike.  A class worth nothing takes
   no part, and one worth less than two cents is priced by its unrounded part, without a fee;
2. management fee per class on that same NAV, posted as the change of the rounded cumulative;
3. g = GAV / units, rounded half even to the price step: what everybody deals at;
4. performance fee per lot over its own mark, its sum rounded to cash;
5. NAV = GAV - fee; n = g - pf per lot, and the values of the lots in cents;
6. claims to be set apart: each class's part by GAV, and the units that leave its lots.

A class without units has no price; its next unit is issued at its launch price.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from investors.domain.exact import exactly, round_to_total
from investors.domain.fees import compute_accrued_fee, compute_management_fee, compute_posting
from investors.domain.strike.merges import bring_back
from investors.domain.strike.pockets import set_apart
from investors.domain.strike.types import (
    ClassInput,
    ClassStrike,
    LotInput,
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

    Raises :class:`InvalidInput`: ``nav_not_positive`` where a class with units would be worth
    nothing or less (such a fund is never priced), ``money_without_units`` where money
    is there but no class has units (it is a liability first), ``no_weights`` where no class has a
    value to share by, ``strike_order``, and what :func:`set_apart` and
    :func:`bring_back` raise.
    """
    if inputs.previous_day is not None and inputs.day < inputs.previous_day:
        raise InvalidInput("a strike lies after the one before it", code="strike_order")
    quantum = inputs.classes[0].terms.cash_quantum
    net = quantize(inputs.net_assets, quantum)
    expenses = quantize(inputs.expenses, quantum)
    currency = quantize(inputs.currency_result, quantum)
    costs = _share_expenses(inputs.classes, expenses, quantum)
    classes = tuple(
        _strike_class(
            item, part, previous=inputs.previous_day, day=inputs.day, expenses=costs[item.code]
        )
        for item, part in zip(inputs.classes, _share(inputs.classes, net, quantum), strict=True)
    )
    classes = set_apart(classes, inputs.classes, inputs.pockets)
    classes = bring_back(classes, inputs.classes, inputs.merges, day=inputs.day)
    fees = sum((item.management_fee for item in classes), ZERO)
    performance = sum((item.performance_fee for item in classes), ZERO)
    nav = sum((item.nav for item in classes), ZERO)
    opening = quantize(sum((item.gav_before for item in inputs.classes), ZERO), quantum)
    return Strike(
        day=inputs.day,
        net_assets=net,
        carried=inputs.net_assets - net,
        nav=nav,
        classes=classes,
        waterfall=(
            ("opening net assets, before performance fee", opening),
            ("trading result for the period", net - opening + expenses - currency),
            *([("currency result of stablecoins", currency)] if currency else []),
            *([("expenses", -expenses)] if expenses else []),
            ("net assets before fees", net),
            ("management fee", -fees),
            ("NAV before performance fee", net - fees),
            ("accrued performance fee (not crystallised)", -performance),
            ("net asset value", nav),
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _ClassPart:
    """GAV0 of a class in whole quanta, and the same unrounded."""

    gav0: Decimal
    exact: Decimal


def _share(classes: Sequence[ClassInput], net: Decimal, quantum: Decimal) -> tuple[_ClassPart, ...]:
    """What each class has of ``net``; the rounded parts add to it."""
    if not any(item.units > 0 for item in classes):
        if net:
            raise InvalidInput(
                f"{net} stand in the books while no class has units: they are a liability",
                code="money_without_units",
            )
        return tuple(_ClassPart(gav0=ZERO, exact=ZERO) for _ in classes)
    weights = {item.code: item.nav_before for item in classes if _takes_part(item)}
    if not weights:
        # Units worth less than the cents of their accrued fee are all that is left.
        weights = {item.code: item.gav_before for item in classes if item.units > 0}
    total = sum(weights.values(), ZERO)
    if total <= 0:
        raise InvalidInput("no class has a value to share by", code="no_weights")
    before = {
        item.code: item.gav_before if item.code in weights else quantize(item.gav_before, quantum)
        for item in classes
    }
    result = net - sum(before.values(), ZERO)
    codes = sorted(weights)
    exact = {item.code: item.gav_before for item in classes}
    exact.update({code: before[code] + result * weights[code] / total for code in codes})
    parts = round_to_total(
        [exact[code] for code in codes],
        quantum=quantum,
        total=net - sum((before[code] for code in before if code not in weights), ZERO),
    )
    before.update(zip(codes, parts, strict=True))
    return tuple(_ClassPart(gav0=before[item.code], exact=exact[item.code]) for item in classes)


def _share_expenses(
    classes: Sequence[ClassInput], expenses: Decimal, quantum: Decimal
) -> dict[str, Decimal]:
    """What each class bears of the period's expenses: its part by NAV, as of every result."""
    bearing = sorted((item for item in classes if _takes_part(item)), key=lambda item: item.code)
    total = sum((item.nav_before for item in bearing), ZERO)
    costs = dict.fromkeys((item.code for item in classes), ZERO)
    if expenses and total > 0:
        parts = [expenses * item.nav_before / total for item in bearing]
        shared = round_to_total(parts, quantum=quantum, total=expenses)
        costs.update(zip((item.code for item in bearing), shared, strict=True))
    return costs


def _takes_part(item: ClassInput) -> bool:
    return item.units > 0 and item.nav_before > 0


def _strike_class(
    item: ClassInput, part: _ClassPart, *, previous: date | None, day: date, expenses: Decimal
) -> ClassStrike:
    terms, units, gav0 = item.terms, item.units, part.gav0
    accrued = ZERO
    if units > 0 and previous is not None:
        accrued = compute_management_fee(terms=terms, base=item.nav_before, start=previous, end=day)
    fee, cumulative = compute_posting(
        cumulative_before=item.fee_cumulative, accrued=accrued, quantum=terms.cash_quantum
    )
    # Whoever leaves a millionth of a unit in a class must not stop the NAV of all others: what is
    # worth less than two cents is priced by its unrounded part, and no fee is taken of it.
    is_dust = units > 0 and ZERO < part.exact < 2 * terms.cash_quantum
    if is_dust:
        fee, cumulative = ZERO, item.fee_cumulative
    gav = gav0 - fee
    if units == 0:
        return _strike_empty(item, cumulative, gav)
    unrounded = (part.exact if is_dust else gav) / units
    price = quantize(unrounded, terms.price_quantum)
    if price <= 0:
        raise InvalidInput(
            f"class {item.code} has no positive value: no price is set and nothing is dealt; "
            "a controller and a director suspend dealing",
            code="nav_not_positive",
        )
    # Lots of one dealing day share mark and clock, hence the fee.
    fees = {
        (mark, clock): compute_accrued_fee(
            terms=terms, price=price, mark=mark, clock=clock, day=day
        )
        for mark, clock in dict.fromkeys((lot.mark, lot.clock) for lot in item.lots)
    }
    lots = tuple(_strike_lot(lot, price, fees[lot.mark, lot.clock]) for lot in item.lots)
    owed = sum((lot.units * lot.fee_per_unit for lot in lots), ZERO)
    accrual = quantize(owed, terms.cash_quantum)
    nav = gav - accrual
    return ClassStrike(
        code=item.code,
        units=units,
        gav0=gav0,
        expenses=expenses,
        management_fee=fee,
        fee_cumulative=cumulative,
        gav=gav,
        price=price,
        price_unrounded=unrounded,
        issue_price=price,
        performance_fee=accrual,
        accrual_change=accrual - item.accrual_before,
        nav=nav,
        nav_per_unit=quantize(nav / units, terms.price_quantum),
        residue=gav - price * units,
        lots=lots,
        lot_values=round_to_total([lot.net_value for lot in lots], quantum=terms.cash_quantum),
    )


def _strike_empty(item: ClassInput, cumulative: Decimal, gav: Decimal) -> ClassStrike:
    return ClassStrike(
        code=item.code,
        units=ZERO,
        gav0=gav,
        expenses=ZERO,
        management_fee=ZERO,
        fee_cumulative=cumulative,
        gav=gav,
        price=None,
        price_unrounded=None,
        issue_price=item.launch_price,
        performance_fee=ZERO,
        accrual_change=-item.accrual_before,
        nav=gav,
        nav_per_unit=None,
        residue=gav,
        lots=(),
        lot_values=(),
    )


def _strike_lot(lot: LotInput, price: Decimal, fee: Decimal) -> LotStrike:
    return LotStrike(
        lot=lot.lot,
        number=lot.number,
        units=lot.units,
        mark=lot.mark,
        fee_per_unit=fee,
        net_per_unit=price - fee,
    )
