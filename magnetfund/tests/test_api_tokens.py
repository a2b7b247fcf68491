"""Tokens of the API: each refresh token is good once, and no token outlives its reasons."""

from __future__ import annotations

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jwt
import pytest
from allauth.mfa.models import Authenticator
from django.core.cache import cache
from django.db import connections
from django.test import Client

from magnetfund.core.models import AuditEvent, RoleGrant, User
from magnetfund.core.roles import Role
from magnetfund.core.sign_in_limits import OF_STRANGERS
from magnetfund.kernel.clock import utc_now
from magnetfund.operations.people import ensure_user

pytestmark = pytest.mark.usefixtures("fresh_database")
PASSWORD = "a long sentence of mine"
EMAIL = "operator@example.com"


@pytest.fixture(autouse=True)
def public_key(token_keys: Path) -> str:
    cache.clear()
    return (token_keys / "jwt-public.pem").read_text()


@pytest.fixture
def person(fresh_database: Any) -> User:
    user = ensure_user(email=EMAIL, name="Op", roles=[Role.OPERATOR])
    user.set_password(PASSWORD)
    user.save(update_fields=["password"])
    return user


def post(path: str, **body: str) -> Any:
    return Client().post(path, json.dumps(body), content_type="application/json")


def sign_in(path: str = "/api/auth/token", **changes: str) -> Any:
    return post(path, **{"email": EMAIL, "password": PASSWORD, **changes})


def refresh(token: str) -> Any:
    return post("/api/auth/refresh", refresh=token)


def state(token: str) -> int:
    return Client().get("/state", headers={"Authorization": f"Bearer {token}"}).status_code


def claims(token: str) -> dict[str, Any]:
    return jwt.decode(token, options={"verify_signature": False})


@pytest.mark.usefixtures("person")
class TestRefreshing:
    def test_it_gives_both_tokens_anew_and_access_for_fifteen_minutes(self):
        first = sign_in().json()
        second = refresh(first["refresh"]).json()
        assert second["expires_in"] == 900
        assert second["refresh"] != first["refresh"]
        assert state(second["token"]) == 200
        assert claims(second["token"])["exp"] - claims(second["token"])["iat"] == 900

    def test_a_token_used_again_ends_its_whole_family_and_is_told(self):
        first = sign_in().json()
        second = refresh(first["refresh"]).json()
        assert refresh(first["refresh"]).status_code == 401
        assert refresh(second["refresh"]).status_code == 401
        assert AuditEvent.objects.get(action="api.tokens_revoked").body["reason"] == "reused"
        assert refresh(sign_in().json()["refresh"]).status_code == 200

    def test_of_two_at_once_one_wins_at_most(self):
        token = sign_in().json()["refresh"]

        def run(_: int) -> int:
            try:
                return refresh(token).status_code
            finally:
                connections.close_all()

        with ThreadPoolExecutor(4) as pool:
            answers = sorted(pool.map(run, range(4)))
        assert answers == [200, 401, 401, 401]

    def test_a_changed_password_ends_it(self, person: User):
        token = sign_in().json()["refresh"]
        person.set_password("another long sentence")
        person.save(update_fields=["password"])
        assert refresh(token).status_code == 401

    def test_an_access_token_is_no_refresh_token(self):
        assert refresh(sign_in().json()["token"]).status_code == 401


class TestEndedRights:
    def test_a_deactivated_account_is_out_at_once(self, person: User):
        tokens = sign_in().json()
        person.is_active = False
        person.save(update_fields=["is_active"])
        assert state(tokens["token"]) == 401
        assert refresh(tokens["refresh"]).status_code == 401

    def test_a_revoked_role_is_gone_from_tokens_given_before(self, person: User):
        token = sign_in().json()["token"]
        assert Client().get("/api/positions/open", headers=bearer(token)).status_code == 200
        RoleGrant.objects.filter(user=person).update(revoked_at=utc_now(), revoked_by=person)
        assert Client().get("/api/positions/open", headers=bearer(token)).status_code == 403


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize("path", ["/api/auth/token", "/api/investor/login"])
@pytest.mark.parametrize(
    ("kind", "code"),
    [(Authenticator.Type.TOTP, "code_needed"), (Authenticator.Type.WEBAUTHN, "key_needed")],
)
def test_no_second_factor_is_passed_by_with_a_password(
    person: User, path: str, kind: str, code: str
):
    Authenticator.objects.create(user=person, type=kind, data={"secret": "x"})
    answer = sign_in(path)
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == code


def _part(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def test_only_our_own_signature_counts(person: User, public_key: str):
    good = sign_in().json()["token"]
    body = claims(good)
    unsigned = f"{_part({'alg': 'none', 'typ': 'JWT'})}.{_part(body)}."
    import hashlib
    import hmac

    head = f"{_part({'alg': 'HS256', 'typ': 'JWT'})}.{_part(body)}"
    seal = hmac.new(public_key.encode(), head.encode(), hashlib.sha256).digest()
    confused = f"{head}.{base64.urlsafe_b64encode(seal).rstrip(b'=').decode()}"
    assert state(good) == 200
    assert state(unsigned) == 401
    assert state(confused) == 401


def test_a_wrong_address_and_a_wrong_password_answer_the_same(person: User):
    unknown, wrong = sign_in(email="nobody@example.com"), sign_in(password="not this one at all")
    assert unknown.status_code == wrong.status_code == 401
    assert unknown.content == wrong.content


@pytest.mark.usefixtures("person")
def test_one_account_is_not_guessed_from_many_addresses():
    def guess(number: int) -> int:
        return (
            Client(REMOTE_ADDR=f"192.0.2.{number}")
            .post(
                "/api/auth/token",
                json.dumps({"email": EMAIL.upper(), "password": f"guess {number}"}),
                content_type="application/json",
            )
            .status_code
        )

    answers = [guess(number) for number in range(OF_STRANGERS.guesses + 2)]
    assert answers == [401] * OF_STRANGERS.guesses + [429] * 2


@pytest.mark.parametrize("header", ["Bearer forged", "Bearer", ""])
def test_a_refused_token_is_told_in_a_sentence(header: str):
    headers = {"Authorization": header} if header else {}
    answer = Client(headers=headers).get("/api/fuse/status")
    assert answer.status_code == 401
    message = answer.json()["error"]["message"]
    assert answer.json()["error"]["code"] == "not_authenticated"
    assert "{" not in message
    assert "ErrorDetail" not in message
