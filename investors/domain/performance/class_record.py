"""The record of a class net of every fee: one unit bought at the first price, never touched since.

Prices per unit are before the performance fee and differ between holders; this is the one series
that a reader can compare.  At each strike the unit is worth g less its own accrued fee; where the
class crystallises, the fee leaves as a part of the unit and the mark moves to g.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from investors.domain.exact import exactly
from investors.domain.fees import ClassTerms, choose_clock, compute_accrued_fee


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassPoint:
    """One strike of a class: price g, the terms then in force, whether fees became final."""

    day: date
    price: Decimal
    terms: ClassTerms
    crystallises: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NetPoint:
    """Net value on a day of what was one unit on the first day, unrounded."""

    day: date
    value: Decimal


@exactly
def build_net_record(points: Sequence[ClassPoint]) -> tuple[NetPoint, ...]:
    """Net value of the first unit at each strike, in order; the first equals its price."""
    found: list[NetPoint] = []
    if not points:
        return ()
    units, mark, clock = Decimal(1), points[0].price, points[0].day
    for point in points:
        fee = compute_accrued_fee(
            terms=point.terms, price=point.price, mark=mark, clock=clock, day=point.day
        )
        found.append(NetPoint(day=point.day, value=units * (point.price - fee)))
        if point.crystallises:
            clock = choose_clock(terms=point.terms, clock=clock, day=point.day, fee_taken=fee > 0)
            if fee > 0:
                units, mark = units * (1 - fee / point.price), point.price
    return tuple(found)
