"""Who gets which record: pages that take an identifier, for nobody, an investor and each role."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.apps import apps
from django.contrib import admin
from django.db import models
from django.template.response import TemplateResponse
from django.test import Client
from django.urls import reverse

from investors.models import Entry, Fund, Investor, NavStrike
from investors.services.nav import prepare_strike
from magnetfund.core.actors import Actor
from magnetfund.core.models import AuditEvent, User
from magnetfund.core.roles import CAPABILITIES, Capability, Role
from magnetfund.operations.people import ensure_user
from magnetfund.tests.drill_size import IS_SHORT
from magnetfund.tests.flow_support import LATER
from magnetfund.web.administration.admin import OF_THE_FUND, UNREADABLE
from trading.models import Instrument, Order
from trading.services.reconcile import reconcile_with_executions

pytestmark = pytest.mark.usefixtures("as_gateway")

APPS = ("core", "risk", "trading", "investors")
#: Tables that the small fund below fills; each of them is opened record by record.
FILLED_MIN = 30


@pytest.fixture
def fund(traded_month: None) -> Fund:
    return Fund.objects.get(book="main")


def client_of(*roles: Role, name: str = "") -> Client:
    client = Client(raise_request_exception=False)
    if roles:
        label = name or "-".join(roles)
        client.force_login(ensure_user(email=f"{label}@example.com", name=label, roles=list(roles)))
    return client


def find_records() -> dict[str, models.Model]:
    """The newest record of each table that has one, by the address of its admin page."""
    found = {}
    for model in admin.site._registry:
        record = model._default_manager.order_by("-pk").first()
        if model._meta.app_label in APPS and record is not None:
            base = f"admin:{model._meta.app_label}_{model._meta.model_name}"
            found[base] = record
    return found


def names(record: models.Model) -> bool:
    """Whether the record may name a holder: all of the investors' app but the fund's own."""
    label = record._meta.label_lower
    return label == "core.outgoingmail" or (
        record._meta.app_label == "investors" and label not in OF_THE_FUND
    )


def find_state() -> dict[str, int]:
    """Rows of each table that an access attempt must not change; visits may write sessions."""
    return {
        model._meta.label: model._default_manager.count()
        for model in apps.get_models()
        if model._meta.app_label in APPS
        and model._meta.label not in ("core.AuditEvent",)
        and model._meta.label_lower not in UNREADABLE
    }


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Whether the administration draws the pages that it gives; who gets one is decided before."""

    def choose(is_drawn: bool) -> None:
        monkeypatch.undo()
        if not is_drawn:
            monkeypatch.setattr(TemplateResponse, "rendered_content", "")
            monkeypatch.setattr(type(admin.site), "each_context", lambda site, request: {})

    return choose


def choose_roles(number: int, *, is_whole: bool) -> list[Role]:
    """Who asks for the record of this number: all, or an auditor and two others by turns."""
    if is_whole:
        return list(Role)
    others = [role for role in Role if role is not Role.AUDITOR]
    return [Role.AUDITOR, *(others[(2 * number + n) % len(others)] for n in range(2))]


WHOLE = [] if IS_SHORT else [pytest.param(True, marks=pytest.mark.drill)]


