"""Time-weighted return, modified Dietz, annualisation, benchmark and the monthly table.

Signs: a flow is positive into the investment.  Values are net of all accrued fees unless the
caller labels them gross.  Source of the formulas: GIPS Standards handbook (time-weighted and
modified Dietz return); the guards are the platform's and are stated at each function.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from investors.domain.exact import ONE, ZERO, Number, When, date_of, day_number, exactly
from investors.domain.performance.figures import (
    DAYS_PER_YEAR,
    Flow,
    Method,
    ReturnFigure,
    Undefined,
    ValuedFlow,
    flows_of,
    valued_flows_of,
)
from magnetfund.kernel.errors import InvalidInput
from magnetfund.kernel.money import decimal_of


@exactly
def compute_money_gain(
    *, opening_value: Number, closing_value: Number, flows: Iterable[tuple[When, Number] | Flow]
) -> Decimal:
    """``VT - V0 - sum(F)``, in the currency of the values."""
    paid_in = sum((flow.amount for flow in flows_of(flows)), ZERO)
    return decimal_of(closing_value) - decimal_of(opening_value) - paid_in


@exactly
def compute_twr(
    *,
    opening_value: Number,
    closing_value: Number,
    flows: Iterable[tuple[When, Number, Number] | ValuedFlow] = (),
    start: When | None = None,
    end: When | None = None,
    is_net: bool = True,
) -> ReturnFigure:
    """Time-weighted return of the period: the product of ``V_before / V_after_previous_flow``.

    ``flows`` are ``(when, value_before_the_flow, amount)``.  A sub-period that starts at or below
    zero breaks the chain (not defined), except that an opening value of zero before the first
    money is no period at all.  A value of zero gives -100 % and ends the chain; a value below zero
    is not defined, because an investor's loss is limited to what was paid in.
    """
    steps = valued_flows_of(flows)
    invested = decimal_of(opening_value)
    growth, lost_on = ONE, None
    days = _period_days(start, end, [step.day for step in steps])
    last = ValuedFlow(
        day_number(end) if end is not None else (steps[-1].day if steps else 0),
        decimal_of(closing_value),
        ZERO,
    )
    for position, step in enumerate((*steps, last)):
        if position == 0 and steps and invested == 0 and step.value_before == 0:
            invested = step.amount
            continue
        reason = _broken(invested, step.value_before)
        if reason is not Undefined.NONE:
            return ReturnFigure(
                value=None, method=Method.TWR, days=days, is_net=is_net, reason=reason
            )
        growth *= step.value_before / invested
        if growth == 0:
            lost_on = step.day
            break
        invested = step.value_before + step.amount
    return ReturnFigure(
        value=growth - 1, method=Method.TWR, days=days, is_net=is_net, ended_on=lost_on
    )


def _broken(invested: Decimal, value_before: Decimal) -> Undefined:
    if invested <= 0:
        return Undefined.STARTS_AT_OR_BELOW_ZERO
    return Undefined.VALUE_BELOW_ZERO if value_before < 0 else Undefined.NONE


def _period_days(start: When | None, end: When | None, flow_days: list[int]) -> int | None:
    if start is None or end is None:
        return None
    first, final = day_number(start), day_number(end)
    if final < first:
        raise InvalidInput("the period ends before it starts", code="period_backwards")
    if any(not first <= day <= final for day in flow_days):
        raise InvalidInput("a flow lies outside the period", code="flow_outside_period")
    return final - first


@exactly
def compute_modified_dietz(
    *,
    opening_value: Number,
    closing_value: Number,
    flows: Iterable[tuple[When, Number] | Flow] = (),
    start: When,
    end: When,
    is_net: bool = True,
) -> ReturnFigure:
    """``(VT - V0 - sum F) / (V0 + sum w F)``.

    ``w = (T - t) / T``, with ``t`` the days after ``start`` and ``T`` the days from ``start`` to
    ``end``: a flow arrives at the end of its day.  A denominator at or below zero is not defined; a
    flow outside the period raises ``InvalidInput``.
    """
    first, final = day_number(start), day_number(end)
    if final <= first:
        raise InvalidInput("the period must last at least a day", code="period_backwards")
    parsed = flows_of(flows)
    if any(not first <= flow.day <= final for flow in parsed):
        raise InvalidInput("a flow lies outside the period", code="flow_outside_period")
    length = final - first
    weighted = sum((flow.amount * (final - flow.day) / length for flow in parsed), ZERO)
    paid_in = sum((flow.amount for flow in parsed), ZERO)
    base = decimal_of(opening_value) + weighted
    gain = decimal_of(closing_value) - decimal_of(opening_value) - paid_in
    defined = base > 0
    return ReturnFigure(
        value=gain / base if defined else None,
        method=Method.MODIFIED_DIETZ,
        days=length,
        is_net=is_net,
        reason=Undefined.NONE if defined else Undefined.DENOMINATOR_NOT_POSITIVE,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnualisedReturn:
    """A return over ``days``; ``is_annualised`` is false for periods under one year."""

    value: Decimal
    days: int
    is_annualised: bool


@exactly
def annualise_return(*, total_return: Number, days: int) -> AnnualisedReturn:
    """``(1 + R)^(365/days) - 1`` from one year on; a shorter period is returned as it is.

    ``total_return`` below -1 raises ``InvalidInput``; -1 stays -1.
    """
    value = decimal_of(total_return)
    if days <= 0:
        raise InvalidInput("the period must last at least a day", code="period_backwards")
    if value < -1:
        raise InvalidInput("a return cannot lie below -100 %", code="return_below_minus_one")
    if days < DAYS_PER_YEAR:
        return AnnualisedReturn(value=value, days=days, is_annualised=False)
    yearly = value if value == -1 else (1 + value) ** (Decimal(DAYS_PER_YEAR) / days) - 1
    return AnnualisedReturn(value=yearly, days=days, is_annualised=True)


@exactly
def compound_rate(*, annual_rate: Number, days: int) -> Decimal:
    """The return over ``days`` of a yearly rate: ``(1 + r)^(days/365) - 1``."""
    rate = decimal_of(annual_rate)
    if rate <= -1:
        raise InvalidInput("the rate must lie above -100 %", code="return_below_minus_one")
    return (1 + rate) ** (Decimal(days) / DAYS_PER_YEAR) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkComparison:
    """Excess over a benchmark: ``arithmetic`` is R - B, ``geometric`` is (1+R)/(1+B) - 1."""

    fund: Decimal
    benchmark: Decimal
    arithmetic: Decimal
    geometric: Decimal


@exactly
def compare_with_benchmark(*, fund_return: Number, benchmark_return: Number) -> BenchmarkComparison:
    """Both usual forms of the excess return over the same dates; ``benchmark_return`` > -1."""
    fund, benchmark = decimal_of(fund_return), decimal_of(benchmark_return)
    if benchmark <= -1:
        raise InvalidInput("the benchmark lost everything", code="return_below_minus_one")
    return BenchmarkComparison(
        fund=fund,
        benchmark=benchmark,
        arithmetic=fund - benchmark,
        geometric=(1 + fund) / (1 + benchmark) - 1,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class YearRow:
    """Twelve monthly returns (``None`` where the fund had no value) and the year's return."""

    year: int
    months: tuple[Decimal | None, ...]
    total: Decimal


