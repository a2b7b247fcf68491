"""Management fee: year fractions, marginal tiers, the floor, and roundings that never drift."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from investors.domain.exact import ZERO, exactly
from investors.domain.fees.terms import ClassTerms, DayCount
from magnetfund.kernel.errors import InvalidInput
from magnetfund.kernel.money import Rounding, decimal_of, quantize


@exactly
def year_fraction(*, start: date, end: date, day_count: DayCount) -> Decimal:
    """Years from ``start`` (exclusive) to ``end`` (inclusive); ``period_reversed`` if end < start.

    30/360 counts each month as 30 days: a 31st becomes the 30th (the end only after a 30th).
    """
    if end < start:
        raise InvalidInput("a period ends after its start", code="period_reversed")
    if day_count is DayCount.ACT_365F:
        return Decimal((end - start).days) / 365
    if day_count is DayCount.ACT_360:
        return Decimal((end - start).days) / 360
    first = min(start.day, 30)
    last = 30 if end.day == 31 and first == 30 else end.day
    days = 360 * (end.year - start.year) + 30 * (end.month - start.month) + last - first
    return Decimal(days) / 360


@exactly
def compute_annual_fee(*, terms: ClassTerms, base: Decimal) -> Decimal:
    """Management fee for a year on ``base`` (money), unrounded; a base below 0 counts as 0."""
    money = max(ZERO, decimal_of(base))
    fee = ZERO
    for index, tier in enumerate(terms.bands):
        top = terms.bands[index + 1].above if index + 1 < len(terms.bands) else money
        fee += max(ZERO, min(money, top) - tier.above) * tier.rate
    return max(fee, terms.management_floor)


@exactly
def compute_management_fee(*, terms: ClassTerms, base: Decimal, start: date, end: date) -> Decimal:
    """Fee of one period on ``base``, normally the NAV after the prior dealing; unrounded money."""
    years = year_fraction(start=start, end=end, day_count=terms.day_count)
    return compute_annual_fee(terms=terms, base=base) * years


@exactly
def compute_posting(
    *, cumulative_before: Decimal, accrued: Decimal, quantum: Decimal
) -> tuple[Decimal, Decimal]:
    """(amount to post, new unrounded cumulative).

    Posts round(cumulative now) - round(cumulative before), so postings always add to the rounded
    total, whatever the number of days.
    """
    before, change = decimal_of(cumulative_before), decimal_of(accrued)
    after = before + change
    posted = quantize(after, quantum, Rounding.HALF_EVEN) - quantize(
        before, quantum, Rounding.HALF_EVEN
    )
    return posted, after
