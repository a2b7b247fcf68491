"""Statements and receipts at their doors: desk, admin, command and API over one service."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.test import Client

from investors.models import (
    DealingOrder,
    FundAccount,
    PayeeAccount,
    StatementFile,
    StatementLine,
)
from investors.tests.fund_support import FIRST, SmallFund, make_fund
from magnetfund.core.roles import Role
from magnetfund.operations.people import ensure_user

pytestmark = pytest.mark.django_db
IBAN = "DE89370400440532013000"


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


def bank_line(amount: str = "10000.00", reference: str = "B1", party: str = "Ann") -> bytes:
    order = DealingOrder.objects.get()
    head = "reference,booked_at,amount,currency,party,text\n"
    return (
        f"{head}{reference},2024-12-28T10:00:00Z,{amount},USD,{party},{order.reference}\n".encode()
    )


def open_bank() -> None:
    """The account of the fund, through the two pages that make it."""
    given = {"code": "bank", "kind": "bank", "bank": "Northern", "number": IBAN, "currency": "USD"}
    sent = client_of(Role.ACCOUNTANT).post("/desk/fund/accounts/add/", given)
    assert sent.status_code == 303
    row = FundAccount.objects.get()
    client_of(Role.CONTROLLER).post(f"/desk/fund/accounts/{row.pk}/")
    row.refresh_from_db()
    assert row.approved_by is not None


def upload(content: bytes) -> StatementFile:
    sent = client_of(Role.ACCOUNTANT).post(
        "/desk/fund/money/upload/",
        {"account": "bank", "file": SimpleUploadedFile("nov.csv", content)},
    )
    assert sent.status_code == 303, sent.content
    return StatementFile.objects.get(confirmed_at=None)


def test_a_statement_is_tried_out_confirmed_and_its_receipt_decided_on_the_desk(small: SmallFund):
    open_bank()
    client = client_of(Role.ACCOUNTANT)
    file = upload(bank_line("4000.00"))
    shown = client.get(f"/desk/fund/money/files/{file.pk}/").content.decode()
    assert "Nothing is booked yet" in shown
    assert not StatementLine.objects.exists()
    assert client.post(f"/desk/fund/money/files/{file.pk}/").status_code == 303
    line = StatementLine.objects.get()
    page = client.get("/desk/fund/money/").content.decode()
    assert "6,000.00 missing" in " ".join(page.split())
    assert f"/desk/fund/money/lines/{line.pk}/" in page
    assert "Decide on a receipt from Ann, 4,000.00 USD" in client.get("/desk/").content.decode()
    address = f"/desk/fund/money/lines/{line.pk}/"
    order = DealingOrder.objects.get()
    assert order.reference in client.get(address).content.decode()
    given = {"use": "order", "target": order.reference, "key": "k1"}
    assert client.post(address, given).status_code == 303
    order.refresh_from_db()
    assert (order.funded_amount, order.state) == (4000, "accepted")
    assert "Decide on a receipt" not in client.get("/desk/").content.decode()
    assert client.post(address, {**given, "key": "k2"}).status_code == 422
    receipt = f"/desk/fund/orders/{order.pk}/receipt/"
    assert "Deal the 4,000.00 that came in" in client.get(receipt).content.decode()
    done = client.post(
        f"/desk/fund/orders/{order.pk}/money/", {"use": "part", "reason": "letter"}, follow=True
    )
    assert "the order has its money" in done.content.decode()
    order.refresh_from_db()
    assert order.state == "funded"


def test_wrong_decisions_say_why_and_change_nothing(small: SmallFund):
    open_bank()
    client = client_of(Role.ACCOUNTANT)
    file = upload(bank_line(party="Hart Joinery Ltd"))
    client.post(f"/desk/fund/money/files/{file.pk}/")
    line = StatementLine.objects.get()
    address = f"/desk/fund/money/lines/{line.pk}/"
    assert "cannot fund an order" in client.get(address).content.decode()
    for given, code in (
        ({"target": DealingOrder.objects.get().reference}, "third_party_money"),
        ({"target": "S-00000000"}, "unknown_order"),
        ({"use": "advance", "target": "nobody"}, "unknown_investor"),
    ):
        sent = client.post(address, {"use": "order", "key": f"k{code}", **given})
        assert (sent.status_code, code in sent.content.decode()) == (422, True), code
    line.refresh_from_db()
    assert line.allocated == 0
    for role in Role:
        if role is not Role.ACCOUNTANT:
            assert client_of(role).get(address).status_code == 403


def test_a_receiver_is_proposed_approved_and_closed_on_the_page(small: SmallFund):
    client = client_of(Role.ACCOUNTANT)
    given = {
        "investor": small.investor("ann").number, "kind": "bank", "name": "Ann", "number": IBAN,
        "currency": "USD", "evidence": "call-back on file",
    }  # fmt: skip
    wrong = client.post("/desk/fund/payees/add/", {**given, "name": "Bob"})
    assert (wrong.status_code, "third_party" in wrong.content.decode()) == (422, True)
    assert client.post("/desk/fund/payees/add/", given).status_code == 303
    row = PayeeAccount.objects.get()
    address = f"/desk/fund/payees/{row.pk}/"
    client.post(address, {"decision": "approve"})
    row.refresh_from_db()
    assert row.approved_at is None
    client_of(Role.CONTROLLER).post(address, {"decision": "approve"})
    row.refresh_from_db()
    assert row.approved_at is not None
    page = client.get("/desk/fund/accounts/").content.decode()
    assert "approved by" in page
    client.post(address, {"decision": "close", "reason": "left the bank"})
    row.refresh_from_db()
    assert row.closed_at is not None


def test_the_admin_goes_through_the_same_services(small: SmallFund):
    maker, checker = client_of(Role.ACCOUNTANT), client_of(Role.CONTROLLER)
    base = "/admin/investors/"
    given = {
        "code": "bank", "kind": "bank", "bank": "Northern", "number": IBAN, "currency": "USD",
        "confirmations": "0", "fund": str(small.fund.pk),
    }  # fmt: skip
    wrong = maker.post(f"{base}fundaccount/add/", {**given, "number": IBAN[:-1] + "1"})
    assert (wrong.status_code, "check digits" in wrong.content.decode()) == (200, True)
    assert maker.post(f"{base}fundaccount/add/", given).status_code == 302
    row = FundAccount.objects.get()
    act = {"action": "approve", "_selected_action": [str(row.pk)]}
    maker.post(f"{base}fundaccount/", act)
    row.refresh_from_db()
    assert row.approved_at is None
    checker.post(f"{base}fundaccount/", act)
    row.refresh_from_db()
    assert row.approved_at is not None
    sent = maker.post(
        f"{base}statementfile/add/",
        {"account": str(row.pk), "file": SimpleUploadedFile("a.csv", bank_line())},
    )
    assert sent.status_code == 302, sent.content
    file = StatementFile.objects.get()
    maker.post(
        f"{base}statementfile/", {"action": "import_lines", "_selected_action": [str(file.pk)]}
    )
    line = StatementLine.objects.get()
    maker.post(
        f"{base}statementline/",
        {"action": "match_as_suggested", "_selected_action": [str(line.pk)]},
    )
    assert DealingOrder.objects.get().state == "funded"


def test_the_command_imports_as_a_person_of_the_house(small: SmallFund, tmp_path: Path):
    open_bank()
    path = tmp_path / "nov.csv"
    path.write_bytes(bank_line())
    out = StringIO()
    more: dict[str, Any] = {"account": "bank", "email": "accountant@example.com", "stdout": out}
    call_command("import_statement", str(path), dry_run=True, **more)
    assert "nothing imported (dry run)" in out.getvalue()
    assert not StatementLine.objects.exists()
    call_command("import_statement", str(path), json=True, **more)
    assert json.loads(out.getvalue().splitlines()[-1])["new"] == 1
    for change in ({"email": "nobody@example.com"}, {"account": "x"},
                   {"email": "controller@example.com"}):  # fmt: skip
        with pytest.raises(CommandError):
            call_command("import_statement", str(path), **{**more, **change})


def test_the_api_imports_lists_and_matches_once(small: SmallFund):
    open_bank()
    client = client_of(Role.ACCOUNTANT)
    body = {"account": "bank", "name": "n", "content": bank_line().decode(), "is_dry_run": False}

    def post(path: str, given: dict[str, Any], key: str) -> Any:
        return client.post(
            path, json.dumps(given), content_type="application/json",
            headers={"Idempotency-Key": key},
        )  # fmt: skip

    first = post("/api/money/statements", body, "k1")
    assert (first.status_code, first.json()["new"]) == (200, 1)
    again = post("/api/money/statements", body, "k1")
    assert (again.content, again.headers["Idempotent-Replayed"]) == (first.content, "true")
    row = client.get("/api/money/receipts").json()["receipts"][0]
    order = DealingOrder.objects.get()
    assert (row["outcome"], row["order_id"], row["matched"]) == ("exact", str(order.pk), "10000")
    path = f"/api/money/receipts/{row['id']}/match"
    matched = post(path, {"order_id": str(order.pk)}, "k2")
    assert (matched.status_code, matched.json()["state"]) == (200, "funded")
    refused = post(path, {"order_id": str(order.pk)}, "k3")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "not_waiting")
    bad = post("/api/money/statements", {**body, "content": "x"}, "k4")
    assert (bad.status_code, bad.json()["error"]["code"]) == (422, "missing_columns")
