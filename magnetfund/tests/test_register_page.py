"""The register by its doors: page, files and API, by role, filtered and noted."""

from __future__ import annotations

import csv
import io
import re
import zipfile

import pytest
from django.test import Client
from rest_framework_simplejwt.tokens import RefreshToken

from investors.tests.fund_support import FIRST, SmallFund, make_fund_of
from magnetfund.core.models import AuditEvent
from magnetfund.core.roles import Role
from magnetfund.operations.people import ensure_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def small() -> SmallFund:
    made = make_fund_of("main", {"A": {}, "B": {}})
    made.day(FIRST)
    made.subscribe("ann", "30000", before=FIRST)
    made.subscribe("bob", "10000", before=FIRST, code="B")
    made.strike(FIRST)
    return made


def client_of(role: Role) -> tuple[Client, dict[str, str]]:
    user = ensure_user(email=f"{role.value}@example.com", name="x", roles=[role])
    client = Client()
    client.force_login(user)
    return client, {"Authorization": f"Bearer {RefreshToken.for_user(user).access_token}"}


def test_page_files_and_api_show_the_same_holders_to_those_who_may(small: SmallFund, token_keys):
    client, headers = client_of(Role.AUDITOR)
    page = client.get("/desk/fund/register/").content.decode()
    assert page.index("Ann") < page.index("Bob")  # the largest first
    assert "30,000.00" in page
    assert re.search(r"75\.00\s%", page)
    ann = small.investor("ann")
    some = client.get(f"/desk/fund/register/?class=A&holder={ann.pk}").content.decode()
    assert "Lots of Ann" in some
    assert "main-bob" not in some
    rows = list(csv.DictReader(io.StringIO(client.get("/desk/fund/register.csv").content.decode())))
    assert [(row["account"], row["class"], row["share_of_fund"]) for row in rows] == [
        ("main-ann", "A", "0.75000000"), ("main-bob", "B", "0.25000000"),
    ]  # fmt: skip
    book = client.get("/desk/fund/register.xlsx?search=bob").content
    with zipfile.ZipFile(io.BytesIO(book)) as archive:
        sheet = archive.read("xl/worksheets/sheet1.xml")
    assert b"main-bob" in sheet
    assert b"main-ann" not in sheet
    assert AuditEvent.objects.filter(action="register.exported").count() == 2
    assert client.get("/desk/fund/register.pdf").status_code == 404
    before = client.get("/desk/fund/register/?at=2024-12-01").content.decode()
    assert "No holder matches" in before
    ties = re.sub(r"<[^>]+>|\s+", " ", page.split('id="ties"')[1].split("</table>")[0])
    assert " ".join(ties.split()).endswith(
        "A 0.00 +30,000.00 30,000.00 0.00 30,000.00 B 0.00 +10,000.00 10,000.00 0.00 10,000.00"
    )
    assert 'id="ties"' not in client.get("/desk/fund/register/?search=bob").content.decode()
    assert client.get("/desk/fund/register/?at=never").status_code == 200
    answer = Client().get("/api/register?account=ann", headers=headers).json()
    assert (answer["count"], answer["value"]) == (1, "30000.00")
    assert answer["nav_of"] == "2025-01-01T00:00:00Z"
    (holder,) = answer["holders"]
    assert [lot["units"] for lot in holder["lots_behind"]] == [holder["units"]]
    assert Client().get("/api/register?sort=x", headers=headers).status_code == 422


def test_an_operator_sees_no_holder(small: SmallFund, token_keys):
    client, headers = client_of(Role.OPERATOR)
    for path in ("/desk/fund/register/", "/desk/fund/register.csv"):
        assert client.get(path).status_code == 403
    assert Client().get("/api/register", headers=headers).status_code == 403
