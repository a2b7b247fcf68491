"""What goes back of a fee, worked by hand, and that it is never more than was charged."""

from __future__ import annotations

from datetime import date
from decimal import Decimal as D
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from investors.domain.rebates import (
    RebateClaim,
    RebateTerms,
    average_share,
    compute_rebates,
    terms_on,
)
from magnetfund.kernel.errors import InvalidInput

CENT = D("0.01")


def terms(day: date, management: str, performance: str = "0") -> RebateTerms:
    return RebateTerms(
        first_day=day, management_share=D(management), performance_share=D(performance)
    )


def claim(lot: str, units: str, share: str, *, fee: str = "0", of_fee: str = "0") -> RebateClaim:
    return RebateClaim(
        lot=lot, units=D(units), crystallised=D(fee), management_share=Fraction(share),
        performance_share=Fraction(of_fee),
    )  # fmt: skip


def test_half_of_the_fee_of_a_third_of_the_class_worked_by_hand():
    """A class of 300 units pays 200.00.  Ann's 100 units bore 66.666, half of it is 33.333; Bob's
    two lots of 50 bore 33.333 each, a quarter is 8.333 each.  Together 49.9999, that is 50.00: each
    is cut to 33.33, 8.33, 8.33, and the cent that is left goes to the largest remainder, the first.
    Of the 12.35 that became final on Ann's lot a tenth, 1.235, is 1.24 (half to even).
    """
    given_back = compute_rebates(
        management_fee=D("200.00"),
        units=D(300),
        claims=[
            claim("ann", "100", "1/2", fee="12.35", of_fee="1/10"),
            claim("bob-1", "50", "1/4"),
            claim("bob-2", "50", "1/4"),
        ],
        quantum=CENT,
    )
    assert [row.management for row in given_back] == [D("33.34"), D("8.33"), D("8.33")]
    assert [row.performance for row in given_back] == [D("1.24"), D("0.00"), D("0.00")]


def test_an_agreement_counts_with_its_days_and_the_later_one_takes_its_place():
    """January has 31 days: none of the fee for 10 days, half for 15, all for 6: 13.5 / 31."""
    agreed = [terms(date(2026, 1, 11), "0.5"), terms(date(2026, 1, 26), "1", "0.2")]
    span = {"after": date(2025, 12, 31), "until": date(2026, 1, 31)}
    assert average_share(agreed, **span) == Fraction(27, 62)
    assert average_share(agreed[:1], **span) == Fraction(21, 62)
    assert average_share([], **span) == 0
    assert average_share(agreed, after=None, until=date(2026, 1, 12)) == Fraction(1, 2)
    assert average_share(agreed, after=date(2026, 1, 31), until=date(2026, 1, 31)) == 1
    assert terms_on(agreed, date(2026, 1, 10)) is None
    assert terms_on(agreed, date(2026, 1, 25)) == agreed[0]
    assert terms_on(agreed, date(2026, 1, 26)) == agreed[1]
    assert average_share([*agreed, terms(date(2026, 2, 1), "0")], **span) == Fraction(27, 62)


@pytest.mark.parametrize("share", ["1.01", "-0.1"])
def test_a_share_lies_between_nothing_and_the_whole_fee(share: str):
    with pytest.raises(InvalidInput) as refused:
        terms(date(2026, 1, 1), share)
    assert refused.value.code == "rate_out_of_range"


def test_claims_of_more_units_than_bore_the_fee_are_refused_and_no_fee_gives_nothing():
    with pytest.raises(InvalidInput) as refused:
        compute_rebates(
            management_fee=D(1), units=D(9), claims=[claim("a", "10", "1")], quantum=CENT
        )
    assert refused.value.code == "too_many_units"
    (row,) = compute_rebates(
        management_fee=D(-1), units=D(10), claims=[claim("a", "10", "1")], quantum=CENT
    )
    assert (row.management, row.performance) == (0, 0)


def test_rounding_never_gives_back_more_than_a_fee_that_is_finer():
    """All of 0.006 BTC is 0.01 in hundredths, which nobody paid: nothing goes back.  In the steps
    that the coin is paid in, all of it does."""
    whole = claim("ann", "10", "1", fee="0.006", of_fee="1")
    for quantum, given_back in ((CENT, D(0)), (D("1e-8"), D("0.006"))):
        (row,) = compute_rebates(
            management_fee=D("0.006"), units=D(10), claims=[whole], quantum=quantum
        )
        assert (row.management, row.performance) == (given_back, given_back)


@given(
    fee=st.integers(0, 10**8),
    lots=st.lists(st.tuples(st.integers(1, 10**6), st.integers(0, 100)), min_size=1, max_size=30),
)
def test_never_more_goes_back_than_was_charged(fee: int, lots: list[tuple[int, int]]):
    charged = D(fee) / 100
    rows = compute_rebates(
        management_fee=charged,
        units=D(sum(units for units, _ in lots)),
        claims=[claim(str(k), str(u), f"{share}/100") for k, (u, share) in enumerate(lots)],
        quantum=CENT,
    )
    total = sum((row.management for row in rows), D(0))
    assert 0 <= total <= charged
    assert all(row.management >= 0 for row in rows)
    if all(share == 100 for _, share in lots):
        assert total == charged
