"""The doors: one way in, a second factor for the house, a fresh one for what matters, and limits
on guessing that lock no officer out."""

from __future__ import annotations

import base64
import json
import shutil
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import (
    TOTP,
    format_hotp_value,
    hotp_value,
    yield_hotp_counters_from_time,
)
from django.core.cache import caches
from django.test import Client
from rest_framework_simplejwt.tokens import RefreshToken

from magnetfund.core import sign_in_limits
from magnetfund.core.models import RefreshFamily, User
from magnetfund.core.roles import Role
from magnetfund.core.secret_text import MARK, encrypt_stored_seeds, make_seed_key
from magnetfund.core.services.refresh_tokens import start_family
from magnetfund.kernel.clock import utc_now
from magnetfund.operations.people import ensure_user
from magnetfund.operations.web_server import build_options
from magnetfund.tests.walls_support import make_instrument
from magnetfund.web.api.tokens import issue_tokens

pytestmark = pytest.mark.django_db
PASSWORD = "a long enough password"
NOBODYS = "00000000-0000-0000-0000-000000000001"


@pytest.fixture(autouse=True)
def _doors(settings: Any, tmp_path: Path, token_keys: Path) -> None:
    keep_doors(settings, tmp_path / "home", token_keys)


def keep_doors(settings: Any, home: Path, token_keys: Path) -> None:
    """The doors of production, with keys of their own in ``home`` and no guess counted yet."""
    settings.SECOND_FACTOR_REQUIRED = True
    shutil.copytree(token_keys, home / "keys")
    make_seed_key(home / "keys")
    settings.MAGNET_HOME = home
    for cache in caches.all(initialized_only=True):
        cache.clear()
    caches["default"].clear()


def make_officer(name: str = "vera", *roles: Role, factor: bool = True) -> User:
    user = ensure_user(
        email=f"{name}@example.com", name=name.title(), roles=roles or [Role.RISK_OFFICER],
        password=PASSWORD,
    )  # fmt: skip
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    if factor:
        TOTP.activate(user, "JBSWY3DPEHPK3PXP")
    return user


def code_now() -> str:
    counter = next(iter(yield_hotp_counters_from_time()))
    return str(format_hotp_value(hotp_value("JBSWY3DPEHPK3PXP", counter)))


def try_password(client: Client, email: str, password: str, address: str = "127.0.0.1") -> Any:
    return client.post(
        "/account/login/", {"login": email, "password": password}, REMOTE_ADDR=address
    )


def sign_in(user: User) -> Client:
    client = Client()
    assert try_password(client, user.email, PASSWORD).status_code == 302
    answer = client.post("/account/2fa/authenticate/", {"code": code_now()})
    assert answer.status_code == 302, answer.content
    return client