@exactly
def build_monthly_table(*, values: Iterable[tuple[When, Number]]) -> tuple[YearRow, ...]:
    """Monthly and yearly returns of a unit value path ``(when, net value per unit)``.

    A month's return runs from the last value of an earlier month (or the first value at all, for
    the first month) to its own last value; a month without a value is ``None`` and its move falls
    into the next month that has one.  The months of a year chain to its total exactly.  Values
    must be positive except that a last value of zero is a total loss.
    """
    path = sorted((date_of(when), decimal_of(value)) for when, value in values)
    if not path:
        return ()
    if any(value <= 0 for _, value in path[:-1]) or path[-1][1] < 0:
        raise InvalidInput("a unit value must be positive", code="not_positive")
    last_of_month: dict[tuple[int, int], Decimal] = {}
    for day, value in path:
        last_of_month[(day.year, day.month)] = value
    base = path[0][1]
    if base == 0:
        raise InvalidInput("the first value must be positive", code="not_positive")
    months: dict[int, list[Decimal | None]] = {}
    totals: dict[int, Decimal] = {}
    for (year, month), value in last_of_month.items():
        step = value / base
        months.setdefault(year, [None] * 12)[month - 1] = step - 1
        totals[year] = totals.get(year, ONE) * step
        base = value
    return tuple(
        YearRow(year=year, months=tuple(row), total=totals[year] - 1)
        for year, row in sorted(months.items())
    )
