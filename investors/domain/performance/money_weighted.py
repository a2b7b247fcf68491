"""Net present value and the money-weighted return (XIRR), with its guards.

``NPV(r) = sum CF_i (1 + r)^(-(d_i - d_0)/365)`` on Act/365F from the earliest date, in the
investor's sign: money paid in is negative, money received is positive.  A rate is a root above
-100 %.  With one change of sign there is one root (Descartes' rule of signs, valid for real
exponents); with more, every root in the searched range is found, and only a single one is
reported as the return.  Source of the convention: Microsoft's XIRR.

The search runs in binary floating point on ``x = ln(1 + r)``; amounts never leave this module as
floats.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from investors.domain.exact import Number, When, day_number, exactly
from investors.domain.performance.figures import (
    DAYS_PER_YEAR,
    Flow,
    Method,
    ReturnFigure,
    Undefined,
    flows_of,
)
from magnetfund.kernel.errors import InvalidInput
from magnetfund.kernel.money import decimal_of

#: A root is accepted when |NPV| is below this share of the sum of absolute flows.
ROOT_TOLERANCE = 1e-9
#: Several sign changes: ln(1 + r) is searched between minus and plus this bound.
SCAN_BOUND = 12.0
SCAN_CELLS = 4800
_BRACKET_MAX = 1e7
#: At a turning point a value this small is a touching (double) root, not a near miss.
_TOUCH_TOLERANCE = 1e-13
#: Roots closer than this in ln(1 + r) are one root seen twice.
_SAME_ROOT = 1e-6
_RATE_QUANTUM = Decimal("1e-15")


@exactly
def compute_xirr(*, flows: Iterable[tuple[When, Number] | Flow]) -> ReturnFigure:
    """Money-weighted yearly rate of dated flows in the investor's sign.

    Flows of one day are merged and dates sorted.  Not defined, with the reason: fewer than two
    dates, no change of sign, no root, or several roots (then ``roots`` lists them all).
    """
    parsed = tuple(flow for flow in flows_of(flows) if flow.amount != 0)
    if len(parsed) < 2:
        return _undefined(Undefined.FEWER_THAN_TWO_DATES, None)
    days = parsed[-1].day - parsed[0].day
    changes = _sign_changes(parsed)
    if changes == 0:
        return _undefined(Undefined.NO_SIGN_CHANGE, days)
    curve = _Curve.of(parsed)
    exponents = [_bracketed_root(curve)] if changes == 1 else _scan_roots(curve, days)
    rates = tuple(_rate_of(x) for x in exponents if x is not None)
    if len(rates) > 1:
        return _undefined(Undefined.SEVERAL_ROOTS, days, rates)
    if not rates:
        reason = Undefined.OUT_OF_RANGE if changes == 1 else Undefined.NO_ROOT
        return _undefined(reason, days)
    return ReturnFigure(
        value=rates[0], method=Method.MWR, days=days, is_annualised=True, roots=rates
    )


@exactly
def compute_mwr(
    *,
    opening_value: Number,
    closing_value: Number,
    flows: Iterable[tuple[When, Number] | Flow] = (),
    start: When,
    end: When,
) -> ReturnFigure:
    """Money-weighted return of an investment: the constant yearly rate that gives its end value.

    ``flows`` are positive into the investment.  A closing value of zero after money went in and
    none came out is reported as -100 %, not solved.  The rate is a yearly one also for short
    periods; :func:`compound_rate` turns it into the period's figure.
    """
    first, final = day_number(start), day_number(end)
    if final <= first:
        raise InvalidInput("the period must last at least a day", code="period_backwards")
    inside = flows_of(flows)
    if any(not first <= flow.day <= final for flow in inside):
        raise InvalidInput("a flow lies outside the period", code="flow_outside_period")
    opening, closing = decimal_of(opening_value), decimal_of(closing_value)
    signed = [Flow(first, -opening), *(Flow(flow.day, -flow.amount) for flow in inside)]
    one_way = all(flow.amount <= 0 for flow in signed) and any(flow.amount for flow in signed)
    if closing == 0 and one_way:
        return ReturnFigure(
            value=Decimal(-1), method=Method.MWR, days=final - first, ended_on=final
        )
    return compute_xirr(flows=[*signed, Flow(final, closing)])


def _undefined(
    reason: Undefined, days: int | None, roots: tuple[Decimal, ...] = ()
) -> ReturnFigure:
    return ReturnFigure(value=None, method=Method.MWR, days=days, reason=reason, roots=roots)


def _sign_changes(flows: Sequence[Flow]) -> int:
    signs = [flow.amount > 0 for flow in flows]
    return sum(before != after for before, after in itertools.pairwise(signs))


@dataclass(frozen=True, slots=True)
class _Curve:
    """``sum amount * exp(-x * years)``, scaled by its largest factor so that nothing overflows."""

    years: tuple[float, ...]
    amounts: tuple[float, ...]

    @classmethod
    def of(cls, flows: Sequence[Flow]) -> _Curve:
        scale = max(abs(flow.amount) for flow in flows)
        return cls(
            tuple((flow.day - flows[0].day) / DAYS_PER_YEAR for flow in flows),
            tuple(float(flow.amount / scale) for flow in flows),
        )

    def _factors(self, x: float) -> list[float]:
        exponents = [-x * year for year in self.years]
        largest = max(exponents)
        return [math.exp(exponent - largest) for exponent in exponents]

    def value(self, x: float) -> float:
        return math.fsum(a * f for a, f in zip(self.amounts, self._factors(x), strict=True))

    def slope(self, x: float) -> float:
        """A positive multiple of the derivative: its sign is what counts."""
        factors = self._factors(x)
        return math.fsum(
            -y * a * f for y, a, f in zip(self.years, self.amounts, factors, strict=True)
        )

    def is_root(self, x: float, share_max: float = ROOT_TOLERANCE) -> bool:
        factors = self._factors(x)
        size = math.fsum(abs(a) * f for a, f in zip(self.amounts, factors, strict=True))
        return abs(self.value(x)) < share_max * size


def _bracketed_root(curve: _Curve) -> float | None:
    """The one root: widen a bracket around zero until the sign differs, then close in."""
    reach = 1.0
    while reach <= _BRACKET_MAX:
        if curve.value(-reach) * curve.value(reach) <= 0:
            root = _find_zero(curve.value, -reach, reach)
            return root if curve.is_root(root) else None
        reach *= 2
    return None


def _scan_roots(curve: _Curve, days: int) -> list[float | None]:
    """Every root in the range, turning points included.

    The range is a yearly ``x`` of -12 to 12, or as much over the whole span when that is shorter
    than a year.  Inside a cell whose ends agree in sign, a turning point may hide two roots or a
    touching one; it is located by the sign of the slope.
    """
    bound = SCAN_BOUND * max(1.0, DAYS_PER_YEAR / days)
    knots = [bound * (2 * i / SCAN_CELLS - 1) for i in range(SCAN_CELLS + 1)]
    values = [curve.value(x) for x in knots]
    slopes = [curve.slope(x) for x in knots]
    found = [x for x, value in zip(knots, values, strict=True) if value == 0]
    for i in range(SCAN_CELLS):
        ends = [(knots[i], values[i])]
        if slopes[i] * slopes[i + 1] < 0:
            turn = _find_zero(curve.slope, knots[i], knots[i + 1])
            ends.append((turn, curve.value(turn)))
            if curve.is_root(turn, share_max=_TOUCH_TOLERANCE):
                found.append(turn)
        ends.append((knots[i + 1], values[i + 1]))
        for (left, f_left), (right, f_right) in itertools.pairwise(ends):
            if f_left * f_right < 0:
                found.append(_find_zero(curve.value, left, right))
    distinct: list[float | None] = []
    for x in sorted(found):
        previous = distinct[-1] if distinct else None
        if curve.is_root(x) and (previous is None or x - previous > _SAME_ROOT):
            distinct.append(x)
    return distinct


def _find_zero(function: Callable[[float], float], left: float, right: float) -> float:
    """Zero of a function that changes sign in [left, right].

    Two secant steps for each halving of the bracket: fast where the curve is straight, and never
    slower than a third of plain bisection where it is not.
    """
    f_left, f_right = function(left), function(right)
    if f_left == 0:
        return left
    for step in range(400):
        width = right - left
        if f_right == 0 or width <= 4e-16 * max(1.0, abs(left), abs(right)):
            break
        middle = right - f_right * width / (f_right - f_left) if step % 3 else left + width / 2
        if not left < middle < right:
            middle = left + width / 2
        f_middle = function(middle)
        if f_middle == 0:
            return middle
        if (f_middle < 0) == (f_left < 0):
            left, f_left = middle, f_middle
        else:
            right, f_right = middle, f_middle
    return left if abs(f_left) < abs(f_right) else right


def _rate_of(x: float) -> Decimal:
    rate = Decimal(x).exp() - 1
    rounded = rate.quantize(_RATE_QUANTUM) if abs(rate) < 10**15 else rate
    return rounded if rounded > -1 else rate