class TestOneWayIn:
    def test_the_administration_asks_at_the_accounts_sign_in(self):
        answer = Client().get("/admin/", follow=True)
        assert answer.redirect_chain[-1][0].startswith("/account/login/")
        user = make_officer("adam", Role.ADMINISTRATOR, factor=False)
        client = Client()
        client.post("/admin/login/", {"username": user.email, "password": PASSWORD})
        assert "_auth_user_id" not in client.session

    def test_a_password_alone_opens_no_session(self):
        user = make_officer()
        client = Client()
        assert try_password(client, user.email, PASSWORD).url == "/account/2fa/authenticate/"
        assert client.get("/desk/").status_code == 302
        assert "_auth_user_id" not in client.session
        assert sign_in(user).get("/desk/").status_code == 200

    @pytest.mark.parametrize("path", ["/desk/", "/admin/", "/desk/risk/", "/home/", "/live"])
    def test_an_officer_without_a_factor_is_led_to_set_one_up(self, path: str):
        client = Client()
        client.force_login(make_officer(factor=False))
        answer = client.get(path)
        assert (answer.status_code, answer.url.split("?")[0]) == (302, "/account/second-factor/")
        page = client.get(answer.url).content.decode()
        assert "Set up a second factor" in page
        assert "answer-as-invented" not in page
        assert client.post("/account/second-factor/", {"next": path}).url == "/account/2fa/"
        assert client.get(path).status_code == 302

    def test_by_the_api_an_officer_without_a_factor_gets_no_token(self):
        user = make_officer(factor=False)
        answer = Client().post(
            "/api/auth/token", {"email": user.email, "password": PASSWORD},
            content_type="application/json",
        )  # fmt: skip
        assert answer.status_code == 401
        assert answer.json()["error"]["code"] == "factor_missing"

    def test_in_the_demo_one_button_answers_for_an_invented_person(self, settings: Any):
        settings.MAGNET_ENV = "demo"
        client = Client()
        client.force_login(make_officer(factor=False))
        asked = client.get("/desk/risk/")
        page = client.get(asked.url).content.decode()
        assert "Answer as Vera (invented)" in page
        answer = client.post("/account/second-factor/", {"next": "/desk/risk/"})
        assert answer.url == "/desk/risk/"
        assert client.get("/desk/risk/").status_code == 200
        away = client.post("/account/second-factor/", {"next": "https://evil.example.com/"})
        assert away.url.startswith("/")

    def test_who_has_a_factor_cannot_take_the_button(self, settings: Any):
        settings.MAGNET_ENV = "demo"
        client = Client()
        client.force_login(make_officer())
        assert client.post("/account/second-factor/", {"next": "/desk/"}).url == "/account/2fa/"
        assert client.get("/desk/").status_code == 302

    def test_an_emergency_stop_is_never_held_up_by_a_factor(self):
        client = Client()
        client.force_login(make_officer(factor=False))
        answer = client.post("/desk/risk/stop/", {"reason": "smoke"})
        assert "second-factor" not in answer.url


