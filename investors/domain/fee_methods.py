"""The performance fee of a class at one strike by three methods that must agree.

By lots: what the NAV charged, each lot over its own mark.  By series: lots of one dealing day, mark
and hurdle clock are one series, valued by its own price.  By equalisation: everybody is charged
over the class's mark, then each lot is put right by a credit or a contingent redemption.  The law
and its conditions: ``docs/accounting/equalisation.md``.

The fund keeps one gross price and collects by cancelling units; equalisation lets the fee out of
the price.  Its unit is therefore a part of the fund's unit, which shrinks with every fee that the
class paid: prices, marks and fees per unit scale by that part, money does not.  Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import pairwise

from investors.domain.equalisation import (
    ClassValue,
    EqualisedClass,
    EqualisedLot,
    value_class,
)
from investors.domain.exact import ZERO, exactly, total_of
from investors.domain.fees import ClassTerms, Hurdle, choose_clock
from investors.domain.performance import ClassPoint
from investors.domain.series import (
    Series,
    SeriesHolding,
    can_roll_up,
    choose_lead,
    crystallise_series,
    value_series,
)
from magnetfund.kernel.money import quantize


@dataclass(frozen=True, slots=True, kw_only=True)
class FeeLot:
    """One lot as a strike stored it; ``fee_per_unit`` is what the NAV charged."""

    number: int
    opened: date
    units: Decimal
    mark: Decimal
    clock: date
    fee_per_unit: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedUnit:
    """The unit of equalisation: ``part`` of one of the fund's, with the class's mark and clock."""

    mark: Decimal
    clock: date
    part: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class LotFees:
    """The fee of one lot by each method, in money and unrounded; credit and contingent redemption
    of the lot, of which at most one is not zero."""

    number: int
    series: str
    units: Decimal
    by_lot: Decimal
    by_series: Decimal
    by_equalisation: Decimal
    credit: Decimal
    contingent: Decimal

    @property
    def difference(self) -> Decimal:
        """The widest gap between two of the methods."""
        found = (self.by_lot, self.by_series, self.by_equalisation)
        return max(found) - min(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesFees:
    """One series: per unit its fee and price after it, in money its fee.

    ``joins`` is the series that it could be rolled up into if its fee became final on this day,
    ``ratio`` the units of that one for one of its own.
    """

    code: str
    opened: date
    lots: int
    units: Decimal
    mark: Decimal
    clock: date
    fee_per_unit: Decimal
    net_price: Decimal
    fee: Decimal
    joins: str
    ratio: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FeeProof:
    """One class at one strike.  ``charged`` is what the NAV accrued, in whole cash steps.

    Of equalisation: the published price after the class's fee, its mark, the ``part`` of the fund's
    unit that its unit is, and in money what the class's fee takes of all units, the credits and
    the contingent redemptions: ``taken - credits + contingent`` is the fee by equalisation.
    """

    code: str
    price: Decimal
    charged: Decimal
    by_lots: Decimal
    by_series: Decimal
    by_equalisation: Decimal
    published_price: Decimal
    published_mark: Decimal
    part: Decimal
    taken: Decimal
    credits: Decimal
    contingent: Decimal
    has_hurdle: bool
    cash_quantum: Decimal
    series: tuple[SeriesFees, ...]
    lots: tuple[LotFees, ...]

    @property
    def largest_difference(self) -> Decimal:
        """Of any lot between any two methods, in money and unrounded."""
        return max((lot.difference for lot in self.lots), default=ZERO)

    @property
    def differing(self) -> tuple[LotFees, ...]:
        """Lots whose fee differs by more than rounding: half a cash step."""
        return tuple(lot for lot in self.lots if 2 * lot.difference > self.cash_quantum)

    @property
    def agrees(self) -> bool:
        """No lot differs, and the total is what the NAV accrued, to a cash step."""
        return not self.differing and abs(self.by_series - self.charged) <= self.cash_quantum


@exactly
def follow_class(points: Sequence[ClassPoint], *, par: Decimal | None = None) -> PublishedUnit:
    """The published unit at the last of ``points``, the strikes of a class in their order.

    It begins at the first one's price, as whole as the fund's, or at ``par``.  A fee that became
    final at an earlier point left it; a distribution lowers the class's mark as it lowers that of
    every lot.  A mark that would come to nothing begins anew at the price.
    """
    first = points[0]
    mark, clock = par or first.price, first.day
    part = mark / first.price
    for before, point in pairwise(points):
        if before.crystallises:
            value = value_class(
                terms=before.terms,
                equalised=EqualisedClass(mark=mark, clock=clock),
                gross=before.price * part,
                day=before.day,
            )
            is_charged = value.fee_per_unit > 0
            mark, part = value.price if is_charged else mark, value.price / before.price
            clock = choose_clock(
                terms=before.terms, clock=clock, day=before.day, fee_taken=is_charged
            )
        if point.distributed:
            mark -= point.distributed * part
            if mark <= 0:
                mark, clock = point.price * part, point.day
    return PublishedUnit(mark=mark, clock=clock, part=part)


@exactly
def prove_fees(
    *,
    code: str,
    terms: ClassTerms,
    price: Decimal,
    day: date,
    charged: Decimal,
    lots: Sequence[FeeLot],
    unit: PublishedUnit,
) -> FeeProof:
    """The fee of every lot of a class by the three methods at the gross price ``price``.

    ``charged`` is the accrual of the NAV in money.  Raises ``InvalidInput`` (``period_reversed``)
    where a hurdle clock starts after ``day``.
    """
    series, members = _group(lots, price)
    value = _equalise(terms, series, unit, price=price, day=day)
    corrections = {item.lot: item for item in value.lots}
    by_series = {
        item.code: value_series(terms=terms, series=item, day=day).fee_per_unit for item in series
    }
    found = []
    for lot, own in zip(lots, members, strict=True):
        published = lot.units / unit.part
        each = corrections[own]
        credit, contingent = published * each.credit, published * each.contingent
        found.append(
            LotFees(
                number=lot.number,
                series=own,
                units=lot.units,
                by_lot=lot.units * lot.fee_per_unit,
                by_series=lot.units * by_series[own],
                by_equalisation=published * value.fee_per_unit - credit + contingent,
                credit=credit,
                contingent=contingent,
            )
        )
    return FeeProof(
        code=code,
        price=price,
        charged=charged,
        by_lots=total_of(lot.by_lot for lot in found),
        by_series=total_of(lot.by_series for lot in found),
        by_equalisation=total_of(lot.by_equalisation for lot in found),
        published_price=quantize(value.price, terms.price_quantum),
        published_mark=quantize(unit.mark, terms.price_quantum),
        part=unit.part,
        taken=total_of(item.units for item in value.lots) * value.fee_per_unit,
        credits=total_of(lot.credit for lot in found),
        contingent=total_of(lot.contingent for lot in found),
        has_hurdle=terms.hurdle is not Hurdle.NONE,
        cash_quantum=terms.cash_quantum,
        series=_describe(terms, series, day),
        lots=tuple(found),
    )


def _group(lots: Sequence[FeeLot], price: Decimal) -> tuple[tuple[Series, ...], list[str]]:
    """Series of the lots that nothing tells apart, oldest first, and the series of each lot.

    A series is named by its dealing day, a further one of that day by a number behind it.
    """
    groups: dict[tuple[date, Decimal, date], list[FeeLot]] = {}
    for lot in lots:
        groups.setdefault((lot.opened, lot.mark, lot.clock), []).append(lot)
    series, names, of_day = [], dict[int, str](), dict[date, int]()
    ordered = sorted(groups.items(), key=lambda item: (item[0][0], item[1][0].number))
    for number, ((opened, mark, clock), members) in enumerate(ordered):
        of_day[opened] = of_day.get(opened, 0) + 1
        code = opened.isoformat() + (f"-{of_day[opened]}" if of_day[opened] > 1 else "")
        names.update((lot.number, code) for lot in members)
        holdings = tuple(
            SeriesHolding(lot=str(lot.number), holder="", units=lot.units) for lot in members
        )
        series.append(
            Series(
                code=code, number=number, opened=opened, price=price, mark=mark, clock=clock,
                holdings=holdings,
            )
        )  # fmt: skip
    return tuple(series), [names[lot.number] for lot in lots]


def _equalise(
    terms: ClassTerms, series: Sequence[Series], unit: PublishedUnit, *, price: Decimal, day: date
) -> ClassValue:
    """The class by equalisation; lots of one series have the same corrections per unit."""
    held = tuple(
        EqualisedLot(
            lot=item.code,
            holder="",
            units=item.units / unit.part,
            mark=item.mark * unit.part,
            clock=item.clock,
        )
        for item in series
    )
    return value_class(
        terms=terms,
        equalised=EqualisedClass(mark=unit.mark, clock=unit.clock, lots=held),
        gross=price * unit.part,
        day=day,
    )


def _describe(terms: ClassTerms, series: Sequence[Series], day: date) -> tuple[SeriesFees, ...]:
    """Each series with what a crystallisation on this day would let it join."""
    after = [
        crystallise_series(
            terms=terms, series=item, day=day, cash_quantum=terms.cash_quantum
        ).series
        for item in series
    ]
    lead = choose_lead(series=after) if after else None
    found = []
    for item, left in zip(series, after, strict=True):
        value = value_series(terms=terms, series=item, day=day)
        joins = lead if lead and can_roll_up(terms=terms, lead=lead, series=left) else None
        found.append(
            SeriesFees(
                code=item.code,
                opened=item.opened,
                lots=len(item.holdings),
                units=value.units,
                mark=item.mark,
                clock=item.clock,
                fee_per_unit=value.fee_per_unit,
                net_price=value.net_price,
                fee=value.accrual,
                joins=joins.code if joins else "",
                ratio=left.price / joins.price if joins else None,
            )
        )
    return tuple(found)
