"""Orders and strikes that can never be right are refused by code and leave everything as it was."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connections

from investors.domain.ledger import Tags, build_entry
from investors.models import DealingDay, DealingOrder, Entry, Fund, Holding, NavStrike
from investors.services.dealing import cancel_order, submit_redemption, submit_subscription
from investors.services.ledger import NewEntry, post_entry
from investors.services.nav import approve_strike, prepare_strike, reject_strike
from investors.services.verification import verify_fund
from investors.tests.fund_support import switch_dealing
from magnetfund.core.actors import Actor
from magnetfund.core.roles import Role
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import Conflict, FundError
from magnetfund.operations.people import ensure_user
from magnetfund.tests.flow_support import LATER, START
from trading.services.reconcile import reconcile_with_executions

pytestmark = pytest.mark.usefixtures("as_gateway")
NOBODY = Actor.system("test")
ODD = {
    "NaN": "not_finite", "sNaN": "not_finite", "Infinity": "not_finite", "-1": "not_positive",
    "0": "not_positive", "1e30": "out_of_range", "1.0000001": "too_fine", "1e-18": "too_fine",
}  # fmt: skip


@pytest.fixture
def fund(traded_month: None) -> Fund:
    reconcile_with_executions("main", at=LATER)
    return Fund.objects.get(book="main")


def person(name: str, role: Role) -> Actor:
    return Actor.of(ensure_user(email=f"{name}@example.com", name=name, roles=[role]))


def counts() -> tuple[int, ...]:
    return tuple(model.objects.count() for model in (DealingOrder, Entry, NavStrike))


def test_no_odd_figure_becomes_an_order(fund: Fund):
    holding = Holding.objects.filter(share_class__fund=fund, units__gt=0).first()
    assert holding is not None
    investor, share_class = holding.investor, holding.share_class
    before = counts()
    for text, code in {**ODD, "1.001": "too_fine"}.items():
        with pytest.raises(FundError) as refused:
            submit_subscription(
                investor=investor, share_class=share_class, amount=Decimal(text), actor=NOBODY,
                at=START,
            )  # fmt: skip
        assert refused.value.code == code, text
    for text, code in ODD.items():
        with pytest.raises(FundError) as refused:
            submit_redemption(
                investor=investor, share_class=share_class, units=Decimal(text), actor=NOBODY,
                at=START,
            )  # fmt: skip
        assert refused.value.code == code, text
    reserved = holding.reserved_units
    holding.refresh_from_db()
    assert holding.reserved_units == reserved
    assert counts() == before


def test_a_strike_has_its_dealing_days_instant_in_the_past_and_in_order(fund: Fund):
    maker = person("maker", Role.ACCOUNTANT)
    day = DealingDay.objects.filter(fund=fund, orders=None).order_by("-day")[0]
    newest = NavStrike.objects.filter(fund=fund, state="dealt").order_by("-valuation_at")[0]
    before = counts()
    wrong: list[tuple[str, dict[str, Any]]] = [
        ("too_early", {"valuation_at": utc_now() + timedelta(minutes=1)}),
        (
            "wrong_dealing_day",
            {"valuation_at": day.valuation_at + timedelta(seconds=1), "dealing_day": day},
        ),
        ("later_dealt", {"valuation_at": newest.valuation_at - timedelta(days=1)}),
        ("strike_exists", {"valuation_at": newest.valuation_at}),
    ]
    for code, given in wrong:
        with pytest.raises(FundError) as refused:
            prepare_strike(fund=fund, actor=maker, **given)
        assert refused.value.code == code
    assert counts() == before


def test_a_strike_on_books_that_changed_since_is_not_approved(fund: Fund):
    maker, checker = person("maker", Role.ACCOUNTANT), person("checker", Role.CONTROLLER)
    instant = LATER
    strike = prepare_strike(fund=fund, valuation_at=instant, actor=maker)
    late = NewEntry.of(
        build_entry(
            event="management_fee",
            source_ref="late invoice",
            effective_at=instant - timedelta(minutes=5),
            amounts={"amount": 100},
            tags=Tags(share_class="A"),
            text="an invoice found late",
        )
    )
    post_entry(fund, late, actor=NOBODY)
    before = counts()
    with pytest.raises(Conflict) as refused:
        approve_strike(strike=strike, seen_hash=strike.result_hash, actor=checker)
    assert refused.value.code == "stale"
    assert refused.value.details == {"changed": ["net_assets"]}
    assert counts() == before
    strike.refresh_from_db()
    assert strike.state == "prepared"
    reject_strike(strike=strike, reason="an invoice came late", actor=checker)
    again = prepare_strike(fund=fund, valuation_at=instant, actor=maker)
    approve_strike(strike=again, seen_hash=again.result_hash, actor=checker)
    assert again.nav < strike.nav
    assert verify_fund(fund) == []


def test_of_two_approvals_at_once_one_deals(fund: Fund):
    maker = person("maker", Role.ACCOUNTANT)
    checkers = [person(name, Role.CONTROLLER) for name in ("ann", "ben")]
    strike = prepare_strike(fund=fund, valuation_at=LATER, actor=maker)
    gate = threading.Barrier(2)

    def approve(checker: Actor) -> str:
        try:
            gate.wait()
            approve_strike(strike=strike, seen_hash=strike.result_hash, actor=checker)
        except Conflict as error:
            return error.code
        finally:
            connections.close_all()
        return "dealt"

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(approve, checkers)) == ["dealt", "not_prepared"]
    assert verify_fund(fund) == []


def test_a_suspended_fund_takes_no_order_and_deals_nothing(fund: Fund):
    maker, checker = person("maker", Role.ACCOUNTANT), person("checker", Role.CONTROLLER)
    holding = Holding.objects.filter(share_class__fund=fund, units__gt=0).first()
    assert holding is not None
    strike = prepare_strike(fund=fund, valuation_at=LATER, actor=maker)
    switch_dealing(fund, suspends=True)
    before = counts()
    who = {"investor": holding.investor, "share_class": holding.share_class, "actor": NOBODY}
    steps = (
        lambda: submit_subscription(**who, amount=Decimal(50_000)),
        lambda: submit_redemption(**who, units=Decimal(1)),
        lambda: approve_strike(strike=strike, seen_hash=strike.result_hash, actor=checker),
    )
    for step in steps:
        with pytest.raises(Conflict) as refused:
            step()
        assert refused.value.code == "fund_suspended"
    assert counts() == before
    switch_dealing(fund, suspends=False)
    approve_strike(strike=strike, seen_hash=strike.result_hash, actor=checker)
    strike.refresh_from_db()
    assert strike.state == "dealt"


def test_a_redemption_is_taken_back_before_its_cut_off_and_frees_its_units(fund: Fund):
    holding = Holding.objects.filter(share_class__fund=fund, units__gt=0).first()
    assert holding is not None
    given = START + timedelta(days=34)
    order = submit_redemption(
        investor=holding.investor, share_class=holding.share_class, units=Decimal(1), actor=NOBODY,
        at=given,
    )  # fmt: skip
    reserved = Holding.objects.get(pk=holding.pk).reserved_units
    assert order.dealing_day is not None
    with pytest.raises(Conflict) as late:
        cancel_order(
            order=order, actor=NOBODY, at=order.dealing_day.cutoff_at + timedelta(seconds=1)
        )
    assert late.value.code == "cutoff_passed"
    assert Holding.objects.get(pk=holding.pk).reserved_units == reserved
    assert cancel_order(order=order, actor=NOBODY, at=given).state == "cancelled"
    assert Holding.objects.get(pk=holding.pk).reserved_units == reserved - 1
    with pytest.raises(Conflict) as twice:
        cancel_order(order=order, actor=NOBODY, at=given)
    assert twice.value.code == "order_closed"
