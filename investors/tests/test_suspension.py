"""A suspension across dealing days: none deals, and no order strands."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from investors.models import DealingDay, DealingOrder, Message, NavStrike
from investors.services.dealing import can_cancel
from investors.services.nav import prepare_due
from investors.services.nav_calendar import find_due
from investors.services.suspension import decide_suspension, propose_suspension
from investors.services.verification import verify_fund
from investors.tests.fund_support import FIRST, SmallFund, first_of, make_fund
from magnetfund.core.actors import Actor
from magnetfund.core.roles import Role
from magnetfund.kernel.clock import VirtualClock, use_clock, utc_now
from magnetfund.kernel.errors import Conflict, InvalidInput
from magnetfund.operations.people import ensure_user

pytestmark = pytest.mark.django_db
D = Decimal
FEBRUARY, MARCH, APRIL = (first_of(2025, month) for month in (2, 3, 4))


@pytest.fixture
def clock() -> Iterator[VirtualClock]:
    with use_clock(VirtualClock(FIRST - timedelta(days=40))) as found:
        assert isinstance(found, VirtualClock)
        yield found


def decide(small: SmallFund, *, suspends: bool, from_last_nav: bool = False) -> None:
    director = Actor.of(ensure_user(email="d@example.com", name="D", roles=[Role.DIRECTOR]))
    row = propose_suspension(
        fund=small.fund, suspends=suspends, reason="outage", notice="See below.", actor=director,
        from_last_nav=from_last_nav,
    )  # fmt: skip
    decide_suspension(proposal=row, is_approved=True, actor=small.checker)


def running(*, until: datetime = APRIL, **terms: Any) -> SmallFund:
    """Ann with ten units from January, and days up to ``until``."""
    small = make_fund(**terms)
    for at in (FIRST, FEBRUARY, MARCH, APRIL):
        if at <= until:
            small.day(at)
    small.subscribe("ann", "1000", before=FIRST)
    small.strike(FIRST)
    return small


def suspend_over(small: SmallFund, clock: VirtualClock, at: datetime) -> None:
    """Suspended two days before an instant, opened five days after it."""
    clock.move_to(at - timedelta(days=2))
    decide(small, suspends=True)
    clock.move_to(at + timedelta(days=5))
    assert find_due(small.fund, at=utc_now()) is None
    with pytest.raises(Conflict, match="suspended"):
        prepare_due(fund=small.fund, actor=small.maker)
    decide(small, suspends=False)


def test_a_day_in_a_suspension_does_not_deal_and_its_orders_take_the_next(clock: VirtualClock):
    small = running()
    bought = small.subscribe("bob", "1000", before=FEBRUARY)
    unpaid = small.subscribe("cyd", "1000", before=FEBRUARY, paid=False)
    sold = small.redeem("ann", "4", before=FEBRUARY)
    assert not can_cancel(sold, at=FEBRUARY)
    suspend_over(small, clock, FEBRUARY)
    assert DealingDay.objects.get(fund=small.fund, valuation_at=FEBRUARY).is_suspended
    assert find_due(small.fund, at=utc_now()) is None
    for order in (bought, unpaid, sold):
        order.refresh_from_db()
        assert order.dealing_day is not None
        assert (order.dealing_day.valuation_at, order.rolls) == (MARCH, 0)
        assert can_cancel(order, at=utc_now()), "it can be taken back until the next cut-off"
        told = Message.objects.get(investor=order.investor, key__startswith="passed:")
        assert "The dealing day 1 Feb 2025 came while dealing was suspended" in told.body
        assert "dealt at the NAV of 1 Mar 2025. You can take it back until 24 Feb" in told.body
    small.earn("100", at=FEBRUARY + timedelta(days=2))  # 10 units: from 100 to 110 each
    clock.move_to(MARCH + timedelta(hours=8))
    strike = prepare_due(fund=small.fund, actor=small.maker)
    small.approve(strike)
    assert list(NavStrike.objects.filter(valuation_at__gt=FIRST)) == [strike]
    for order, state in ((bought, "settled"), (sold, "payable")):
        order.refresh_from_db()
        assert (order.state, order.dealt_price) == (state, 110)
    unpaid.refresh_from_db()
    assert (unpaid.state, unpaid.dealing_day.valuation_at) == ("accepted", APRIL)
    assert verify_fund(small.fund) == []


def test_orders_after_the_last_day_of_the_calendar_wait_for_a_new_one(clock: VirtualClock):
    small = running(until=FEBRUARY)
    sold = small.redeem("ann", None, before=FEBRUARY)
    suspend_over(small, clock, FEBRUARY)
    sold.refresh_from_db()
    assert (sold.state, sold.dealing_day) == ("accepted", None)
    assert (
        "first dealing day that the fund announces"
        in Message.objects.get(key__startswith="passed:").body
    )
    small.day(MARCH)
    small.strike(MARCH)
    sold.refresh_from_db()
    assert (sold.state, sold.dealt_amount) == ("payable", 1000)
    assert verify_fund(small.fund) == []


def test_a_day_before_the_suspension_is_still_dealt_after_it(clock: VirtualClock):
    small = running()
    sold = small.redeem("ann", "4", before=FEBRUARY)
    clock.move_to(FEBRUARY + timedelta(hours=2))
    decide(small, suspends=True)
    clock.move_to(FEBRUARY + timedelta(days=3))
    decide(small, suspends=False)
    assert not DealingDay.objects.get(fund=small.fund, valuation_at=FEBRUARY).is_suspended
    small.strike(FEBRUARY)
    sold.refresh_from_db()
    assert sold.state == "payable"
    assert not Message.objects.filter(key__startswith="passed:").exists()


def test_a_fund_that_was_worth_nothing_deals_again_once_it_is_worth_something(
    clock: VirtualClock,
):
    small = running()
    sold = small.redeem("ann", "4", before=FEBRUARY)
    small.earn("-1000", at=FEBRUARY - timedelta(days=2))
    clock.move_to(FEBRUARY + timedelta(hours=2))
    with pytest.raises(InvalidInput, match="no positive value"):
        prepare_due(fund=small.fund, actor=small.maker)
    decide(small, suspends=True)
    small.earn("500", at=FEBRUARY + timedelta(days=1))
    clock.move_to(FEBRUARY + timedelta(days=3))
    decide(small, suspends=False, from_last_nav=True)
    clock.move_to(MARCH + timedelta(hours=8))
    small.approve(prepare_due(fund=small.fund, actor=small.maker))
    sold = DealingOrder.objects.get(pk=sold.pk)
    assert (sold.state, sold.dealt_amount) == ("payable", 200)
    assert verify_fund(small.fund) == []


def test_the_end_of_a_fiscal_year_in_a_suspension_has_its_nav_after_it(clock: VirtualClock):
    small = running(performance_rate="0.2", crystallisation_months=[1])
    everything = small.redeem("ann", None, before=FEBRUARY)
    small.earn("100", at=FIRST + timedelta(days=9))
    suspend_over(small, clock, FEBRUARY)
    clock.move_to(MARCH + timedelta(hours=8))
    assert find_due(small.fund, at=utc_now()) == (FEBRUARY, None)
    small.approve(prepare_due(fund=small.fund, actor=small.maker))
    everything.refresh_from_db()
    assert everything.state == "accepted"
    small.approve(prepare_due(fund=small.fund, actor=small.maker))
    everything.refresh_from_db()
    # The fee of 20 % on the gain of 100 took 0.181818 of the 10 units at 110 on 1 February: 19.99.
    assert (everything.state, everything.dealt_amount) == ("payable", D("1080.01"))
    assert verify_fund(small.fund) == []
