"""What a holder is shown of a lot in a class that presents its fee by series or by equalisation.

The books keep gross units and marks per lot; a series or the published unit of equalisation is a
part of such a unit (:mod:`investors.domain.fee_methods`).  Units, price and corrections change with
the presentation, the value of a lot never does.  Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from investors.domain.equalisation import EqualisedClass, value_class
from investors.domain.exact import ZERO, exactly
from investors.domain.fee_methods import PublishedUnit, follow_class
from investors.domain.fees import FeePresentation
from investors.domain.performance import ClassPoint


@dataclass(frozen=True, slots=True, kw_only=True)
class PresentedLot:
    """``units x price + credit - contingent`` is the lot's value, unrounded and in money.

    ``series`` is the dealing day of its series, ``None`` at the class's published price.
    """

    series: date | None
    units: Decimal
    price: Decimal
    credit: Decimal
    contingent: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class PresentedClass:
    """A class at one strike, as :func:`present_lot` needs it; ``fee`` is the class's per published
    unit."""

    points: tuple[ClassPoint, ...]
    unit: PublishedUnit
    fee: Decimal

    @property
    def method(self) -> FeePresentation:
        """As the terms in force at the strike say."""
        return self.points[-1].terms.fee_presentation


@exactly
def present_class(points: Sequence[ClassPoint], *, is_dealt: bool) -> PresentedClass:
    """The class at the last of ``points``, before its dealing or (``is_dealt``) after it, when
    fees that became final have left."""
    last = points[-1]
    seen = tuple(points)
    if is_dealt:
        seen = (*seen, replace(last, crystallises=False, distributed=ZERO))
    unit = follow_class(seen)
    value = value_class(
        terms=last.terms,
        equalised=EqualisedClass(mark=unit.mark, clock=unit.clock),
        gross=last.price * unit.part,
        day=last.day,
    )
    return PresentedClass(points=seen, unit=unit, fee=value.fee_per_unit)


@exactly
def present_lot(
    shown: PresentedClass | None, *, opened: date, units: Decimal, net_per_unit: Decimal
) -> PresentedLot | None:
    """A lot of the class; ``None`` where it presents lots, or there is none to show.

    ``opened`` is the lot's dealing day, ``units`` and ``net_per_unit`` are those of the books.  A
    series opens at the launch price of the class.
    """
    if shown is None or shown.method is FeePresentation.LOTS:
        return None
    last = shown.points[-1]
    if shown.method is FeePresentation.SERIES:
        since = [point for point in shown.points if point.day >= opened] or [last]
        part = follow_class(since, par=shown.points[0].price).part
        return PresentedLot(
            series=opened,
            units=units / part,
            price=net_per_unit * part,
            credit=ZERO,
            contingent=ZERO,
        )
    part = shown.unit.part
    own, published = (last.price - net_per_unit) * part, units / part
    return PresentedLot(
        series=None,
        units=published,
        price=last.price * part - shown.fee,
        credit=published * max(ZERO, shown.fee - own),
        contingent=published * max(ZERO, own - shown.fee),
    )
