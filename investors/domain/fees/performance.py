"""Performance fee per lot over its high-water mark, and its collection by cancelling units.

Signs: a fee is positive and owed to the manager.  ``0 <= pf`` and ``pf = 0`` up to the mark.
"""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from investors.domain.exact import ZERO, exactly, not_negative, positive
from investors.domain.fees.terms import ClassTerms, Hurdle
from magnetfund.kernel.errors import InvalidInput
from magnetfund.kernel.money import Rounding, quantize


@dataclass(frozen=True, slots=True, kw_only=True)
class FeeUnits:
    """What crystallising one lot takes: fee units, the manager's cash, what is left, the new mark.

    ``dust`` is the accrued fee that rounding leaves in the fund's residue; never negative.
    """

    cancelled: Decimal
    payable: Decimal
    units: Decimal
    mark: Decimal
    dust: Decimal


@exactly
def compute_hurdle_return(*, terms: ClassTerms, days: int) -> Decimal:
    """H since the hurdle clock started: r d/365 simple, or (1+r)^(d/365) - 1."""
    if days < 0:
        raise InvalidInput("the hurdle clock starts before today", code="period_reversed")
    if terms.hurdle is Hurdle.NONE:
        return ZERO
    if terms.hurdle_compounds:
        return Decimal((1 + terms.hurdle_rate) ** (Decimal(days) / 365) - 1)
    return compute_simple_hurdle(rate=terms.hurdle_rate, days=days)


@exactly
def compute_simple_hurdle(*, rate: Decimal, days: int) -> Decimal:
    """H = r d/365: the hurdle return of ``days`` at an annual ``rate``, without compounding."""
    return rate * days / 365


def compute_performance_fee(
    *, terms: ClassTerms, price: Decimal, mark: Decimal, hurdle_return: Decimal = ZERO
) -> Decimal:
    """Fee accrued per unit at the gross price ``g`` for a lot with mark ``h``; unrounded."""
    return compute_fee_over_mark(
        rate=terms.performance_rate,
        hurdle=terms.hurdle,
        price=price,
        mark=mark,
        hurdle_return=hurdle_return,
    )


@exactly
def compute_fee_over_mark(
    *, rate: Decimal, hurdle: Hurdle, price: Decimal, mark: Decimal, hurdle_return: Decimal = ZERO
) -> Decimal:
    """The one formula of the performance fee per unit; ``rate`` in [0, 1), result unrounded.

    none p max(0, g-h); hard p max(0, g-h(1+H)); soft tests g (gross) or g-p(g-h) (net) against
    h(1+H); with catch-up max(0, min(p(g-h), g-h(1+H))), which has no jump.
    """
    gross, high = positive(price, name="price"), positive(mark, name="mark")
    if gross <= high:
        return ZERO
    full = rate * (gross - high)
    threshold = high * (1 + not_negative(hurdle_return, name="hurdle_return"))
    match hurdle:
        case Hurdle.NONE:
            return full
        case Hurdle.HARD:
            return rate * max(ZERO, gross - threshold)
        case Hurdle.SOFT_GROSS:
            return full if gross >= threshold else ZERO
        case Hurdle.SOFT_NET:
            return full if gross - full >= threshold else ZERO
        case Hurdle.SOFT_CATCH_UP:
            return max(ZERO, min(full, gross - threshold))


def compute_accrued_fee(
    *, terms: ClassTerms, price: Decimal, mark: Decimal, clock: date, day: date
) -> Decimal:
    """Fee accrued per unit on ``day`` over a mark whose hurdle runs from ``clock``; unrounded.

    Raises ``InvalidInput`` (``period_reversed``) where the clock starts after ``day``.
    """
    due = compute_hurdle_return(terms=terms, days=(day - clock).days)
    return compute_performance_fee(terms=terms, price=price, mark=mark, hurdle_return=due)


def choose_clock(*, terms: ClassTerms, clock: date, day: date, fee_taken: bool) -> date:
    """The hurdle clock after a crystallisation on ``day``: today, or as it was."""
    return day if fee_taken or not terms.hurdle_is_cumulative else clock


@exactly
def crystallise_units(
    *,
    units: Decimal,
    price: Decimal,
    fee_per_unit: Decimal,
    mark: Decimal,
    unit_quantum: Decimal,
    cash_quantum: Decimal,
) -> FeeUnits:
    """Cancel c = floor(u pf / g) units; payable floor(c g); the mark becomes g if a fee was taken.

    The mark is g, not g - pf: the fee left through the unit count, so each remaining unit is worth
    g net.  A lot without a fee keeps its units and its mark.
    """
    held = not_negative(units, name="units")
    gross, fee = positive(price, name="price"), not_negative(fee_per_unit, name="fee_per_unit")
    if fee >= gross:
        raise InvalidInput("a fee stays below the price", code="fee_above_price")
    if fee == 0 or held == 0:
        return FeeUnits(cancelled=ZERO, payable=ZERO, units=held, mark=mark, dust=ZERO)
    owed = held * fee
    cancelled = quantize(owed / gross, unit_quantum, Rounding.DOWN)
    payable = quantize(cancelled * gross, cash_quantum, Rounding.DOWN)
    return FeeUnits(
        cancelled=cancelled,
        payable=payable,
        units=held - cancelled,
        mark=gross,
        dust=owed - payable,
    )


def is_crystallisation_day(*, terms: ClassTerms, day: date) -> bool:
    """Whether ``day`` is the last day of a month in which the class's fee becomes final."""
    last = monthrange(day.year, day.month)[1]
    return day.month in terms.crystallisation_months and day.day == last
