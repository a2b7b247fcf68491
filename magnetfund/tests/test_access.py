"""Who gets what: every path of the platform, for nobody, an investor and each role of the house."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pytest
from django.test import Client
from django.urls import get_resolver
from rest_framework_simplejwt.tokens import RefreshToken

from magnetfund.core.models import User
from magnetfund.core.roles import Capability, Role, roles_with
from magnetfund.operations.people import ensure_user
from magnetfund.web.administration.admin import OF_THE_FUND
from magnetfund.web.administration.kyc_forms import KYC_TABLES
from magnetfund.web.setup_steps import PAGES

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("token_keys")]

PUBLIC = {
    "/", "/health", "/health/database", "/capabilities", "/docs", "/api/schema",
    "/api/performance/current", "/api/performance/history", "/api/trades/recent",
    "/account/login/", "/apply/",
}  # fmt: skip
DESK = {
    "/desk/", "/desk/founding/", "/desk/people/",
    "/desk/risk/", "/desk/risk/limits/", "/desk/risk/tail/",
    "/desk/risk/correlation/", "/desk/risk/factors/", "/desk/risk/attribution/",
    "/desk/risk/calculators/", "/desk/risk/events/", "/desk/risk/stresses/",
    "/desk/trading/",
    "/desk/trading/trades.csv", "/desk/trading/orders/", "/desk/trading/orders.csv",
    "/desk/signals/", "/desk/options/", "/desk/options/options.csv",
    "/desk/market/", "/desk/market/instruments/",
    "/desk/fund/", "/desk/fund/accounts/",

    "/desk/fund/nav/known/", "/desk/fund/nav/error/", "/desk/fund/restatements/",
    "/desk/fund/breaks/", "/desk/fund/breaks.csv",

    "/desk/fund/expenses/", "/desk/fund/expenses.csv",
    "/desk/fund/rates/", "/desk/fund/rates.csv",
    "/desk/fund/pockets/", "/desk/fund/pockets/changes/",
    "/desk/research/", "/desk/research/compare/", "/desk/research/parameters/",
    "/desk/research/sweeps/", "/desk/research/evidence/", "/desk/research/survival/",
    "/desk/research/strategies/", "/desk/research/replays/",
}  # fmt: skip
#: Compliance's own; test_desk_kyc.py has their matrix.
FILES = {"/desk/investors/"}
#: The vault; test_vault.py has its matrix.
VAULT = {"/desk/fund/papers/", "/desk/fund/register/", "/desk/fund/pockets.csv"}
#: Who holds, orders and is paid, by name: for those who pay, sign, file or check.
HOLDERS = {
    "/desk/fund/orders/", "/desk/fund/money/", "/desk/fund/proposals/",
    "/desk/fund/distributions/", "/desk/fund/payments/", "/desk/fund/payments.csv",
    "/desk/fund/rebates/", "/desk/fund/rebates.csv",
}  # fmt: skip
#: Pages of the desk for some of the house only; test_desk_ticket.py, test_desk_market.py,
#: test_desk_stop.py and test_dealing_proposals.py have their matrix.
TRADE = {
    "/desk/trading/ticket/", "/desk/market/instruments/confirm/", "/desk/risk/stop/confirm/",
    "/desk/fund/proposals/import/",
}  # fmt: skip
INVESTOR = {
    "/overview/", "/overview/returns.csv", "/activity/", "/statements/", "/proof/",
    "/proof/check_units.py", "/messages/", "/settings/", "/navs/", "/trades/", "/my-risk/",
    "/redeem/", "/redeem/confirm/", "/switch/", "/switch/confirm/",
    "/subscribe/", "/subscribe/confirm/", "/advisers/",
    "/accounts/",
}  # fmt: skip
#: For accounts with a portal; one that belongs to no investor is told so.
API_OWN = {
    "/api/investor/statements",
    "/api/investor/proof",
    "/api/investor/dashboard",
    "/api/investor/performance",
    "/api/investor/orders",
    "/api/investor/account-changes",
}
API_READ = {
    "/state", "/dependencies", "/api/fuse/status", "/api/strategies/health",
    "/api/strategies/performance", "/api/risk/portfolio", "/api/risk/factors",
    "/api/risk/attribution", "/api/risk/events", "/api/risk/stresses",
    "/api/options", "/api/founding",
}  # fmt: skip
#: Roles without a door into the house.
PORTAL = (Role.INVESTOR, Role.ADVISER)
#: POST paths with the roles that pass the door (what is behind may still refuse the body).
POSTS: dict[str, set[Role]] = {
    "/desk/risk/stop/": {
        Role.OPERATOR, Role.RISK_OFFICER, Role.ACCOUNTANT, Role.CONTROLLER, Role.COMPLIANCE,
        Role.DIRECTOR, Role.ADMINISTRATOR, Role.COORDINATOR, Role.SERVICE,
    },
    "/desk/risk/reset/": {Role.RISK_OFFICER},
    "/desk/risk/disarm/": {Role.RISK_OFFICER},
    "/desk/trading/order/": {Role.OPERATOR},
    "/desk/fund/prepare/": {Role.ACCOUNTANT},
    "/desk/fund/money/upload/": {Role.ACCOUNTANT},
    "/desk/market/instruments/add/": {Role.OPERATOR},
    "/desk/market/instruments/change/": {
        Role.OPERATOR, Role.RISK_OFFICER, Role.ACCOUNTANT, Role.CONTROLLER, Role.COMPLIANCE,
        Role.DIRECTOR, Role.ADMINISTRATOR, Role.COORDINATOR, Role.SERVICE,
    },
    "/desk/fund/payments/prepare/": {Role.ACCOUNTANT},
    "/desk/fund/papers/statements/": {Role.ACCOUNTANT},
    "/desk/fund/payments/release/": {Role.ACCOUNTANT},
    "/desk/research/evidence/start/": {Role.OPERATOR, Role.RISK_OFFICER, Role.DIRECTOR},
    "/desk/research/survival/start/": {Role.OPERATOR, Role.RISK_OFFICER, Role.DIRECTOR},
}  # fmt: skip
#: Forms of research answer a bad field with 422 beside it, not with a way back.
RESEARCH = {Role.OPERATOR, Role.RISK_OFFICER, Role.DIRECTOR}
FORMS: dict[str, set[Role]] = {
    "/desk/fund/accounts/add/": {Role.ACCOUNTANT},
    "/desk/fund/payees/add/": {Role.ACCOUNTANT},
    "/desk/risk/limits/propose/": {Role.RISK_OFFICER},
    "/desk/research/strategies/propose/": {Role.RISK_OFFICER},
    "/desk/research/backtests/": RESEARCH,
    "/desk/risk/stresses/save/": RESEARCH,
    "/desk/risk/events/enter/": {r for r in Role if r not in (*PORTAL, Role.AUDITOR)},
    "/desk/research/sweeps/start/": RESEARCH,
}
API_POSTS: dict[str, set[Role]] = {
    **{
        f"/api/founding/{page.name}": set(roles_with(page.form.capability))
        for page in PAGES.values()
    },
    "/api/money/payees": {Role.ACCOUNTANT},
    "/api/backtests": RESEARCH,
    "/api/dealing/proposals/import": {Role.ACCOUNTANT},
    "/api/risk/stresses": RESEARCH,
    "/api/risk/events": {r for r in Role if r not in (*PORTAL, Role.AUDITOR)},
    "/api/sweeps": RESEARCH,
    "/api/money/statements": {Role.ACCOUNTANT},
    "/api/money/breaks": {Role.ACCOUNTANT, Role.CONTROLLER},
    "/api/money/expenses": {Role.ACCOUNTANT, Role.CONTROLLER},
    "/api/dealing/pockets": {Role.ACCOUNTANT, Role.DIRECTOR},
    "/api/dealing/pockets/changes": {Role.ACCOUNTANT, Role.DIRECTOR},
    "/api/money/rebates": {Role.ACCOUNTANT, Role.CONTROLLER},
    "/api/money/rates": {Role.ACCOUNTANT, Role.CONTROLLER},
    "/api/money/par": {Role.ACCOUNTANT},
    "/api/dealing/distributions": {Role.ACCOUNTANT, Role.CONTROLLER, Role.DIRECTOR},
    "/api/papers/statements": {Role.ACCOUNTANT},
    "/api/restatements": {Role.ACCOUNTANT, Role.CONTROLLER, Role.DIRECTOR},
    "/api/dealing/proposals": {Role.ACCOUNTANT, Role.CONTROLLER, Role.DIRECTOR},
    "/api/leverage/calculate": {r for r in Role if r not in PORTAL},
    "/api/growth/calculate": {r for r in Role if r not in PORTAL},
    "/api/kelly/calculate": {r for r in Role if r not in PORTAL},
    "/api/margin/calculate": {r for r in Role if r not in PORTAL},
    "/api/sizing/calculate": {r for r in Role if r not in PORTAL},
    "/api/trade/execute": {Role.OPERATOR, Role.COORDINATOR},
    "/api/system/emergency-stop": {
        r for r in Role if r not in (*PORTAL, Role.AUDITOR)
    },
}  # fmt: skip
STAFF = [
    Role.OPERATOR, Role.RISK_OFFICER, Role.ACCOUNTANT, Role.CONTROLLER, Role.COMPLIANCE,
    Role.DIRECTOR, Role.AUDITOR, Role.ADMINISTRATOR,
]  # fmt: skip
ADMIN = {
    Role.RISK_OFFICER, Role.ACCOUNTANT, Role.CONTROLLER, Role.COMPLIANCE, Role.DIRECTOR,
    Role.AUDITOR, Role.ADMINISTRATOR,
}  # fmt: skip


def client_of(role: Role | None) -> Client:
    client = Client()
    if role is not None:
        client.force_login(account(role))
    return client


def account(role: Role) -> User:
    return ensure_user(email=f"{role.value}@example.com", name=role.value, roles=[role])


def bearer(role: Role) -> dict[str, str]:
    token = RefreshToken.for_user(account(role)).access_token
    return {"Authorization": f"Bearer {token}"}


def statuses(client: Client, paths: Iterable[str], method: str = "get") -> dict[str, int]:
    """The status of each path, asked by one client in turn."""
    return {path: getattr(client, method)(path).status_code for path in sorted(paths)}


@pytest.mark.parametrize("path", sorted(PUBLIC))
def test_public_paths_are_open_to_everybody(path: str):
    assert Client().get(path).status_code in (200, 503)


@pytest.mark.parametrize(
    "path", sorted(DESK | HOLDERS | TRADE | FILES | VAULT | INVESTOR | {"/home/"})
)
def test_nobody_is_sent_to_the_sign_in(path: str):
    answer = Client().get(path)
    assert answer.status_code == 302
    assert answer.url.startswith("/account/login/")


def test_an_investor_never_sees_the_desk():
    paths = DESK | HOLDERS | TRADE | FILES | VAULT
    assert statuses(client_of(Role.INVESTOR), paths) == dict.fromkeys(paths, 403)


@pytest.mark.parametrize("role", STAFF)
def test_every_member_of_the_house_sees_every_desk_page(role: Role):
    assert statuses(client_of(role), DESK) == dict.fromkeys(DESK, 200)
    named = 200 if role in roles_with(Capability.HOLDERS_VIEW) else 403
    assert statuses(client_of(role), HOLDERS) == dict.fromkeys(HOLDERS, named)


def test_an_adviser_without_a_holder_reads_nothing_and_never_sees_the_desk():
    paths = DESK | HOLDERS | TRADE | FILES | VAULT | INVESTOR
    assert statuses(client_of(Role.ADVISER), paths) == dict.fromkeys(paths, 403)


def test_staff_without_a_holding_find_no_investor_page():
    assert statuses(client_of(Role.OPERATOR), INVESTOR) == dict.fromkeys(INVESTOR, 404)


@pytest.mark.parametrize("role", list(Role))
def test_desk_actions_open_to_their_roles_alone(role: Role):
    expected = {path: 302 if role in roles else 403 for path, roles in POSTS.items()}
    assert statuses(client_of(role), POSTS, "post") == expected


@pytest.mark.parametrize("role", list(Role))
def test_forms_open_to_their_roles_alone(role: Role):
    expected = {path: 422 if role in roles else 403 for path, roles in FORMS.items()}
    assert statuses(client_of(role), FORMS, "post") == expected


def test_desk_actions_take_no_get():
    client = client_of(Role.RISK_OFFICER)
    for path in [*POSTS, *FORMS]:
        assert client.get(path).status_code == 405


@pytest.mark.parametrize("role", [None, *Role])
def test_the_admin_opens_to_its_roles(role: Role | None):
    status = client_of(role).get("/admin/trading/order/").status_code
    expected = 200 if role in ADMIN else (302 if role is None or role not in STAFF else 403)
    assert status == expected


def test_an_administrator_adds_no_row_to_the_books():
    client = client_of(Role.ADMINISTRATOR)
    from django.contrib import admin

    refused = {}
    for model in admin.site._registry:
        if model._meta.app_label not in ("core", "risk", "trading", "investors"):
            continue
        base = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
        refused[base] = (client.get(base).status_code, client.get(base + "add/").status_code)
    named = {
        model._meta.label_lower
        for model in admin.site._registry
        if model._meta.app_label == "investors" and model._meta.label_lower not in OF_THE_FUND
    }
    kept = {f"/admin/{name.replace('.', '/')}/" for name in named | {"core.outgoingmail"}}
    assert kept >= {f"/admin/{name.replace('.', '/')}/" for name in KYC_TABLES}
    assert {path for path, found in refused.items() if found == (403, 403)} == kept
    # Anybody on the staff may make a book do less, in the admin as on the desk.
    less = {"/admin/trading/bookmember/"}
    assert {path for path, found in refused.items() if found == (200, 200)} == less
    assert {found for path, found in refused.items() if path not in kept | less} == {(200, 403)}
    assert len(refused) >= 35


@pytest.mark.parametrize("path", sorted(API_READ | {"/api/positions/open"}))
def test_api_reads_need_a_token_of_the_house(path: str):
    assert Client().get(path).status_code == 401
    assert Client().get(path, headers=bearer(Role.INVESTOR)).status_code == 403
    assert Client().get(path, headers=bearer(Role.OPERATOR)).status_code == 200


@pytest.mark.parametrize("path", sorted(API_OWN))
def test_an_investors_own_figures_need_an_investors_token(path: str):
    assert Client().get(path).status_code == 401
    for role in Role:
        answer = Client().get(path, headers=bearer(role))
        code = answer.json()["error"]["code"]
        expected = {
            Role.INVESTOR: (404, "no_investor"),
            Role.ADVISER: (403, "no_access"),
        }.get(role, (403, "not_allowed"))
        assert (answer.status_code, code) == expected, role


@pytest.mark.parametrize("path", sorted(API_POSTS))
def test_api_actions_open_to_their_roles_alone(path: str):
    def post(role: Role | None) -> int:
        headers = bearer(role) if role is not None else {}
        return (
            Client()
            .post(path, data="{}", content_type="application/json", headers=headers)
            .status_code
        )

    assert post(None) == 401
    for role in Role:
        assert (post(role) == 422) == (role in API_POSTS[path]), (role, path)


def test_every_path_is_in_this_matrix_or_takes_an_identifier():
    known = (
        PUBLIC
        | DESK
        | HOLDERS
        | TRADE
        | FILES
        | VAULT
        | INVESTOR
        | API_READ
        | API_OWN
        | set(POSTS)
        | set(FORMS)
        | set(API_POSTS)
    )
    known |= {
        # test_api_founding.py asks both by role.
        "/api/people", "/api/money/accounts",
        # test_api_fund_days.py asks them by role.
        "/api/navs", "/api/dealing/suspensions",
        # test_vault.py, test_register_page.py and test_desk_books.py have their matrix.
        "/api/papers", "/api/register",
        "/desk/books/", "/desk/books/books.jsonl.gz", "/desk/books/check_books.py",
        # test_founding_pages.py has its matrix.
        "/desk/people/propose/",
        # test_portal_own.py has theirs.
        "/desk/fund/suspension/", "/messages/read/",
        # test_advisers.py has theirs.
        "/advised/", "/advised/begin/", "/advised/own/", "/api/investor/advisers",
        "/api/investor/holders", "/api/advisers",
        # test_attorneys.py has theirs.
        "/api/powers", "/api/investor/powers",
        # test_estates.py has it.
        "/api/deaths",
        "/home/", "/live", "/api/positions/open", "/api/money/receipts", "/api/money/payments",
        "/api/auth/token", "/api/auth/refresh", "/api/auth/step-up",
        "/api/investor/login", "/api/investor/withdraw",
        "/api/investor/subscribe", "/api/investor/switch", "/api/investor/switch/quote",
        # For the session of one application alone; test_apply.py has them.
        "/apply/status/", "/apply/withdraw/",
        # test_api_kyc.py has their matrix.
        "/api/kyc/cases", "/api/investor/register",
        # For those who call back and sign; test_account_changes.py asks it by role.
        "/api/money/account-changes",
        # It needs an instant; test_nav_as_known.py asks it by role.
        "/api/nav",
    }  # fmt: skip
    unknown = set()
    for pattern in get_resolver().url_patterns:
        for item in getattr(pattern, "url_patterns", [pattern]):
            path = (
                "/"
                + str(pattern.pattern if hasattr(pattern, "url_patterns") else "")
                + str(item.pattern)
            )
            if path.startswith(("/account/", "/admin/")) or "<" in path or "^" in path:
                continue
            if path not in known:
                unknown.add(path)
    assert unknown == set()


def test_errors_have_one_shape():
    answer = Client().get("/api/nothing-here")
    assert answer.status_code == 404
    assert set(json.loads(answer.content)["error"]) == {"code", "message", "details"}
    refused = Client().get("/state")
    assert json.loads(refused.content)["error"]["code"] == "not_authenticated"


def test_a_token_signed_by_somebody_else_is_refused():
    from jwt import encode

    forged = encode({"user_id": str(account(Role.OPERATOR).pk)}, "x" * 40, algorithm="HS256")
    answer = Client().get("/state", headers={"Authorization": f"Bearer {forged}"})
    assert answer.status_code == 401
    error = answer.json()["error"]
    assert error["code"] == "not_authenticated"
    assert "ErrorDetail" not in answer.content.decode()
    assert "{" not in error["message"]


def test_pages_carry_a_strict_policy():
    policy = Client().get("/").headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_every_page_of_the_desk_and_the_portal_is_told_of() -> None:
    told = (Path(__file__).resolve().parents[2] / "docs/pages.md").read_text(encoding="utf-8")
    pages = DESK | HOLDERS | FILES | VAULT | TRADE | INVESTOR
    parts = {"/desk/research/parameters/"}  # a part of a form, no page
    named = {path for path in pages - parts if path.endswith("/")}
    assert [path for path in sorted(named) if f"`{path}`" not in told] == []
