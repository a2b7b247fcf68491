"""Rebates of fees by page, API, admin and Today: agreed by two people, paid as payments are."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from rest_framework.test import APIClient

from investors.models import Payment, Rebate
from investors.services.verification import verify_fund
from investors.tests.fund_support import FIRST, SmallFund, first_of, make_fund
from investors.tests.test_payments import payee_of
from magnetfund.core.roles import Role
from magnetfund.operations.people import ensure_user

pytestmark = pytest.mark.django_db
FEBRUARY = first_of(2025, 2)
PAGE, API, PAYMENTS = "/desk/fund/rebates/", "/api/money/rebates", "/desk/fund/payments/"
ADMIN = "/admin/investors/rebate/"


@pytest.fixture
def small() -> SmallFund:
    fund = make_fund("main", performance_rate="0", management_rate="0.02")
    for at in (FIRST, FEBRUARY):
        fund.day(at)
    fund.subscribe("ann", "100000", before=FIRST)
    fund.strike(FIRST)
    return fund


def letter(small: SmallFund, **more: Any) -> dict[str, Any]:
    return {
        "investor": "main-ann", "share_class": small.share_class().pk, "management": "50",
        "performance": "0", "first_day": "2025-01-01", "reference": "letter 7", **more,
    }  # fmt: skip


def client_of(role: Role) -> Client:
    client = Client()
    client.force_login(
        ensure_user(email=f"{role.value}@example.com", name=role.value.title(), roles=[role])
    )
    return client


def text(client: Client, path: str) -> str:
    return client.get(path).content.decode()


def test_the_page_takes_a_rebate_from_the_letter_to_the_payment(small: SmallFund):
    clerk, signer = client_of(Role.ACCOUNTANT), client_of(Role.CONTROLLER)
    wrong = clerk.post(PAGE, letter(small, management="101", key="r0"))
    assert (wrong.status_code, "must lie in [0, 1]" in wrong.content.decode()) == (422, True)
    assert signer.post(PAGE, letter(small, key="r1")).status_code == 403
    for _ in range(2):
        assert clerk.post(PAGE, letter(small, key="r1")).status_code == 303
    row = Rebate.objects.get()
    assert "Approve or decline a rebate of fees to Ann" in text(signer, "/desk/")
    assert 'value="approve"' not in text(clerk, PAGE)
    assert clerk.post(f"{PAGE}{row.pk}/", {"decision": "approve"}).status_code == 403
    signer.post(f"{PAGE}{row.pk}/", {"decision": "decline"})
    row.refresh_from_db()
    assert row.is_approved is None, "a refusal says why"
    signer.post(f"{PAGE}{row.pk}/", {"decision": "approve"})
    page = text(clerk, PAGE)
    assert ("50.00" in page, "in force" in page) == (True, True)
    [names, row_of_it] = text(clerk, f"{PAGE[:-1]}.csv").splitlines()
    assert names.startswith("investor,name,share_class,management_share")
    assert row_of_it == (
        "main-ann,Ann,A,0.5,0,2025-01-01,True,letter 7,accountant@example.com,"
        "controller@example.com"
    )
    small.strike(FEBRUARY)
    assert "84.93" in text(clerk, PAGE)
    assert "no approved account" in text(clerk, PAYMENTS)
    payee = payee_of(small)
    assert "Fee rebate<small>Ann</small>" in text(clerk, PAYMENTS)
    given = {"kind": "rebate", "payee": str(payee.pk), "key": "p1"}
    for _ in range(2):
        clerk.post(f"{PAYMENTS}prepare/", given)
    payment = Payment.objects.get()
    assert (payment.kind, f"{payment.amount:.2f}") == ("rebate", "84.93")
    assert "84.93" not in text(clerk, PAGE)
    assert verify_fund(small.fund) == []


def test_the_api_reaches_the_same_steps(small: SmallFund):
    clerk, signer = APIClient(), APIClient()
    for client, role in ((clerk, Role.ACCOUNTANT), (signer, Role.CONTROLLER)):
        client.force_authenticate(
            ensure_user(email=f"{role.value}@example.com", name="x", roles=[role])
        )

    def post(client: APIClient, path: str, key: str, **said: Any) -> Any:
        return client.post(path, said, format="json", headers={"Idempotency-Key": key})

    said = {
        "investor": "main-ann", "share_class": "A", "management_share": "0.5",
        "performance_share": "0", "first_day": "2025-01-01", "reference": "letter 7",
    }  # fmt: skip
    for _ in range(2):
        first = post(clerk, API, "k", **said)
        assert (first.status_code, first.json()["is_approved"]) == (201, None)
    assert Rebate.objects.count() == 1
    again = post(clerk, API, "k0", **said)
    assert (again.status_code, again.json()["error"]["code"]) == (409, "rebate_known")
    decision = f"{API}/{first.json()['id']}/decision"
    assert post(clerk, decision, "k1", is_approved=True).status_code == 403
    assert post(signer, decision, "k2", is_approved=True).json()["is_approved"] is True
    small.strike(FEBRUARY)
    assert clerk.get(API).json()["owed"] == [{"investor": "main-ann", "amount": "84.93"}]
    paid = post(
        clerk, "/api/money/payments", "k3", kind="rebate", payee_id=str(payee_of(small).pk)
    ).json()
    assert (paid["kind"], paid["amount"], paid["to_name"]) == ("rebate", "84.93", "Ann")
    listed = clerk.get(API).json()
    assert (listed["owed"], listed["rebates"][0]["management_share"]) == ([], "0.5")
    missing = post(signer, f"{API}/{small.investor('ann').pk}/decision", "k4", is_approved=True)
    assert missing.status_code == 404


def test_the_admin_proposes_decides_and_pays_by_the_services(small: SmallFund):
    clerk, signer = client_of(Role.ACCOUNTANT), client_of(Role.CONTROLLER)
    answer = clerk.post(f"{ADMIN}add/", letter(small))
    assert answer.status_code == 302, answer.content
    row = Rebate.objects.get()
    chosen = {"action": "approve", "_selected_action": [str(row.pk)]}
    clerk.post(ADMIN, chosen)
    row.refresh_from_db()
    assert row.is_approved is None
    signer.post(ADMIN, chosen)
    row.refresh_from_db()
    assert row.is_approved
    small.strike(FEBRUARY)
    answer = clerk.post("/admin/investors/payment/add/", {"payee": str(payee_of(small).pk)})
    assert answer.status_code == 302, answer.content
    assert Payment.objects.get().kind == "rebate"