class TestStepUp:
    def test_a_signature_asks_for_a_fresh_factor(self):
        user = make_officer("carl", Role.CONTROLLER)
        client = sign_in(user)
        path = "/desk/fund/00000000-0000-0000-0000-000000000001/"
        assert client.post(path, {"decision": "approve"}).status_code == 404
        self.age(client, 301)
        answer = client.post(path, {"decision": "approve"}, headers={"referer": "/desk/fund/"})
        assert answer.url == "/account/2fa/reauthenticate/?next=%2Fdesk%2Ffund%2F"
        assert client.get("/desk/fund/").status_code == 200
        caches["default"].clear()  # the code of this half minute was used to sign in
        shown = client.post(answer.url, {"code": code_now(), "next": "/desk/fund/"})
        assert shown.url == "/desk/fund/"
        assert client.post(path, {"decision": "approve"}).status_code == 404

    @pytest.mark.parametrize(
        ("role", "path"),
        [
            (Role.RISK_OFFICER, "/desk/risk/reset/"),
            (Role.RISK_OFFICER, "/desk/risk/reset/00000000-0000-0000-0000-000000000001/"),
            (Role.CONTROLLER, "/desk/fund/00000000-0000-0000-0000-000000000001/"),
            (Role.CONTROLLER, "/desk/founding/terms/00000000-0000-0000-0000-000000000001/"),
            (Role.RISK_OFFICER, "/desk/founding/limits/00000000-0000-0000-0000-000000000001/"),
            (Role.RISK_OFFICER, f"/desk/research/strategies/decide/{NOBODYS}/"),
            (Role.ACCOUNTANT, "/desk/fund/payments/release/"),
            (Role.CONTROLLER, f"/desk/fund/orders/{NOBODYS}/holdback/"),
            (Role.CONTROLLER, f"/desk/fund/payments/{NOBODYS}/"),
            (Role.COMPLIANCE, f"/desk/investors/{NOBODYS}/move/"),
            (Role.CONTROLLER, f"/desk/fund/suspension/{NOBODYS}/"),
            (Role.ADMINISTRATOR, "/desk/people/propose/"),
            (Role.DIRECTOR, f"/desk/people/{NOBODYS}/"),
        ],
    )
    def test_each_step_of_authority_asks(self, role: Role, path: str):
        client = sign_in(make_officer("otto", role))
        self.age(client, 301)
        assert client.post(path).url.startswith("/account/2fa/reauthenticate/")
        self.age(client, -3_600)  # a clock that was set back is no fresh factor
        assert client.post(path).url.startswith("/account/2fa/reauthenticate/")

    @pytest.mark.parametrize(("amount", "asks"), [("50000", False), ("50001", True)])
    def test_an_order_over_the_stated_size_asks_and_a_smaller_one_does_not(
        self, amount: str, asks: bool
    ):
        make_instrument()
        client = sign_in(make_officer("olga", Role.OPERATOR))
        self.age(client, 301)
        order = {
            "instrument": "BTC/USDT:USDT", "side": "long", "amount": amount, "unit": "money",
            "leverage": "1", "stop": "99", "target": "", "tier": "3", "seen": "100",
            "understood": "on", "idempotency_key": "one",
        }  # fmt: skip
        answer = client.post("/desk/trading/order/", order)
        assert ("reauthenticate" in answer.url) == asks

    def test_by_the_api_a_person_needs_the_code_of_this_sign_in(self):
        user = make_officer("olga", Role.OPERATOR)
        family = start_family(user, expires_at=utc_now() + timedelta(hours=1))
        body = {
            "symbol": "BTC/USDT:USDT", "direction": "long", "magnet_tier": 1, "entry_price": "100",
            "stop_price": "99", "idempotency_key": "one",
        }  # fmt: skip
        codes = []
        for shown in (False, True):
            token = issue_tokens(user, family, factor_shown=shown)["token"]
            answer = Client().post(
                "/api/trade/execute", body, content_type="application/json",
                headers={"Authorization": f"Bearer {token}"},
            )  # fmt: skip
            codes.append(answer.json()["error"]["code"])
        assert codes[0] == "step_up_needed"
        assert codes[1] != "step_up_needed"

    @staticmethod
    def age(client: Client, seconds: int) -> None:
        session = client.session
        records = session["account_authentication_methods"]
        for record in records:
            record["at"] = time.time() - seconds
        session["account_authentication_methods"] = records
        session.save()


class TestGuessing:
    def test_two_hundred_guesses_from_fifty_addresses_and_the_officer_signs_in(self):
        user = make_officer()
        officer = Client()
        try_password(officer, user.email, PASSWORD, "10.9.9.9")
        assert officer.post(
            "/account/2fa/authenticate/", {"code": code_now()}, REMOTE_ADDR="10.9.9.9"
        ).url
        evaluated = 0
        for number in range(200):
            answer = try_password(Client(), user.email, f"guess {number}", f"10.0.0.{number % 50}")
            evaluated += "Too many" not in answer.content.decode()
        assert evaluated == sign_in_limits.OF_STRANGERS.guesses
        # A stranger's address is shut, even with the right password; the officer's own is open.
        assert try_password(Client(), user.email, PASSWORD, "10.0.0.1").status_code == 200
        assert try_password(Client(), user.email, PASSWORD, "10.9.9.9").status_code == 302

    def test_one_pair_has_five_guesses_and_another_address_its_own(self):
        user = make_officer()
        for number in range(5):
            answer = try_password(Client(), user.email, f"guess {number}", "10.0.0.1")
            assert "Too many" not in answer.content.decode()
        assert "Too many" in try_password(Client(), user.email, "x", "10.0.0.1").content.decode()
        assert try_password(Client(), user.email, PASSWORD, "10.0.0.2").status_code == 302

    def test_a_right_password_uses_up_no_guess(self):
        user = make_officer()
        for _ in range(8):
            assert try_password(Client(), user.email, PASSWORD, "10.0.0.1").status_code == 302

    def test_the_api_counts_in_the_same_windows(self):
        user = make_officer()
        given = {"email": user.email, "password": "guess"}
        codes = [
            Client().post("/api/auth/token", given, content_type="application/json").status_code
            for _ in range(7)
        ]
        assert codes == [401] * 5 + [429] * 2
        assert "Too many" in try_password(Client(), user.email, "x").content.decode()


