"""Fees that the manager gives back to a holder, out of what the fund owes the manager.

A holder bears of a class's management fee what its units are of the class's, and of performance
fees what its own lots were charged.  The rebate is a share of that, agreed from a day on; a later
agreement takes the place of an earlier one, and one of no share ends it.  Days are whole days that
a NAV counts: a NAV at midnight counts up to the day before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction

from investors.domain.exact import exactly, round_to_total, share_of_one
from magnetfund.kernel.errors import InvalidInput

ZERO, DAY = Decimal(0), timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class RebateTerms:
    """Shares of both fees, as fractions in [0, 1], from ``first_day`` (inclusive) on."""

    first_day: date
    management_share: Decimal
    performance_share: Decimal

    def __post_init__(self) -> None:
        share_of_one(self.management_share, name="the share of the management fee")
        share_of_one(self.performance_share, name="the share of the performance fee")


@dataclass(frozen=True, slots=True, kw_only=True)
class RebateClaim:
    """One lot at a NAV: ``units`` before its dealing, and the performance fee that became final on
    it, with the shares of both fees that go back."""

    lot: str
    units: Decimal
    crystallised: Decimal
    management_share: Fraction
    performance_share: Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class LotRebate:
    """What a lot gets back of each fee, in the steps that the fund's currency is paid in."""

    lot: str
    management: Decimal
    performance: Decimal


def terms_on(agreed: Sequence[RebateTerms], day: date) -> RebateTerms | None:
    """The agreement in force on a day: the one that began last."""
    begun = [terms for terms in agreed if terms.first_day <= day]
    return max(begun, key=lambda terms: terms.first_day, default=None)


def average_share(agreed: Sequence[RebateTerms], *, after: date | None, until: date) -> Fraction:
    """The share of a management fee for the days after ``after`` up to ``until``, inclusive.

    A fee accrues evenly by the day, so that each agreement counts with its days.  Where no day
    passed, or none is known to have, the agreement of the last day counts.
    """
    days = 0 if after is None else (until - after).days
    if after is None or days <= 0:
        last = terms_on(agreed, until)
        return Fraction(0) if last is None else Fraction(last.management_share)
    begun = sorted(agreed, key=lambda terms: terms.first_day)
    total = Fraction(0)
    for k, terms in enumerate(begun):
        last_day = begun[k + 1].first_day - DAY if k + 1 < len(begun) else until
        counted = min(last_day, until) - max(terms.first_day - DAY, after)
        total += Fraction(terms.management_share) * max(0, counted.days)
    return total / days


@exactly
def compute_rebates(
    *, management_fee: Decimal, units: Decimal, claims: Sequence[RebateClaim], quantum: Decimal
) -> tuple[LotRebate, ...]:
    """What each lot gets back of one class's fees at one NAV.

    ``management_fee`` is what the NAV charged the class, ``units`` all units of the class that
    bore it.  The sum over the lots is the exact sum rounded half even to ``quantum``, or cut to it
    where that would give back more than was charged, and spread by largest remainder.  A fee that
    was taken back (below zero) gives nothing.  Raises ``InvalidInput`` (``too_many_units``) where
    claims hold more units than bore the fee.
    """
    if sum((claim.units for claim in claims), ZERO) > units:
        raise InvalidInput("claims of more units than the class has", code="too_many_units")
    charged = Fraction(max(management_fee, ZERO))
    management = _round_within(
        charged,
        [
            charged * Fraction(claim.units) / Fraction(units) * claim.management_share
            if units
            else Fraction(0)
            for claim in claims
        ],
        quantum,
    )
    final = [Fraction(max(claim.crystallised, ZERO)) for claim in claims]
    performance = _round_within(
        sum(final, Fraction(0)),
        [fee * claim.performance_share for fee, claim in zip(final, claims, strict=True)],
        quantum,
    )
    return tuple(
        LotRebate(lot=claim.lot, management=given, performance=more)
        for claim, given, more in zip(claims, management, performance, strict=True)
    )


def _round_within(
    charged: Fraction, parts: Sequence[Fraction], quantum: Decimal
) -> tuple[Decimal, ...]:
    """Parts of a fee in whole quanta; their sum is cut where rounding it would pass the fee."""
    exact = sum(parts, Fraction(0))
    (total,) = round_to_total([exact], quantum=quantum)
    if total > charged:
        total = quantum * (exact // Fraction(quantum))
    return round_to_total(parts, quantum=quantum, total=total)
