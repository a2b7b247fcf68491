"""An investor redeems, subscribes and cancels on pages; nobody else's orders are in reach."""

from __future__ import annotations

import re
from collections.abc import Callable
from copy import deepcopy
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.cache import caches
from django.test import Client

from investors.domain.onboarding import KycState
from investors.models import (
    Application,
    DealingDay,
    DealingOrder,
    Fund,
    Holding,
    Investor,
    ShareClass,
)
from investors.services.money_accounts import approve_account, open_account
from investors.services.policies import set_terms
from investors.services.statements import record_receipt
from investors.tests.fund_support import FIRST, SmallFund, make_fund, switch_dealing
from magnetfund.core.actors import Actor
from magnetfund.core.models import AuditEvent
from magnetfund.core.roles import Role
from magnetfund.kernel.clock import utc_now
from magnetfund.operations.people import ensure_user

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("module_database")]
D = Decimal


def tell() -> SmallFund:
    """The fund of the site's book after one NAV, with a dealing day in a month."""
    fund = make_fund("main", gate_share="0.25")
    fund.day(FIRST)
    for name in ("ann", "bob", "new"):
        if name != "new":
            fund.subscribe(name, "10000", before=FIRST)
        investor = fund.investor(name)
        investor.user = ensure_user(email=investor.email, name=name, roles=[Role.INVESTOR])
        investor.save(update_fields=["user"])
    fund.strike(FIRST)
    fund.day((utc_now() + timedelta(days=30)).replace(microsecond=0))
    return fund


@pytest.fixture(scope="module")
def story() -> Callable[[], SmallFund]:
    return tell


@pytest.fixture
def small(module_database: Any, told: Any, db: None) -> SmallFund:
    caches["process"].clear()
    return deepcopy(told.value)


def client_of(small: SmallFund, name: str = "ann") -> Client:
    client = Client()
    user = small.investor(name).user
    assert user is not None
    client.force_login(user)
    return client


def fields(page: Any) -> dict[str, str]:
    """Hidden fields of the confirmation, with the box ticked."""
    found = dict(
        re.findall(r'type="hidden"\s+name="(\w+)"\s+value="([^"]*)"', page.content.decode())
    )
    found.pop("csrfmiddlewaretoken", None)
    return {**found, "understood": "on"}


REDEEM = {"share_class": "A", "what": "units", "size": "40"}


def test_a_redemption_from_the_simulator_to_the_order_and_back(small: SmallFund):
    client = client_of(small)
    tried = client.get("/redeem/", REDEEM)
    assert tried.status_code == 200
    text = " ".join(tried.content.decode().split())
    assert "4,000.00" in text
    assert "between 10 and 40 would be dealt" in text
    assert DealingOrder.objects.filter(kind="redemption").count() == 0

    given = fields(client.get("/redeem/confirm/", REDEEM))
    sent = client.post("/redeem/confirm/", given)
    order = DealingOrder.objects.get(kind="redemption")
    assert (sent.status_code, sent.url) == (303, f"/orders/{order.pk}/")
    assert (order.investor, order.units, order.state) == (small.investor("ann"), 40, "accepted")
    assert Holding.objects.get(investor=order.investor).reserved_units == 40
    assert AuditEvent.objects.filter(action="order.redemption", subject_id=order.pk).count() == 1
    assert f"/orders/{order.pk}/" in client.get("/activity/").content.decode()

    again = client.post("/redeem/confirm/", given)
    assert again.url == sent.url
    assert DealingOrder.objects.filter(kind="redemption").count() == 1

    assert "Cancel this order" in client.get(sent.url).content.decode()
    assert client.post(f"{sent.url}cancel/").status_code == 303
    order.refresh_from_db()
    assert order.state == "cancelled"
    assert Holding.objects.get(investor=order.investor).reserved_units == 0


def test_taking_an_order_back_asks_for_a_fresh_factor(small: SmallFund, settings: Any):
    client = client_of(small)
    address = client.post("/redeem/confirm/", fields(client.get("/redeem/confirm/", REDEEM))).url
    settings.SECOND_FACTOR_REQUIRED = True
    assert client.post(f"{address}cancel/").url.startswith("/account/")
    assert DealingOrder.objects.get(kind="redemption").state == "accepted"


