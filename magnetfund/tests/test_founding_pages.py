"""An empty home founded by pages alone: the printed link, people, fund, classes, calendar."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core import mail
from django.test import Client

from investors.models import DealingDay, Fund, Investor, ShareClass, TermsProposal
from magnetfund.core.models import RoleGrant, RoleProposal, SystemConfig, User
from magnetfund.core.roles import Role
from magnetfund.core.services.mail import send_waiting
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import FundError
from magnetfund.operations.first_account import print_link
from magnetfund.operations.people import ensure_user
from magnetfund.operations.role_changes import decide_role, propose_role
from risk.models import LimitProposal

pytestmark = pytest.mark.django_db
PROJECT = Path(__file__).resolve().parents[2]
FIRST = {
    "name": "Ada Lund", "email": "ada@example.com", "password": "four plain english words",
    "again": "four plain english words", "way": "password",
}  # fmt: skip


def link() -> str:
    found = print_link()
    assert found is not None
    return found.removeprefix("http://localhost:8000")


def signed_in(role: Role, name: str = "") -> Client:
    client = Client()
    name = name or role.value
    client.force_login(ensure_user(email=f"{name}@example.com", name=name.title(), roles=[role]))
    return client


def test_the_first_administrator_comes_by_a_link_that_works_once():
    address = link()
    assert address not in str(SystemConfig.objects.get(key="founding.link").value)
    client = Client()
    assert "Found a fund in this home" in client.get(address).content.decode()
    assert client.post(address, {**FIRST, "again": "no"}).status_code == 422
    assert client.post(address, {**FIRST, "email": "x"}).status_code == 422
    # Whoever chooses the passkey is not held up by the empty fields of a password.
    refused = client.post(address, {"name": "", "email": "ada@example.com", "way": "passkey"})
    assert (refused.status_code, refused.content.decode().count("This field")) == (422, 1)
    assert re.search(r'value="passkey"\s+formnovalidate', refused.content.decode())
    answer = client.post(address, FIRST)
    assert (answer.status_code, answer.url) == (302, "/desk/founding/")
    assert client.get(answer.url).status_code == 200
    user = User.objects.get(email="ada@example.com")
    assert user.roles == {Role.ADMINISTRATOR}
    assert Client().get(address).status_code == 404
    assert Client().post(address, {**FIRST, "email": "b@example.com"}).status_code == 404
    assert print_link() is None
    assert User.objects.count() == 1


def test_a_newer_link_ends_the_older_and_old_ones_end_by_themselves():
    older, newer = link(), link()
    assert Client().get(older).status_code == 404
    assert Client().get("/found/guess/").status_code == 404
    passkey = Client().post(newer, {"name": "Ada Lund", "email": "a@example.com", "way": "passkey"})
    assert passkey.url == "/account/2fa/webauthn/add/"
    RoleGrant.objects.update(revoked_at=utc_now())
    late = link()
    row = SystemConfig.objects.get(key="founding.link")
    row.value["until"] = (utc_now() - timedelta(seconds=1)).isoformat()
    row.save(update_fields=["value"])
    assert Client().get(late).status_code == 404


def test_people_are_named_invited_and_later_decided_by_a_director():
    ada = Client()
    ada.post(link(), FIRST)
    given = {"email": "mia@example.com", "name": "Mia Stahl", "role": "director", "reason": "board"}
    page = ada.post("/desk/people/propose/", given, follow=True).content.decode()
    assert "Director: is in force" in page
    assert User.objects.get(email="mia@example.com").roles == {Role.DIRECTOR}
    send_waiting()
    found = re.search(r"(/join/\S+)", mail.outbox[-1].body)
    assert found is not None
    mia = Client()
    words = "more plain english words"
    assert mia.post(found[1], {"password": words, "again": words}).url == "/home/"
    page = ada.post(
        "/desk/people/propose/",
        {"email": "tom@example.com", "name": "Tom Falk", "role": "accountant", "reason": "books"},
        follow=True,
    ).content.decode()
    assert "Accountant: waits for a director" in page
    assert not User.objects.filter(email="tom@example.com").exists()
    row = RoleProposal.objects.get(email="tom@example.com")
    assert ada.post(f"/desk/people/{row.pk}/", {"decision": "approve"}).status_code == 403
    mia.post(f"/desk/people/{row.pk}/", {"decision": "approve"})
    tom = User.objects.get(email="tom@example.com")
    assert tom.roles == {Role.ACCOUNTANT}
    grant = RoleGrant.objects.get(user=tom)
    assert grant.granted_by == User.objects.get(email="mia@example.com")
    again = mia.post(f"/desk/people/{row.pk}/", {"decision": "decline"}, follow=True)
    assert "proposal_closed" in again.content.decode()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"email": "x"}, "bad_email"),
        ({"role": "investor"}, "bad_role"),
        ({"reason": " "}, "reason_missing"),
        ({"name": ""}, "bad_name"),
        ({"email": "ada@example.com"}, "own_role"),
        ({"email": "ines@example.com"}, "not_of_the_house"),
        ({"email": "lea@example.com", "role": "compliance"}, "role_held"),
        ({"email": "lea@example.com", "is_grant": False}, "role_not_held"),
        ({"email": "waits@example.com"}, "proposal_open"),
    ],
)
def test_a_proposal_that_cannot_be_is_refused(change: dict[str, Any], code: str):
    from magnetfund.core.actors import Actor

    ada = Actor.of(ensure_user(email="ada@example.com", name="Ada", roles=[Role.ADMINISTRATOR]))
    ensure_user(email="mia@example.com", name="Mia", roles=[Role.DIRECTOR])
    ensure_user(email="ines@example.com", name="Ines", roles=[Role.INVESTOR])
    ensure_user(email="lea@example.com", name="Lea", roles=[Role.COMPLIANCE])
    given: dict[str, Any] = {
        "email": "new@example.com", "name": "New Person", "role": "accountant", "reason": "r",
        "actor": ada,
    }  # fmt: skip
    propose_role(**{**given, "email": "waits@example.com"})
    with pytest.raises(FundError) as refused:
        propose_role(**{**given, **change})
    assert refused.value.code == code


def test_the_last_administrator_stays():
    from magnetfund.core.actors import Actor

    ada = Actor.of(ensure_user(email="ada@example.com", name="Ada", roles=[Role.ADMINISTRATOR]))
    eve = ensure_user(email="eve@example.com", name="Eve", roles=[Role.ADMINISTRATOR])
    mia = Actor.of(ensure_user(email="mia@example.com", name="Mia", roles=[Role.DIRECTOR]))
    row = propose_role(
        email="eve@example.com", name="", role="administrator", reason="left", is_grant=False,
        actor=ada,
    )  # fmt: skip
    RoleGrant.objects.filter(user=ada.user).update(revoked_at=utc_now())
    with pytest.raises(FundError) as refused:
        decide_role(proposal=row, is_approved=True, actor=mia)
    assert refused.value.code == "last_administrator"
    assert RoleGrant.objects.filter(user=eve, revoked_at=None).exists()


def first_of_next_month() -> str:
    return (utc_now() + timedelta(days=40)).date().replace(day=1).isoformat()


def test_fund_class_terms_calendar_limits_and_investor_by_pages():
    dmitri = signed_in(Role.ACCOUNTANT, "dmitri")
    nadia = signed_in(Role.RISK_OFFICER, "nadia")
    page = dmitri.get("/desk/founding/").content.decode()
    assert 'href="/desk/founding/fund/"' in page
    assert "This step comes later" in dmitri.get("/desk/founding/class/").content.decode()
    fund = {
        "code": "KESTREL", "name": "Kestrel Point Fund", "currency": "USD",
        "zone": "Europe/Zurich", "book": "main", "first_day": first_of_next_month(),
    }  # fmt: skip
    assert dmitri.post("/desk/founding/fund/", {**fund, "zone": "Mars"}).status_code == 422
    assert dmitri.post("/desk/founding/fund/", fund).url == "/desk/founding/class/"
    row = Fund.objects.get()
    given = {"fund": row.pk, "code": "A", "name": "Class A", "launch_price": "100",
             "minimum_subscription": "5000"}  # fmt: skip
    assert dmitri.post("/desk/founding/class/", given).url == "/desk/founding/terms/"
    form = dmitri.get("/desk/founding/terms/").context["form"]
    terms = {
        name: value
        for name, field in form.fields.items()
        if (value := form.get_initial_for_field(field, name)) is not None and value is not False
    }
    terms |= {"share_class": ShareClass.objects.get().pk, "management_rate": "0.015"}
    terms |= {"reason": "founding", "effective_from": utc_now().date().isoformat()}
    answer = dmitri.post("/desk/founding/terms/", terms)
    assert answer.status_code == 302, answer.context["form"].errors
    assert TermsProposal.objects.count() == 1
    days = {
        "fund": row.pk, "first": first_of_next_month(), "months": "3", "day_of_month": "1",
        "skips_weekends": "on", "cutoff_days": "5", "cutoff_time": "17:00", "funding_days": "2",
        "settlement_days": "10",
    }  # fmt: skip
    tried = dmitri.post("/desk/founding/calendar/", {**days, "preview": "1"}).content.decode()
    assert "These days would be added" in tried
    assert not DealingDay.objects.exists()
    assert dmitri.post("/desk/founding/calendar/", days).status_code == 302
    assert DealingDay.objects.count() == 3
    shown = nadia.get("/desk/founding/limits/")
    assert "What the shares mean in money" in shown.content.decode()
    form = shown.context["form"]
    figures = {
        name: value
        for name, field in form.fields.items()
        if (value := form.get_initial_for_field(field, name)) is not None
    }
    sent = nadia.post("/desk/founding/limits/", {**figures, "book": "main", "reason": "start"})
    assert sent.status_code == 302, sent.context["form"].errors
    assert LimitProposal.objects.count() == 1
    holder = {"name": "Iris Vandermeer", "email": "iris@example.com", "kind": "person",
              "country": "NL"}  # fmt: skip
    assert dmitri.post("/desk/founding/investor/", holder).url == "/desk/founding/investor/"
    assert Investor.objects.get().kyc_state == "not_started"


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.AUDITOR, Role.ADMINISTRATOR])
def test_a_step_is_shown_to_all_and_done_by_few(role: Role):
    client = signed_in(role)
    for name in ("fund", "class", "terms", "holiday", "calendar", "limits", "investor"):
        assert client.get(f"/desk/founding/{name}/").status_code == 200
        assert client.post(f"/desk/founding/{name}/", {}).status_code == 403
    assert client.get("/desk/founding/nothing/").status_code == 404


@pytest.mark.parametrize(
    ("url", "code", "said"),
    [
        ("http://fund.example.com", 1, "must begin with https"),
        ("http://localhost:8000", 0, "False False session"),
        ("http://127.0.0.1:8000", 0, "False False session"),
        ("https://fund.example.com", 0, "True True __Host-session"),
    ],
)
def test_a_production_home_without_tls_opens_on_its_own_machine_alone(
    url: str, code: int, said: str
):
    script = (
        "from magnetfund import settings as s;"
        "print(s.SECURE_SSL_REDIRECT, s.SESSION_COOKIE_SECURE, s.SESSION_COOKIE_NAME)"
    )
    environment = {
        **os.environ, "MAGNET_ENV": "production", "SECRET_KEY": "x" * 60, "PUBLIC_URL": url,
        "DATABASE_URL": "postgresql://fa_app@127.0.0.1:1/x",
    }  # fmt: skip
    environment.pop("ALLOWED_HOSTS", None)
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=PROJECT, env=environment, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == code
    assert said in done.stdout + done.stderr


def test_commands_print_the_addresses_of_the_instance_that_runs(tmp_path: Path):
    from magnetfund.operations.servers.home import Home

    home = Home(tmp_path / "home")
    assert home.addresses() == {}
    noted = {"PUBLIC_URL": "http://localhost:8640", "SIGN_URL": "http://localhost:9640"}
    home.note_addresses(noted)
    assert Home(tmp_path / "home").addresses() == noted


def test_a_first_factor_counts_as_shown_and_a_later_one_does_not():
    from allauth.account.internal.flows.login import get_authentication_records
    from allauth.mfa.models import Authenticator
    from allauth.mfa.signals import authenticator_added
    from django.contrib.sessions.backends.db import SessionStore
    from django.test import RequestFactory

    user = ensure_user(email="ada@example.com", name="Ada", roles=[Role.ADMINISTRATOR])
    request = RequestFactory().get("/")
    request.session, request.user = SessionStore(), user
    shown = []
    for kind in ("recovery_codes", "webauthn", "totp"):
        row = Authenticator.objects.create(user=user, type=kind, data={})
        authenticator_added.send(
            sender=Authenticator, request=request, user=user, authenticator=row
        )
        records = get_authentication_records(request, user)
        shown.append([record["type"] for record in records if record["method"] == "mfa"])
    assert shown == [[], ["webauthn"], ["webauthn"]]
