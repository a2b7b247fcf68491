"""Steps over the API and in the admin that move money, units or people ask for a fresh factor."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import caches
from django.test import Client

from investors.models import Investor, PayeeAccount
from investors.tests.fund_support import FIRST, SmallFund, make_fund
from magnetfund.core.models import RefreshFamily, User
from magnetfund.core.roles import Role
from magnetfund.core.services.refresh_tokens import start_family
from magnetfund.kernel.clock import utc_now
from magnetfund.tests import test_doors
from magnetfund.tests.test_doors import _doors, code_now, make_officer, sign_in
from magnetfund.web.api.tokens import issue_tokens

pytestmark = pytest.mark.django_db
__all__ = ["_doors"]
NOBODY = "00000000-0000-0000-0000-000000000001"
STEPS = [
    (Role.INVESTOR, "/api/investor/withdraw", {"is_all": True}),
    (Role.INVESTOR, "/api/investor/switch", {"share_class": "A", "into_class": "B"}),
    (Role.CONTROLLER, f"/api/money/payments/{NOBODY}/step", {"step": "approve", "hash": "x"}),
    (Role.CONTROLLER, f"/api/dealing/proposals/{NOBODY}/decision", {"is_approved": True}),
    (Role.CONTROLLER, f"/api/dealing/distributions/{NOBODY}/decision", {"is_approved": True}),
    (Role.CONTROLLER, f"/api/dealing/suspensions/{NOBODY}/decision", {"is_approved": True}),
    (Role.CONTROLLER, f"/api/navs/{NOBODY}/decision", {"is_approved": True}),
    (Role.CONTROLLER, f"/api/founding/terms/{NOBODY}/decision", {"is_approved": True}),
    (Role.RISK_OFFICER, f"/api/founding/limits/{NOBODY}/decision", {"is_approved": True}),
    (Role.CONTROLLER, f"/api/money/accounts/{NOBODY}/approve", {}),
    (Role.CONTROLLER, f"/api/money/payees/{NOBODY}/step", {"step": "approve"}),
    (Role.DIRECTOR, f"/api/people/{NOBODY}/decision", {"is_approved": True}),
    (Role.ADMINISTRATOR, "/api/people", {
        "email": "new@example.com", "name": "New Person", "role": "auditor", "reason": "x",
    }),
    (Role.INVESTOR, f"/api/investor/orders/{NOBODY}/cancel", {}),
    (Role.COMPLIANCE, f"/api/kyc/cases/{NOBODY}/review", {"content_hash": "x"}),
    (Role.COMPLIANCE, f"/api/kyc/cases/{NOBODY}/moves", {"to": "approved", "content_hash": "x"}),
    (Role.OPERATOR, "/api/trade/execute", {
        "symbol": "BTC/USDT:USDT", "direction": "long", "magnet_tier": 1, "entry_price": "100",
        "stop_price": "99", "idempotency_key": "one",
    }),
]  # fmt: skip


def token_of(user: User, *, factor_shown: bool = False) -> str:
    family = start_family(user, expires_at=utc_now() + timedelta(hours=1))
    return str(issue_tokens(user, family, factor_shown=factor_shown)["token"])


def send(path: str, body: dict[str, Any], token: str) -> Any:
    return Client().post(
        path, body, content_type="application/json",
        headers={"Authorization": f"Bearer {token}", "Idempotency-Key": "one"},
    )  # fmt: skip


def code_of(answer: Any) -> str:
    return str(answer.json().get("error", {}).get("code", ""))


def person(role: Role) -> User:
    user = make_officer("pat", role)
    if role is Role.INVESTOR:
        Investor.objects.create(
            number="P-1", legal_name="Pat", email=user.email, user=user, kyc_state="approved"
        )
    return user


@pytest.mark.parametrize(("role", "path", "body"), STEPS)
def test_a_step_waits_for_a_code_and_goes_on_with_the_token_that_it_gives(
    role: Role, path: str, body: dict[str, Any]
):
    user = person(role)
    token = token_of(user)
    answer = send(path, body, token)
    assert (answer.status_code, code_of(answer)) == (403, "step_up_needed")
    wrong = send("/api/auth/step-up", {"code": "000000"}, token)
    assert (wrong.status_code, code_of(wrong)) == (401, "code_wrong")
    given = send("/api/auth/step-up", {"code": code_now()}, token).json()
    assert (given["fresh_for"], set(given)) == (300, {"token", "expires_in", "fresh_for"})
    assert code_of(send(path, body, given["token"])) != "step_up_needed"


def test_a_code_is_good_for_one_step_up_and_the_token_ends_with_its_sign_in():
    user = person(Role.CONTROLLER)
    family = start_family(user, expires_at=utc_now() + timedelta(hours=1))
    token = str(issue_tokens(user, family)["token"])
    code = code_now()
    fresh = send("/api/auth/step-up", {"code": code}, token).json()["token"]
    assert code_of(send("/api/auth/step-up", {"code": code}, token)) == "code_wrong"
    RefreshFamily.objects.filter(user=user).update(revoked_at=utc_now())
    assert Client().get(
        "/api/money/payments", headers={"Authorization": f"Bearer {fresh}"}
    ).status_code == 401  # fmt: skip


def test_codes_are_not_guessed_here_either():
    token = token_of(person(Role.CONTROLLER))
    said = {send("/api/auth/step-up", {"code": f"{n:06d}"}, token).status_code for n in range(14)}
    assert said == {401, 429}


def test_an_invented_person_of_the_demo_answers_by_signing_in(settings: Any):
    settings.MAGNET_ENV = "demo"
    caches["default"].clear()
    user = make_officer("ines", Role.INVESTOR, factor=False)
    Investor.objects.create(number="I-1", legal_name="I", email=user.email, user=user)
    path, body = "/api/investor/withdraw", {"is_all": True}
    assert code_of(send(path, body, token_of(user))) != "step_up_needed"
    settings.MAGNET_ENV = "production"
    assert code_of(send(path, body, token_of(user))) == "step_up_needed"


@pytest.fixture
def small(db: None) -> SmallFund:
    return make_fund("main")


def test_the_admins_approvals_ask_too(small: SmallFund):
    maker = small.maker.user
    assert maker is not None
    row = PayeeAccount.objects.create(
        fund=small.fund, kind="bank", name="Audit Ltd", number="X1", currency="USD",
        evidence="call-back", added_by=maker, added_at=FIRST,
    )  # fmt: skip
    client = sign_in(make_officer("con", Role.CONTROLLER))
    sent = {"action": "approve", "_selected_action": [str(row.pk)]}
    test_doors.TestStepUp.age(client, 301)
    answer = client.post("/admin/investors/payeeaccount/", sent)
    assert answer.status_code == 302
    assert "reauthenticate" in answer.url
    row.refresh_from_db()
    assert row.approved_at is None
    test_doors.TestStepUp.age(client, 10)
    client.post("/admin/investors/payeeaccount/", sent)
    row.refresh_from_db()
    assert row.approved_at is not None