def test_everything_and_an_amount_are_orders_too(small: SmallFund):
    client = client_of(small)
    amount = fields(client.get("/redeem/confirm/", {**REDEEM, "what": "amount", "size": "1,000"}))
    assert (amount["what"], amount["size"]) == ("units", "10.000000")
    client.post("/redeem/confirm/", amount)
    everything = fields(client.get("/redeem/confirm/", {"share_class": "A", "what": "all"}))
    client.post("/redeem/confirm/", everything)
    orders = DealingOrder.objects.filter(kind="redemption").order_by("received_at")
    assert [(order.units, order.is_all) for order in orders] == [(10, False), (None, True)]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({}, "not_enough_units"),
        ({"kyc_state": KycState.RESTRICTED}, "on_hold"),
        ({"is_suspended": True}, "fund_suspended"),
    ],
)
def test_a_refusal_is_said_with_its_code_and_orders_nothing(
    small: SmallFund, change: dict[str, Any], code: str
):
    client = client_of(small)
    given = fields(client.get("/redeem/confirm/", REDEEM))
    if "kyc_state" in change:
        Investor.objects.filter(number="main-ann").update(**change)
    elif change:
        switch_dealing(small.fund, suspends=True)
    else:
        given["size"] = "100.000001"
    page = client.get("/redeem/", {**REDEEM, "size": given["size"]}).content.decode()
    assert code in page
    answer = client.post("/redeem/confirm/", given, follow=True)
    assert answer.redirect_chain[0][1] == 303
    assert f"({code})" in answer.content.decode()
    assert DealingOrder.objects.filter(kind="redemption").count() == 0


def test_after_the_cut_off_the_page_names_the_next_day_and_cancelling_is_over(
    small: SmallFund, monkeypatch: pytest.MonkeyPatch
):
    client = client_of(small)
    given = fields(client.get("/redeem/confirm/", REDEEM))
    address = client.post("/redeem/confirm/", given).url
    day = DealingDay.objects.get(valuation_at__gt=utc_now())
    for module in ("magnetfund.web.portal.dealing", "investors.services.dealing"):
        monkeypatch.setattr(f"{module}.utc_now", lambda: day.cutoff_at + timedelta(minutes=1))
    assert "no dealing day is open" in client.get("/redeem/", REDEEM).content.decode().lower()
    later = small.day(day.valuation_at + timedelta(days=30))
    text = " ".join(client.get("/redeem/", REDEEM).content.decode().split())
    assert "It is too late for the dealing day" in text
    assert f"{later.day.day} {later.day:%b %Y}" in text
    assert "Cancel this order" not in client.get(address).content.decode()
    refused = client.post(f"{address}cancel/", follow=True)
    assert "(cutoff_passed)" in refused.content.decode()
    assert DealingOrder.objects.get(kind="redemption").state == "accepted"


def test_a_confirmation_without_its_box_or_key_orders_nothing(small: SmallFund):
    client = client_of(small)
    given = fields(client.get("/redeem/confirm/", REDEEM))
    for change in ({"understood": ""}, {"key": ""}, {"size": "nan"}, {"share_class": "Z"}):
        assert client.post("/redeem/confirm/", {**given, **change}).status_code == 303
    assert client.post("/redeem/confirm/", {}).status_code == 303
    assert DealingOrder.objects.filter(kind="redemption").count() == 0
    # Nothing to confirm: back to the form with what was typed.
    assert client.get("/redeem/confirm/", {**REDEEM, "size": "9999"}).status_code == 303


def test_the_order_of_somebody_else_is_not_there(small: SmallFund):
    given = fields(client_of(small).get("/redeem/confirm/", REDEEM))
    address = client_of(small).post("/redeem/confirm/", given).url
    other = client_of(small, "bob")
    assert [
        other.get(address).status_code,
        other.get(f"{address}cancel/").status_code,
        other.post(f"{address}cancel/").status_code,
    ] == [404] * 3
    assert DealingOrder.objects.get(kind="redemption").state == "accepted"
    assert Client().post(f"{address}cancel/").status_code == 302
    staff = Client()
    staff.force_login(ensure_user(email="o@example.com", name="o", roles=[Role.ACCOUNTANT]))
    for path in ("/redeem/", "/redeem/confirm/", "/subscribe/", "/subscribe/confirm/"):
        assert staff.get(path).status_code == 404
        assert staff.post(path).status_code in (404, 405)


def test_a_subscription_shows_its_reference_and_waits_for_the_money(small: SmallFund):
    share_class = small.share_class()
    share_class.minimum_subscription = D(5000)
    share_class.save(update_fields=["minimum_subscription"])
    client = client_of(small, "new")
    assert "No units to redeem" in client.get("/redeem/").content.decode()
    low = client.get("/subscribe/", {"share_class": "A", "amount": "4999.99"}).content.decode()
    assert "below_minimum" in low
    wanted = {"share_class": "A", "amount": "6,000"}
    assert "60<small>units" in client.get("/subscribe/", wanted).content.decode()
    given = fields(client.get("/subscribe/confirm/", wanted))
    sent = client.post("/subscribe/confirm/", given)
    order = DealingOrder.objects.get(amount=6000)
    page = client.get(sent.url).content.decode()
    assert f"S-{order.pk.hex[:8].upper()}" in page
    assert "new@example.com" in page
    assert "waiting for 6,000.00" in " ".join(page.split())
    record_receipt(
        order=order, amount=D(6000), reference="R-1", party=order.investor.legal_name,
        actor=small.maker,
    )  # fmt: skip
    funded = client.get(sent.url).content.decode()
    assert "the money is here" in funded
    assert "Cancel this order" in funded


