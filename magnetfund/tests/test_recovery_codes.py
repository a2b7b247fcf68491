"""Recovery codes: unreadable in the database, shown once, good once each, and on record."""

from __future__ import annotations

import json
import re

import pytest
from allauth.mfa.models import Authenticator
from django.test import Client

from magnetfund.core.models import AuditEvent, User
from magnetfund.core.secret_text import MARK
from magnetfund.tests.test_doors import PASSWORD, _doors, make_officer, sign_in, try_password

pytestmark = pytest.mark.django_db
__all__ = ["_doors"]
CODE = re.compile(r"<li>(\d{8})</li>")
SHOWN = "/account/2fa/recovery-codes/"
MADE = "/account/2fa/recovery-codes/generate/"


@pytest.fixture
def officer() -> User:
    return make_officer()


def confirm(client: Client) -> Client:
    """As if the person had just shown the factor once more, which these pages ask for."""
    session = client.session
    for record in session["account_authentication_methods"]:
        record["reauthenticated"] = True
    session.save()
    return client


@pytest.fixture
def codes(officer: User, django_capture_on_commit_callbacks: object) -> list[str]:
    """Made by the officer on the page, and read there the one time."""
    client = sign_in(officer)
    assert "reauthenticate" in client.post(MADE).url
    confirm(client)
    with django_capture_on_commit_callbacks(execute=True):  # type: ignore[operator]  # a fixture
        assert client.post(MADE).url == SHOWN
    found = CODE.findall(client.get(SHOWN).content.decode())
    again = client.get(SHOWN).content.decode()
    assert not CODE.findall(again)
    assert "shown when they were made" in again
    assert client.get("/account/2fa/recovery-codes/download/").status_code in (403, 404)
    return found


def enter(code: str, user: User) -> Client:
    client = Client()
    try_password(client, user.email, PASSWORD)
    client.post("/account/2fa/authenticate/", {"code": code})
    return client


def is_in(client: Client) -> bool:
    return "_auth_user_id" in client.session


def test_a_code_is_shown_once_and_opens_the_door_once(officer: User, codes: list[str]):
    assert len(set(codes)) == 10
    assert is_in(enter(codes[0], officer))
    assert not is_in(enter(codes[0], officer))
    assert is_in(enter(codes[1], officer))
    lines = AuditEvent.objects.filter(subject_id=str(officer.pk)).order_by("seq")
    told = [(line.action, line.body.get("left")) for line in lines if "factor" in line.action]
    assert told == [
        ("factor.reset", None), ("factor.recovery_code_used", 9), ("factor.recovery_code_used", 8),
    ]  # fmt: skip


def test_no_code_and_no_seed_of_one_can_be_read_in_the_database(officer: User, codes: list[str]):
    row = Authenticator.objects.get(user=officer, type=Authenticator.Type.RECOVERY_CODES)
    assert row.data["seed"].startswith(MARK)
    said = json.dumps(row.data) + json.dumps(
        [line.body for line in AuditEvent.objects.filter(subject_id=str(officer.pk))]
    )
    assert not [code for code in codes if code in said]


def test_new_codes_end_the_old_ones(officer: User, codes: list[str]):
    client = confirm(enter(codes[0], officer))
    assert client.post(MADE).url == SHOWN
    new = CODE.findall(client.get(SHOWN).content.decode())
    assert not is_in(enter(codes[1], officer))
    assert is_in(enter(new[1], officer))


def test_a_stranger_who_guesses_codes_shuts_no_officer_out(officer: User, codes: list[str]):
    """Without the password nobody comes to the place where codes are asked for."""
    for number in range(30):
        stranger = Client()
        try_password(stranger, officer.email, f"guess {number}", f"10.0.0.{number}")
        stranger.post("/account/2fa/authenticate/", {"code": f"{number:08d}"})
        assert not is_in(stranger)
    assert is_in(enter(codes[0], officer))
