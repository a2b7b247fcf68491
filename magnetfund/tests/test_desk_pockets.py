"""Side pockets by page, API, admin, Today and portal: proposed, signed, set apart, seen."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from rest_framework.test import APIClient

from investors.models import Payment, PocketChange, SidePocket
from investors.services.kyc_file import still_holds
from investors.services.pocket_books import has_pocket_units
from investors.services.transfers import check_transfer
from investors.services.verification import verify_fund
from investors.tests.fund_support import FIRST, SmallFund, first_of, make_fund
from investors.tests.test_payments import payee_of
from magnetfund.core.roles import Role
from magnetfund.operations.people import ensure_user

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("module_database")]
FEBRUARY, MARCH = first_of(2025, 2), first_of(2025, 3)
PAGE, API = "/desk/fund/pockets/", "/api/dealing/pockets"
ADMIN = "/admin/investors/sidepocket/"


def tell() -> SmallFund:
    """Ann holds 600 units of 100, Bob 400."""
    fund = make_fund("main", performance_rate="0", management_rate="0")
    for at in (FIRST, FEBRUARY, MARCH):
        fund.day(at)
    fund.subscribe("ann", "60000", before=FIRST)
    fund.subscribe("bob", "40000", before=FIRST)
    fund.strike(FIRST)
    return fund


@pytest.fixture(scope="module")
def story() -> Callable[[], SmallFund]:
    return tell


@pytest.fixture
def small(module_database: Any, told: Any, db: None) -> SmallFund:
    return deepcopy(told.value)


def claim(**more: Any) -> dict[str, Any]:
    return {
        "asset": "Claim against Example Exchange", "account": "1030", "value": "10000",
        "cause": "it stopped paying out", "notice": "Example Exchange stopped paying out.", **more,
    }  # fmt: skip


def client_of(role: Role) -> Client:
    client = Client()
    client.force_login(
        ensure_user(email=f"{role.value}@example.com", name=role.value.title(), roles=[role])
    )
    return client


def text(client: Client, path: str) -> str:
    return client.get(path).content.decode()


def test_the_page_takes_a_claim_from_the_proposal_to_the_holders(small: SmallFund):
    clerk, director = client_of(Role.ACCOUNTANT), client_of(Role.DIRECTOR)
    wrong = clerk.post(PAGE, claim(value="100001", key="s0"))
    assert (wrong.status_code, "are to be taken out" in wrong.content.decode()) == (422, True)
    assert director.post(PAGE, claim(key="s1")).status_code == 403
    for _ in range(2):
        assert clerk.post(PAGE, claim(key="s1")).status_code == 303
    row = SidePocket.objects.get()
    assert "Approve or decline a side pocket: Claim against" in text(director, "/desk/")
    assert 'value="approve"' not in text(clerk, PAGE)
    decide = f"{PAGE}{row.pk}/decide/"
    assert clerk.post(decide, {"decision": "approve"}).status_code == 403
    director.post(decide, {"decision": "decline"})
    row.refresh_from_db()
    assert row.is_approved is None, "a refusal says why"
    director.post(decide, {"decision": "approve"})
    assert "Why SP-1, Claim against Example Exchange is withdrawn" in text(clerk, PAGE)
    assert client_of(Role.ACCOUNTANT).get(f"{PAGE}{row.pk}/").status_code == 404
    strike = small.prepare(FEBRUARY)
    nav = text(clerk, f"/desk/fund/?strike={strike.pk}")
    assert "Side pocket SP-1 is set apart" in nav
    assert "class A 10,000.00 with 100 units" in nav
    small.approve(strike)
    page = text(clerk, f"{PAGE}{row.pk}/")
    assert ("6,000.00" in page, "4,000.00" in page, "Ann" in page) == (True, True, True)
    later = small.strike(MARCH)
    assert "Not counted: 10,000.00 of claims" in text(clerk, f"/desk/fund/?strike={later.pk}")
    [names, *lines] = text(clerk, f"{PAGE[:-1]}.csv").splitlines()
    assert names.startswith("pocket,asset,account_number")
    assert [line.split(",")[-3:] for line in sorted(lines)] == [
        ["60", "6000", "100"], ["40", "4000", "100"],
    ]  # fmt: skip
    assert verify_fund(small.fund) == []


def test_the_page_takes_what_came_in_to_the_payment(small: SmallFund):
    clerk, director = client_of(Role.ACCOUNTANT), client_of(Role.DIRECTOR)
    clerk.post(PAGE, claim(key="s1"))
    row = SidePocket.objects.get()
    director.post(f"{PAGE}{row.pk}/decide/", {"decision": "approve"})
    small.strike(FEBRUARY)
    given = {"pocket": row.pk, "value": "0", "cash": "9000", "receipt": "", "source": "letter"}
    wrong = clerk.post(f"{PAGE}changes/", given | {"receipt": "none", "key": "c0"})
    assert (wrong.status_code, "no receipt has this" in wrong.content.decode()) == (422, True)
    assert clerk.post(f"{PAGE}changes/", given | {"key": "c1"}).status_code == 303
    change = PocketChange.objects.get()
    assert "Approve or decline a value or a payment" in text(director, "/desk/")
    director.post(f"{PAGE}changes/{change.pk}/decide/", {"decision": "approve"})
    assert "paid by the venue" in text(clerk, f"{PAGE}changes/")
    small.strike(MARCH)
    page = text(clerk, f"{PAGE}{row.pk}/")
    assert "Closed: nobody holds units of it any more." in page
    payee = payee_of(small)
    assert "Side-pocket proceeds<small>Ann</small>" in text(clerk, "/desk/fund/payments/")
    clerk.post(
        "/desk/fund/payments/prepare/", {"kind": "pocket", "payee": str(payee.pk), "key": "p1"}
    )
    payment = Payment.objects.get()
    assert (payment.kind, payment.amount) == ("pocket", Decimal(5400))
    assert verify_fund(small.fund) == []


def test_a_claim_that_turned_good_comes_back_by_page_api_and_admin(small: SmallFund):
    clerk, director = client_of(Role.ACCOUNTANT), client_of(Role.DIRECTOR)
    clerk.post(PAGE, claim(key="s1"))
    row = SidePocket.objects.get()
    director.post(f"{PAGE}{row.pk}/decide/", {"decision": "approve"})
    small.strike(FEBRUARY)
    given = {"pocket": row.pk, "merge_into": "1030", "source": "it pays out again"}
    for number, wrong in enumerate(({"value": "1"}, {"merge_into": ""}, {"merge_into": "1010"})):
        refused = clerk.post(f"{PAGE}changes/", given | wrong | {"key": f"m{number}"})
        assert refused.status_code == 422
    assert director.post(f"{PAGE}changes/", given | {"key": "m8"}).status_code == 403
    api = APIClient()
    api.force_authenticate(ensure_user(email="x@example.com", name="X", roles=[Role.ACCOUNTANT]))
    made = api.post(
        f"{API}/changes",
        {"pocket": "SP-1", "merge_into": "1030", "rests_on": "letter", "idempotency_key": "a"},
        format="json",
    ).json()
    assert (made["merged"], made["merge_into"], made["value"]) == ("10000", "1030", "0")
    director.post(f"{PAGE}changes/{made['id']}/decide/", {"decision": "approve"})
    clerk.post(f"{PAGE}changes/{made['id']}/withdraw/", {"reason": "too early"})
    clerk.post("/admin/investors/pocketchange/add/", given)
    change = PocketChange.objects.get(withdrawn_at=None)
    director.post(
        "/admin/investors/pocketchange/",
        {"action": "approve", "_selected_action": [str(change.pk)]},
    )
    assert "into Venue cash and margin" in text(clerk, f"{PAGE}changes/")
    strike = small.prepare(MARCH)
    nav = text(clerk, f"/desk/fund/?strike={strike.pk}")
    assert "Side pocket SP-1 is merged back" in nav
    small.approve(strike)
    assert "Merged back into main units at the NAV of" in text(clerk, f"{PAGE}{row.pk}/")
    assert "merged back" in text(clerk, PAGE)
    (pocket,) = api.get(API).json()["pockets"]
    assert (pocket["carried_at"], pocket["merged_back_at"]) == ("0", "2025-03-01T00:00:00Z")
    assert verify_fund(small.fund) == []


def test_the_api_takes_what_came_in(small: SmallFund):
    clerk, director = APIClient(), APIClient()
    for client, role in ((clerk, Role.ACCOUNTANT), (director, Role.DIRECTOR)):
        client.force_authenticate(
            ensure_user(email=f"{role.value}@example.com", name=role.value.title(), roles=[role])
        )
    client_of(Role.ACCOUNTANT).post(PAGE, claim(key="s1"))
    row = SidePocket.objects.get()
    client_of(Role.DIRECTOR).post(f"{PAGE}{row.pk}/decide/", {"decision": "approve"})
    small.strike(FEBRUARY)
    given = {"pocket": "SP-1", "value": "5000", "rests_on": "letter", "idempotency_key": "a"}
    made = clerk.post(f"{API}/changes", given, format="json")
    assert (made.status_code, made.json()["cash"]) == (201, "0")
    lost = clerk.post(
        f"{API}/changes", given | {"pocket": "SP-9", "idempotency_key": "b"}, format="json"
    )
    assert lost.status_code == 404
    step = f"{API}/changes/{made.json()['id']}/step"
    done = director.post(step, {"step": "approve", "idempotency_key": "c"}, format="json")
    assert done.json()["is_approved"] is True
    small.strike(MARCH)
    (change,) = director.get(f"{API}/changes").json()["changes"]
    assert (change["value"], change["nav_of"]) == ("5000", "2025-03-01T00:00:00Z")
    (pocket,) = director.get(API).json()["pockets"]
    assert pocket["carried_at"] == "5000"


def test_an_approved_claim_is_withdrawn_on_the_page(small: SmallFund):
    clerk, director = client_of(Role.ACCOUNTANT), client_of(Role.DIRECTOR)
    clerk.post(PAGE, claim(key="s1"))
    row = SidePocket.objects.get()
    director.post(f"{PAGE}{row.pk}/decide/", {"decision": "approve"})
    clerk.post(f"{PAGE}{row.pk}/withdraw/", {"reason": ""})
    row.refresh_from_db()
    assert row.withdrawn_at is None
    clerk.post(f"{PAGE}{row.pk}/withdraw/", {"reason": "paid after all"})
    row.refresh_from_db()
    assert row.withdrawn_at is not None
    assert "withdrawn before a NAV set it apart" in text(clerk, PAGE)


def test_the_api_reaches_the_same_steps(small: SmallFund):
    clerk, director = APIClient(), APIClient()
    clerk.force_authenticate(
        ensure_user(email="clerk@example.com", name="Clerk", roles=[Role.ACCOUNTANT])
    )
    director.force_authenticate(
        ensure_user(email="dora@example.com", name="Dora", roles=[Role.DIRECTOR])
    )
    given = claim(source_account="1030")
    refused = clerk.post(API, given | {"value": "200000", "idempotency_key": "j"}, format="json")
    assert refused.json()["error"]["code"] == "not_in_account"
    made = clerk.post(API, given | {"idempotency_key": "k"}, format="json")
    assert (made.status_code, made.json()["name"]) == (201, "SP-1")
    step = f"{API}/{made.json()['id']}/step"
    assert (
        clerk.post(step, {"step": "approve", "idempotency_key": "l"}, format="json").status_code
        == 403
    )
    done = director.post(step, {"step": "approve", "idempotency_key": "m"}, format="json")
    assert (done.status_code, done.json()["is_approved"]) == (200, True)
    small.strike(FEBRUARY)
    (row,) = director.get(API).json()["pockets"]
    assert (row["carried_at"], row["nav_of"]) == ("10000", "2025-02-01T00:00:00Z")
    late = clerk.post(
        step, {"step": "withdraw", "reason": "x", "idempotency_key": "n"}, format="json"
    )
    assert late.json()["error"]["code"] == "not_waiting"


def test_the_holder_sees_his_part_and_it_holds_his_file(small: SmallFund):
    ann = small.investor("ann")
    ann.user = ensure_user(email="ann@example.com", name="Ann", roles=[Role.INVESTOR])
    ann.save(update_fields=["user"])
    client_of(Role.ACCOUNTANT).post(PAGE, claim(key="s1"))
    row = SidePocket.objects.get()
    client_of(Role.DIRECTOR).post(f"{PAGE}{row.pk}/decide/", {"decision": "approve"})
    small.redeem("ann", None, before=FEBRUARY)
    small.strike(FEBRUARY)
    small.strike(MARCH)
    portal, api = Client(), APIClient()
    portal.force_login(ann.user)
    api.force_authenticate(ann.user)
    assert "Example Exchange stopped paying out." in text(portal, "/messages/")
    answer = api.get("/api/investor/dashboard").json()
    assert answer["side_pockets"] == [
        {"name": "SP-1", "asset": row.asset, "units": "60", "carried_at": "6000"}
    ]
    assert Decimal(answer["equity_value"]) == 0
    assert has_pocket_units(ann.pk)
    assert still_holds(ann)
    # She has no main units, and all that she has can be transferred.
    bob, share_class = small.investor("bob"), small.share_class()
    assert check_transfer(giver=ann, receiver=bob, share_class=share_class, units=None) == 0


def test_the_administration_proposes_and_signs(small: SmallFund):
    clerk, director = client_of(Role.ACCOUNTANT), client_of(Role.DIRECTOR)
    answer = clerk.post(f"{ADMIN}add/", claim())
    row = SidePocket.objects.get()
    assert answer.status_code == 302
    chosen = {"action": "approve", "_selected_action": [str(row.pk)]}
    clerk.post(ADMIN, chosen)
    row.refresh_from_db()
    assert row.is_approved is None
    director.post(ADMIN, chosen)
    row.refresh_from_db()
    assert row.is_approved
