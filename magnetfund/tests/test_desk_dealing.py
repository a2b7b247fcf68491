"""The dealing book on the desk: what each order needs, and a receipt recorded by a person."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from investors.domain.onboarding import KycState
from investors.models import DealingOrder, Entry
from investors.tests.fund_support import FIRST, SmallFund, make_fund
from magnetfund.core.roles import Role
from magnetfund.operations.people import ensure_user
from magnetfund.web.desk.dealing import find_needs

pytestmark = pytest.mark.django_db
GIVEN = {
    "party": "Ann", "amount": "10,000.00", "currency": "USD", "reference": "BANK-7",
    "understood": "on", "key": "k1",
}  # fmt: skip


@pytest.fixture
def small() -> SmallFund:
    fund = make_fund("main")
    fund.day(FIRST)
    fund.subscribe("ann", "10000", before=FIRST, paid=False)
    return fund


def client_of(role: Role) -> Client:
    client = Client()
    client.force_login(ensure_user(email=f"{role.value}@example.com", name="x", roles=[role]))
    return client


def test_a_person_records_a_receipt_and_the_order_is_funded(small: SmallFund):
    order = DealingOrder.objects.get()
    client = client_of(Role.ACCOUNTANT)
    book = client.get("/desk/fund/orders/").content.decode()
    assert "money: investor pays, accountant records the receipt" in book
    address = f"/desk/fund/orders/{order.pk}/receipt/"
    assert address in book
    assert client.get(address).status_code == 200
    sent = client.post(address, GIVEN)
    assert (sent.status_code, sent.url) == (303, "/desk/fund/orders/")
    order.refresh_from_db()
    assert order.state == "funded"
    entry = Entry.objects.get(source_ref="receipt:main:hand:BANK-7")
    assert entry.created_by is not None
    assert entry.created_by.email == "accountant@example.com"
    assert client.post(address, GIVEN).status_code == 303
    assert Entry.objects.filter(source_ref__startswith="receipt:").count() == 1
    assert "This order is not awaiting funds" in client.get(address).content.decode()
    after = client.get("/desk/fund/orders/?day=2025-01-01").content.decode()
    assert "NAV of 1 Jan: accountant and controller" in after
    assert "No orders match" in client.get("/desk/fund/orders/?state=accepted").content.decode()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"amount": "9,999.999"}, "too_fine"),
        ({"party": "Somebody Else Ltd"}, "third_party_money"),
        ({"currency": "EUR"}, "currency_differs"),
        ({"reference": " "}, "This field is required"),
        ({"understood": ""}, "Tick the box"),
        ({"amount": "x"}, "Enter a number"),
        ({"key": "\x07"}, "idempotency key"),
    ],
)
def test_a_wrong_receipt_is_refused_and_what_was_typed_stays(
    small: SmallFund, change: dict[str, Any], said: str
):
    order = DealingOrder.objects.get()
    answer = client_of(Role.ACCOUNTANT).post(
        f"/desk/fund/orders/{order.pk}/receipt/", {**GIVEN, **change}
    )
    text = answer.content.decode()
    assert answer.status_code == 422
    assert said in text
    assert change.get("amount", "10,000.00") in text
    order.refresh_from_db()
    assert order.state == "accepted"
    assert not Entry.objects.filter(source_ref__startswith="receipt:").exists()


def test_a_receipt_is_for_accountants_alone(small: SmallFund):
    order = DealingOrder.objects.get()
    address = f"/desk/fund/orders/{order.pk}/receipt/"
    assert Client().post(address, GIVEN).status_code == 302
    for role in Role:
        client = client_of(role)
        expected = 200 if role is Role.ACCOUNTANT else 403
        assert client.get(address).status_code == expected, role
        if role is not Role.ACCOUNTANT:
            assert client.post(address, GIVEN).status_code == 403, role
    order.refresh_from_db()
    assert order.state == "accepted"


def test_what_an_order_still_needs(small: SmallFund):
    order = DealingOrder.objects.select_related("investor", "dealing_day").get()
    order.investor.kyc_state = KycState.REVIEW
    assert [need.split(":")[0] for need in find_needs(order)] == ["KYC (under review)", "money"]
    order.state = "funded"
    assert [need.split(":")[0] for need in find_needs(order)] == ["KYC (under review)"]
    order.kind, order.units, order.amount = "redemption", Decimal(1), None
    order.state, order.dealing_day = "deferred", None
    assert find_needs(order) == ["a dealing day: the calendar ends before it"]
    order.state, order.reason = "set_aside", "no units are left for this order"
    assert "no units are left" in find_needs(order)[0]
