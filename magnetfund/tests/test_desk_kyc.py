"""Compliance cases on the desk: the whole way to an account by forms, and who may not."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.core import mail
from django.test import Client

from investors.models import Investor, KycCase
from investors.services.founding import register_investor
from magnetfund.core.actors import Actor
from magnetfund.core.roles import Role
from magnetfund.core.services.mail import send_waiting
from magnetfund.operations.people import ensure_user

pytestmark = pytest.mark.django_db
RATING = {
    "customer": "1", "country": "1", "product": "3", "channel": "2", "money": "1",
    "reason": "salary",
}  # fmt: skip


def client_of(name: str, role: Role) -> Client:
    client = Client()
    client.force_login(ensure_user(email=f"{name}@example.com", name=name.title(), roles=[role]))
    return client


@pytest.fixture
def investor() -> Investor:
    accountant = ensure_user(email="d@example.com", name="Dmitri", roles=[Role.ACCOUNTANT])
    return register_investor(
        name="Ann Beck", email="ann@example.com", kind="person", country="CH",
        actor=Actor.of(accountant),
    )  # fmt: skip


def send(client: Client, investor: Investor, step: str, **given: str) -> str:
    """Post a step and return the page that it comes back to."""
    address = f"/desk/investors/{investor.pk}/"
    answer = client.post(f"{address}{step}/", given)
    assert (answer.status_code, answer.url) == (302, address)
    return client.get(address).content.decode()


def hash_on(page: str) -> str:
    found = re.search(r'name="hash" value="([0-9a-f]{64})"', page)
    assert found is not None
    return found[1]


def bring_to_review(client: Client, investor: Investor) -> str:
    send(client, investor, "move", to="collecting")
    for item in (
        "identity", "address", "tax_residence", "source_of_funds", "suitability", "agreements"
    ):  # fmt: skip
        send(client, investor, "check", item=item, outcome="checked", evidence="paper seen")
    send(client, investor, "move", to="submitted")
    send(client, investor, "move", to="screening")
    send(
        client, investor, "screening", party="Ann Beck", kind="sanctions", list_name="EU",
        list_version="20 Nov 2026",
    )  # fmt: skip
    send(client, investor, "move", to="review")
    return send(client, investor, "rate", **RATING)


def test_a_file_goes_from_nothing_to_an_account_that_is_opened_by_mail(investor: Investor):
    lea, karim = client_of("lea", Role.COMPLIANCE), client_of("karim", Role.COMPLIANCE)
    assert "Ann Beck" in lea.get("/desk/investors/").content.decode()
    page = bring_to_review(lea, investor)
    assert "Before an approval: the review is not signed" in page
    page = send(lea, investor, "review", hash=hash_on(page), reason="complete")
    assert "You signed the review" in page
    assert 'value="approved"' not in page
    page = karim.get(f"/desk/investors/{investor.pk}/").content.decode()
    assert 'value="approved"' in page
    page = send(karim, investor, "move", to="approved", hash=hash_on(page))
    assert "The file is now: approved" in page
    send_waiting()
    link = re.search(r"http://localhost:8000(/join/\S+)", mail.outbox[0].body)
    assert link is not None
    stranger = Client()
    assert "ann@example.com" in stranger.get(link[1]).content.decode()
    weak = stranger.post(link[1], {"password": "short", "again": "short"})
    assert weak.status_code == 422
    other = stranger.post(link[1], {"password": "four plain english words", "again": "no"})
    assert "The two passwords differ" in other.content.decode()
    words = "four plain english words"
    opened = stranger.post(link[1], {"password": words, "again": words})
    assert (opened.status_code, opened.url) == (302, "/home/")
    assert stranger.get("/overview/").status_code == 200
    assert Client().get(link[1]).status_code == 404
    signed = Client().post("/account/login/", {"login": "ann@example.com", "password": words})
    assert signed.status_code == 302


def test_a_passkey_is_added_before_any_password(investor: Investor):
    lea, karim = client_of("lea", Role.COMPLIANCE), client_of("karim", Role.COMPLIANCE)
    send(lea, investor, "review", hash=hash_on(bring_to_review(lea, investor)))
    send(karim, investor, "move", to="approved",
         hash=hash_on(karim.get(f"/desk/investors/{investor.pk}/").content.decode()))  # fmt: skip
    send_waiting()
    link = re.search(r"(/join/\S+)", mail.outbox[0].body)
    assert link is not None
    stranger = Client()
    opened = stranger.post(link[1], {"way": "passkey"})
    assert (opened.status_code, opened.url) == (302, "/account/2fa/webauthn/add/")
    assert stranger.get(opened.url).status_code == 200
    investor.refresh_from_db()
    assert investor.user is not None
    assert not investor.user.has_usable_password()


def test_refusals_are_said_and_change_nothing(investor: Investor):
    lea = client_of("lea", Role.COMPLIANCE)
    assert "(no_such_move)" in send(lea, investor, "move", to="approved")
    assert "(bad_state)" in send(lea, investor, "move", to="everything")
    assert "(bad_rating)" in send(lea, investor, "rate", **{**RATING, "money": "many"})
    assert "(no_hit)" in send(lea, investor, "hit", hit="x")
    assert "(bad_screening)" in send(lea, investor, "screening", party="A", kind="sanctions")
    investor.refresh_from_db()
    assert investor.kyc_state == "not_started"
    assert not KycCase.objects.exclude(points={}).exists()
    assert lea.post(f"/desk/investors/{investor.pk}/nothing/").status_code == 404


SEES = {Role.COMPLIANCE, Role.DIRECTOR, Role.AUDITOR}


@pytest.mark.parametrize("role", list(Role))
def test_files_open_to_compliance_directors_and_auditors_alone(investor: Investor, role: Role):
    client = client_of("somebody", role)
    expected = 200 if role in SEES else 403
    for address in ("/desk/investors/", f"/desk/investors/{investor.pk}/"):
        assert client.get(address).status_code == expected
    page = client.post(f"/desk/investors/{investor.pk}/move/", {"to": "collecting"})
    assert page.status_code == (302 if role in SEES else 403)
    investor.refresh_from_db()
    assert investor.kyc_state == ("collecting" if role is Role.COMPLIANCE else "not_started")


@pytest.mark.parametrize(
    ("query", "is_shown"),
    [("", True), ("?state=not_started", True), ("?state=open", False), ("?risk=high", False),
     ("?kind=company", False), ("?sort=due", True)],
)  # fmt: skip
def test_the_list_filters_and_sorts(investor: Investor, query: str, is_shown: bool):
    page: Any = client_of("lea", Role.COMPLIANCE).get(f"/desk/investors/{query}").content.decode()
    assert ("Ann Beck" in page) == is_shown
    assert ("No files match" in page) == (not is_shown)
