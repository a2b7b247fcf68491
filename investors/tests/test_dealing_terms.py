"""Terms of a class that dealing and the simulator obey: lock-up, investor gate, minimums."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from investors.models import ClassPolicyVersion, DealingOrder, UnitLot
from investors.services.dealing_quotes import quote_redemption
from investors.services.estimates import estimate_prices
from investors.services.ledger import read_balances
from investors.services.policies import set_terms
from investors.services.verification import verify_fund
from investors.services.verification.strikes import find_strike_differences
from investors.tests.fund_support import FIRST, SmallFund, first_of, make_fund
from magnetfund.kernel.errors import Conflict
from magnetfund.kernel.identifiers import content_hash

pytestmark = pytest.mark.django_db
D = Decimal
FEBRUARY, MARCH, APRIL = (first_of(2025, month) for month in (2, 3, 4))


def fund_of(**terms: Any) -> SmallFund:
    """Ann has 10 units of January and 10 of February at 100, Bob 20 of January."""
    small = make_fund(**terms)
    for at in (FIRST, FEBRUARY, MARCH, APRIL):
        small.day(at)
    small.subscribe("ann", "1000", before=FIRST)
    small.subscribe("bob", "2000", before=FIRST)
    small.strike(FIRST)
    small.subscribe("ann", "1000", before=FEBRUARY)
    small.strike(FEBRUARY)
    return small


def refused(small: SmallFund, units: str | None, before: Any) -> Conflict:
    with pytest.raises(Conflict) as found:
        small.redeem("ann", units, before=before)
    return found.value


class TestLockUp:
    HARD = {"lock_up": "hard", "lock_up_days": 45}

    def test_each_lot_has_its_own_end(self):
        small = fund_of(**self.HARD)
        lots = UnitLot.objects.filter(holding__investor=small.investor("ann")).order_by("number")
        assert [lot.lockup_until for lot in lots] == [
            (FIRST + timedelta(days=45)).date(), (FEBRUARY + timedelta(days=45)).date(),
        ]  # fmt: skip
        assert UnitLot.objects.filter(lockup_until=None).count() == 0

    def test_a_locked_lot_is_refused_with_what_is_free(self):
        small = fund_of(**self.HARD)
        error = refused(small, "10.000001", MARCH)
        assert (error.code, D(error.details["free"])) == ("locked_up", 10)
        assert refused(small, None, MARCH).code == "locked_up"
        assert not DealingOrder.objects.filter(kind="redemption").exists()

    def test_dealing_passes_the_locked_lot_over(self):
        small = fund_of(**self.HARD)
        order = small.redeem("ann", "10", before=MARCH)
        assert refused(small, "1", MARCH).code == "locked_up"
        small.strike(MARCH)
        order.refresh_from_db()
        assert (order.dealt_units, order.dealt_amount) == (10, 1000)
        left = UnitLot.objects.get(holding__investor=small.investor("ann"), units__gt=0)
        assert left.dealing_day == FEBRUARY.date()
        small.redeem("ann", None, before=APRIL)
        small.strike(APRIL)
        assert verify_fund(small.fund) == []

    def test_a_soft_lock_lets_go_for_a_fee_that_the_fund_keeps(self):
        small = fund_of(lock_up="soft", lock_up_days=45, soft_lock_fee_rate="0.02")
        order = small.redeem("ann", "15", before=MARCH)
        small.strike(MARCH)
        order.refresh_from_db()
        # Ten free units of January, five of February within their 45 days.
        assert (order.fee_amount, order.dealt_amount) == (10, 1490)
        assert read_balances(small.fund)["4060", "USD"] == -10
        assert verify_fund(small.fund) == []

    def test_the_simulator_refuses_and_charges_the_same(self):
        hard = fund_of(**self.HARD)
        given = {"share_class": hard.share_class(), "at": MARCH - timedelta(days=10),
                 "investor": hard.investor("ann"), "estimate": None}  # fmt: skip
        with pytest.raises(Conflict) as found:
            quote_redemption(units=D(11), **given)
        assert found.value.code == "locked_up"
        assert quote_redemption(units=D(10), **given).units == 10
        at = given["at"]
        hard.value_book("4000", at=at)
        worth = quote_redemption(
            **{**given, "estimate": estimate_prices(hard.fund, at=at)}, amount=D(1000)
        )
        assert worth.units == 10

    def test_the_simulator_shows_the_soft_fee(self):
        soft = fund_of(lock_up="soft", lock_up_days=45, soft_lock_fee_rate="0.02")
        at = MARCH - timedelta(days=10)
        soft.value_book("4000", at=at)
        quote = quote_redemption(
            investor=soft.investor("ann"), share_class=soft.share_class(), units=D(15), at=at,
            estimate=estimate_prices(soft.fund, at=at),
        )  # fmt: skip
        assert quote.proceeds is not None
        assert (quote.proceeds.exit_fee, quote.proceeds.payout) == (10, 1490)


class TestInvestorGate:
    def test_nobody_takes_more_than_the_share_of_his_own_units(self):
        small = fund_of(investor_gate_share="0.25")
        order = small.redeem("ann", "12", before=MARCH)
        whole = small.redeem("bob", "5", before=MARCH)
        small.strike(MARCH)
        order.refresh_from_db()
        whole.refresh_from_db()
        assert (order.state, order.dealt_units, order.units) == ("deferred", 5, 7)
        assert (whole.state, whole.dealt_units) == ("payable", 5)
        small.strike(APRIL)
        order.refresh_from_db()
        assert (order.dealt_units, order.units) == (D("8.75"), D("3.25"))
        assert verify_fund(small.fund) == []

    def test_the_fund_gate_takes_what_the_investor_gate_left(self):
        small = fund_of(investor_gate_share="0.5", gate_share="0.05")
        order = small.redeem("ann", "20", before=MARCH)
        small.strike(MARCH)
        order.refresh_from_db()
        assert (order.dealt_units, order.units) == (2, 18)
        assert verify_fund(small.fund) == []


class TestMinimums:
    def test_too_little_and_too_little_left_are_refused_and_everything_is_not(self):
        small = fund_of(minimum_redemption="300", minimum_holding="500")
        assert refused(small, "2.99", MARCH).code == "below_minimum"
        assert refused(small, "15.01", MARCH).code == "leaves_below_minimum"
        assert small.redeem("ann", "15", before=MARCH).units == 15

    def test_all_units_are_always_enough(self):
        small = fund_of(minimum_redemption="5000", minimum_holding="500")
        order = small.redeem("ann", None, before=MARCH)
        small.strike(MARCH)
        order.refresh_from_db()
        assert order.dealt_amount == 2000

    def test_open_orders_count_towards_what_is_left(self):
        small = fund_of(minimum_holding="500")
        small.redeem("ann", "10", before=MARCH)
        assert refused(small, "6", MARCH).code == "leaves_below_minimum"


class TestTermsOfANav:
    """A NAV is checked against the terms that it was struck by, whatever came into force since."""

    def test_new_terms_from_before_a_prepared_nav_make_it_stale(self):
        small = fund_of(performance_rate="0.2")
        small.earn("400", at=FEBRUARY + timedelta(days=3))
        strike = small.prepare(MARCH)
        change_terms(small, FEBRUARY + timedelta(days=5), performance_rate="0.1")
        with pytest.raises(Conflict) as found:
            small.approve(strike)
        assert (found.value.code, found.value.details["changed"]) == ("stale", ["classes"])

    def test_terms_from_the_very_instant_of_a_dealt_nav_are_refused(self):
        small = fund_of()
        for at in (FEBRUARY, FEBRUARY - timedelta(days=1)):
            with pytest.raises(Conflict) as found:
                change_terms(small, at, performance_rate="0.1")
            assert found.value.code == "period_closed"

    def test_a_nav_names_its_terms_and_is_verified_by_them(self):
        small = fund_of(performance_rate="0.2")
        small.earn("400", at=FEBRUARY + timedelta(days=3))
        strike = small.strike(MARCH)
        assert [item["terms"] for item in strike.inputs["classes"]] == [1]
        # As an older version of the service let it through: from before a NAV that was dealt.
        first = ClassPolicyVersion.objects.get()
        ClassPolicyVersion.objects.create(
            share_class=first.share_class, version=2, effective_from=first.effective_from,
            terms={**first.terms, "performance_rate": "0.1"}, proposed_by=first.proposed_by,
            approved_by=first.approved_by,
            content_hash=content_hash(
                [first.share_class.code, 2, {**first.terms, "performance_rate": "0.1"}]
            ),
        )  # fmt: skip
        assert find_strike_differences(small.fund) == []


def change_terms(small: SmallFund, effective_from: Any, **terms: Any) -> None:
    set_terms(
        share_class=small.share_class(), terms=terms, effective_from=effective_from,
        proposer=small.maker, approver=small.checker,
    )  # fmt: skip
