"""The vault: each investor's own papers alone, the house's by role, every download noted."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from django.test import Client
from rest_framework_simplejwt.tokens import RefreshToken

from investors.models import Investor, Paper
from investors.services.investor_statements import make_statements
from investors.tests.test_investor_statements import lived
from magnetfund.core.models import AuditEvent, User
from magnetfund.core.roles import Role
from magnetfund.operations.people import ensure_user

pytestmark = pytest.mark.django_db


def tell() -> dict[str, User]:
    """A fund with the January statements of ann, bob and cyd; ann and bob have accounts."""
    small = lived()
    make_statements(fund=small.fund, period="2025-01", actor=small.maker)
    found = {}
    for name in ("ann", "bob"):
        found[name] = ensure_user(
            email=f"{name}@example.com", name=name.title(), roles=[Role.INVESTOR]
        )
        Investor.objects.filter(pk=small.investor(name).pk).update(user=found[name])
    return found


@pytest.fixture(scope="module")
def story() -> Callable[[], dict[str, User]]:
    return tell


@pytest.fixture
def people(module_database: Any, told: Any, db: None) -> dict[str, User]:
    return deepcopy(told.value)


def client_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def staff(role: Role) -> User:
    return ensure_user(email=f"{role.value}@example.com", name=role.value, roles=[role])


def bearer(user: User) -> dict[str, str]:
    return {"Authorization": f"Bearer {RefreshToken.for_user(user).access_token}"}


def paper_of(name: str) -> Paper:
    return Paper.objects.get(investor__email=f"{name}@example.com", kind="statement")


def test_an_investor_reads_and_takes_his_own_statements_and_nobody_elses(people):
    client, own, other = client_of(people["ann"]), paper_of("ann"), paper_of("bob")
    page = client.get("/statements/").content.decode()
    assert "January 2025" in page
    assert own.number in page
    assert other.number not in page
    shown = client.get(f"/statements/{own.pk}/")
    assert "no-store" in shown["Cache-Control"]
    for _, amount, _ in own.data["bridge"]:
        assert amount in shown.content.decode()
    sent = client.get(f"/papers/{own.pk}.pdf")
    assert (sent.content, sent["Content-Type"]) == (bytes(own.content), "application/pdf")
    assert "no-store" in sent["Cache-Control"]
    for path in (f"/statements/{other.pk}/", f"/papers/{other.pk}.pdf"):
        assert client.get(path).status_code == 404
    line = AuditEvent.objects.get(action="paper.downloaded")
    assert (line.subject_id, line.body["number"]) == (str(own.pk), own.number)


def test_the_lists_filters_know_year_and_kind_and_nothing_else(people):
    client = client_of(people["ann"])
    assert "Monthly statements" not in client.get("/statements/?kind=notes").content.decode()
    assert "Contract notes</h2>" not in client.get("/statements/?kind=statements").content.decode()
    assert paper_of("ann").number in client.get("/statements/?year=2025&kind=x").content.decode()
    assert paper_of("ann").number in client.get("/statements/?year=1999").content.decode()


@pytest.mark.parametrize(
    ("role", "status"),
    [
        (Role.ACCOUNTANT, 200), (Role.CONTROLLER, 200), (Role.COMPLIANCE, 200),
        (Role.DIRECTOR, 200), (Role.AUDITOR, 200), (Role.OPERATOR, 403),
        (Role.RISK_OFFICER, 403), (Role.ADMINISTRATOR, 403),
    ],
)  # fmt: skip
def test_the_desk_sees_papers_by_role_and_who_took_them(people, token_keys, role, status):
    paper, client = paper_of("ann"), client_of(staff(role))
    assert client.get("/desk/fund/papers/").status_code == status
    assert client.get(f"/desk/fund/papers/{paper.pk}.pdf").status_code == status
    call = bearer(staff(role))
    assert client_of(staff(role)).get("/api/papers", headers=call).status_code == status
    answer = Client().get(f"/api/papers/{paper.pk}.pdf", headers=call)
    assert answer.status_code == status
    if status == 200:
        page = client.get("/desk/fund/papers/?account=main-ann&kind=statement").content.decode()
        assert "2 times" in page
        assert role.value in page
        assert paper_of("bob").number not in page
    else:
        assert not AuditEvent.objects.filter(action="paper.downloaded").exists()


def test_an_accountant_makes_a_month_by_page_and_by_api(people, token_keys):
    user = staff(Role.ACCOUNTANT)
    client = client_of(user)
    answer = client.post("/desk/fund/papers/statements/", {"period": "2025-02"}, follow=True)
    assert "4 statements of 2025-02 made, 0 stood already" in answer.content.decode()
    answer = client.post("/desk/fund/papers/statements/", {"period": "2199-01"}, follow=True)
    assert "period_open" in answer.content.decode()
    body = json.dumps({"period": "2025-03", "account": "main-cyd", "idempotency_key": "a"})
    ask = {"data": body, "content_type": "application/json", "headers": bearer(user)}
    first = Client().post("/api/papers/statements", **ask)
    assert first.json()["made"] == ["2025-03-main-cyd"]
    assert Client().post("/api/papers/statements", **ask).content == first.content


def test_the_api_gives_an_investor_his_own_with_every_printed_line(people, token_keys):
    own, call = paper_of("ann"), bearer(people["ann"])
    listed = Client().get("/api/investor/statements", headers=call).json()["statements"]
    assert [row["number"] for row in listed] == [own.number]
    assert listed[0]["closing"] == own.data["figures"]["closing"]
    whole = Client().get(f"/api/investor/statements/{own.pk}", headers=call).json()
    assert whole["printed"]["bridge"] == own.data["bridge"]
    sent = Client().get(f"/api/investor/papers/{own.pk}.pdf", headers=call)
    assert sent.content == bytes(own.content)
    other = paper_of("bob").pk
    for path in (f"/api/investor/statements/{other}", f"/api/investor/papers/{other}.pdf"):
        assert Client().get(path, headers=call).status_code == 404
