"""The record of a class net of every fee: one unit bought at the first price, never touched since.

Prices per unit are before the performance fee and differ between holders; this is the one series
that a reader can compare.  At each strike the unit is worth g less its own accrued fee; where the
class crystallises, the fee leaves as a part of the unit and the mark moves to g.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from investors.domain.exact import ZERO, exactly
from investors.domain.fees import ClassTerms, choose_clock, compute_accrued_fee


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassPoint:
    """One strike of a class: price g, the terms then in force, whether fees became final.

    ``distributed`` is the money per unit that was declared since the point before.
    """

    day: date
    price: Decimal
    terms: ClassTerms
    crystallises: bool = False
    distributed: Decimal = ZERO


@dataclass(frozen=True, slots=True, kw_only=True)
class NetPoint:
    """Net value on a day of what was one unit on the first day, unrounded."""

    day: date
    value: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    units: Decimal
    mark: Decimal
    clock: date


@exactly
def build_net_record(points: Sequence[ClassPoint]) -> tuple[NetPoint, ...]:
    """Net value of the first unit at each strike, in order; the first equals its price.

    What was distributed buys units at the price after it, as if every holder had reinvested.
    """
    found: list[NetPoint] = []
    if not points:
        return ()
    parts = [_Part(units=Decimal(1), mark=points[0].price, clock=points[0].day)]
    for point in points:
        if point.distributed:
            parts = _reinvest(parts, point)
        fees = [
            compute_accrued_fee(
                terms=point.terms,
                price=point.price,
                mark=part.mark,
                clock=part.clock,
                day=point.day,
            )
            for part in parts
        ]
        value = sum(
            (part.units * (point.price - fee) for part, fee in zip(parts, fees, strict=True)), ZERO
        )
        found.append(NetPoint(day=point.day, value=value))
        if point.crystallises:
            parts = [_crystallise(part, fee, point) for part, fee in zip(parts, fees, strict=True)]
    return tuple(found)


def _reinvest(parts: Sequence[_Part], point: ClassPoint) -> list[_Part]:
    money = sum((part.units for part in parts), ZERO) * point.distributed
    bought = _Part(units=money / point.price, mark=point.price, clock=point.day)
    return [*(replace(part, mark=part.mark - point.distributed) for part in parts), bought]


def _crystallise(part: _Part, fee: Decimal, point: ClassPoint) -> _Part:
    clock = choose_clock(terms=point.terms, clock=part.clock, day=point.day, fee_taken=fee > 0)
    if fee <= 0:
        return replace(part, clock=clock)
    return _Part(units=part.units * (1 - fee / point.price), mark=point.price, clock=clock)
