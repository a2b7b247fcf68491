"""Breaks: found, assigned, explained by one, closed by another; a NAV waits for them."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from rest_framework.test import APIClient

from investors.models import BookBreak, StatementLine
from investors.services.breaks import close_break, explain_break, raise_break
from investors.services.ledger import read_balances
from investors.services.money_accounts import approve_account, open_account
from investors.services.statements import confirm_statement, upload_statement
from investors.services.verification import verify_fund
from investors.tests.fund_support import FIRST, SmallFund, first_of, make_fund
from magnetfund.core.roles import Role
from magnetfund.kernel.errors import FundError
from magnetfund.operations.people import ensure_user

pytestmark = pytest.mark.django_db
D = Decimal
FEBRUARY = first_of(2025, 2)
PAGE, API, ADMIN = "/desk/fund/breaks/", "/api/money/breaks", "/admin/investors/bookbreak/"
CHARGE = (
    b"reference,booked_at,amount,currency,party,text\n"
    b"FEE-1,2025-01-20,-12.50,USD,Bank,account fee\n"
    b"IN-1,2025-01-20,7.00,USD,A stranger,hello\n"
)


@pytest.fixture
def small() -> SmallFund:
    fund = make_fund("main")
    for at in (FIRST, FEBRUARY):
        fund.day(at)
    fund.subscribe("ann", "1000", before=FIRST)
    fund.strike(FIRST)
    return fund


def import_charge(small: SmallFund) -> BookBreak:
    """A bank fee that no payment explains, and money of a stranger, in one statement."""
    account = open_account(
        fund=small.fund, code="bank", kind="bank", bank="Bank",
        number="DE89370400440532013000", currency="USD", actor=small.maker,
    )  # fmt: skip
    account = approve_account(account=account, actor=small.checker)
    file, _ = upload_statement(account=account, name="s", content=CHARGE, actor=small.maker)
    confirm_statement(file=file, actor=small.maker)
    return BookBreak.objects.get()


def raised(small: SmallFund, **given: Any) -> BookBreak:
    return raise_break(
        **{
            "fund": small.fund, "source": "custodian", "reference": "BTC vault", "asset": "BTC",
            "ours": D(2), "theirs": D("1.5"), "day": FIRST.date(), "text": "counted at the vault",
            "actor": small.maker, **given,
        }
    )  # fmt: skip


def refused(call: Any) -> str:
    with pytest.raises(FundError) as error:
        call()
    return error.value.code


def client_of(role: Role) -> Client:
    client = Client()
    client.force_login(
        ensure_user(email=f"{role.value}@example.com", name=role.value.title(), roles=[role])
    )
    return client


def test_money_that_left_without_a_payment_blocks_the_nav_and_a_strangers_does_not(
    small: SmallFund,
):
    found = import_charge(small)
    assert (found.kind, found.ours, found.theirs, found.difference) == (
        "missing_here", 0, D("-12.5"), D("12.5"),
    )  # fmt: skip
    assert StatementLine.objects.get(reference="IN-1").outcome == "unknown"
    strike = small.prepare(FEBRUARY)
    assert refused(lambda: small.approve(strike)) == "checks_failed"
    explain_break(found=found, cause="the bank's account fee", actor=small.maker)
    assert refused(
        lambda: close_break(found=found, resolution="fee", account="5070", actor=small.maker)
    ) in ("same_person", "not_allowed")
    closed = close_break(found=found, resolution="as agreed", account="5070", actor=small.checker)
    assert (closed.state, closed.closed_by) == ("adjusted", small.checker.user)
    assert read_balances(small.fund)[("5070", "USD")] == D("12.5")
    assert verify_fund(small.fund) == []


def test_a_break_that_comes_after_the_preparing_stops_the_approval(small: SmallFund):
    strike = small.prepare(FEBRUARY)
    found = raised(small)
    assert refused(lambda: small.approve(strike)) == "checks_failed"
    explain_break(found=found, cause="half was lent, not noted", actor=small.maker)
    assert (
        refused(
            lambda: close_break(found=found, resolution="x", account="5070", actor=small.checker)
        )
        == "nothing_to_post"
    )
    close_break(found=found, resolution="agreed with the custodian", actor=small.checker)
    assert small.approve(strike).state == "dealt"
    assert refused(lambda: explain_break(found=found, cause="x", actor=small.maker)) == (
        "no_such_move"
    )


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"theirs": D(2)}, "no_difference"),
        ({"reference": " "}, "no_reference"),
        ({"text": " "}, "reason_missing"),
        ({"day": FEBRUARY.date() + timedelta(days=36500)}, "in_future"),
        ({"ours": D("NaN")}, "not_finite"),
    ],
)
def test_a_break_that_says_nothing_is_refused(small: SmallFund, given: dict[str, Any], code: str):
    assert refused(lambda: raised(small, **given)) == code
    assert not BookBreak.objects.exists()
    raised(small)
    assert refused(lambda: raised(small)) == "break_open"


def test_the_page_raises_assigns_explains_and_closes_by_two(small: SmallFund):
    clerk, signer = client_of(Role.ACCOUNTANT), client_of(Role.CONTROLLER)
    given = {
        "fund": small.fund.pk, "source": "custodian", "reference": "vault", "asset": "BTC",
        "ours": "2", "theirs": "1.5", "day": "2025-01-02", "text": "count", "key": "b1",
    }  # fmt: skip
    assert clerk.post(PAGE, {**given, "theirs": "2", "key": "b0"}).status_code == 422
    assert clerk.post(PAGE, given).status_code == 303
    assert client_of(Role.OPERATOR).post(PAGE, given).status_code == 403
    row = BookBreak.objects.get()
    path = f"{PAGE}{row.pk}/"
    assert client_of(Role.OPERATOR).post(path, {"step": "explain"}).status_code == 403
    clerk.post(path, {"step": "assign", "owner": "accountant@example.com"})
    clerk.post(path, {"step": "explain", "words": "lent out"})
    clerk.post(path, {"step": "close", "words": "mine"})
    row.refresh_from_db()
    assert (row.state, row.owner.email) == ("explained", "accountant@example.com")
    assert "lent out" in signer.get(PAGE).content.decode()
    signer.post(path, {"step": "close", "words": "agreed"})
    row.refresh_from_db()
    assert row.state == "accepted"
    exported = signer.get("/desk/fund/breaks.csv").content.decode()
    assert "custodian,amount,vault,BTC,2" in exported


def test_the_api_and_the_admin_reach_the_same_steps(small: SmallFund):
    clerk, signer = APIClient(), APIClient()
    for client, role in ((clerk, Role.ACCOUNTANT), (signer, Role.CONTROLLER)):
        client.force_authenticate(
            ensure_user(email=f"{role.value}@example.com", name="x", roles=[role])
        )
    body = {"counterparty": "venue", "reference": "wallet", "asset": "USDT", "ours": "5",
            "theirs": "4", "day": "2025-01-02", "text": "one is missing"}  # fmt: skip
    for _ in range(2):
        first = clerk.post(API, body, format="json", headers={"Idempotency-Key": "k"})
        assert (first.status_code, first.json()["difference"]) == (201, "1")
    assert BookBreak.objects.count() == 1
    path = f"{API}/{first.json()['id']}/step"
    explained = {"step": "explain", "words": "a fee", "idempotency_key": "k2"}
    assert clerk.post(path, explained, format="json").json()["state"] == "explained"
    assert clerk.get(API).json()["breaks"][0]["cause"] == "a fee"
    chosen = {"action": "accept_without_money", "_selected_action": [first.json()["id"]]}
    client_of(Role.CONTROLLER).post(ADMIN, chosen)
    assert BookBreak.objects.get().state == "accepted"
    assert client_of(Role.ACCOUNTANT).get(f"{ADMIN}add/").status_code == 200
