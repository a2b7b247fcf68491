"""How the first people of a fund come in: with roles, a password shown once, and audit lines."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from magnetfund.core.models import AuditEvent, RoleGrant, User
from magnetfund.core.roles import Role
from magnetfund.core.static_files import HashedStaticFiles
from magnetfund.operations.people import ensure_user

pytestmark = pytest.mark.django_db


def add(email: str, *roles: str) -> dict[str, Any]:
    out = StringIO()
    chosen = [f"--role={role}" for role in roles]
    call_command("add_person", f"--email={email}", "--name=Ann", "--json", *chosen, stdout=out)
    return dict(json.loads(out.getvalue().strip().splitlines()[-1]))


def test_a_new_person_has_the_roles_and_each_step_a_line():
    report = add("Ann@example.com", "risk_officer", "administrator")
    assert report == {
        "email": "ann@example.com", "roles": ["administrator", "risk_officer"], "is_new": True,
        "same_person_as": [],
    }  # fmt: skip
    user = User.objects.get(email="ann@example.com")
    assert user.is_staff
    assert user.has_usable_password()
    actions = AuditEvent.objects.filter(subject_id=str(user.pk)).order_by("seq")
    assert [line.action for line in actions] == ["account.created", "role.granted", "role.granted"]


def test_the_second_call_gives_what_is_missing_and_keeps_the_password():
    add("ann@example.com", "accountant")
    before = User.objects.get(email="ann@example.com").password
    report = add("ann@example.com", "accountant", "operator")
    assert report["roles"] == ["accountant", "operator"]
    assert not report["is_new"]
    assert User.objects.get(email="ann@example.com").password == before
    assert RoleGrant.objects.count() == 2
    assert AuditEvent.objects.filter(action="role.granted").count() == 2


@pytest.mark.parametrize(
    ("email", "code"), [("no address", "bad_email"), ("holder@example.com", "not_of_the_house")]
)
def test_a_bad_address_and_an_investors_account_are_refused(email: str, code: str):
    ensure_user(email="holder@example.com", name="Holder", roles=[Role.INVESTOR])
    with pytest.raises(CommandError, match=code):
        add(email, "accountant")
    assert not AuditEvent.objects.filter(body__role="accountant").exists()


def test_static_files_follow_references_but_not_to_source_maps():
    rules = str(HashedStaticFiles.patterns)
    assert "@import" in rules
    assert "sourceMappingURL" not in rules
