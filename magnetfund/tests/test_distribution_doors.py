"""A distribution by page, API and admin; each holder has an order, a message and a note."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from rest_framework.test import APIClient

from investors.models import DealingOrder, Distribution, Message
from investors.services.papers import contract_note, list_notes
from investors.tests.fund_support import FIRST, SmallFund, first_of, make_fund
from magnetfund.core.roles import Role
from magnetfund.operations.people import ensure_user

pytestmark = pytest.mark.django_db
PAGE, API, ADMIN = (
    "/desk/fund/distributions/",
    "/api/dealing/distributions",
    "/admin/investors/distribution/",
)


@pytest.fixture
def small() -> SmallFund:
    """Ann 10 units, Bob 30; the last NAV is new enough that none is due."""
    fund = make_fund("main")
    newest = first_of(2026, 1)
    for at in (FIRST, newest):
        fund.day(at)
    fund.subscribe("ann", "1000", before=FIRST)
    fund.subscribe("bob", "3000", before=FIRST)
    fund.strike(FIRST)
    fund.strike(newest)
    return fund


def person(role: Role) -> Any:
    return ensure_user(email=f"{role.value}@example.com", name=role.value.title(), roles=[role])


def client_of(role: Role) -> Client:
    client = Client()
    client.force_login(person(role))
    return client


def form(small: SmallFund, **given: Any) -> dict[str, Any]:
    return {
        "share_class": small.share_class().pk, "per_unit": "2.5", "exceptions": "main-bob",
        "reason": "income of 2025", "key": "d1", **given,
    }  # fmt: skip


def test_the_page_shows_what_each_holder_gets_and_another_person_declares(small: SmallFund):
    clerk, signer = client_of(Role.ACCOUNTANT), client_of(Role.CONTROLLER)
    wrong = clerk.post(PAGE, form(small, exceptions="nobody", key="d0"))
    assert (wrong.status_code, Distribution.objects.count()) == (422, 0)
    assert "no holder of this class" in wrong.content.decode()
    for _ in range(2):
        assert clerk.post(PAGE, form(small)).status_code == 303
    row = Distribution.objects.get()
    assert client_of(Role.OPERATOR).post(PAGE, form(small)).status_code == 403
    decide = {"decision": "approve"}
    assert clerk.post(f"{PAGE}{row.pk}/", decide).status_code == 403
    page = signer.get(PAGE).content.decode()
    assert page.count("25.00") >= 1
    assert "100.00" in page
    assert "Declare or decline a distribution" in signer.get("/desk/").content.decode()
    signer.post(f"{PAGE}{row.pk}/", decide)
    row.refresh_from_db()
    assert (row.is_approved, row.total) == (True, 100)
    orders = {order.kind: order for order in DealingOrder.objects.filter(distribution=row)}
    assert orders["distribution"].amount == 25
    assert orders["reinvestment"].amount == 75
    assert Message.objects.filter(subject="Distribution of 25.00 USD").count() == 1
    assert orders["distribution"].reference in clerk.get("/desk/fund/payments/").content.decode()
    paper = contract_note(order=orders["distribution"])
    assert bytes(paper.content).startswith(b"%PDF-")
    assert list_notes(orders["reinvestment"]) == []


def test_the_holder_finds_his_order_and_its_note(small: SmallFund):
    clerk, signer = client_of(Role.ACCOUNTANT), client_of(Role.CONTROLLER)
    clerk.post(PAGE, form(small))
    signer.post(f"{PAGE}{Distribution.objects.get().pk}/", {"decision": "approve"})
    ann = small.investor("ann")
    ann.user = ensure_user(email=ann.email, name="Ann", roles=[Role.INVESTOR])
    ann.save(update_fields=["user"])
    order, holder = DealingOrder.objects.get(kind="distribution"), Client()
    holder.force_login(ann.user)
    page = holder.get(f"/orders/{order.pk}/").content.decode()
    assert "Distribution in cash" in page
    assert "Contract note" in page
    assert "Cancel this order" not in page
    assert "25.00" in holder.get("/activity/").content.decode()


def test_the_api_proposes_once_for_its_key_and_another_declares(small: SmallFund):
    clerk, signer = APIClient(), APIClient()
    clerk.force_authenticate(person(Role.ACCOUNTANT))
    signer.force_authenticate(person(Role.CONTROLLER))
    body = {"share_class": "A", "amount": "10", "is_in_units": True, "reason": "income"}
    key = {"Idempotency-Key": "a1"}
    first = clerk.post(API, body, format="json", headers=key)
    assert (first.status_code, first.json()["is_approved"]) == (201, None)
    assert clerk.post(API, body, format="json", headers=key).content == first.content
    both = {**body, "per_unit": "1"}
    refused = clerk.post(API, both, format="json", headers={"Idempotency-Key": "a2"})
    assert refused.json()["error"]["code"] == "measure"
    path = f"{API}/{first.json()['id']}/decision"
    yes = {"is_approved": True, "idempotency_key": "a3"}
    assert clerk.post(path, yes, format="json").status_code == 403
    done = signer.post(path, yes, format="json").json()
    assert [(item["type"], item["amount"]) for item in done["orders"]] == [
        ("reinvestment", "2.5"), ("reinvestment", "7.5"),
    ]  # fmt: skip
    assert clerk.get(API).json()["distributions"][0]["total"] == "10"


def test_the_admin_proposes_and_its_action_declares(small: SmallFund):
    clerk = client_of(Role.ACCOUNTANT)
    given = {key: value for key, value in form(small).items() if key != "key"}
    assert clerk.post(f"{ADMIN}add/", given).status_code == 302
    row = Distribution.objects.get()
    chosen = {"action": "declare", "_selected_action": [str(row.pk)]}
    clerk.post(ADMIN, chosen)
    row.refresh_from_db()
    assert row.decided_at is None
    client_of(Role.CONTROLLER).post(ADMIN, chosen)
    row.refresh_from_db()
    assert (row.is_approved, row.lowers_marks_by) == (True, Decimal("2.5"))
