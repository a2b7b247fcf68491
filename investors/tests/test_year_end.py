"""The end of a fiscal year while somebody leaves whole: the fee first, then the deal, then nothing.

Class A at 100 takes 20 % of a gain; all gain 10 a unit, so a unit at 110 is worth 108 net.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from investors.models import DealingOrder, Holding, NavStrike
from investors.services.ledger import read_balances
from investors.services.verification import verify_fund
from investors.tests.fund_support import FIRST, SmallFund, first_of, make_fund

pytestmark = pytest.mark.django_db
D = Decimal
DECEMBER, YEAR_END = first_of(2025, 12), first_of(2026, 1)
JANUARY, FEBRUARY, MARCH = YEAR_END + timedelta(days=1), first_of(2026, 2), first_of(2026, 3)


def founded(*days: object, names: str, **terms: str) -> SmallFund:
    """Ten units for each name in January 2025, worth 110 before the fee from the tenth on."""
    small = make_fund(performance_rate="0.2", **terms)
    for at in (FIRST, *days):
        small.day(at)  # type: ignore[arg-type]
    for name in names.split():
        small.subscribe(name, "1000", before=FIRST)
    small.strike(FIRST)
    small.earn(str(100 * len(names.split())), at=FIRST + timedelta(days=9))
    return small


def units_of(small: SmallFund, name: str) -> tuple[Decimal, Decimal]:
    held = Holding.objects.get(investor=small.investor(name))
    return held.units, held.reserved_units


def fees_owed(small: SmallFund) -> Decimal:
    return -read_balances(small.fund)["2120", "USD"]


def test_a_gate_carries_a_full_redemption_over_the_end_of_the_year():
    small = founded(DECEMBER, JANUARY, FEBRUARY, names="ann bob", gate_share="0.25")
    order = small.redeem("ann", None, before=DECEMBER)
    small.strike(DECEMBER)
    order.refresh_from_db()
    # A quarter of 20 x 108 leaves: 540 for five units, of whose gain the fee is 10.
    assert (order.state, order.dealt_units, order.dealt_amount) == ("deferred", 5, 540)
    assert (units_of(small, "ann"), fees_owed(small)) == ((5, 5), 10)

    ended = small.strike(YEAR_END)
    assert ended.dealing_day is None
    order.refresh_from_db()
    assert (order.state, order.dealt_units) == ("deferred", 5)
    # 2 of 110 of each unit is the fee's: 0.090909 of five, which wait on with the rest.  What units
    # cannot express stays with the holders, a cent a lot.
    assert units_of(small, "ann") == (D("4.909091"), D("4.909091"))
    assert fees_owed(small) == D("39.98")

    small.strike(JANUARY)
    order.refresh_from_db()
    # A quarter of 1,620.02 is 405.005, at 110.001085 net of the fee on two cents.
    assert (order.state, order.dealt_units) == ("deferred", D("8.681827"))
    small.strike(FEBRUARY)
    order.refresh_from_db()
    assert (order.state, order.dealt_units) == ("payable", D("9.909091"))
    assert abs(order.dealt_amount - 1080) <= D("0.02"), "ten units at 108, in three parts"
    assert (units_of(small, "ann"), order.dealing_day.valuation_at) == ((0, 0), FEBRUARY)
    assert units_of(small, "bob") == (D("9.818182"), 0)
    assert verify_fund(small.fund) == []


def test_the_last_holder_leaves_with_the_year_and_the_class_is_empty():
    small = founded(YEAR_END, FEBRUARY, MARCH, names="ann", exit_fee_rate="0.05")
    order = small.redeem("ann", None, before=YEAR_END)
    strike = small.strike(YEAR_END)
    order.refresh_from_db()
    assert (order.state, order.fee_amount) == ("payable", 0), "nobody remains for an exit fee"
    assert order.dealt_amount + fees_owed(small) == 1100 == strike.nav + 20
    assert units_of(small, "ann") == (0, 0)
    empty = small.strike(FEBRUARY)
    assert (empty.nav, empty.classes.get().price) == (0, None)
    again = small.subscribe("bob", "500", before=MARCH)
    small.strike(MARCH)
    again.refresh_from_db()
    assert (again.state, again.dealt_price, again.dealt_units) == ("settled", 100, 5)
    assert verify_fund(small.fund) == []


def test_an_order_placed_after_the_year_ended_pays_the_fee_once():
    """The end of the year lies between the order and its day: its lots pay nothing again."""
    small = founded(DECEMBER, FEBRUARY, names="ann bob", exit_fee_rate="0.05")
    small.strike(DECEMBER)
    order = small.redeem("ann", None, before=FEBRUARY)
    assert order.state == DealingOrder.State.ACCEPTED
    small.strike(YEAR_END)
    assert fees_owed(small) == D("39.98"), "40 less a cent for each lot"
    small.strike(FEBRUARY)
    order.refresh_from_db()
    # 9.818182 units at 110, of which 5 % stay with Bob.
    assert (order.fee_amount, order.dealt_amount) == (D("54.00"), D("1026.00"))
    assert fees_owed(small) == D("39.98"), "40 less a cent for each lot"
    assert units_of(small, "ann") == (0, 0)
    assert NavStrike.objects.filter(fund=small.fund).count() == 4
    assert verify_fund(small.fund) == []


def test_who_leaves_last_takes_what_the_rounding_of_the_price_left_and_the_books_agree():
    """100,000 units of 10,000,000.33 are 100.0000033, priced 100.000003: the 0.30 beside the price
    are the last holder's, and no difference of the books."""
    small = make_fund()
    for at in (FIRST, first_of(2025, 2)):
        small.day(at)
    small.subscribe("ann", "10000000", before=FIRST)
    small.strike(FIRST)
    small.earn("0.33", at=FIRST + timedelta(days=2))
    order = small.redeem("ann", None, before=first_of(2025, 2))
    small.strike(first_of(2025, 2))
    order.refresh_from_db()
    assert (order.dealt_price, order.dealt_amount) == (D("100.000003"), D("10000000.33"))
    assert verify_fund(small.fund) == []
