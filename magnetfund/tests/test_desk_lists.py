"""Lists that filter and page in place: the fuse log, the lots of a NAV, an investor's activity."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from django.template.loader import render_to_string
from django.test import Client

from magnetfund.core.roles import Role
from magnetfund.kernel.clock import utc_now
from magnetfund.operations.people import ensure_user
from magnetfund.web.desk.nav import LOTS
from magnetfund.web.desk.register import REGISTER
from risk.models import FuseEvent

pytestmark = pytest.mark.django_db


def sign_in(role: Role) -> Client:
    client = Client()
    client.force_login(ensure_user(email="a@example.com", name="A Person", roles=[role]))
    return client


@pytest.fixture
def log() -> None:
    now = utc_now()
    FuseEvent.objects.bulk_create(
        FuseEvent(
            kind="locked" if number % 2 else "cleared", trigger="daily_loss",
            scope="BTC/USDT:USDT" if number % 2 else "fund", reason=f"event {number:02d}.",
            actor_label="trader", occurred_at=now - timedelta(minutes=number),
        )
        for number in range(20)
    )  # fmt: skip


def part(client: Client, query: str) -> str:
    answer = client.get(f"/desk/risk/?{query}", HTTP_HX_REQUEST="true", HTTP_HX_TARGET="history")
    assert answer.status_code == 200
    return answer.content.decode()


def test_the_fuse_log_pages_filters_and_sorts_in_place(log: None):
    client = sign_in(Role.AUDITOR)
    whole = client.get("/desk/risk/").content.decode()
    assert "event 00." in whole
    assert "event 15." not in whole
    assert "?page=2" in whole
    second = part(client, "page=2")
    assert "<html" not in second
    assert "event 15." in second
    assert "event 00." not in second
    assert "event 19." in part(client, "sort=oldest")
    ours = part(client, "scope=part")
    assert "event 01." in ours
    assert "event 00." not in ours
    assert "No fuse events match these filters" in part(client, "event=stops")


def test_the_lots_of_a_nav_keep_their_nav_from_page_to_page():
    listing = LOTS.read({"strike": "abc"}, number=2).hold([], number=2, has_older=True)
    assert listing.newer == "/desk/fund/?strike=abc"
    assert listing.older == "/desk/fund/?strike=abc&page=3"


def test_activity_changes_its_page_in_place():
    happening: Any = SimpleNamespace(
        at=utc_now(), what="Subscription", note="Class A", amount=Decimal(1), order=None
    )
    page = SimpleNamespace(number=2, happenings=[happening], has_older=True)
    text = render_to_string("portal/activity.html#activity", {"activity": page})
    assert "<html" not in text
    assert 'hx-target="#activity"' in text
    assert "?page=3" in text


def test_a_typed_filter_keeps_a_date_and_a_short_text_and_nothing_else():
    listing = REGISTER.read({"at": "2026-02-29", "search": "x" * 99, "class": "A"})
    assert listing.chosen["at"] == ""
    assert len(listing.chosen["search"]) == 60
    listing = REGISTER.read({"at": "2026-02-28", "search": "a&b"})
    assert listing.query == "search=a%26b&at=2026-02-28"
    form = render_to_string("components/_list_form.html", {"listing": listing})
    assert 'type="date"' in form
    assert 'value="a&amp;b"' in form
