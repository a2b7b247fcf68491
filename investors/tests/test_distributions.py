"""Distributions: money by units once, marks lowered, cash owed to be paid by two, units at the next
NAV; every book agrees and no holder is charged twice for one gain."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from investors.domain.dealing import allot_distribution, lower_mark
from investors.models import DealingOrder, Distribution, Investor, Message, UnitEntry, UnitLot
from investors.selectors import read_net_records
from investors.services.dealing import cancel_order
from investors.services.dealing_proposals import decide_dealing, propose_dealing
from investors.services.distributions import decide_distribution, propose_distribution
from investors.services.holder_values import net_invested
from investors.services.ledger import read_balances
from investors.services.money_accounts import add_payee, approve_payee
from investors.services.payment_drafts import payable_of, prepare_proceeds
from investors.services.verification import verify_fund
from investors.tests.fund_support import FIRST, SmallFund, first_of, make_fund_of
from magnetfund.kernel.errors import FundError, InvalidInput

D = Decimal
FEBRUARY, MARCH, APRIL = (first_of(2025, month) for month in (2, 3, 4))
PAYDAY = FEBRUARY + timedelta(days=3)
STEPS = {"price_quantum": D("0.000001"), "cash_quantum": D("0.01")}


def test_money_is_split_once_by_largest_remainder_and_the_mark_falls_by_it():
    thirds = {"ann": D(1), "bob": D(1), "cyd": D(1)}
    found = allot_distribution(units=thirds, amount=D(100), **STEPS)
    assert dict(found.shares) == {"ann": D("33.34"), "bob": D("33.33"), "cyd": D("33.33")}
    assert found.per_unit == D("33.333333")
    found = allot_distribution(units=thirds, per_unit=D("0.333333"), **STEPS)
    assert (found.total, sum(found.shares.values())) == (D("0.99"), D("0.99"))
    assert lower_mark(mark=D(100), net_value=D(120), per_unit=D(15)) == 85


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({}, "measure"),
        ({"amount": D(1), "per_unit": D(1)}, "measure"),
        ({"amount": D(0)}, "not_positive"),
        ({"per_unit": D(-1)}, "not_positive"),
        ({"amount": D("0.001")}, "too_fine"),
        ({"per_unit": D("0.0000001")}, "too_fine"),
        ({"per_unit": D("0.000001")}, "amount_too_small"),
        ({"amount": D("NaN")}, "not_finite"),
    ],
)
def test_an_amount_that_cannot_be_paid_is_refused(given: dict[str, Any], code: str):
    with pytest.raises(InvalidInput) as error:
        allot_distribution(units={"ann": D(10)}, **STEPS, **given)
    assert error.value.code == code


def test_a_distribution_below_no_mark_and_no_value():
    for mark, value, code in ((50, 120, "over_mark"), (100, 60, "over_value")):
        with pytest.raises(InvalidInput) as error:
            lower_mark(mark=D(mark), net_value=D(value), per_unit=D(60))
        assert error.value.code == code
    with pytest.raises(InvalidInput) as error:
        allot_distribution(units={}, amount=D(1), **STEPS)
    assert error.value.code == "no_units"


def tell() -> SmallFund:
    """Ann 10 units of A in two lots, Bob 30 of A, Cyd 40 of B; A takes 20 % of gains."""
    fund = make_fund_of("main", {"A": {"performance_rate": "0.2", "entry_fee_rate": "0.01"},
                                 "B": {"management_rate": "0.02"}})  # fmt: skip
    for at in (FIRST, FEBRUARY, MARCH, APRIL):
        fund.day(at)
    fund.subscribe("ann", "1010.11", before=FIRST)
    fund.subscribe("bob", "3030.31", before=FIRST)
    fund.subscribe("cyd", "4000", before=FIRST, code="B")
    fund.strike(FIRST)
    fund.earn("800", at=FIRST + timedelta(days=5))
    fund.strike(FEBRUARY)
    return fund


@pytest.fixture(scope="module")
def story() -> Callable[[], SmallFund]:
    return tell


@pytest.fixture
def small(module_database: Any, told: Any, db: None) -> SmallFund:
    return deepcopy(told.value)


def propose(small: SmallFund, **given: Any) -> Distribution:
    size = {} if {"per_unit", "amount"} & set(given) else {"per_unit": D(4)}
    return propose_distribution(
        **{
            "share_class": small.share_class(), "actor": small.maker, "reason": "year's income",
            **size, **given,
        }
    )  # fmt: skip


def declare(small: SmallFund, row: Distribution, **given: Any) -> Distribution:
    return decide_distribution(
        **{"distribution": row, "is_approved": True, "actor": small.checker, "at": PAYDAY, **given}
    )


def refused(call: Any) -> str:
    with pytest.raises(FundError) as error:
        call()
    return error.value.code


def order_of(small: SmallFund, name: str) -> DealingOrder:
    return DealingOrder.objects.get(
        investor=small.investor(name), kind__in=("distribution", "reinvestment")
    )


def test_cash_and_units_of_one_distribution_leave_every_book_in_agreement(small: SmallFund):
    before = {lot.pk: lot for lot in UnitLot.objects.all()}
    other = small.share_class("B").distributions.count()
    row = declare(small, propose(small, exceptions=["main-bob"]))
    held = {lot.holding.investor.legal_name: lot.units for lot in before.values()}
    ann, bob = order_of(small, "ann"), order_of(small, "bob")
    assert (ann.kind, ann.state, bob.kind, bob.state) == (
        "distribution", "payable", "reinvestment", "funded",
    )  # fmt: skip
    assert row.total == ann.amount + bob.amount
    assert abs(ann.amount - held["Ann"] * 4) < D("0.01")
    for lot in UnitLot.objects.filter(share_class__code="A"):
        assert lot.high_water_mark == before[lot.pk].high_water_mark - 4
    assert small.share_class("B").distributions.count() == other
    assert read_balances(small.fund)[("1010", "USD")] >= ann.amount
    assert verify_fund(small.fund) == []
    assert net_invested(small.fund)[ann.investor_id] == D("1010.11") - ann.amount
    small.earn("100", at=FEBRUARY + timedelta(days=9))
    strike = small.strike(MARCH)
    assert verify_fund(small.fund) == []
    bob.refresh_from_db()
    price = strike.classes.get(share_class__code="A").price
    assert (bob.state, bob.fee_amount, bob.dealt_price) == ("settled", 0, price)
    assert abs(bob.dealt_units * price - bob.amount) < D("0.01")
    assert net_invested(small.fund)[bob.investor_id] == D("3030.31")
    assert UnitLot.objects.get(entries__order=bob).high_water_mark == price
    small.strike(APRIL)
    assert verify_fund(small.fund) == []


def test_nobody_gains_or_loses_a_fee_by_a_distribution(small: SmallFund):
    """The accrued fee per unit is the same with and without it, in the class and for each lot."""
    before = {lot.lot_id: lot.performance_fee_per_unit
              for lot in small.fund.strikes.get(valuation_at=FEBRUARY).lots.all()}  # fmt: skip
    price = small.fund.strikes.get(valuation_at=FEBRUARY).classes.get(share_class__code="A").price
    (then,) = (item for item in read_net_records(small.fund.book) if item.code == "A")
    declare(small, propose(small, is_in_units=True))
    strike = small.strike(MARCH)
    assert any(before.values())
    row = strike.classes.get(share_class__code="A")
    assert abs(price - 4 - row.price) < D("0.0001")
    for lot in strike.lots.filter(lot_id__in=before, lot__share_class__code="A"):
        assert abs(lot.performance_fee_per_unit - before[lot.lot_id]) < D("0.0001")
    (record,) = (item for item in read_net_records(small.fund.book) if item.code == "A")
    assert then.total_return > 0
    assert abs(record.total_return - then.total_return) < D("0.000001")


def test_other_classes_do_not_pay_for_it(small: SmallFund):
    at = small.fund.strikes.get(valuation_at=FEBRUARY)
    mine = at.classes.get(share_class__code="B")
    declare(small, propose(small))
    strike = small.strike(MARCH)
    row = strike.classes.get(share_class__code="B")
    assert row.gav == mine.gav - row.management_fee


def test_who_held_at_the_record_date_is_paid_whoever_holds_now(small: SmallFund):
    move = propose_dealing(
        kind="transfer", investor=small.investor("bob"), share_class=small.share_class(),
        receiver=small.investor("cyd"), is_all=True, reason="gift", actor=small.maker,
    )  # fmt: skip
    decide_dealing(proposal=move, is_approved=True, actor=small.checker,
                   at=FEBRUARY + timedelta(days=1))  # fmt: skip
    declare(small, propose(small))
    assert order_of(small, "bob").dealt_amount > 100
    assert not DealingOrder.objects.filter(
        investor=small.investor("cyd"), kind="distribution"
    ).exists()
    assert UnitEntry.objects.filter(kind="distribution").count() == 2
    assert verify_fund(small.fund) == []
    small.strike(MARCH)
    assert verify_fund(small.fund) == []


def test_units_given_away_after_a_distribution_are_put_in_without_it(small: SmallFund):
    """Bob keeps the 4 a unit that was declared; Cyd is given what is left of each unit."""
    declare(small, propose(small))
    before = net_invested(small.fund)
    bob, cyd = small.investor("bob"), small.investor("cyd")
    move = propose_dealing(
        kind="transfer", investor=bob, share_class=small.share_class(), receiver=cyd,
        units=D(10), reason="gift", actor=small.maker,
    )  # fmt: skip
    decide_dealing(proposal=move, is_approved=True, actor=small.checker,
                   at=PAYDAY + timedelta(days=1))  # fmt: skip
    move.refresh_from_db()
    assert move.value is not None
    after = net_invested(small.fund)
    for holder, sign in ((bob, -1), (cyd, 1)):
        assert after[holder.pk] - before[holder.pk] == sign * (move.value - 40)
    assert sum(after.values()) == sum(before.values())
    assert verify_fund(small.fund) == []
    small.strike(MARCH)
    assert verify_fund(small.fund) == []
    shown = cyd.snapshots.get(day=MARCH.date())
    assert abs(shown.value - shown.net_invested - cyd_gain(small)) < D("0.02")


def cyd_gain(small: SmallFund) -> Decimal:
    """What Cyd's own units of B gained since they were bought: the gift gains nothing by itself."""
    price = small.fund.strikes.get(valuation_at=MARCH).classes.get(share_class__code="B").price
    return (price - 100) * 40


