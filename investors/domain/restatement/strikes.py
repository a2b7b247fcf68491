"""Re-running published strikes from the first wrong one, and how far each price was off.

A published strike is never changed: what comes out here is the next version beside it.  Money that
moved at the wrong price stays as it moved (compensation settles it); fees, prices and marks that
came from the wrong price are computed anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from itertools import pairwise

from investors.domain.exact import ZERO, Number, exactly, positive
from investors.domain.strike import (
    ClassInput,
    ClassStrike,
    LotInput,
    Strike,
    StrikeInputs,
    compute_strike,
)
from magnetfund.kernel.errors import InvalidInput
from magnetfund.kernel.money import decimal_of


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceError:
    """One class on one day: the published and the right price per unit.

    ``ratio`` is (published - right) / right, positive where the price was too high; ``material``
    where its size reaches the policy's threshold.
    """

    day: date
    share_class: str
    published: Decimal
    right: Decimal
    ratio: Decimal
    material: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Restated:
    """A published strike, its right version, and the classes whose price differs."""

    day: date
    published: Strike
    right: Strike
    errors: tuple[PriceError, ...]


@exactly
def check_price(
    *, day: date, share_class: str, published: Number, right: Number, threshold: Number
) -> PriceError:
    """Weigh one price error; ``threshold`` is a fraction of the right price (0.01 is 1 %).

    The threshold is the fund's policy: supervisors name 0.2 % for money-market funds, 0.5 % for
    bond and mixed funds and 1 % for equity and other funds (Luxembourg, circular CSSF 24/856).
    """
    wrong, good = positive(published, name="published"), positive(right, name="right")
    ratio = (wrong - good) / good
    return PriceError(
        day=day,
        share_class=share_class,
        published=wrong,
        right=good,
        ratio=ratio,
        material=wrong != good and abs(ratio) >= positive(threshold, name="threshold"),
    )


@exactly
def restate_strikes(
    *, inputs: Sequence[StrikeInputs], corrections: Mapping[date, Number], threshold: Number
) -> tuple[Restated, ...]:
    """Re-run strikes in their order from the first wrong one.

    ``inputs`` are the published inputs, day after day; ``corrections`` what net assets of a day
    lacked (added, in money; a day left out was right).  An error that lasts over several strikes
    is given on each of its days.  Raises :class:`InvalidInput`: ``strike_order``,
    ``unknown_strike`` (a correction of a day that has no strike), and what ``compute_strike``
    raises.
    """
    if any(later.day <= earlier.day for earlier, later in pairwise(inputs)):
        raise InvalidInput("strikes come in their order", code="strike_order")
    if not set(corrections) <= {item.day for item in inputs}:
        raise InvalidInput("a correction names a day without a strike", code="unknown_strike")
    found: list[Restated] = []
    fees_off = ZERO
    marks: dict[str, _Mark] = {}
    for item in inputs:
        published = compute_strike(item)
        classes = item.classes
        if found:
            classes = tuple(_carry(now, found[-1], marks) for now in item.classes)
        marks = {
            lot.lot: _Mark(published=lot.mark, right=amended_lot.mark)
            for now, amended_class in zip(item.classes, classes, strict=True)
            for lot, amended_lot in zip(now.lots, amended_class.lots, strict=True)
        }
        amended = replace(
            item,
            net_assets=item.net_assets + decimal_of(corrections.get(item.day, ZERO)) - fees_off,
            classes=classes,
        )
        right = compute_strike(amended)
        fees_off += sum(
            (
                new.management_fee - old.management_fee
                for new, old in zip(right.classes, published.classes, strict=True)
            ),
            ZERO,
        )
        found.append(_compare(item.day, published, right, threshold))
    return tuple(found)


def _compare(day: date, published: Strike, right: Strike, threshold: Number) -> Restated:
    errors = tuple(
        check_price(
            day=day,
            share_class=old.code,
            published=old.price,
            right=new.price,
            threshold=threshold,
        )
        for old, new in zip(published.classes, right.classes, strict=True)
        if old.price is not None and new.price is not None and old.price != new.price
    )
    return Restated(day=day, published=published, right=right, errors=errors)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mark:
    """A lot's high-water mark at the strike before, as published and as it should have been."""

    published: Decimal
    right: Decimal


def _carry(now: ClassInput, last: Restated, marks: Mapping[str, _Mark]) -> ClassInput:
    """The class's state as the right strike would have left it, with the same dealing money."""
    old = next((item for item in last.published.classes if item.code == now.code), None)
    new = next((item for item in last.right.classes if item.code == now.code), None)
    if old is None or new is None:
        return now
    accrual = now.accrual_before - old.performance_fee + new.performance_fee
    gav = now.gav_before - old.gav + new.gav
    standing = now.gav_before - now.nav_before
    return replace(
        now,
        gav_before=gav,
        nav_before=gav - standing - (accrual - now.accrual_before),
        fee_cumulative=now.fee_cumulative - old.fee_cumulative + new.fee_cumulative,
        accrual_before=accrual,
        lots=tuple(_remark(lot, marks.get(lot.lot), old, new) for lot in now.lots),
    )


def _remark(lot: LotInput, known: _Mark | None, old: ClassStrike, new: ClassStrike) -> LotInput:
    """The lot with its right mark: marks move only to the price of a dealing."""
    if known is not None and lot.mark == known.published:
        return replace(lot, mark=known.right)
    if new.price is not None and lot.mark == old.price:
        return replace(lot, mark=new.price)
    return lot
