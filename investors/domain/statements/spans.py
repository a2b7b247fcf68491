"""Gain and returns of one holding over a stretch of its life.

Values stand before the dealing of their day; what a dealing day moves belongs to the stretch that
begins there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from investors.domain.exact import ZERO, exactly
from investors.domain.performance import (
    ReturnFigure,
    ValuedFlow,
    compound_rate,
    compute_money_gain,
    compute_mwr,
    compute_twr,
)
from investors.domain.performance.figures import DAYS_PER_YEAR, Flow


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldingPoint:
    """A holding at one strike: value before its dealing, and money that then came in (positive)
    or went out."""

    day: date
    value: Decimal
    flow: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Money gained, and both returns of the stretch; a return is ``None`` where none is defined.

    Under a year neither is annualised; from a year on ``mwr`` is a yearly rate, and ``twr`` stays
    that of the whole stretch.
    """

    start: date
    end: date
    opening: Decimal
    flows: Decimal
    gain: Decimal
    twr: Decimal | None
    mwr: Decimal | None

    @property
    def is_yearly(self) -> bool:
        """Whether the money-weighted return is a yearly rate."""
        return (self.end - self.start).days >= DAYS_PER_YEAR


def flows_of_points(points: Sequence[HoldingPoint]) -> list[ValuedFlow]:
    """The flows of the points, each with the value before it."""
    return [
        ValuedFlow(point.day.toordinal(), point.value, point.flow) for point in points if point.flow
    ]


@exactly
def measure_span(points: Sequence[HoldingPoint], *, end: date, closing: Decimal) -> Span:
    """The stretch from the first point to ``end``.

    A holding that came later begins with its first money; one that went to nothing ends with what
    it was worth then.
    """
    held = list(points)
    while held and not held[0].value and not held[0].flow:
        held.pop(0)
    flows = flows_of_points(held)
    opening = held[0].value if held else ZERO
    start = held[0].day if held else end
    gain = compute_money_gain(
        opening_value=opening,
        closing_value=closing,
        flows=[Flow(flow.day, flow.amount) for flow in flows],
    )
    last, value, inside = end, closing, flows
    if not closing and flows and flows[-1].value_before + flows[-1].amount <= 0:
        last, value = date.fromordinal(flows[-1].day), flows[-1].value_before
        inside = flows[:-1]
    twr = mwr = None
    if last > start:
        twr = compute_twr(
            opening_value=opening, closing_value=value, flows=inside, start=start, end=last
        ).value
        mwr = _rate(
            compute_mwr(
                opening_value=opening,
                closing_value=value,
                flows=[Flow(flow.day, flow.amount) for flow in inside],
                start=start,
                end=last,
            ),
            days=(last - start).days,
        )
    return Span(
        start=start,
        end=last,
        opening=opening,
        flows=sum((flow.amount for flow in flows), ZERO),
        gain=gain,
        twr=twr,
        mwr=mwr,
    )


def _rate(found: ReturnFigure, *, days: int) -> Decimal | None:
    if found.value is None or found.value <= -1 or days >= DAYS_PER_YEAR:
        return found.value
    return compound_rate(annual_rate=found.value, days=days)