def test_cash_is_paid_by_two_people_through_the_payments(small: SmallFund):
    declare(small, propose(small))
    order = order_of(small, "ann")
    payee = add_payee(
        fund=small.fund, investor=small.investor("ann"), kind="bank", name="Ann",
        number="GB82WEST12345698765432", bank="WESTGB22", currency="USD", evidence="letter",
        actor=small.maker,
    )  # fmt: skip
    payee = approve_payee(payee=payee, actor=small.checker, at=FIRST)
    assert payable_of(order) == order.dealt_amount
    when = PAYDAY + timedelta(days=3)
    payment = prepare_proceeds(order=order, payee=payee, actor=small.maker, at=when)
    assert (payment.kind, payment.amount) == ("distribution", order.dealt_amount)
    assert refused(lambda: prepare_proceeds(order=order, payee=payee, actor=small.maker)) == (
        "nothing_owed"
    )
    assert refused(lambda: cancel_order(order=order, actor=small.maker)) == "order_closed"


def test_two_people_the_newest_nav_and_one_decision(small: SmallFund):
    row = propose(small)
    assert refused(lambda: declare(small, row, actor=small.maker)) in ("same_person", "not_allowed")
    late = MARCH + timedelta(hours=1)
    assert refused(lambda: declare(small, row, at=late)) == "day_unstruck"
    small.strike(MARCH)
    assert refused(lambda: declare(small, row, at=late + timedelta(days=1))) == "record_passed"
    again = propose(small)
    declare(small, again, at=late + timedelta(days=1))
    assert refused(lambda: declare(small, again, at=late + timedelta(days=2))) == "proposal_closed"
    assert refused(lambda: small.prepare(late)) == "marks_moved"
    assert Message.objects.filter(subject__startswith="Distribution of").count() == 2


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"reason": " "}, "reason_missing"),
        ({"exceptions": ["main-cyd"]}, "no_investor"),
        ({"per_unit": D(1000)}, "over_value"),
        ({"amount": D("0.001")}, "too_fine"),
        ({"per_unit": D(1), "amount": D(1)}, "measure"),
    ],
)
def test_a_proposal_that_is_refused_writes_nothing(
    small: SmallFund, given: dict[str, Any], code: str
):
    assert refused(lambda: propose(small, **given)) == code
    assert not Distribution.objects.exists()


def test_a_holder_who_is_not_approved_waits_for_his_units(small: SmallFund):
    declare(small, propose(small, is_in_units=True))
    Investor.objects.filter(pk=small.investor("bob").pk).update(kyc_state="review")
    small.strike(MARCH)
    bob = order_of(small, "bob")
    assert (bob.state, bob.dealing_day.day, order_of(small, "ann").state) == (
        "funded", APRIL.date(), "settled",
    )  # fmt: skip
    assert verify_fund(small.fund) == []