class TestSessionsAndTokens:
    def test_an_idle_session_ends_and_a_used_one_stays(self):
        client = sign_in(make_officer())
        assert client.get("/desk/").status_code == 200
        session = client.session
        session["seen_at"] = time.time() - 14 * 60
        session.save()
        assert client.get("/desk/").status_code == 200
        assert time.time() - client.session["seen_at"] < 60
        session = client.session
        session["seen_at"] = time.time() - 16 * 60
        session.save()
        assert client.get("/desk/").url.startswith("/account/login/")

    def test_what_a_page_asks_by_itself_keeps_no_session_alive(self):
        client = sign_in(make_officer())
        session = client.session
        before = time.time() - 600
        session["seen_at"] = before
        session.save()
        client.get("/live")
        assert client.session["seen_at"] == before

    def test_an_access_token_dies_with_its_family(self):
        user = make_officer("carl", Role.CONTROLLER)
        family = start_family(user, expires_at=utc_now() + timedelta(hours=1))
        headers = {"Authorization": f"Bearer {issue_tokens(user, family)['token']}"}
        client = Client()
        assert client.get("/api/fuse/status", headers=headers).status_code == 200
        RefreshFamily.objects.filter(pk=family.family).update(revoked_at=utc_now())
        assert client.get("/api/fuse/status", headers=headers).status_code == 401

    def test_an_access_token_dies_with_the_password(self):
        user = make_officer("carl", Role.CONTROLLER)
        family = start_family(user, expires_at=utc_now() + timedelta(hours=1))
        headers = {"Authorization": f"Bearer {issue_tokens(user, family)['token']}"}
        user.set_password("another long password")
        user.save(update_fields=["password"])
        assert Client().get("/api/fuse/status", headers=headers).status_code == 401

    def test_twenty_five_forged_tokens_are_refused(self, settings: Any):
        user = make_officer("carl", Role.CONTROLLER)
        forged = forge_tokens(user, settings)
        assert len(forged) >= 25
        for name, token in forged.items():
            answer = Client().get("/api/fuse/status", headers={"Authorization": f"Bearer {token}"})
            assert answer.status_code == 401, name


