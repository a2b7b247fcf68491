"""What a series is worth, and its fee made final."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

from investors.domain.exact import ZERO, exactly
from investors.domain.fees import ClassTerms, choose_clock, compute_accrued_fee
from investors.domain.series.types import Series, SeriesCrystallisation, SeriesValue
from magnetfund.kernel.errors import InvalidInput
from magnetfund.kernel.money import Rounding, quantize

CASH_QUANTUM = Decimal("0.01")


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


def _fee(terms: ClassTerms, series: Series, day: date) -> Decimal:
    if series.units == ZERO:
        raise InvalidInput(f"series {series.code} has no units", code="no_units")
    return compute_accrued_fee(
        terms=terms, price=series.price, mark=series.mark, clock=series.clock, day=day
    )
