"""What an expense costs by day: spread, ended, and put right by its invoice."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from investors.domain.expenses import Accrued, ExpenseTerms, accrue_expense
from magnetfund.kernel.errors import InvalidInput

D = Decimal
CENT = D("0.01")
FIRST, LAST = date(2026, 1, 1), date(2026, 12, 31)


def audit(**given: object) -> ExpenseTerms:
    values: dict[str, object] = {
        "account": "5040", "amount": D(36_500), "first_day": FIRST, "last_day": LAST, **given
    }  # fmt: skip
    return ExpenseTerms(**values)  # type: ignore[arg-type]


def upto(terms: ExpenseTerms, *day: int) -> Accrued:
    return accrue_expense(terms, until=date(*day), quantum=CENT)


def test_a_sum_for_a_period_is_spread_over_its_days():
    # 36,500 over the 365 days of 2026 are 100 a day, the first and the last day included.
    assert upto(audit(), 2025, 12, 31).total == 0
    assert upto(audit(), 2026, 1, 1).total == 100
    assert upto(audit(), 2026, 1, 31).total == 3_100
    assert upto(audit(), 2026, 12, 31).total == 36_500
    assert upto(audit(), 2030, 1, 1).total == 36_500
    one_day = audit(last_day=FIRST)
    assert upto(one_day, 2026, 1, 1).total == 36_500


def test_a_sum_a_year_goes_on_until_it_ends():
    # Act/365 fixed: 12,000 a year are 1,019.18 for January (12,000 x 31 / 365 = 1,019.178).
    yearly = audit(amount=D(12_000), is_yearly=True, last_day=None)
    assert upto(yearly, 2026, 1, 31).total == D("1019.18")
    assert upto(yearly, 2026, 12, 31).total == 12_000
    assert upto(yearly, 2028, 12, 31).total == D("36032.88")  # 1,096 days: 2028 has a 29 February
    ended = audit(amount=D(12_000), is_yearly=True, last_day=date(2026, 1, 31))
    assert upto(ended, 2026, 6, 30).total == D("1019.18")


def test_an_invoice_takes_the_place_of_the_estimate():
    dearer = audit(invoiced=D(40_000))
    # By half a year half of the difference: the rest belongs to days that come.
    assert upto(dearer, 2026, 7, 1) == Accrued(
        estimated=D(18_200), difference=D("1745.21")
    )  # 3,500 x 182 / 365 = 1,745.205
    assert upto(dearer, 2026, 12, 31).total == 40_000
    assert upto(audit(invoiced=D(0)), 2026, 12, 31).total == 0
    ended = audit(amount=D(12_000), is_yearly=True, last_day=date(2026, 1, 31), invoiced=D(1_000))
    assert upto(ended, 2026, 3, 1) == Accrued(estimated=D("1019.18"), difference=D("-19.18"))


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"account": "5010"}, "wrong_account"),
        ({"amount": D(0)}, "not_positive"),
        ({"amount": D(-1)}, "not_positive"),
        ({"invoiced": D(-1)}, "not_positive"),
        ({"last_day": None}, "no_last_day"),
        ({"last_day": None, "is_yearly": True, "invoiced": D(1)}, "no_last_day"),
        ({"last_day": date(2025, 12, 31)}, "wrong_period"),
    ],
)
def test_what_makes_no_sense_is_refused(given: dict[str, object], code: str):
    with pytest.raises(InvalidInput) as error:
        audit(**given)
    assert error.value.code == code


@given(
    cents=st.integers(1, 10**10),
    length=st.integers(0, 800),
    invoice=st.none() | st.integers(0, 10**10),
    looks=st.lists(st.integers(-10, 900), min_size=2, max_size=6),
)
def test_however_often_it_is_looked_at_the_parts_add_to_the_whole(
    cents: int, length: int, invoice: int | None, looks: list[int]
):
    terms = audit(
        amount=D(cents) / 100,
        last_day=FIRST + timedelta(days=length),
        invoiced=None if invoice is None else D(invoice) / 100,
    )
    posted = D(0)
    for offset in [*sorted(looks), length]:
        wanted = accrue_expense(terms, until=FIRST + timedelta(days=offset), quantum=CENT)
        posted += wanted.total - posted
        assert 0 <= wanted.estimated <= terms.amount
    whole = accrue_expense(terms, until=date(2100, 1, 1), quantum=CENT).total
    assert whole == (terms.amount if terms.invoiced is None else terms.invoiced)