def forge_tokens(user: User, settings: Any) -> dict[str, str]:
    """Tokens that somebody could make without our key, or that are not for this door."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    good = str(RefreshToken.for_user(user).access_token)
    header, payload, signature = good.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    ours = settings.SIMPLE_JWT["SIGNING_KEY"]
    public = settings.SIMPLE_JWT["VERIFYING_KEY"]
    pem = {
        "encoding": serialization.Encoding.PEM,
        "format": serialization.PrivateFormat.PKCS8,
        "encryption_algorithm": serialization.NoEncryption(),
    }
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(**pem)
    curve = ec.generate_private_key(ec.SECP256R1()).private_bytes(**pem)

    def part(value: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    def signed(**changes: Any) -> str:
        return jwt.encode({**claims, **changes}, ours, algorithm="RS256")

    def without(name: str) -> str:
        return jwt.encode({k: v for k, v in claims.items() if k != name}, ours, algorithm="RS256")

    def hmac_with_public_key() -> str:
        # PyJWT refuses to make it, an attacker's own code does not.
        import hashlib
        import hmac

        text = f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{payload}"
        mac = hmac.new(public.encode(), text.encode(), hashlib.sha256).digest()
        return f"{text}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"

    past = int(datetime(2025, 1, 1, tzinfo=UTC).timestamp())
    nobody = "00000000-0000-0000-0000-000000000009"
    return {
        "no algorithm": f"{part({'alg': 'none', 'typ': 'JWT'})}.{payload}.",
        "no algorithm, capitals": f"{part({'alg': 'NONE', 'typ': 'JWT'})}.{payload}.",
        "no algorithm, signed": f"{part({'alg': 'none'})}.{payload}.{signature}",
        "public key as a secret": hmac_with_public_key(),
        "another RSA key": jwt.encode(claims, other, algorithm="RS256"),
        "an elliptic key": jwt.encode(claims, curve, algorithm="ES256"),
        "a shared secret": jwt.encode(claims, "x" * 40, algorithm="HS256"),
        "our secret key": jwt.encode(claims, settings.SECRET_KEY, algorithm="HS256"),
        "RS512 by our key": jwt.encode(claims, ours, algorithm="RS512"),
        "PS256 by our key": jwt.encode(claims, ours, algorithm="PS256"),
        "expired": signed(exp=past),
        "no expiry": without("exp"),
        "another issuer": signed(iss="someone"),
        "no issuer": without("iss"),
        "another audience": signed(aud="someone"),
        "no audience": without("aud"),
        "a refresh token": str(RefreshToken.for_user(user)),
        "no kind": without("token_type"),
        "another kind": signed(token_type="sliding"),
        "no account": without("user_id"),
        "nobody's account": signed(user_id=nobody),
        "no id of an account": signed(user_id="1 OR 1=1"),
        "an ended family": signed(family=nobody),
        "a family that is none": signed(family="x"),
        "changed payload": f"{header}.{part({**claims, 'user_id': nobody})}.{signature}",
        "cut signature": good[:-8],
        "empty signature": f"{header}.{payload}.",
        "signature twice": f"{good}.{signature}",
        "another's signature": f"{header}.{payload}.{signed(iat=past).split('.')[2]}",
        "not yet": signed(nbf=int(time.time()) + 3_600),
        "rubbish": "a.b.c",
    }


class TestSecrets:
    def test_seeds_lie_encrypted_and_old_ones_are_encrypted_at_the_next_start(self):
        user = make_officer()
        row = Authenticator.objects.get(user=user)
        assert row.data["secret"].startswith(MARK)
        row.data = {"secret": "JBSWY3DPEHPK3PXP"}
        row.save()
        assert encrypt_stored_seeds() == 1
        row.refresh_from_db()
        assert "JBSWY3DPEHPK3PXP" not in json.dumps(row.data)
        assert TOTP(row).validate_code(code_now())
        assert encrypt_stored_seeds() == 0

    def test_private_pages_are_kept_nowhere_and_ask_for_no_sensor(self):
        client = sign_in(make_officer())
        for path in ("/desk/", "/desk/risk/", "/account/2fa/"):
            answer = client.get(path)
            assert answer.headers["Cache-Control"] == "no-store", path
            assert "camera=()" in answer.headers["Permissions-Policy"]
        assert "no-store" in Client().get("/account/login/").headers["Cache-Control"]

    @pytest.mark.parametrize("path", ["/admin/login/", "/docs", "/", "/account/login/"])
    def test_every_page_says_where_its_parts_may_come_from(self, path: str):
        policy = Client().get(path).headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert ("unsafe-inline" in policy) == path.startswith(("/admin/", "/docs"))

    def test_the_web_server_shows_no_banner_and_believes_named_proxies_alone(self):
        options = build_options(["10.0.0.7"], host="127.0.0.1", port=1)
        assert options["server_header"] is False
        assert (options["proxy_headers"], options["forwarded_allow_ips"]) == (True, ["10.0.0.7"])
        assert build_options([], host="127.0.0.1", port=1)["proxy_headers"] is False
