"""The emergency stop as a person meets it: asked from any page, costed, then done."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.test import Client

from magnetfund.core.models import Heartbeat
from magnetfund.core.roles import STAFF_ROLES, Capability, Role, capabilities_of
from magnetfund.kernel.clock import utc_now
from magnetfund.operations.people import ensure_user
from magnetfund.tests.walls_support import make_instrument
from risk.models import FuseEvent
from trading.models import Position

CONFIRM = "/desk/risk/stop/confirm/"
STOP = "/desk/risk/stop/"


def sign_in(role: Role) -> Client:
    client = Client()
    client.force_login(ensure_user(email=f"{role}@example.com", name="A Person", roles=[role]))
    return client


@pytest.fixture
def held(placed_positions: None) -> None:
    """A position, written by the role of the trader, and its mark."""
    instrument = make_instrument()
    Position.objects.using("gateway").create(
        instrument=instrument, strategy="trend", quantity=Decimal(1),
        average_price=Decimal(49_000), opened_at=utc_now(),
        leverage=Decimal(1), stop_price=Decimal(48_000),
    )  # fmt: skip
    Heartbeat.objects.create(
        part="trader", instance="main", seen_at=utc_now(),
        detail={"prices": {instrument.symbol: "50000"}},
    )  # fmt: skip


def test_asking_shows_what_it_closes_and_costs_and_changes_nothing(held: None):
    client = sign_in(Role.OPERATOR)
    page = client.get(CONFIRM).content.decode()
    assert "Closes 1 position at market" in page
    assert "50,000.00" in page, "the notional at the mark price"
    assert "25.00" in page, "the taker fee of 0.05 %"
    assert "+1,000.00" in page, "the profit that becomes final"
    dialog = client.get(CONFIRM, HTTP_HX_REQUEST="true", HTTP_HX_TARGET="dialog").content.decode()
    assert "<html" not in dialog
    assert 'id="stop-reason"' in dialog
    assert not FuseEvent.objects.filter(kind="tripped").exists()


@pytest.mark.django_db
def test_without_positions_it_still_says_what_a_stop_does():
    page = sign_in(Role.DIRECTOR).get(CONFIRM).content.decode()
    assert "No position is open." in page
    assert "Notional to close" not in page


@pytest.mark.django_db
def test_every_page_of_the_desk_offers_it_to_who_may_stop():
    for path in ("/desk/", "/desk/trading/", "/desk/signals/", "/desk/fund/"):
        assert 'id="stop-rail"' in sign_in(Role.ACCOUNTANT).get(path).content.decode(), path
        assert 'id="stop-rail"' not in sign_in(Role.AUDITOR).get(path).content.decode(), path


@pytest.mark.django_db
@pytest.mark.parametrize("role", sorted(STAFF_ROLES))
def test_who_may_not_stop_is_not_asked(role: Role):
    may = Capability.TRADING_STOP in capabilities_of([role])
    assert sign_in(role).get(CONFIRM).status_code == (200 if may else 403)


def test_without_the_tick_or_a_reason_nothing_stops(held: None):
    client = sign_in(Role.OPERATOR)
    for given in ({"reason": "a drill"}, {"understood": "on"}, {"understood": "on", "reason": " "}):
        answer = client.post(STOP, given, follow=True).content.decode()
        assert "Not stopped" in answer, given
    assert not FuseEvent.objects.filter(kind="tripped").exists()


def test_a_confirmed_stop_trips_the_fuse_and_leaves_its_line(held: None):
    client = sign_in(Role.OPERATOR)
    answer = client.post(STOP, {"understood": "on", "reason": "a drill"}, follow=True)
    assert "Trading is stopped." in answer.content.decode()
    event = FuseEvent.objects.get(kind="tripped")
    assert (event.scope, event.reason) == ("fund", "a drill")
    assert "The fuse has tripped already" in client.get(CONFIRM).content.decode()
