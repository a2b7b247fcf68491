"""Payments at their doors: desk, admin and API over one service."""

from __future__ import annotations

import csv
import io
import json
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from investors.models import DealingOrder, Payment, PaymentFile
from investors.services.money_accounts import (
    add_payee,
    approve_account,
    approve_payee,
    open_account,
)
from investors.tests.fund_support import FIRST, SmallFund, first_of, make_fund
from magnetfund.core.roles import Role
from magnetfund.operations.people import ensure_user
from magnetfund.web.desk.open_work.listing import find_rows

pytestmark = pytest.mark.django_db
FEBRUARY = first_of(2025, 2)


@pytest.fixture
def small() -> SmallFund:
    fund = make_fund("main", management_rate="0.12")
    fund.day(FIRST)
    fund.day(FEBRUARY)
    for name in ("ann", "bob"):
        fund.subscribe(name, "1000", before=FIRST)
    fund.strike(FIRST)
    fund.redeem("ann", "4", before=FEBRUARY)
    fund.strike(FEBRUARY)
    for who, number in (("ann", "SIM11111"), (None, "SIM22222")):
        owner = fund.investor(who) if who else None
        row = add_payee(
            fund=fund.fund, investor=owner, kind="bank", number=number, currency="USD",
            name=owner.legal_name if owner else "Manager", evidence="call-back", actor=fund.maker,
        )  # fmt: skip
        approve_payee(payee=row, actor=fund.checker, at=FIRST - timedelta(days=9))
    account = open_account(fund=fund.fund, code="bank", kind="bank", bank="Bank",
                           number="SIM33333", currency="USD", actor=fund.maker)  # fmt: skip
    approve_account(account=account, actor=fund.checker)
    return fund


def client_of(role: Role) -> Client:
    client = Client()
    client.force_login(ensure_user(email=f"{role.value}@example.com", name="x", roles=[role]))
    return client


def prepared(small: SmallFund) -> Payment:
    order = DealingOrder.objects.get(kind="redemption")
    payee = small.fund.payees.get(investor=small.investor("ann"))
    given = {"kind": "redemption", "order": str(order.pk), "payee": str(payee.pk), "key": "k"}
    client = client_of(Role.ACCOUNTANT)
    assert client.post("/desk/fund/payments/prepare/", given).status_code == 302
    assert client.post("/desk/fund/payments/prepare/", given).status_code == 302
    return Payment.objects.get()


def waits(kind: str) -> list[tuple[str, str, str]]:
    """What Today says of money: the task, what it is for, and on whom it waits."""
    found = [work for work in find_rows("main") if kind in work.what]
    return [(work.what, work.note, work.waits_on) for work in found]


def test_a_redemption_is_paid_on_the_desk_by_two_people_and_the_bank(small: SmallFund):
    maker, checker = client_of(Role.ACCOUNTANT), client_of(Role.CONTROLLER)
    assert "Prepare payment" in maker.get("/desk/fund/payments/").content.decode()
    owed = "Payment due to Ann, 395.92 USD"
    assert waits("ayment") == [(owed, "redemption of class A", "Accountant")]
    row = prepared(small)
    whom = f"{row.reference} to {row.to_name}, {row.amount:,.2f} USD"
    assert [item[::2] for item in waits("ayment")] == [(f"Approve payment {whom}", "Controller")]
    address = f"/desk/fund/payments/{row.pk}/"
    assert "not you: you prepared it" in maker.get(address).content.decode()
    approve = {"step": "approve", "hash": row.content_hash}
    maker.post(address, approve)
    row.refresh_from_db()
    assert row.state == "prepared"
    assert "Approve payment" in checker.get(address).content.decode()
    checker.post(address, {**approve, "hash": "old"})
    row.refresh_from_db()
    assert row.state == "prepared"
    checker.post(address, approve)
    assert [item[::2] for item in waits("ayment")] == [(f"Release payment {whom}", "Accountant")]
    assert "Release payment" in maker.get(address).content.decode()
    account = small.fund.accounts.get()
    maker.post(
        "/desk/fund/payments/release/", {"payment": [str(row.pk)], "account": str(account.pk)}
    )
    assert [item[::2] for item in waits("ayment")] == [(f"Confirm payment {whom}", "Accountant")]
    file = PaymentFile.objects.get()
    instruction = maker.get(f"/desk/fund/payments/files/{file.pk}/")
    assert row.reference.encode() in instruction.content
    assert client_of(Role.OPERATOR).get(f"/desk/fund/payments/files/{file.pk}/").status_code == 403
    maker.post(address, {"step": "confirm", "reference": "B9"})
    row.refresh_from_db()
    assert (row.state, row.bank_reference) == ("confirmed", "B9")
    assert waits("ayment") == []
    assert DealingOrder.objects.get(kind="redemption").state == "settled"
    page = checker.get("/desk/fund/payments/").content.decode()
    assert "Confirmed" in page
    maker.post(address, {"step": "return", "reason": "AC04"})
    row.refresh_from_db()
    assert row.state == "returned"


