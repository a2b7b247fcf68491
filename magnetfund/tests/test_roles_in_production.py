"""Roles come about in a production home as its pages give them, and in no shorter way."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import DatabaseError, transaction

from magnetfund.core.actors import Actor
from magnetfund.core.models import RoleGrant, User
from magnetfund.core.roles import Role
from magnetfund.core.services.signatures import find_untold_grants
from magnetfund.core.services.signing import ROLE, ROLE_TAKEN, SignatureMissing
from magnetfund.operations.first_account import make_first_administrator, print_link
from magnetfund.operations.role_changes import decide_role, propose_role
from magnetfund.tests.walls_support import say_kind, write_signature

pytestmark = pytest.mark.usefixtures("fresh_database")


def test_a_home_is_staffed_by_link_by_proposal_and_by_a_directors_decision(fresh_database: Any):
    say_kind(fresh_database, "production")
    link = print_link()
    assert link is not None
    ann = make_first_administrator(
        word=link.rstrip("/").rsplit("/", 1)[-1], name="Ann Marlow", email="ann@example.com",
        password="x" * 20,
    )  # fmt: skip
    values = {"reason": "founding", "actor": Actor.of(User.objects.get(pk=ann.pk))}
    propose_role(email="dora@example.com", name="Dora Lindt", role="director", **values)
    dora = User.objects.get(email="dora@example.com")
    assert dora.roles == {Role.DIRECTOR}
    row = propose_role(email="ben@example.com", name="Ben Tarrow", role="risk_officer", **values)
    for step in (
        lambda: RoleGrant.objects.create(user=dora, role="risk_officer"),
        lambda: User.objects.create_user("carl@example.com", None, name="Carl", is_staff=True),
    ):
        with pytest.raises(DatabaseError, match="takes a proposal"), transaction.atomic():
            step()
    assert not User.objects.filter(email="ben@example.com").exists()
    with pytest.raises(SignatureMissing):
        decide_role(proposal=row, is_approved=True, actor=Actor.of(dora))
    write_signature(fresh_database, ROLE, row.pk, dora)
    decide_role(proposal=row, is_approved=True, actor=Actor.of(dora))
    assert User.objects.get(email="ben@example.com").roles == {Role.RISK_OFFICER}
    row = propose_role(
        email="ben@example.com", name="", role="risk_officer", is_grant=False, **values
    )
    with pytest.raises(SignatureMissing):
        decide_role(proposal=row, is_approved=True, actor=Actor.of(dora))
    write_signature(fresh_database, ROLE_TAKEN, row.pk, dora)
    decide_role(proposal=row, is_approved=True, actor=Actor.of(dora))
    assert User.objects.get(email="ben@example.com").roles == set()
    assert find_untold_grants() == [], "each grant and its end has its audit line"