SWITCH = {"share_class": "A", "into": "B", "what": "units", "size": "40"}


def with_class_b(small: SmallFund) -> None:
    row = ShareClass.objects.create(fund=small.fund, code="B", name="B", launch_price=100)
    set_terms(
        share_class=row, terms={"lock_up": "hard", "lock_up_days": 90},
        effective_from=FIRST + timedelta(seconds=1), proposer=small.maker, approver=small.checker,
    )  # fmt: skip


def test_a_switch_from_the_simulator_to_the_order(small: SmallFund):
    client = client_of(small)
    assert "No other class" in client.get("/switch/").content.decode()
    with_class_b(small)
    text = " ".join(client.get("/switch/", SWITCH).content.decode().split())
    assert "units of class B" in text
    assert "Which class would cost less" in text
    assert DealingOrder.objects.filter(kind="switch").count() == 0
    given = fields(client.get("/switch/confirm/", SWITCH))
    sent = client.post("/switch/confirm/", given)
    order = DealingOrder.objects.get(kind="switch")
    assert (sent.status_code, sent.url) == (303, f"/orders/{order.pk}/")
    assert (order.units, order.into_class.code, order.state) == (40, "B", "accepted")
    assert client.post("/switch/confirm/", given).url == sent.url
    assert DealingOrder.objects.filter(kind="switch").count() == 1
    assert "A into B" in " ".join(client.get(sent.url).content.decode().split())
    same = client.get("/switch/", {**SWITCH, "into": "A"}).content.decode()
    assert "same_class" in same


def test_a_switch_asks_for_a_fresh_second_factor(small: SmallFund, settings: Any):
    with_class_b(small)
    client = client_of(small)
    given = fields(client.get("/switch/confirm/", SWITCH))
    settings.SECOND_FACTOR_REQUIRED = True
    answer = client.post("/switch/confirm/", given)
    assert answer.status_code == 302
    assert answer.url.startswith("/account/")
    assert DealingOrder.objects.filter(kind="switch").count() == 0


def test_a_redemption_asks_for_a_fresh_second_factor(small: SmallFund, settings: Any):
    client = client_of(small)
    given = fields(client.get("/redeem/confirm/", REDEEM))
    settings.SECOND_FACTOR_REQUIRED = True
    answer = client.post("/redeem/confirm/", given)
    assert answer.status_code == 302
    assert answer.url.startswith("/account/")
    assert DealingOrder.objects.filter(kind="redemption").count() == 0


def test_the_order_says_where_to_pay_and_what_is_missing(small: SmallFund):
    accountant = Actor.of(ensure_user(email="d@example.com", name="D", roles=[Role.ACCOUNTANT]))
    controller = Actor.of(ensure_user(email="m@example.com", name="M", roles=[Role.CONTROLLER]))
    client = client_of(small, "new")
    wanted = {"share_class": "A", "amount": "6000"}
    sent = client.post("/subscribe/confirm/", fields(client.get("/subscribe/confirm/", wanted)))
    assert "has no account to pay to yet" in client.get(sent.url).content.decode()
    account = open_account(
        fund=Fund.objects.get(), code="bank", kind="bank", bank="Northern",
        number="DE89370400440532013000", currency="USD", confirmations=0, actor=accountant,
    )  # fmt: skip
    # One signature is not enough: nobody is led to an account that one person named.
    assert "DE89370400440532013000" not in client.get(sent.url).content.decode()
    approve_account(account=account, actor=controller)
    assert "DE89370400440532013000" in client.get(sent.url).content.decode()
    order = DealingOrder.objects.get(amount=6000)
    record_receipt(
        order=order, amount=D(4500), reference="R-1", party=order.investor.legal_name,
        actor=accountant,
    )  # fmt: skip
    page = " ".join(client.get(sent.url).content.decode().split())
    assert "4,500.00 USD arrived, 1,500.00 are missing" in page


def test_the_first_order_begins_with_what_was_applied_for(small: SmallFund):
    investor = small.investor("new")
    Application.objects.create(
        email=investor.email, kind="person", investor=investor,
        share_class=small.share_class(), amount=D(7500),
    )  # fmt: skip
    client = client_of(small, "new")
    assert 'href="/subscribe/"' in client.get("/overview/").content.decode()
    assert 'value="7500"' in client.get("/subscribe/").content.decode()
    wanted = {"share_class": "A", "amount": "6000"}
    client.post("/subscribe/confirm/", fields(client.get("/subscribe/confirm/", wanted)))
    order = DealingOrder.objects.get(amount=6000)
    assert f'href="/orders/{order.pk}/"' in client.get("/overview/").content.decode()
    assert 'value="7500"' not in client.get("/subscribe/").content.decode()


def test_past_navs_of_a_class_that_had_no_units_before_its_first_dealing(small: SmallFund):
    assert Holding.objects.get(investor=small.investor("ann")).units > 0
    assert client_of(small).get("/navs/").status_code == 200
