"""Reversals at their doors: the money page, Today and the API over one service."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client

from investors.models import FundAccount, StatementLine
from investors.services.verification import verify_fund
from investors.tests.fund_support import FIRST, SmallFund, first_of, make_fund
from investors.tests.test_camt_entries import camt
from investors.tests.test_receipts import account_of, bring, order_of, payee_of
from investors.tests.test_reversed_receipts import credit, debit
from magnetfund.core.roles import Role
from magnetfund.kernel.clock import utc_now
from magnetfund.operations.people import ensure_user
from magnetfund.web.desk.open_work.money import SOURCES

pytestmark = pytest.mark.django_db
PAGE = "/desk/fund/money/"


@pytest.fixture
def small() -> SmallFund:
    fund = make_fund("main")
    fund.day(FIRST)
    fund.day(first_of(2025, 2))
    return fund


@pytest.fixture
def account(small: SmallFund) -> FundAccount:
    return account_of(small)


def client_of(role: Role) -> Client:
    client = Client()
    client.force_login(ensure_user(email=f"{role.value}@example.com", name="x", roles=[role]))
    return client


def told() -> list[str]:
    source = SOURCES["reversal_open"]
    return [source.describe(row)[0] for row in source.select("main", utc_now())]


def test_an_accountant_books_a_reversal_on_the_money_page(small: SmallFund, account: FundAccount):
    bring(small, camt(credit(), debit()), account)
    assert told() == ["Book what the bank took back, 1,000.00 USD"]
    reversal, receipt = (StatementLine.objects.get(reference=name) for name in ("R1", "C1"))
    address = f"{PAGE}reversals/{reversal.pk}/"
    accountant = client_of(Role.ACCOUNTANT)
    assert address in accountant.get(PAGE).content.decode()
    assert client_of(Role.AUDITOR).post(address, {"receipt": receipt.pk}).status_code == 403
    assert accountant.post(address, {"receipt": "x"}).status_code == 303
    reversal.refresh_from_db()
    assert reversal.final_at is None
    assert accountant.post(address, {"receipt": receipt.pk}).status_code == 303
    page = accountant.get(PAGE).content.decode()
    assert "took a receipt back" in page
    assert address not in page
    assert told() == []
    assert verify_fund(small.fund) == []


def test_the_money_of_a_dealt_subscription_that_was_taken_back_is_said(
    small: SmallFund, account: FundAccount
):
    order = order_of(small)
    payee_of(small, "ann")
    bring(small, camt(credit(text=order.reference)), account)
    small.strike(FIRST)
    bring(small, camt(debit()), account)
    assert told() == ["The bank took back the money of a dealt subscription, 1,000.00 USD"]
    assert "was dealt with its money" in client_of(Role.ACCOUNTANT).get(PAGE).content.decode()


def test_the_api_ends_a_receipt_by_the_reference_of_its_reversal(
    small: SmallFund, account: FundAccount
):
    bring(small, camt(credit(), debit()), account)
    receipt = StatementLine.objects.get(reference="C1")
    client = client_of(Role.ACCOUNTANT)

    def post(reference: str, key: str) -> Any:
        return client.post(
            f"/api/money/receipts/{receipt.pk}/reverse",
            json.dumps({"reversal_reference": reference}),
            content_type="application/json",
            headers={"Idempotency-Key": key},
        )

    assert post("none", "k1").status_code == 404
    assert post("C1", "k2").status_code == 404
    sent = post("R1", "k3")
    assert (sent.status_code, post("R1", "k3").content) == (200, sent.content)
    assert sent.json() == {
        "receipt_id": str(receipt.pk), "reversal_reference": "R1", "amount": "1000",
    }  # fmt: skip
    late = post("R1", "k4")
    assert (late.status_code, late.json()["error"]["code"]) == (409, "not_open")
    receipt.refresh_from_db()
    assert receipt.open_amount == 0


def test_an_order_whose_money_was_taken_back_is_cancelled_after_its_cut_off(
    small: SmallFund, account: FundAccount
):
    order = order_of(small)
    payee_of(small, "ann")
    bring(small, camt(credit(text=order.reference)), account)
    accountant = client_of(Role.ACCOUNTANT)
    address = f"/desk/fund/orders/{order.pk}/cancel/"
    accountant.post(address, {"understood": "on"})
    order.refresh_from_db()
    assert order.state == "funded", "its cut-off has passed"
    bring(small, camt(debit()), account)
    assert "cancel that order first" in accountant.get(PAGE).content.decode()
    accountant.post(address, {"understood": "on"})
    order.refresh_from_db()
    assert (order.state, order.funded_amount) == ("cancelled", 0)
    assert verify_fund(small.fund) == []
