"""Who holds and is paid, and to which account, is read by those who pay, sign, file or check."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from investors.services.account_changes import ask_change
from investors.services.dealing import submit_redemption
from investors.services.messages import send_message
from investors.services.money_accounts import add_payee
from investors.tests.fund_support import FIRST, SmallFund, make_fund
from investors.tests.test_payments import IBAN, bank_of, payee_of
from magnetfund.core.actors import Actor
from magnetfund.core.models import AuditEvent, User
from magnetfund.core.roles import Capability, Role, roles_with
from magnetfund.tests.test_access import ADMIN, DESK, HOLDERS, STAFF, bearer, client_of
from magnetfund.tests.test_portal_own import client_of as open_portal

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("token_keys")]
SECOND = FIRST + timedelta(days=31)
NAME, ASKED, PROPOSED = "Zenobia", "DE89370400440532013000", "9876543210"
NEEDED = set(roles_with(Capability.HOLDERS_VIEW))


@pytest.fixture
def small() -> SmallFund:
    """Zenobia holds units, waits for a redemption, and has an account, one proposed, one asked."""
    fund = make_fund("main")
    fund.day(FIRST)
    fund.subscribe("zenobia", "10000", before=FIRST)
    fund.strike(FIRST)
    fund.day(SECOND)
    who = fund.investor("zenobia")
    open_portal(who)
    payee_of(fund, "zenobia")
    bank_of(fund)
    add_payee(
        fund=fund.fund, investor=who, kind="bank", name=NAME, number=PROPOSED, currency="USD",
        evidence="call-back", actor=fund.maker,
    )  # fmt: skip
    own = Actor.of(User.objects.get(investor=who))
    ask_change(
        fund=fund.fund, investor=who, kind="bank", name=NAME, number=ASKED, currency="USD",
        actor=own,
    )  # fmt: skip
    submit_redemption(investor=who, share_class=fund.share_class(), units=None, actor=own, at=FIRST)
    send_message(investor=who, key="k", subject="S", body="B")
    return fund


def text_of(client: Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200, path
    return str(answer.content.decode())


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.RISK_OFFICER, Role.ADMINISTRATOR])
def test_pages_name_no_holder_and_no_account_to_who_needs_neither(small: SmallFund, role: Role):
    assert role not in NEEDED
    client = client_of(role)
    number = bank_of_number(small)
    for path in sorted(DESK):
        shown = text_of(client, path)
        for kept in (NAME, IBAN, ASKED, PROPOSED, number):
            assert kept not in shown, (path, kept)
        # The list of founding names steps that others take.
        for closed in HOLDERS if path != "/desk/founding/" else ():
            assert f'href="{closed}' not in shown, (path, closed)
    for path in HOLDERS:
        assert client.get(path).status_code == 403, path
    accounts = text_of(client, "/desk/fund/accounts/")
    assert f"… {number[-4:]}" in accounts
    answer = client.get("/api/money/accounts", headers=bearer(role)).json()
    assert answer["payees"] == []
    assert answer["accounts"][0]["number"].endswith(f"… {number[-4:]}")


def bank_of_number(small: SmallFund) -> str:
    return str(small.fund.accounts.get().number)


@pytest.mark.parametrize("role", sorted(NEEDED))
def test_those_who_pay_sign_file_or_check_read_them(small: SmallFund, role: Role):
    client = client_of(role)
    accounts = text_of(client, "/desk/fund/accounts/")
    for seen in (NAME, IBAN, ASKED, PROPOSED, bank_of_number(small)):
        assert seen in accounts
    assert NAME in text_of(client, "/desk/")
    assert NAME in text_of(client, "/desk/fund/orders/")
    answer = client.get("/api/money/accounts", headers=bearer(role)).json()
    assert {row["number"] for row in answer["payees"]} == {IBAN, PROPOSED}


@pytest.mark.parametrize("role", [role for role in STAFF if role in ADMIN])
def test_the_admin_is_as_strict(small: SmallFund, role: Role):
    client = client_of(role)
    named = (
        "investor", "payeeaccount", "accountchange", "payment", "dealingorder", "unitlot",
        "holding", "statementline", "message", "paper", "entry", "posting", "adviseraccess",
    )  # fmt: skip
    expected = 200 if role in NEEDED else 403
    for table in named:
        status = client.get(f"/admin/investors/{table}/").status_code
        assert status == expected, table
    assert client.get("/admin/core/outgoingmail/").status_code == expected
    for table in ("fund", "shareclass", "navstrike", "entrybalance", "dealingday"):
        assert NAME not in text_of(client, f"/admin/investors/{table}/"), table


def test_a_prepared_nav_names_orders_by_the_holders_number(small: SmallFund):
    strike: Any = small.prepare(SECOND)
    assert strike.state == "prepared"
    risk, check = (text_of(client_of(role), "/desk/fund/")
                   for role in (Role.RISK_OFFICER, Role.CONTROLLER))  # fmt: skip
    assert NAME not in risk
    assert small.investor("zenobia").number in risk
    assert NAME in check


def test_the_audit_trail_names_an_account_by_its_ends(small: SmallFund):
    lines = AuditEvent.objects.filter(action__in=("payee.proposed", "payee.approved"))
    assert lines.count() == 3
    for line in lines:
        assert IBAN not in str(line.body)
        assert "…" in line.body["number"]
