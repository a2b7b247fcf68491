"""A class that is opened while the fund runs: NAVs before, at and after its first terms."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from investors.models import DealingOrder, ShareClass, UnitEntry
from investors.services.dealing_proposals import decide_dealing, propose_dealing
from investors.services.founding import create_class
from investors.services.investor_statements import make_statements
from investors.services.nav_as_known import nav_as_known
from investors.services.nav_errors import measure_nav_errors
from investors.services.policies import priced_classes, set_terms
from investors.services.verification import verify_fund
from investors.tests.fund_support import FIRST, SmallFund, first_of, make_fund
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import FundError

pytestmark = pytest.mark.django_db
D = Decimal
FEBRUARY, MARCH, APRIL, MAY = (first_of(2025, month) for month in (2, 3, 4, 5))


def running() -> SmallFund:
    """10 units of A at 100 for Ann, and 100 earned until February."""
    small = make_fund("main", performance_rate="0.2", management_rate="0")
    for at in (FIRST, FEBRUARY, MARCH, APRIL):
        small.day(at)
    small.subscribe("ann", "1000", before=FIRST)
    small.strike(FIRST)
    small.earn("100", at=FIRST + timedelta(days=3))
    small.strike(FEBRUARY)
    return small


def open_class(small: SmallFund, code: str = "B") -> ShareClass:
    return create_class(
        fund=small.fund, code=code, name=code, launch_price=D(50), minimum_subscription=D(0),
        actor=small.maker,
    )  # fmt: skip


def give_terms(small: SmallFund, code: str = "B", **terms: Any) -> None:
    set_terms(
        share_class=small.share_class(code), terms=terms, proposer=small.maker,
        approver=small.checker, effective_from=FEBRUARY + timedelta(days=3),
    )  # fmt: skip


def test_a_class_without_terms_holds_no_nav_up():
    small = running()
    open_class(small)
    small.subscribe("bob", "500", before=MARCH, code="B")
    strike = small.strike(MARCH)
    assert [row.share_class.code for row in strike.classes.all()] == ["A"]
    order = DealingOrder.objects.get(investor=small.investor("bob"))
    assert (order.state, order.dealing_day.valuation_at) == ("funded", APRIL)
    assert verify_fund(small.fund) == []


def test_a_class_deals_at_its_launch_price_from_its_first_terms_on():
    small = running()
    known = utc_now()
    before = nav_as_known(fund=small.fund, valuation_at=FEBRUARY, known_at=known).content()
    open_class(small)
    give_terms(small)
    small.subscribe("bob", "500", before=MARCH, code="B")
    small.strike(MARCH)
    assert small.share_class("B").holdings.get().units == 10
    # 110 a unit of A and 50 of B: 10 % of both.
    small.earn("158", at=MARCH + timedelta(days=3))
    april = small.strike(APRIL)
    # By what holders have, after the 20 that are accrued: 1,080 and 500.
    assert {row.share_class.code: row.price for row in april.classes.all()} == {
        "A": D("120.8"), "B": D(55),
    }  # fmt: skip
    assert nav_as_known(fund=small.fund, valuation_at=FEBRUARY, known_at=known).content() == before
    assert verify_fund(small.fund) == []
    for first in (FEBRUARY, MARCH):
        wrong = measure_nav_errors(fund=small.fund, first=first.date(), amount=D(-100))
        assert wrong.is_material
    made = [
        len(make_statements(fund=small.fund, period=f"2025-{month:02}", actor=small.maker).made)
        for month in (1, 2, 3)
    ]
    assert made == [1, 1, 2]


def test_a_fund_without_terms_says_so():
    small = make_fund("main")
    with pytest.raises(FundError) as found:
        priced_classes(small.fund, at=FIRST - timedelta(days=300))
    assert found.value.code == "no_terms"


def test_units_of_a_class_that_begins_anew_are_transferred_at_its_launch_price():
    """Ann left A at 108 net; Bob buys 10 units at its launch price of 100 and gives them to Cyd:
    the price of the NAV before Ann left is none of theirs."""
    small = running()
    small.redeem("ann", None, before=MARCH)
    small.strike(MARCH)
    small.day(MAY)
    small.subscribe("bob", "1000", before=APRIL)
    small.strike(APRIL)
    row = propose_dealing(
        kind="transfer", investor=small.investor("bob"), share_class=small.share_class(),
        receiver=small.investor("cyd"), is_all=True, reason="gift", actor=small.maker,
    )  # fmt: skip
    at = APRIL + timedelta(hours=9)
    row = decide_dealing(proposal=row, is_approved=True, actor=small.checker, at=at)
    moved = UnitEntry.objects.filter(kind="transfer_in").get()
    assert (moved.price, row.value) == (100, 1000)
    small.strike(MAY)
    run = make_statements(fund=small.fund, period="2025-04", actor=small.maker)
    assert run.refused == {}
    assert verify_fund(small.fund) == []
