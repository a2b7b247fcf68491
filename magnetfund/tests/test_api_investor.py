"""An investor's own figures and redemptions over the API."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from rest_framework.test import APIClient

from investors.models import DealingOrder, ShareClass
from investors.services.policies import set_terms
from investors.tests.fund_support import FIRST, SmallFund, make_fund
from magnetfund.core.roles import Role
from magnetfund.kernel.clock import utc_now
from magnetfund.operations.people import ensure_user

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("module_database")]


def tell() -> SmallFund:
    fund = make_fund("main")
    fund.day(FIRST)
    for name, amount in (("ann", "10000"), ("bob", "30000")):
        fund.subscribe(name, amount, before=FIRST)
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
    return deepcopy(told.value)


def client_of(small: SmallFund, name: str) -> APIClient:
    client = APIClient()
    client.force_authenticate(small.investor(name).user)
    return client


def withdraw(client: APIClient, body: dict[str, Any], key: str = "k1") -> Any:
    headers = {"Idempotency-Key": key} if key else {}
    return client.post("/api/investor/withdraw", body, format="json", headers=headers)


def test_each_investor_reads_his_own_figures_alone(small: SmallFund):
    for name, value, share in (("ann", "10000", "25"), ("bob", "30000", "75")):
        body = client_of(small, name).get("/api/investor/dashboard").json()
        assert body["investor_id"] == str(small.investor(name).pk)
        assert (body["equity_value"], body["share_percent"]) == (value, share)
        assert (body["total_return"], body["return_percent"]) == ("0", "0")
        assert body["investment_date"] == "2025-01-01"
        points = client_of(small, name).get("/api/investor/performance").json()["points"]
        assert [(point["day"], point["value"]) for point in points] == [("2025-01-01", value)]
    ann = client_of(small, "ann")
    assert ann.get("/api/investor/performance?since=2025-01-02").json()["points"] == []
    refused = ann.get("/api/investor/performance?since=soon")
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "bad_date")


def test_a_withdrawal_is_one_order_for_its_key(small: SmallFund):
    ann = client_of(small, "ann")
    body = {"units": "12.5", "reason": "a house"}
    first, again = withdraw(ann, body), withdraw(ann, body)
    assert first.status_code == again.status_code == 202
    assert first.content == again.content
    assert again["Idempotent-Replayed"] == "true"
    order = DealingOrder.objects.get(kind="redemption")
    assert first.json()["request_id"] == str(order.pk)
    assert first.json()["status"] == "pending_approval"
    assert (order.units, order.reason, order.investor.legal_name) == (
        Decimal("12.5"), "a house", "Ann",
    )  # fmt: skip
    other = withdraw(ann, {**body, "units": "13"})
    assert (other.status_code, other.json()["error"]["code"]) == (422, "key_reused")
    money = withdraw(ann, {"amount": "1000", "idempotency_key": "k2"}, key="")
    assert (money.status_code, money.json()["units"]) == (202, "10")


@pytest.mark.parametrize(
    ("body", "key", "status", "code"),
    [
        ({"units": "100.000001"}, "k", 409, "not_enough_units"),
        ({"units": "0"}, "k", 422, "not_positive"),
        ({"units": "-1"}, "k", 422, "not_positive"),
        ({"units": "0.0000001"}, "k", 422, "too_fine"),
        ({"units": "NaN"}, "k", 422, "invalid_input"),
        ({"units": "1", "amount": "1"}, "k", 422, "invalid_input"),
        ({}, "k", 422, "invalid_input"),
        ({"units": "1"}, "", 422, "key_missing"),
        ({"units": "1", "idempotency_key": "other"}, "k", 422, "two_keys"),
        ({"units": "1", "share_class": "Z"}, "k", 422, "no_holding"),
        ({"amount": "10000.01"}, "k", 422, "not_enough_value"),
    ],
)
def test_what_is_refused_orders_nothing(
    small: SmallFund, body: dict[str, str], key: str, status: int, code: str
):
    answer = withdraw(client_of(small, "ann"), body, key=key)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert not DealingOrder.objects.filter(kind="redemption").exists()


def test_a_switch_is_quoted_and_placed_once_for_its_key(small: SmallFund):
    row = ShareClass.objects.create(fund=small.fund, code="B", name="B", launch_price=50)
    set_terms(
        share_class=row, terms={}, effective_from=FIRST + timedelta(seconds=1),
        proposer=small.maker, approver=small.checker,
    )  # fmt: skip
    ann = client_of(small, "ann")
    body = {"share_class": "A", "into_class": "B", "units": "10"}
    quote = ann.post("/api/investor/switch/quote", body, format="json").json()
    assert (quote["moved"], quote["into_units"]) == ("1000", "20")
    headers = {"Idempotency-Key": "switch-1"}
    first = ann.post("/api/investor/switch", body, format="json", headers=headers)
    again = ann.post("/api/investor/switch", body, format="json", headers=headers)
    assert (first.status_code, again.content) == (202, first.content)
    order = DealingOrder.objects.get(kind="switch")
    assert (order.reference, order.units) == (first.json()["reference"], 10)
    other = ann.post(
        "/api/investor/switch", {**body, "units": "11"}, format="json", headers=headers
    )
    assert (other.status_code, other.json()["error"]["code"]) == (422, "key_reused")
    for change, code in (({"into_class": "Z"}, "no_class"), ({"into_class": "A"}, "same_class")):
        refused = ann.post(
            "/api/investor/switch", {**body, **change}, format="json",
            headers={"Idempotency-Key": code},
        )  # fmt: skip
        assert refused.json()["error"]["code"] == code
    assert DealingOrder.objects.filter(kind="switch").count() == 1
