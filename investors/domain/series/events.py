"""The life of a series: opened at par, sharing the fund's result, charged, redeemed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from fractions import Fraction

from investors.domain.exact import (
    ZERO,
    Number,
    exactly,
    positive,
    round_to_total,
    total_of,
)
from investors.domain.fees import ClassTerms, choose_clock, compute_accrued_fee
from investors.domain.series.types import (
    Series,
    SeriesCrystallisation,
    SeriesHolding,
    SeriesOpening,
    SeriesOrder,
    SeriesRedemption,
    SeriesValue,
)
from magnetfund.kernel.errors import InvalidInput
from magnetfund.kernel.money import Rounding, decimal_of, quantize

UNIT_QUANTUM = Decimal("0.000001")
CASH_QUANTUM = Decimal("0.01")


@exactly
def open_series(
    *,
    code: str,
    number: int,
    day: date,
    orders: Sequence[SeriesOrder],
    par: Number = 100,
    unit_quantum: Decimal = UNIT_QUANTUM,
) -> SeriesOpening:
    """All subscriptions of one dealing day in a new series: price and mark at ``par``.

    Units round down.  Raises ``InvalidInput``: ``no_orders``, ``amount_too_small``,
    ``duplicate_lot``.
    """
    price = positive(par, name="par")
    if not orders:
        raise InvalidInput("a series opens with a subscription", code="no_orders")
    holdings: list[SeriesHolding] = []
    for order in orders:
        units = quantize(order.amount / price, unit_quantum, Rounding.DOWN)
        if units <= 0:
            raise InvalidInput("the amount is too small for one unit step", code="amount_too_small")
        holdings.append(SeriesHolding(lot=order.lot, holder=order.holder, units=units))
    series = Series(
        code=code,
        number=number,
        opened=day,
        price=price,
        mark=price,
        clock=day,
        holdings=tuple(holdings),
    )
    paid = total_of(order.amount for order in orders)
    return SeriesOpening(series=series, residue=paid - series.units * price)


@exactly
def share_result(
    *, series: Sequence[Series], result: Number, cash_quantum: Decimal = CASH_QUANTUM
) -> tuple[Series, ...]:
    """Move every price by its part of what the fund earned, in proportion to gross value.

    Parts are whole cash steps by largest remainder and add to ``result`` exactly.  Raises
    ``InvalidInput``: ``no_weights`` (no units), ``too_fine`` (``result`` is not a whole number of
    cash steps), ``nav_not_positive`` (a series would be worth nothing).
    """
    values = [Fraction(item.price) * Fraction(item.units) for item in series]
    total, earned = sum(values, Fraction(0)), decimal_of(result)
    if total <= 0:
        raise InvalidInput("no series has a value to share by", code="no_weights")
    parts = round_to_total(
        [Fraction(earned) * value / total for value in values], quantum=cash_quantum, total=earned
    )
    moved: list[Series] = []
    for item, part in zip(series, parts, strict=True):
        price = item.price + part / item.units if part else item.price
        if price <= 0:
            raise InvalidInput(f"series {item.code} is worth nothing", code="nav_not_positive")
        moved.append(replace(item, price=price))
    return tuple(moved)


@exactly
def value_series(*, terms: ClassTerms, series: Series, day: date) -> SeriesValue:
    """Price, accrued fee and net price of one series on ``day``; nothing is rounded."""
    fee = _fee(terms, series, day)
    units = series.units
    return SeriesValue(
        code=series.code,
        units=units,
        price=series.price,
        fee_per_unit=fee,
        net_price=series.price - fee,
        accrual=units * fee,
        net_value=units * (series.price - fee),
    )


@exactly
def crystallise_series(
    *, terms: ClassTerms, series: Series, day: date, cash_quantum: Decimal = CASH_QUANTUM
) -> SeriesCrystallisation:
    """Make the accrued fee final: it leaves the price, and the mark becomes the price after it.

    A series without a fee (under its mark or its hurdle, or owing less than one cash step) keeps
    price and mark.
    """
    fee, units = _fee(terms, series, day), series.units
    payable = quantize(units * fee, cash_quantum, Rounding.DOWN)
    clock = choose_clock(terms=terms, clock=series.clock, day=day, fee_taken=payable > 0)
    after = replace(series, clock=clock)
    if payable > 0:
        price = series.price - payable / units
        after = replace(after, price=price, mark=price)
    return SeriesCrystallisation(series=after, fee_per_unit=fee, payable=payable)


@exactly
def redeem_from_series(
    *,
    terms: ClassTerms,
    series: Series,
    lot: str,
    units: Number,
    day: date,
    cash_quantum: Decimal = CASH_QUANTUM,
) -> SeriesRedemption:
    """Redeem units of one lot at the net price; their fee becomes payable, the rest is unmoved.

    Payout and fee round down; ``residue`` is what that leaves the fund.  Raises ``InvalidInput``:
    ``unknown_lot``, ``not_enough_units``, ``not_positive``.
    """
    wanted = positive(units, name="units")
    held = {holding.lot: holding for holding in series.holdings}
    if lot not in held:
        raise InvalidInput(f"no lot {lot} in series {series.code}", code="unknown_lot")
    if wanted > held[lot].units:
        raise InvalidInput("more units than are held", code="not_enough_units")
    fee = _fee(terms, series, day)
    net = series.price - fee
    payout = quantize(wanted * net, cash_quantum, Rounding.DOWN)
    payable = quantize(wanted * fee, cash_quantum, Rounding.DOWN)
    held[lot] = replace(held[lot], units=held[lot].units - wanted)
    left = tuple(holding for holding in held.values() if holding.units > 0)
    return SeriesRedemption(
        lot=lot,
        units=wanted,
        net_price=net,
        payout=payout,
        payable=payable,
        residue=wanted * series.price - payout - payable,
        series=replace(series, holdings=left) if left else None,
    )


def _fee(terms: ClassTerms, series: Series, day: date) -> Decimal:
    if series.units == ZERO:
        raise InvalidInput(f"series {series.code} has no units", code="no_units")
    return compute_accrued_fee(
        terms=terms, price=series.price, mark=series.mark, clock=series.clock, day=day
    )