@pytest.mark.parametrize("is_whole", [False, *WHOLE])
def test_every_record_opens_to_those_who_may_look_and_changes_for_nobody(
    fund: Fund, drawn: Callable[[bool], None], is_whole: bool
):
    records = find_records()
    assert len(records) >= FILLED_MIN
    clients = {role: client_of(role) for role in Role}
    before = find_state()
    for number, (base, record) in enumerate(records.items()):
        change = reverse(f"{base}_change", args=[record.pk])
        history = reverse(f"{base}_history", args=[record.pk])
        delete = reverse(f"{base}_delete", args=[record.pk])
        drawn(True)
        assert Client().get(change).status_code == 302
        # Whoever runs the platform needs no holder's name.
        asked = {Capability.ADMIN_VIEW, *([Capability.HOLDERS_VIEW] if names(record) else [])}
        seen = clients[Role.ADMINISTRATOR].get(history).status_code
        assert seen == (403 if names(record) else 200), (history, seen)
        assert clients[Role.CONTROLLER].get(history).status_code == 200
        assert clients[Role.INVESTOR].get(history).status_code in (302, 403)
        for role in choose_roles(number, is_whole=is_whole):
            client = clients[role]
            drawn(role == Role.AUDITOR)
            looks = asked <= set(CAPABILITIES[role])
            seen = client.get(change).status_code
            assert (seen == 200) == looks, (role, change, seen)
            assert client.post(delete, {"post": "yes"}).status_code in (302, 403), (role, delete)
            if Capability.SETTINGS_MANAGE not in CAPABILITIES[role]:
                assert client.post(change, {"name": "x"}).status_code in (302, 403), (role, change)
    assert find_state() == before


def test_an_administrator_changes_the_named_fields_alone_and_leaves_a_line(fund: Fund):
    instrument = Instrument.objects.get(symbol="BTC/USDT:USDT")
    lines = AuditEvent.objects.count()
    answer = client_of(Role.ADMINISTRATOR).post(
        reverse("admin:trading_instrument_change", args=[instrument.pk]),
        {"is_restricted": "on", "is_active": "on", "source_label": "spot proxy", "lot": "1000",
         "symbol": "DOGE/USDT"},
    )  # fmt: skip
    assert answer.status_code == 302
    changed = Instrument.objects.get(pk=instrument.pk)
    assert (changed.is_restricted, changed.source_label) == (True, "spot proxy")
    assert (changed.symbol, changed.lot) == (instrument.symbol, instrument.lot)
    assert AuditEvent.objects.count() > lines


def test_nobody_approves_what_he_prepared_by_the_page_either(fund: Fund):
    both = client_of(Role.ACCOUNTANT, Role.CONTROLLER, name="both")
    reconcile_with_executions(fund.book, at=LATER)
    strike = prepare_strike(
        fund=fund,
        valuation_at=LATER,
        actor=Actor.of(User.objects.get(email="both@example.com")),
    )
    page = reverse("desk_nav_decide", args=[strike.pk])
    body = {"decision": "approve", "hash": strike.result_hash}
    entries = Entry.objects.count()
    for client in (both, *(client_of(role) for role in Role if role is not Role.CONTROLLER)):
        answer = client.post(page, body)
        assert answer.status_code in (302, 403)
        strike.refresh_from_db()
        assert strike.state == "prepared"
    client_of(Role.ADMINISTRATOR, Role.CONTROLLER, name="power").post(
        reverse("admin:investors_navstrike_change", args=[strike.pk]), {"state": "approved"}
    )
    strike.refresh_from_db()
    assert strike.state == "prepared"
    assert Entry.objects.count() == entries
    client_of(Role.CONTROLLER).post(page, body)
    strike.refresh_from_db()
    assert NavStrike.objects.get(pk=strike.pk).state == "dealt"


def test_an_investor_sees_his_own_holding_and_nobody_elses(fund: Fund):
    investors = list(Investor.objects.order_by("number")[:3])
    assert len(investors) == 3
    for number, investor in enumerate(investors):
        user = ensure_user(
            email=f"holder{number}@example.com", name=investor.legal_name, roles=[Role.INVESTOR]
        )
        Investor.objects.using("owner").filter(pk=investor.pk).update(user=user)
    for number, investor in enumerate(investors):
        client = Client()
        client.force_login(User.objects.get(email=f"holder{number}@example.com"))
        for path in ("/overview/", "/activity/"):
            answer = client.get(path, {"investor": investors[number - 1].pk})
            assert answer.status_code == 200
            text = answer.content.decode()
            others = [one for one in investors if one.pk != investor.pk]
            assert not [one.legal_name for one in others if one.legal_name in text]
    assert Order.objects.exists()
