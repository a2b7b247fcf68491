"""Invited accounts are opened once, and an erased investor leaves nobody who can sign in."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from allauth.usersessions.models import UserSession
from django.test import Client

from investors.models import Application, Investor, KycMove, Message
from investors.services.accounts import (
    invite_investor,
    open_account,
    read_invitation,
    sign_invitation,
)
from investors.services.documents import RETENTION_DAYS, erase_application
from investors.services.messages import send_message
from investors.services.sealing import make_key
from investors.tests.fund_support import make_fund
from magnetfund.core.actors import Actor
from magnetfund.core.models import RoleGrant, User
from magnetfund.core.roles import Role
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import NotFound
from magnetfund.operations.people import ensure_user

pytestmark = pytest.mark.django_db
PASSWORD = "correct horse battery 7"


@pytest.fixture
def ann(settings: Any, tmp_path: Path) -> User:
    """An accepted investor with an account that nobody opened yet."""
    settings.DOCUMENT_KEYS = tmp_path / "keys"
    investor = make_fund("main").investor("ann")
    user = invite_investor(investor=investor, actor=Actor.system("test"))
    assert user is not None
    return user


@pytest.mark.parametrize("given", [PASSWORD, None])
def test_one_link_opens_an_account_once_though_two_had_read_it(ann: User, given: str | None):
    """With a password, or for a passkey, which is made after the sign-in."""
    word = sign_invitation(ann)
    first, second = read_invitation(word), read_invitation(word)
    open_account(user=first, password=given)
    for password in ("another horse battery 8", None):
        with pytest.raises(NotFound) as refused:
            open_account(user=second, password=password)
        assert refused.value.code == "link_over"
    ann.refresh_from_db()
    assert ann.check_password(PASSWORD) == (given is not None)
    assert Client().get(f"/join/{word}/").status_code == 404


def test_who_is_erased_has_no_account_left(ann: User):
    opened = open_account(user=ann, password=PASSWORD)
    client = Client()
    client.force_login(opened)
    assert client.get("/messages/").status_code == 200
    investor = Investor.objects.get(user=ann)
    application = Application.objects.create(
        kind="person", email=investor.email, investor=investor, state="submitted"
    )
    make_key(application.pk)
    Investor.objects.filter(pk=investor.pk).update(kyc_state="exited")
    long_ago = utc_now() - timedelta(days=RETENTION_DAYS + 1)
    KycMove.objects.create(
        investor=investor, from_state="approved", to_state="exited", role="compliance",
        actor_label="x", content_hash="x", moved_at=long_ago,
    )  # fmt: skip
    lea = Actor.of(ensure_user(email="l@example.com", name="Lea", roles=[Role.COMPLIANCE]))
    erase_application(application=application, reason="five years are over", actor=lea)
    ann.refresh_from_db()
    assert (ann.is_active, ann.has_usable_password()) == (False, False)
    assert ann.name == f"Erased investor {investor.number}"
    assert ann.email.endswith("@example.invalid")
    assert not EmailAddress.objects.filter(user=ann).exists()
    assert not UserSession.objects.filter(user=ann).exists()
    assert client.get("/messages/").status_code == 302


def test_a_message_that_is_none_marks_no_other_as_read(ann: User):
    investor = Investor.objects.get(user=ann)
    send_message(investor=investor, key="k", subject="One", body="x")
    client = Client()
    client.force_login(ann)
    for number in ("x", "9" * 30, "-1"):
        client.post("/messages/read/", {"message": number})
        assert Message.objects.filter(read_at=None).count() == 1, number
    client.post("/messages/read/")
    assert not Message.objects.filter(read_at=None).exists()


@pytest.mark.parametrize("path", ["/overview/", "/messages/", "/redeem/", "/statements/"])
def test_the_portal_closes_with_the_role(ann: User, path: str):
    client = Client()
    client.force_login(ann)
    assert client.get(path).status_code == 200
    RoleGrant.objects.filter(user=ann).update(revoked_at=utc_now())
    for method in (client.get, client.head, client.post):
        assert method(path).status_code in (404, 405)
    assert client.get(path).status_code == 404
