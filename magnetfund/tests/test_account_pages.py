"""The way in: sign-in, second step, recovery codes and sessions, under the strict policy."""

from __future__ import annotations

import re

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import (
    format_hotp_value,
    hotp_value,
    yield_hotp_counters_from_time,
)
from django.contrib.auth.hashers import make_password
from django.core.cache import cache
from django.core.mail import EmailMessage
from django.http import HttpResponse
from django.template.loader import render_to_string
from django.test import Client
from django.urls import reverse

from magnetfund.core.models import User
from magnetfund.core.roles import Role
from magnetfund.operations.people import ensure_user

pytestmark = pytest.mark.django_db
PASSWORD = "seven calm field lines"
SECRET_TEXT = re.compile(r'class="mf-secret">([A-Z2-7]+)<')
#: What the content policy would refuse: code or style written into the page.
INLINE = re.compile(
    r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]*(?:\ssrc=|type=\"application/json\"))",
    re.IGNORECASE,
)


@pytest.fixture(autouse=True)
def _no_rate_left_over() -> None:
    cache.clear()


@pytest.fixture
def person() -> User:
    user = ensure_user(email="noor@example.com", name="Noor", roles=[Role.INVESTOR])
    user.password = make_password(PASSWORD)
    user.save(update_fields=["password"])
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    return user


def sign_in(client: Client, password: str = PASSWORD) -> HttpResponse:
    return client.post(
        reverse("account_login"), {"login": "noor@example.com", "password": password}
    )


def code_of(secret: str) -> str:
    counter = next(iter(yield_hotp_counters_from_time()))
    return format_hotp_value(hotp_value(secret, counter))


def sign_in_and_confirm(client: Client) -> None:
    sign_in(client)
    confirmed = client.post(reverse("account_reauthenticate"), {"password": PASSWORD})
    assert confirmed.status_code == 302


def set_up_app(client: Client) -> str:
    page = client.get(reverse("mfa_activate_totp")).content.decode()
    found = SECRET_TEXT.search(page)
    assert found is not None
    client.post(reverse("mfa_activate_totp"), {"code": code_of(found[1])})
    cache.clear()
    return found[1]


@pytest.mark.parametrize(
    "name",
    [
        "account_login", "account_signup", "account_reset_password", "account_reset_password_done",
    ],
)  # fmt: skip
def test_the_doors_open_to_nobody_in_particular_without_inline_code(name: str) -> None:
    page = Client().get(reverse(name))
    assert page.status_code == 200
    assert not INLINE.search(page.content.decode())
    assert '<main id="main"' in page.content.decode()


@pytest.mark.parametrize(
    "name",
    [
        "mfa_index", "mfa_activate_totp", "mfa_list_webauthn", "mfa_add_webauthn",
        "usersessions_list", "account_change_password", "account_logout", "account_reauthenticate",
    ],
)  # fmt: skip
def test_the_security_pages_hold_to_the_content_policy(name: str, person: User) -> None:
    client = Client()
    sign_in_and_confirm(client)
    page = client.get(reverse(name))
    assert page.status_code == 200
    assert not INLINE.search(page.content.decode())
    assert "unsafe-inline" not in page.headers["Content-Security-Policy"]


def test_a_wrong_password_says_so_beside_the_form_and_keeps_the_email(person: User) -> None:
    page = sign_in(Client(), "not this one").content.decode()
    assert 'role="alert"' in page
    assert 'value="noor@example.com"' in page
    assert PASSWORD not in page


def test_nobody_opens_an_account_alone() -> None:
    client = Client()
    answer = client.post(
        reverse("account_signup"),
        {"email": "eve@example.com", "password1": PASSWORD, "password2": PASSWORD},
    )
    assert "Accounts are opened by invitation" in answer.content.decode()
    assert not User.objects.filter(email="eve@example.com").exists()


def test_the_second_step_guards_after_the_password_and_takes_each_recovery_code_once(
    person: User,
) -> None:
    client = Client()
    sign_in_and_confirm(client)
    set_up_app(client)
    codes = Authenticator.objects.get(user=person, type=Authenticator.Type.RECOVERY_CODES)
    code = codes.wrap().get_unused_codes()[0]
    shown = client.get(reverse("mfa_view_recovery_codes")).content.decode()
    assert code in shown

    for works in (True, False):
        cache.clear()
        other = Client()
        assert sign_in(other).headers["Location"] == reverse("mfa_authenticate")
        asked = other.get(reverse("mfa_authenticate")).content.decode()
        assert not INLINE.search(asked)
        assert other.get(reverse("overview")).status_code == 302
        answer = other.post(reverse("mfa_authenticate"), {"code": code})
        assert (answer.status_code == 302) is works
        assert ("_auth_user_id" in other.session) is works
    assert 'id="code-error"' in answer.content.decode()


def test_removing_the_app_asks_first(person: User) -> None:
    client = Client()
    sign_in_and_confirm(client)
    set_up_app(client)
    assert "Remove authenticator app" in client.get(reverse("mfa_deactivate_totp")).content.decode()
    assert Authenticator.objects.filter(user=person, type=Authenticator.Type.TOTP).exists()
    client.post(reverse("mfa_deactivate_totp"))
    assert not Authenticator.objects.filter(user=person, type=Authenticator.Type.TOTP).exists()


def test_other_sessions_end_at_one_press(person: User) -> None:
    here, there = Client(), Client()
    sign_in(here)
    sign_in(there)
    for client in (here, there):
        client.get(reverse("mfa_index"))
    assert "Sign out other sessions" in here.get(reverse("usersessions_list")).content.decode()
    here.post(reverse("usersessions_list"))
    assert there.get(reverse("mfa_index")).status_code == 302
    assert here.get(reverse("mfa_index")).status_code == 200


@pytest.mark.parametrize("name", ["400", "403", "403_csrf", "404", "429", "500"])
def test_error_pages_render_alone_and_say_what_is_safe(name: str) -> None:
    page = render_to_string(f"{name}.html")
    assert not INLINE.search(page)
    assert re.search(r"<h1[^>]*>[^<]+</h1>\s*<p>[^<]+</p>", page)


def test_a_form_without_its_token_gets_the_page_made_for_it(person: User) -> None:
    client = Client(enforce_csrf_checks=True)
    answer = client.post(reverse("account_login"), {"login": "a", "password": "b"})
    assert answer.status_code == 403
    assert "This form has expired" in answer.content.decode()


def test_a_changed_password_opens_and_the_old_one_no_longer_does(person: User) -> None:
    client = Client()
    sign_in_and_confirm(client)
    other = "eleven quiet copper poles"
    page = client.post(
        reverse("account_change_password"),
        {"oldpassword": PASSWORD, "password1": "short", "password2": "short"},
    ).content.decode()
    assert "at least 12 characters" in page
    client.post(
        reverse("account_change_password"),
        {"oldpassword": PASSWORD, "password1": other, "password2": other},
    )
    cache.clear()
    assert sign_in(Client(), other).status_code == 302
    assert sign_in(Client()).status_code == 200


def test_a_forgotten_password_is_set_anew_by_the_link_in_the_mail(
    person: User, mailoutbox: list[EmailMessage]
) -> None:
    client = Client()
    client.post(reverse("account_reset_password"), {"email": person.email})
    found = re.search(r"http://testserver(\S+)", mailoutbox[0].body)
    assert found is not None
    form = client.get(found[1], follow=True)
    assert not INLINE.search(form.content.decode())
    other = "nine slow iron filings"
    client.post(form.request["PATH_INFO"], {"password1": other, "password2": other})
    cache.clear()
    assert sign_in(Client(), other).status_code == 302