def test_above_the_band_today_names_each_who_still_signs():
    fund = make_fund("main")
    fund.day(FIRST)
    fund.day(FEBRUARY)
    fund.subscribe("ann", "60000", before=FIRST)
    fund.strike(FIRST)
    fund.redeem("ann", "400", before=FEBRUARY)
    fund.strike(FEBRUARY)
    payee = add_payee(
        fund=fund.fund, investor=fund.investor("ann"), kind="bank", number="SIM11111",
        currency="USD", name="Ann", evidence="call-back", actor=fund.maker,
    )  # fmt: skip
    what = "Approve or close the account of Ann"
    assert [item[::2] for item in waits("account")] == [(what, "Controller")]
    approve_payee(payee=payee, actor=fund.checker, at=FIRST - timedelta(days=9))
    assert waits("account") == []
    row = prepared(fund)
    address = f"/desk/fund/payments/{row.pk}/"
    whom = f"payment {row.reference} to Ann, 40,000.00 USD"
    both = {(f"Approve {whom}", "Controller"), (f"Sign {whom}", "Director")}
    assert {item[::2] for item in waits("ayment")} == both
    client_of(Role.DIRECTOR).post(address, {"step": "approve", "hash": row.content_hash})
    assert [item[::2] for item in waits("ayment")] == [(f"Approve {whom}", "Controller")]
    client_of(Role.CONTROLLER).post(address, {"step": "approve", "hash": row.content_hash})
    assert [item[::2] for item in waits("ayment")] == [(f"Release {whom}", "Accountant")]


def test_the_admin_prepares_and_signs_through_the_service(small: SmallFund):
    maker, checker = client_of(Role.ACCOUNTANT), client_of(Role.CONTROLLER)
    order = DealingOrder.objects.get(kind="redemption")
    payee = small.fund.payees.get(investor=small.investor("ann"))
    other = small.fund.payees.get(investor=None)
    base = "/admin/investors/payment/"
    wrong = maker.post(f"{base}add/", {"order": str(order.pk), "payee": str(other.pk)})
    assert (wrong.status_code, "only to an account of the investor" in wrong.content.decode()) == (
        200,
        True,
    )
    sent = maker.post(f"{base}add/", {"order": str(order.pk), "payee": str(payee.pk)})
    assert sent.status_code == 302
    row = Payment.objects.get()
    chosen = {"action": "approve_payments", "_selected_action": [str(row.pk)]}
    maker.post(base, chosen)
    row.refresh_from_db()
    assert row.state == "prepared"
    checker.post(base, chosen)
    row.refresh_from_db()
    assert row.state == "approved"


def test_the_api_pays_a_fee_step_by_step(small: SmallFund):
    maker, checker = client_of(Role.ACCOUNTANT), client_of(Role.CONTROLLER)

    def post(client: Client, path: str, given: dict[str, Any], key: str) -> Any:
        return client.post(
            path, json.dumps(given), content_type="application/json",
            headers={"Idempotency-Key": key},
        )  # fmt: skip

    payee = small.fund.payees.get(investor=None)
    body = {"kind": "management_fee", "payee_id": str(payee.pk), "amount": "5.00"}
    made = post(maker, "/api/money/payments", body, "k1")
    assert (made.status_code, made.json()["amount"]) == (201, "5")
    assert post(maker, "/api/money/payments", body, "k1").content == made.content
    step = f"/api/money/payments/{made.json()['id']}/step"
    own = post(maker, step, {"step": "approve", "hash": made.json()["hash"]}, "k2")
    assert own.status_code == 403
    early = post(maker, step, {"step": "confirm", "reference": "B"}, "k3")
    assert (early.status_code, early.json()["error"]["code"]) == (409, "wrong_state")
    signed = post(checker, step, {"step": "approve", "hash": made.json()["hash"]}, "k4")
    assert (signed.status_code, signed.json()["state"]) == (200, "approved")
    assert post(maker, step, {"step": "release", "account": "bank"}, "k5").status_code == 200
    done = post(maker, step, {"step": "confirm", "reference": "B1"}, "k6")
    assert done.json()["state"] == "confirmed"
    listed = maker.get("/api/money/payments").json()["payments"]
    assert [row["reference"] for row in listed] == ["P-00001"]
    nobody = post(maker, "/api/money/payments", {"kind": "redemption"}, "k7")
    assert (nobody.status_code, nobody.json()["error"]["code"]) == (422, "nothing_chosen")


def test_payments_are_found_in_place_and_saved_as_a_file(small: SmallFund):
    row = prepared(small)
    client = client_of(Role.AUDITOR)

    def part(query: str) -> str:
        answer = client.get(
            f"/desk/fund/payments/?{query}", HTTP_HX_REQUEST="true", HTTP_HX_TARGET="payments"
        ).content.decode()
        assert "<html" not in answer
        return answer

    assert row.reference in part("state=open")
    assert row.reference in part("kind=redemption&sort=largest")
    assert "No payments match these filters" in part("state=confirmed")
    assert "No payments match these filters" in part("kind=refund")
    assert row.reference in part("state=nonsense")
    (line,) = csv.DictReader(
        io.StringIO(client.get("/desk/fund/payments.csv?state=open").content.decode())
    )
    assert (line["payment"], line["amount"]) == (row.reference, f"{row.amount:f}")
    assert row.to_number not in "".join(line.values())
    nothing = client.get("/desk/fund/payments.csv?state=returned").content.decode()
    assert len(nothing.splitlines()) == 1
