"""A sleeve comes, leaves or is returned with the signature of whoever decides."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from magnetfund.core.actors import Actor
from magnetfund.core.models import User
from magnetfund.core.roles import Role
from magnetfund.core.services.signing import SLEEVE, SignatureMissing
from magnetfund.kernel.clock import utc_now
from magnetfund.tests.test_decision_walls import words
from magnetfund.tests.test_money_walls import NO_WORKER, ROLES, attack
from magnetfund.tests.walls_support import arm_fuse, make_user, say_kind, write_signature
from trading.models import SleeveProposal, Strategy
from trading.services.sleeve_proposals import (
    approve_sleeve,
    propose_retirement,
    propose_sleeve,
    return_sleeve,
)

pytestmark = pytest.mark.usefixtures("as_gateway")
CODE = "moving-average"
FORGED = (
    "INSERT INTO trading_strategy (code, version, name, parameters, risk_fraction, timeframe, "
    "expectation, is_active, created_at) VALUES (%s, 7, 'x', '{}', 0.01, '1h', '', true, now())"
)


@pytest.fixture
def officers(as_gateway: None, fresh_database: Any) -> tuple[User, User]:
    """Two risk officers of a production whose fuse is armed."""
    ann, ben = (make_user(name, Role.RISK_OFFICER) for name in ("ann", "ben"))
    Strategy.objects.create(code="trend", version=1, name="Trend", risk_fraction=Decimal("0.01"))
    arm_fuse(ann, ben)
    say_kind(fresh_database, "production")
    return ann, ben


def addition(maker: User) -> SleeveProposal:
    return propose_sleeve(
        book="main", code=CODE, name="Averages", risk_fraction=Decimal("0.005"), reason="tested",
        actor=Actor.of(maker),
    )  # fmt: skip


def retirement(maker: User) -> SleeveProposal:
    return propose_retirement(
        book="main", code="trend", reason="enough", actor=Actor.of(maker)
    )  # fmt: skip


def approve(row: SleeveProposal, user: User) -> SleeveProposal:
    return approve_sleeve(proposal=row, seen_hash=row.content_hash, actor=Actor.of(user))


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("propose", [addition, retirement])
def test_nobody_decides_on_a_sleeve_in_anothers_name(
    officers: tuple[User, User], fresh_database: Any, propose: Callable[[User], Any], role: str
):
    ann, ben = officers
    row = propose(ann)
    for decision, user in (("approved", ben), ("returned", ben), ("returned", ann)):
        step = (
            "UPDATE trading_sleeveproposal SET decision = %s, decided_by_id = %s, "
            "decided_at = now() WHERE id = %s",
            (decision, user.pk, row.pk),
        )
        said = attack(fresh_database, role, step)
        assert "has not signed this" in said or said.startswith(NO_WORKER), said
    with pytest.raises(SignatureMissing) as missing:
        approve(row, ben)
    assert missing.value.details["action"] == SLEEVE
    assert row.code in words(SLEEVE, row.pk)
    write_signature(fresh_database, SLEEVE, row.pk, ben)
    approve(row, ben)
    assert Strategy.objects.filter(code=row.code, is_active=row.action == "add").exists()
    again = ("UPDATE trading_sleeveproposal SET decision = 'returned'", ())
    said = attack(fresh_database, role, again)
    assert "fixed" in said or said.startswith(NO_WORKER)


def test_a_proposer_withdraws_with_his_own_signature(
    officers: tuple[User, User], fresh_database: Any
):
    ann, _ = officers
    row = addition(ann)
    with pytest.raises(SignatureMissing) as missing:
        return_sleeve(proposal=row, reason="a slip", actor=Actor.of(ann))
    assert missing.value.details["action"] == "sleeve.decline"
    assert words("sleeve.decline", row.pk).startswith("DECLINE what was proposed: ")
    write_signature(fresh_database, "sleeve.decline", row.pk, ann)
    return_sleeve(proposal=row, reason="a slip", actor=Actor.of(ann))
    row.refresh_from_db()
    assert (row.decision, row.decided_by) == ("returned", ann)


@pytest.mark.parametrize("role", ROLES)
def test_no_strategy_comes_or_leaves_by_itself(
    officers: tuple[User, User], fresh_database: Any, role: str
):
    for step in (
        (FORGED, ("other",)),
        (FORGED, ("trend",)),
        ("UPDATE trading_strategy SET is_active = false", ()),
    ):
        said = attack(fresh_database, role, step)
        assert "by the decision of two people" in said or said.startswith(NO_WORKER), said
    ann, ben = officers
    row = retirement(ann)
    write_signature(fresh_database, SLEEVE, row.pk, ben)
    approve(row, ben)
    back = ("UPDATE trading_strategy SET is_active = true", ())
    said = attack(fresh_database, role, back)
    assert "by the decision of two people" in said or said.startswith(NO_WORKER), said


def test_what_was_decided_for_another_book_moves_nothing_in_the_traded_one(
    officers: tuple[User, User], fresh_database: Any
):
    """The trader's role may open the clock of another book, where no signature is asked for."""
    ann, ben = officers
    open_clock = ("SELECT wall_open_scenario('other')", ())
    decided = []
    for action, code in (("add", CODE), ("retire", "trend")):
        row = SleeveProposal.objects.create(
            book="other", action=action, code=code, name="x", risk_fraction=Decimal("0.01"),
            reason="x", content_hash="x", proposed_by=ann,
        )  # fmt: skip
        decided.append(
            (
                "UPDATE trading_sleeveproposal SET decision = 'approved', decided_by_id = %s, "
                "decided_at = now() WHERE id = %s",
                (ben.pk, row.pk),
            )
        )
    assert attack(fresh_database, "fa_gateway", open_clock, *decided) == ""
    for step in (
        (FORGED, (CODE,)),
        ("UPDATE trading_strategy SET is_active = false", ()),
    ):
        said = attack(fresh_database, "fa_gateway", step)
        assert "by the decision of two people" in said


