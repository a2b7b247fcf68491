"""The dealing book on the desk: what each order needs, and a receipt recorded by a person."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from investors.domain.onboarding import KycState
from investors.models import DealingOrder, Entry, Investor
from investors.services.order_figures import MoneyLine, OrderFigures, account_for
from investors.services.papers import describe_note
from investors.services.switching import submit_switch
from investors.tests.fund_support import FIRST, SmallFund, first_of, make_fund, make_fund_of
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


SECOND = first_of(2025, 2)


def dealt(terms: dict[str, dict[str, Any]]) -> SmallFund:
    """Ann holds two lots of A and Bob one, after a gain; a second day is due."""
    fund = make_fund_of("main", terms)
    for at in (FIRST, SECOND):
        fund.day(at)
    for name, amount in (("ann", "10000"), ("ann", "5000.50"), ("bob", "20000")):
        fund.subscribe(name, amount, before=FIRST)
        user = ensure_user(email=f"{name}@example.com", name=name, roles=[Role.INVESTOR])
        Investor.objects.filter(pk=fund.investor(name).pk).update(user=user)
        fund.investor(name).user = user
    fund.strike(FIRST)
    fund.earn("3500.05", at=FIRST + timedelta(days=9))
    return fund


def figures_of(order: DealingOrder) -> OrderFigures:
    order.refresh_from_db()
    found = account_for(order)
    assert found is not None
    return found


def check_sums(order: DealingOrder) -> dict[str, MoneyLine]:
    """The lines add to what the order moved and the ledger owes; the lots to the same."""
    found = figures_of(order)
    lines = {line.label: line for line in found.lines}
    totals = [k for k, line in enumerate(found.lines) if line.is_total]
    assert sum(line.amount for line in found.lines[: totals[0]]) == found.lines[totals[0]].amount
    if len(totals) > 1:
        rest = found.lines[totals[0] : totals[1]]
        assert sum(line.amount for line in rest) == found.lines[totals[1]].amount
    return lines


def read(small: SmallFund, order: DealingOrder, name: str) -> tuple[str, str]:
    """The order's page of the desk and of its holder."""
    own = Client()
    assert small.investor(name).user is not None
    own.force_login(small.investor(name).user)
    desk = client_of(Role.ACCOUNTANT).get(f"/desk/fund/orders/{order.pk}/")
    portal = own.get(f"/orders/{order.pk}/")
    assert (desk.status_code, portal.status_code) == (200, 200)
    pages = [" ".join(page.content.decode().split()) for page in (desk, portal)]
    return pages[0], pages[1]


def test_what_rounding_took_is_not_called_a_fee():
    """2.333333 units at 99.667 are 232.5563: 232.55 is moved, and no fee had accrued."""
    small = make_fund_of("main", {"A": {"performance_rate": "0.2", "exit_fee_rate": "0.02"}})
    for at in (FIRST, SECOND):
        small.day(at)
    small.subscribe("ann", "1000", before=FIRST)
    small.strike(FIRST)
    small.earn("-3.33", at=FIRST + timedelta(days=9))
    order = small.redeem("ann", "2.333333", before=SECOND)
    small.strike(SECOND)
    lines = check_sums(order)
    assert lines["Units of A at the dealing price"].amount == Decimal("232.55")
    assert lines["Performance fee of the lots"].amount == 0
    assert lines["Performance fee of the lots"].note == "nothing had accrued"


def test_an_order_says_what_it_came_to_line_by_line_and_lot_by_lot():
    terms = {"performance_rate": "0.2", "exit_fee_rate": "0.01", "holdback_share": "0.05"}
    small = dealt({"A": terms, "B": {"entry_fee_rate": "0.02"}})
    part = small.redeem("ann", "120", before=SECOND)
    whole = small.redeem("bob", None, before=SECOND)
    into = submit_switch(
        investor=small.investor("ann"), share_class=small.share_class("A"),
        into_class=small.share_class("B"), units=Decimal(10), actor=small.maker,
        at=SECOND - timedelta(days=10),
    )  # fmt: skip
    small.strike(SECOND)
    lines = check_sums(part)
    assert lines["Units of A at the dealing price"].amount == Decimal("13200.00")
    assert lines["Performance fee of the lots"].amount == Decimal("-240.00")
    assert lines["Exit and early redemption fee"].amount == Decimal("-129.60")
    assert lines["Proceeds"].amount == part.dealt_amount == Decimal("12830.40")
    assert lines["Withheld until the audit"].note == "nothing is withheld"
    found = figures_of(part)
    assert {lot.net for lot in found.lots} == {108}
    assert sum(lot.units for lot in found.lots) == 120
    assert found.units_left == sum(lot.left for lot in found.lots) == Decimal("20.005")
    lines = check_sums(whole)
    held = lines["Withheld until the audit"]
    assert (held.amount, held.note) == (-whole.held_amount, "paid after the audit")
    assert lines["Still to be paid"].amount == whole.dealt_amount - whole.held_amount
    lines = check_sums(into)
    assert lines["Moved to class B"].amount == into.dealt_amount
    assert lines["Subscription fee of B"].amount == -into.into_fee < 0
    for order, name in ((part, "ann"), (whole, "bob"), (into, "ann")):
        for page in read(small, order, name):
            assert "What it came to" in page
            assert "Lot by lot" in page
            assert f"{order.dealt_amount:,.2f}" in page
    bought = DealingOrder.objects.get(kind="subscription", amount=Decimal("5000.50"))
    lines = check_sums(bought)
    assert lines["Subscription fee"].note == "the class takes none"
    settled = client_of(Role.ACCOUNTANT).get("/desk/fund/orders/?state=settled").content.decode()
    assert f"/desk/fund/orders/{bought.pk}/" in settled


def test_an_order_says_why_the_last_to_leave_pay_no_exit_fee():
    small = dealt({"A": {"exit_fee_rate": "0.02", "performance_rate": "0.2"}})
    orders = [small.redeem(name, None, before=SECOND) for name in ("ann", "bob")]
    small.strike(SECOND)
    for order, name in zip(orders, ("ann", "bob"), strict=True):
        line = check_sums(order)["Exit and early redemption fee"]
        assert (line.amount, order.fee_amount) == (0, 0)
        assert order.strike is not None
        (_, deal) = describe_note(order, order.strike, "CN-1")["parts"]
        assert dict(deal["rows"])[line.label] == line.note != ""
        for page in read(small, order, name):
            assert "every holder left on this day" in page
            assert "nothing is withheld" in page
    assert figures_of(orders[0]).units_left == 0
