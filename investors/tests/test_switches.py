"""A switch: one class redeemed into another at one NAV, and not a cent leaves or appears."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db.models import Sum

from investors.models import DealingOrder, Investor, NavStrike, Posting, UnitLot
from investors.selectors import read_dealing
from investors.services.dealing import cancel_order
from investors.services.estimates import estimate_prices
from investors.services.holder_values import net_invested
from investors.services.ledger import read_balances
from investors.services.papers import contract_note, describe_note, list_notes
from investors.services.policies import terms_in_force
from investors.services.switching import compare_costs, quote_switch, submit_switch
from investors.services.verification import verify_fund
from investors.tests.fund_support import FIRST, SmallFund, first_of, make_fund_of
from magnetfund.core.models import AuditEvent
from magnetfund.kernel.errors import FundError

pytestmark = pytest.mark.django_db
D = Decimal
FEBRUARY, MARCH, APRIL = first_of(2025, 2), first_of(2025, 3), first_of(2025, 4)
A = {"performance_rate": "0.15", "management_rate": "0.015"}
B = {
    "performance_rate": "0.2", "management_rate": "0.01", "hurdle": "hard", "hurdle_rate": "0.05",
    "lock_up": "hard", "lock_up_days": 90,
}  # fmt: skip


def fund_of_two(code: str = "main", *, a: Any = None, b: Any = None) -> SmallFund:
    """Ann and Bob in A, Cyd in B, a gain in January that no NAV has struck yet."""
    small = make_fund_of(code, {"A": {**A, **(a or {})}, "B": {**B, **(b or {})}})
    for at in (FIRST, FEBRUARY, MARCH, APRIL):
        small.day(at)
    small.subscribe("ann", "30000", before=FIRST)
    small.subscribe("bob", "12345.67", before=FIRST)
    small.subscribe("cyd", "9000", before=FIRST, code="B")
    small.strike(FIRST)
    small.earn("1500", at=FIRST + timedelta(days=9))
    return small


def switch(
    small: SmallFund,
    units: str | None,
    *,
    name: str = "ann",
    code: str = "A",
    into: str = "B",
    before: Any = FEBRUARY,
) -> DealingOrder:
    return submit_switch(
        investor=small.investor(name),
        share_class=small.share_class(code),
        into_class=small.share_class(into),
        units=None if units is None else D(units),
        actor=small.maker,
        at=before - timedelta(days=10),
    )


def price_of(strike: NavStrike, code: str) -> Decimal:
    return strike.classes.get(share_class__code=code).issue_price


def refused(call: Any) -> str:
    with pytest.raises(FundError) as error:
        call()
    return error.value.code


def test_units_leave_at_one_price_and_buy_at_the_others_of_the_same_nav():
    small = fund_of_two()
    order = switch(small, "100")
    strike = small.strike(FEBRUARY)
    order.refresh_from_db()
    a, b = price_of(strike, "A"), price_of(strike, "B")
    assert a > 100
    assert (order.state, order.dealt_units, order.dealt_price) == ("settled", 100, a)
    assert order.into_price == b
    assert abs(order.dealt_amount - 100 * (a - D("0.15") * (a - 100))) < D("0.02")
    assert 0 <= order.dealt_amount - order.into_units * b < D("0.01")
    new = UnitLot.objects.get(holding__investor=small.investor("ann"), share_class__code="B")
    assert (new.units, new.high_water_mark) == (order.into_units, b)
    assert (new.dealing_day, new.hurdle_start) == (date(2025, 2, 1), date(2025, 2, 1))
    assert new.lockup_until == date(2025, 2, 1) + timedelta(days=90)
    left = UnitLot.objects.get(holding__investor=small.investor("ann"), share_class__code="A")
    assert (left.units, left.high_water_mark, left.hurdle_start) == (200, 100, FIRST.date())
    line = AuditEvent.objects.get(action="order.switch", subject_id=str(order.pk))
    assert line.body["into"] == str(order.into_class_id)


def test_no_cash_moves_and_the_fee_of_the_units_that_left_is_final():
    small = fund_of_two()
    before = read_balances(small.fund, before=FEBRUARY)
    switch(small, "100")
    small.strike(FEBRUARY)
    after = read_balances(small.fund, before=APRIL)
    # The bank keeps what is owed to the manager; no account of the fund's own lost a cent.
    for accounts in (("1010", "1030"), ("1020",), ("2010",), ("2020",)):
        moved = [after.get((a, "USD"), 0) - before.get((a, "USD"), 0) for a in accounts]
        assert sum(moved) == 0
    legs = Posting.objects.filter(entry__kind="switch_dealt")
    sums = dict(legs.values_list("account_id").annotate(total=Sum("amount")))
    assert sums["2020"] == 0
    assert sums["2110"] == -sums["2120"] > 0
    assert net_invested(small.fund)[small.investor("ann").pk] == 30_000


def test_nobody_else_is_worth_a_cent_more_or_less_by_it():
    values = {}
    for code in ("with", "without"):
        small = fund_of_two(code)
        if code == "with":
            switch(small, None)
        small.strike(FEBRUARY)
        values[code] = {
            name: small.investor(name).snapshots.get(day=FEBRUARY.date()).value
            for name in ("ann", "bob", "cyd")
        }
    # Ann gives up less than one step of units and one cent to rounding.
    assert 0 <= values["without"].pop("ann") - values["with"].pop("ann") < D("0.02")
    assert values["with"] == values["without"]


def test_the_books_agree_with_themselves_and_the_next_nav_with_both_engines():
    small = fund_of_two(a={"exit_fee_rate": "0.01"}, b={"entry_fee_rate": "0.02"})
    both = [switch(small, "100"), switch(small, None, name="bob")]
    strike = small.strike(FEBRUARY)
    assert verify_fund(small.fund) == []
    for order in both:
        order.refresh_from_db()
        assert order.fee_amount > 0
        bought = order.dealt_amount - order.into_fee
        assert abs(order.into_units * price_of(strike, "B") - bought) < D("0.01")
    small.earn("-700", at=FEBRUARY + timedelta(days=3))
    switch(small, None, name="cyd", code="B", into="A", before=APRIL)
    small.strike(MARCH)
    small.strike(APRIL)
    assert verify_fund(small.fund) == []


def test_the_last_holder_of_a_class_switches_everything_and_leaves_no_dust():
    small = fund_of_two(a={"exit_fee_rate": "0.01"})
    switch(small, None)
    order = switch(small, None, name="bob")
    strike = small.strike(FEBRUARY)
    order.refresh_from_db()
    assert order.fee_amount == 0
    left = strike.classes.get(share_class__code="A")
    moved = small.fund.classes.get(code="A").dealingorder_set.filter(kind="switch")
    assert sum(item.dealt_amount for item in moved) == left.nav
    assert verify_fund(small.fund) == []
    assert small.strike(MARCH).classes.get(share_class__code="A").price is None


def test_the_fund_gate_counts_no_switch_but_the_holders_own_gate_does():
    small = fund_of_two(a={"gate_share": "0.1"})
    moved, cash = switch(small, None), small.redeem("bob", None, before=FEBRUARY)
    small.strike(FEBRUARY)
    for order in (moved, cash):
        order.refresh_from_db()
    assert (moved.state, cash.state) == ("settled", "deferred")
    small = fund_of_two("own", a={"investor_gate_share": "0.4"})
    order = switch(small, None)
    small.strike(FEBRUARY)
    order.refresh_from_db()
    first = order.into_units
    assert (order.state, order.dealt_units, order.dealing_day.day) == (
        "deferred", 120, MARCH.date(),
    )  # fmt: skip
    small.strike(MARCH)
    order.refresh_from_db()
    assert order.into_units > first
    assert len(list_notes(order)) == 2
    assert verify_fund(small.fund) == []


def test_a_year_end_before_the_day_rebases_a_waiting_switch():
    small = fund_of_two(a={"crystallisation_months": [1]})
    order = switch(small, "300", before=MARCH)
    small.strike(FEBRUARY)
    order.refresh_from_db()
    assert order.units < 300
    small.strike(MARCH)
    order.refresh_from_db()
    assert order.state == "settled"
    assert verify_fund(small.fund) == []


def test_what_a_switch_must_be_to_be_taken():
    small = fund_of_two()
    small.fund.classes.filter(code="B").update(minimum_subscription=5000)
    assert refused(lambda: switch(small, "100", into="A")) == "same_class"
    assert refused(lambda: switch(small, "301")) == "not_enough_units"
    assert refused(lambda: switch(small, "0")) == "not_positive"
    assert refused(lambda: switch(small, "0.0000001")) == "too_fine"
    assert refused(lambda: switch(small, "49")) == "below_minimum"
    assert refused(lambda: switch(small, "10", name="cyd", code="B", into="A")) == "locked_up"
    other = make_fund_of("other", {"A": {}}).share_class()
    wrong = lambda: submit_switch(  # noqa: E731 -- called once by the line below
        investor=small.investor("ann"), share_class=small.share_class(), into_class=other,
        units=D(1), actor=small.maker, at=FEBRUARY - timedelta(days=10),
    )  # fmt: skip
    assert refused(wrong) == "other_fund"
    for state, code in (("review", "kyc_open"), ("restricted", "on_hold")):
        Investor.objects.filter(pk=small.investor("ann").pk).update(kyc_state=state)
        small.investor("ann").refresh_from_db()
        assert refused(lambda: switch(small, "100")) == code
    assert not DealingOrder.objects.filter(kind="switch").exists()


def test_an_investor_who_is_not_approved_on_the_day_keeps_his_units():
    small = fund_of_two()
    order = switch(small, None)
    Investor.objects.filter(pk=order.investor_id).update(kyc_state="due_for_refresh")
    small.strike(FEBRUARY)
    order.refresh_from_db()
    assert (order.state, order.rolls, order.dealing_day.day) == ("accepted", 1, MARCH.date())
    assert order.investor.holdings.get().reserved_units == 300
    Investor.objects.filter(pk=order.investor_id).update(kyc_state="approved")
    small.strike(MARCH)
    order.refresh_from_db()
    assert order.state == "settled"


def test_a_switch_too_small_for_one_step_is_set_aside_and_stops_nobody():
    small = fund_of_two(b={"unit_quantum": "1"})
    tiny, whole = switch(small, "0.5"), switch(small, None, name="bob")
    small.strike(FEBRUARY)
    for order in (tiny, whole):
        order.refresh_from_db()
    assert (tiny.state, tiny.dealt_units) == ("set_aside", None)
    assert whole.state == "settled"
    assert small.investor("ann").holdings.get(share_class__code="A").reserved_units == 0
    assert verify_fund(small.fund) == []


def test_a_waiting_switch_reserves_and_cancelling_frees():
    small = fund_of_two()
    order = switch(small, "250")
    assert refused(lambda: small.redeem("ann", "51", before=FEBRUARY)) == "not_enough_units"
    cancel_order(order=order, actor=small.maker, at=FEBRUARY - timedelta(days=6))
    small.redeem("ann", "300", before=FEBRUARY)
    assert verify_fund(small.fund) == []


def test_the_quote_is_what_the_strike_deals_when_the_estimate_is_the_price():
    small = fund_of_two()
    small.value_book(f"{small.book_cash()}", at=FEBRUARY - timedelta(hours=1))
    estimate = estimate_prices(small.fund, at=FEBRUARY - timedelta(microseconds=1))
    assert estimate is not None
    quote = quote_switch(
        investor=small.investor("ann"),
        share_class=small.share_class(),
        into_class=small.share_class("B"),
        estimate=estimate,
        at=FEBRUARY - timedelta(days=10),
        units=D(100),
    )
    order = switch(small, "100")
    prepared = small.prepare(FEBRUARY)
    kinds = [(line.kind, line.code, line.units) for line in read_dealing(prepared).lines]
    small.approve(prepared)
    order.refresh_from_db()
    assert [kind for kind, _, _ in kinds] == ["Switch out", "Switch in"]
    assert quote.lockup_until == date(2025, 5, 2)
    # The estimate ends a day earlier: one day's management fee lies between the two.
    assert abs(quote.proceeds.payout - order.dealt_amount) < D("0.50")
    assert abs(quote.bought.subscription.units - order.into_units) < D("0.01")
    assert kinds[1][2] == order.into_units


def test_costs_of_a_year_are_those_of_the_terms():
    small = fund_of_two()
    here, there = (terms_in_force(small.share_class(code), at=FEBRUARY) for code in "AB")
    costs = compare_costs(here=here, there=there, money=D("30710.94"), start=FEBRUARY.date())
    shown = {str(line.result): (round(line.here, 2), round(line.there, 2)) for line in costs}
    assert shown["-0.1"] == (D("460.66"), D("307.11"))
    assert shown["0.05"] == (D("621.90"), D("307.11"))
    assert shown["0.1"] == (D("852.23"), D("552.80"))
    assert shown["0.3"] == (D("1773.56"), D("1781.23"))


def test_the_note_shows_both_halves_and_is_made_once():
    small = fund_of_two()
    order = switch(small, "100")
    strike = small.strike(FEBRUARY)
    order.refresh_from_db()
    data = describe_note(order, strike, "CN")
    deal = dict(next(part["rows"] for part in data["parts"] if part["name"] == "Deal"))
    assert deal["Units redeemed, class A"] == "100.000000"
    assert deal["Units issued, class B"] == f"{order.into_units:,.6f}"
    assert deal["Moved to class B"] == f"{order.dealt_amount:,.2f} USD"
    assert "Performance fee, made final" in deal
    assert len(data["lots"]) == 2
    assert bytes(contract_note(order=order).content).startswith(b"%PDF-")
