"""A fund set up in the admin alone: each form is one call of a service, with its refusals."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib import admin
from django.test import Client

from investors.models import (
    ClassPolicyVersion,
    DealingDay,
    Fund,
    FundHoliday,
    ShareClass,
    TermsProposal,
)
from investors.services.policies import approve_terms
from magnetfund.core.actors import Actor
from magnetfund.core.models import AuditEvent
from magnetfund.core.roles import Capability, Role
from magnetfund.operations.people import ensure_user
from magnetfund.tests.walls_support import make_instrument
from magnetfund.web.administration.forms import FORMS
from magnetfund.web.administration.navigation import build_navigation
from risk.models import LimitProposal
from risk.services.limits import approve_limits, limits_in_force
from trading.models import BookMember, Strategy
from trading.services.membership import members_of

pytestmark = pytest.mark.django_db


def person(role: Role, name: str = "") -> Any:
    label = name or role.value
    return ensure_user(email=f"{label}@example.com", name=label.title(), roles=[role])


def signed_in(role: Role) -> Client:
    client = Client()
    client.force_login(person(role))
    return client


def add(client: Client, table: str, **given: Any) -> list[str]:
    """Post the form of a table as the page would, untouched fields as shown; what it refused."""
    path = f"/admin/{table.replace('.', '/')}/add/"
    shown = client.get(path)
    assert shown.status_code == 200, path
    form = shown.context["adminform"].form
    shown_values = {
        name: form.get_initial_for_field(field, name) for name, field in form.fields.items()
    }
    data = {k: v for k, v in shown_values.items() if v is not None and v is not False}
    answer = client.post(path, {**data, **given})
    if answer.status_code == 302:
        return []
    errors = answer.context["adminform"].form.errors
    return [text for texts in errors.values() for text in texts]


def found_in_admin() -> tuple[Client, Fund, ShareClass]:
    client = signed_in(Role.ACCOUNTANT)
    assert add(
        client, "investors.fund", code="KESTREL", name="Kestrel Point", book="kestrel",
        zone="Europe/Zurich", first_day="2027-02-01",
    ) == []  # fmt: skip
    fund = Fund.objects.get(code="KESTREL")
    assert add(client, "investors.shareclass", fund=fund.pk, code="A", name="Class A") == []
    return client, fund, ShareClass.objects.get(fund=fund, code="A")


def test_an_accountant_sets_up_a_fund_and_a_controller_signs_its_terms():
    client, fund, row = found_in_admin()
    assert (
        add(client, "investors.fundholiday", fund=fund.pk, day="2027-03-01", name="Founding day")
        == []
    )
    assert add(client, "investors.dealingday", fund=fund.pk, first="2027-02-01", months=3) == []
    assert add(
        client, "investors.investor", name="Ines Marlow", email="ines@example.com", kind="person",
        country="CH",
    ) == []  # fmt: skip
    assert add(
        client, "investors.termsproposal", share_class=row.pk, effective_from="2027-01-01",
        reason="launch", management_rate="0", tiers="0=0.02 1000000=0.015",
        performance_rate="0.2", crystallisation_months="6, 12", gate_share="0.25",
    ) == []  # fmt: skip

    days = DealingDay.objects.filter(fund=fund).order_by("day")
    assert [str(day.day) for day in days] == ["2027-02-01", "2027-03-02", "2027-04-01"]
    proposal = TermsProposal.objects.get()
    assert proposal.terms["tiers"] == [["0", "0.02"], ["1000000", "0.015"]]
    assert proposal.terms["crystallisation_months"] == [6, 12]
    assert not ClassPolicyVersion.objects.exists()
    approve_terms(
        proposal=proposal, seen_hash=proposal.content_hash,
        actor=Actor.of(person(Role.CONTROLLER)),
    )  # fmt: skip
    assert ClassPolicyVersion.objects.get().terms["gate_share"] == "0.25"
    assert set(AuditEvent.objects.values_list("action", flat=True)) >= {
        "fund.created", "class.created", "fund.holidays", "fund.dealing_days",
        "investor.registered", "class.terms_proposed",
    }  # fmt: skip


def test_a_refusal_of_the_service_comes_back_into_the_form_and_writes_nothing():
    client, fund, row = found_in_admin()
    lines = AuditEvent.objects.count()
    refused = {
        "fund": add(
            client, "investors.fund", code="kestrel", name="x", book="b", first_day="2027-02-01"
        ),
        "again": add(client, "investors.shareclass", fund=fund.pk, code="A", name="Class A"),
        "price": add(
            client, "investors.shareclass", fund=fund.pk, code="B", name="B", launch_price="0"
        ),
        "past": add(client, "investors.dealingday", fund=fund.pk, first="2020-01-01", months=1),
        "country": add(
            client, "investors.investor", name="A", email="a@example.com", kind="person",
            country="Ch",
        ),
        "tiers": add(
            client, "investors.termsproposal", share_class=row.pk, effective_from="2027-01-01",
            reason="x", tiers="0.02",
        ),
    }  # fmt: skip
    assert all(len(texts) == 1 for texts in refused.values()), refused
    assert "already" in refused["again"][0]
    assert (Fund.objects.count(), ShareClass.objects.count()) == (1, 1)
    assert (DealingDay.objects.count(), FundHoliday.objects.count()) == (0, 0)
    assert AuditEvent.objects.count() == lines


def test_a_risk_officer_proposes_limits_and_another_signs_them():
    _client, fund, _row = found_in_admin()
    assert add(
        signed_in(Role.RISK_OFFICER), "risk.limitproposal", book=fund.book, reason="calmer",
        daily_loss_share="0.02",
    ) == []  # fmt: skip
    proposal = LimitProposal.objects.get()
    assert limits_in_force(fund.book).version == 0
    limits = approve_limits(
        proposal=proposal, seen_hash=proposal.content_hash,
        actor=Actor.of(person(Role.RISK_OFFICER, "second")),
    )  # fmt: skip
    assert (limits.version, str(limits.daily_loss_share)) == (1, "0.02")
    assert "ceiling" in "".join(
        add(signed_in(Role.RISK_OFFICER), "risk.limitproposal", book=fund.book, reason="x",
            daily_loss_share="0.9")
    )  # fmt: skip


@pytest.mark.parametrize("role", list(Role))
def test_a_form_opens_to_the_holders_of_its_capability_alone(role: Role):
    client, holder = signed_in(role), person(role)
    client.get("/admin/")  # The first request of a process reads the addresses, and more forms.
    opened = {
        label
        for label in FORMS
        if client.get(f"/admin/{label.replace('.', '/')}/add/").status_code == 200
    }
    may_look = holder.can(Capability.ADMIN_VIEW)
    assert opened == {
        label for label, form in FORMS.items() if may_look and holder.can(form.capability)
    }


def test_every_form_stands_in_the_admin():
    registered = {model._meta.label_lower for model in admin.site._registry}
    assert set(FORMS) <= registered


def test_the_side_bar_leads_to_lists_that_open():
    for role in (Role.ADMINISTRATOR, Role.AUDITOR):
        client = signed_in(role)
        groups = build_navigation(client.get("/admin/").wsgi_request)
        links = [item["link"] for group in groups for item in group["items"]]
        assert {client.get(link).status_code for link in links} == {200}
        assert ("/admin/investors/investor/" in links) == (role is Role.AUDITOR)
    assert client.get("/admin/").content.decode().count('href="/admin/investors/fund/"') >= 1


def test_the_admin_changes_what_a_book_trades_through_the_service():
    row = make_instrument()
    Strategy.objects.create(code="manual", version=1, name="Manual", risk_fraction="0.0035")
    BookMember.objects.create(
        book="main", version=1, strategy="manual", instrument=row, state="trading", reason="first",
        actor_label="test",
    )  # fmt: skip
    client = signed_in(Role.RISK_OFFICER)
    given = {"book": "main", "strategy": "manual", "instrument": row.pk}
    assert add(client, "trading.bookmember", **given, state="paused", reason="a holiday") == []
    assert [(m.state, m.reason) for m in members_of("main").members] == [("paused", "a holiday")]
    refused = add(client, "trading.bookmember", **given, state="trading", reason="back again")
    assert any("order.submit" in text for text in refused)
    assert members_of("main").version == 2
    assert AuditEvent.objects.filter(action="book.paused").count() == 1


def test_every_list_of_the_admin_has_its_proper_plural():
    plurals = [str(model._meta.verbose_name_plural) for model in admin.site._registry]
    assert [name for name in plurals if re.search(r"([^aeiou]ys|sss|chs)$", name)] == []
    assert {"entries", "share classes", "strategies", "unit entries"} <= set(plurals)