def test_a_sleeve_that_left_comes_back_by_no_decision_that_was_dated_ahead(
    officers: tuple[User, User], fresh_database: Any
):
    ann, ben = officers
    row = addition(ann)
    write_signature(fresh_database, SLEEVE, row.pk, ben)
    version = (
        "INSERT INTO trading_strategy (code, version, name, parameters, risk_fraction, timeframe, "
        "expectation, is_active, created_at) SELECT code, %s, name, parameters, risk_fraction, "
        "'1h', '', true, now() FROM trading_sleeveproposal WHERE action = 'add'"
    )
    ahead = (
        "UPDATE trading_sleeveproposal SET decision = 'approved', decided_by_id = %s, "
        "decided_at = '2126-01-01' WHERE id = %s",
        (ben.pk, row.pk),
    )
    assert attack(fresh_database, "fa_app", ahead, (version, (1,))) == ""
    row.refresh_from_db()
    assert row.decided_at is not None
    assert abs(row.decided_at - utc_now()) < timedelta(minutes=1)
    leaving = propose_retirement(book="main", code=CODE, reason="enough", actor=Actor.of(ann))
    write_signature(fresh_database, SLEEVE, leaving.pk, ben)
    approve(leaving, ben)
    said = attack(fresh_database, "fa_app", (version, (2,)))
    assert "by the decision of two people" in said


def test_the_page_leads_to_the_signer_and_keeps_the_reason(
    officers: tuple[User, User], fresh_database: Any
):
    ann, ben = officers
    row = addition(ann)
    client = Client()
    client.force_login(ben)
    path = reverse("desk_sleeve_decide", args=[row.pk])
    given = {"decision": "return", "reason": "a duplicate", "hash": row.content_hash}
    assert "/sign/" in client.post(path, given).headers["Location"]
    assert 'value="a duplicate"' in client.get(reverse("desk_strategies")).content.decode()
    write_signature(fresh_database, SLEEVE, row.pk, ben)
    client.post(path, {**given, "decision": "approve"})
    row.refresh_from_db()
    assert row.decision == "approved"
