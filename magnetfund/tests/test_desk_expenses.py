"""Running costs through page, API, admin and Today: proposed by one, approved by another."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from rest_framework.test import APIClient

from investors.models import Expense, ExpenseChange
from investors.tests.fund_support import FIRST, SmallFund, first_of, make_fund
from magnetfund.core.roles import Role
from magnetfund.operations.people import ensure_user

pytestmark = pytest.mark.django_db
FEBRUARY = first_of(2025, 2)
PAGE, API = "/desk/fund/expenses/", "/api/money/expenses"
ADMIN = "/admin/investors/expense/"
AUDIT = {
    "account": "5040", "supplier": "Auditor Ltd", "reference": "2025", "amount": "3650",
    "first_day": "2025-01-01", "last_day": "2025-12-31",
}  # fmt: skip


@pytest.fixture
def small() -> SmallFund:
    fund = make_fund("main", performance_rate="0", management_rate="0")
    for at in (FIRST, FEBRUARY):
        fund.day(at)
    fund.subscribe("ann", "10000", before=FIRST)
    fund.strike(FIRST)
    return fund


def client_of(role: Role) -> Client:
    client = Client()
    client.force_login(
        ensure_user(email=f"{role.value}@example.com", name=role.value.title(), roles=[role])
    )
    return client


def text(client: Client, path: str) -> str:
    return client.get(path).content.decode()


def test_the_page_takes_an_expense_from_proposal_to_the_nav_and_its_invoice(small: SmallFund):
    clerk, signer = client_of(Role.ACCOUNTANT), client_of(Role.CONTROLLER)
    given = {**AUDIT, "fund": small.fund.pk, "key": "e1"}
    wrong = clerk.post(PAGE, {**given, "last_day": "", "key": "e0"})
    assert (wrong.status_code, "needs its last day" in wrong.content.decode()) == (422, True)
    assert client_of(Role.OPERATOR).post(PAGE, given).status_code == 403
    for _ in range(2):
        assert clerk.post(PAGE, given).status_code == 303
    row = Expense.objects.get()
    assert "Approve or decline an expense of Auditor Ltd" in text(signer, "/desk/")
    assert 'value="approve"' not in text(clerk, PAGE)
    assert clerk.post(f"{PAGE}{row.pk}/", {"decision": "approve"}).status_code == 403
    signer.post(f"{PAGE}{row.pk}/", {"decision": "decline"})
    row.refresh_from_db()
    assert row.is_approved is None, "a refusal says why"
    signer.post(f"{PAGE}{row.pk}/", {"decision": "approve"})
    row.refresh_from_db()
    assert row.is_approved
    assert small.strike(FEBRUARY).nav == Decimal(9690)
    assert "310.00" in text(clerk, PAGE)

    clerk.post(f"{PAGE}{row.pk}/change/", {"change": "invoice", "amount": "x", "reference": "A"})
    assert not ExpenseChange.objects.exists()
    said = {"change": "invoice", "amount": "4000", "reference": "A-77"}
    clerk.post(f"{PAGE}{row.pk}/change/", said)
    change = ExpenseChange.objects.get()
    assert "Auditor Ltd" in text(signer, "/desk/")
    signer.post(f"{PAGE}{change.pk}/", {"decision": "approve"})
    exported = text(signer, "/desk/fund/expenses.csv")
    assert "Auditor Ltd,2025,5040,3650.00" in exported
    assert ",4000.00,310.00," in exported


def test_the_api_reaches_the_same_steps(small: SmallFund):
    clerk, signer = APIClient(), APIClient()
    for client, role in ((clerk, Role.ACCOUNTANT), (signer, Role.CONTROLLER)):
        client.force_authenticate(
            ensure_user(email=f"{role.value}@example.com", name="x", roles=[role])
        )
    body = {**AUDIT, "is_yearly": True, "last_day": None}
    for _ in range(2):
        first = clerk.post(API, body, format="json", headers={"Idempotency-Key": "k"})
        assert (first.status_code, first.json()["is_approved"]) == (201, None)
    assert Expense.objects.count() == 1

    def step(client: APIClient, pk: str, key: str, **said: Any) -> Any:
        return client.post(
            f"{API}/{pk}/step", said, format="json", headers={"Idempotency-Key": key}
        )

    pk = first.json()["id"]
    assert step(clerk, pk, "k1", step="approve").status_code == 403
    assert step(signer, pk, "k2", step="approve").json()["is_approved"]
    ended = step(clerk, pk, "k3", step="end", last_day="2025-06-30").json()
    assert ended["last_day"] is None, "one alone ends nothing"
    done = step(signer, ended["changes"][0]["id"], "k4", step="approve").json()
    assert done["last_day"] == "2025-06-30"
    bill = step(clerk, pk, "k5", step="invoice", amount="1800", reference="A-78").json()
    step(signer, bill["changes"][0]["id"], "k6", step="decline", reason="not final")
    listed = clerk.get(API).json()["expenses"][0]
    assert [change["is_approved"] for change in listed["changes"]] == [False, True]
    assert (listed["in_navs"], listed["invoiced"]) == ("0", None)
    assert step(clerk, str(small.fund.pk), "k7", step="end").status_code == 404


def test_the_admin_proposes_and_decides_by_the_services(small: SmallFund):
    clerk, signer = client_of(Role.ACCOUNTANT), client_of(Role.CONTROLLER)
    answer = clerk.post(f"{ADMIN}add/", {**AUDIT, "fund": small.fund.pk})
    assert answer.status_code == 302, answer.content
    row = Expense.objects.get()
    chosen = {"action": "approve", "_selected_action": [str(row.pk)]}
    clerk.post(ADMIN, chosen)
    row.refresh_from_db()
    assert row.is_approved is None
    signer.post(ADMIN, chosen)
    row.refresh_from_db()
    assert (row.is_approved, row.decided_by.email) == (True, "controller@example.com")
