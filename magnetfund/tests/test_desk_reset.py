"""Arming the fuse again on the Risk page: two risk officers, a reason, a clean reconciliation."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client

from magnetfund.core.actors import Actor
from magnetfund.core.models import AuditEvent, User
from magnetfund.core.roles import Role
from magnetfund.kernel.errors import FundError
from magnetfund.tests.walls_support import arm_fuse, make_user, reconcile_books
from risk.models import FuseReset
from risk.services.fuse import disarm_fuse, state_of
from risk.services.stop import stop_trading
from risk.services.stop_audit import chain_stops

pytestmark = pytest.mark.usefixtures("fresh_database")
RISK = "/desk/risk/"


@pytest.fixture
def officers(fresh_database: Any) -> tuple[User, User]:
    """Two risk officers of a fund that one of them has stopped."""
    ann, ben = make_user("ann", Role.RISK_OFFICER), make_user("ben", Role.RISK_OFFICER)
    arm_fuse(ann, ben)
    stop_trading(book="main", reason="a drill", actor=Actor.of(ann))
    return ann, ben


def client_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def reconcile() -> None:
    reconcile_books()


def read(answer: HttpResponse) -> str:
    """What a page says, however its lines are broken."""
    return " ".join(answer.content.decode().split())


def ask(user: User) -> str:
    answer = client_of(user).post(f"{RISK}reset/", {"reason": "the drill is over"}, follow=True)
    return read(answer)


def decide(user: User, decision: str = "approve") -> str:
    """Press the button of the page that the officer sees."""
    client = client_of(user)
    page = client.get(RISK).content.decode()
    found = re.search(r'action="(/desk/risk/reset/[^"]+/)"', page)
    assert found is not None
    return read(client.post(found[1], {"decision": decision}, follow=True))


def test_a_stopped_fund_says_what_is_safe_and_what_is_left_to_do(officers: tuple[User, User]):
    page = read(client_of(officers[0]).get(RISK))
    assert "The fuse tripped at" in page
    assert "a drill" in page
    assert "All positions are closed" in page
    assert "Stop trading and close all positions" not in page


def test_two_officers_arm_the_fuse_through_the_page(officers: tuple[User, User]):
    ann, ben = officers
    reconcile()
    assert "Request sent. Sign it; a second risk officer must approve it." in ask(ann)
    assert "The fuse is armed." in decide(ben)
    assert state_of("main") == "ARMED"


def test_books_that_differ_after_the_request_stop_the_approval(officers: tuple[User, User]):
    ann, ben = officers
    reconcile()
    ask(ann)
    reconcile_books(is_clean=False)
    assert "clean reconciliation since the fund stopped" in decide(ben)
    assert state_of("main") == "TRIPPED"
    assert FuseReset.objects.filter(approved_at=None, withdrawn_at=None).count() == 1


def test_without_a_clean_reconciliation_since_the_trip_nothing_is_asked(
    officers: tuple[User, User],
):
    assert "not been reconciled since the trip" in ask(officers[0])
    assert FuseReset.objects.filter(approved_at=None).count() == 0


def test_the_officer_who_asked_has_no_button_and_no_way_to_approve(officers: tuple[User, User]):
    ann, _ = officers
    reconcile()
    assert "Approve and re-arm" not in ask(ann)
    assert "Not saved" in decide(ann)
    assert state_of("main") == "TRIPPED"


def test_a_request_can_be_withdrawn(officers: tuple[User, User]):
    ann, ben = officers
    reconcile()
    ask(ann)
    assert "The request is withdrawn." in decide(ben, "withdraw")
    assert state_of("main") == "TRIPPED"


def test_a_reason_longer_than_its_column_is_cut_and_asked(officers: tuple[User, User]):
    reconcile()
    client = client_of(officers[0])
    assert client.post(f"{RISK}reset/", {"reason": "a drill " * 200}).status_code == 302
    assert len(FuseReset.objects.get(withdrawn_at=None, approved_at=None).reason) <= 300


def test_one_risk_officer_disarms_alone_and_two_are_needed_again(officers: tuple[User, User]):
    ann, ben = officers
    reconcile()
    ask(ann)
    decide(ben)
    operator = make_user("olive", Role.OPERATOR)
    for actor, reason in ((Actor.of(operator), "a drill"), (Actor.of(ann), "  ")):
        with pytest.raises(FundError):
            disarm_fuse(book="main", reason=reason, actor=actor)
    assert state_of("main") == "ARMED"
    disarm_fuse(book="main", reason="the venue asks for a pause", actor=Actor.of(ann))
    assert state_of("main") == "DISARMED"
    chain_stops()
    assert AuditEvent.objects.filter(action="fuse.disarmed", actor=ann).count() == 1
    reconcile()
    ask(ann)
    assert "Not saved" in decide(ann)
    assert "The fuse is armed." in decide(ben)
