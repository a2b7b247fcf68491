"""Two accounts of one human are one person, whichever road makes the second one."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

import psycopg
import pytest
from django.contrib import admin
from django.core.management import CommandError, call_command
from django.db import connections
from django.test import RequestFactory
from django.urls import get_resolver

from investors.models import Investor
from investors.services.accounts import invite_investor
from magnetfund.core.actors import Actor
from magnetfund.core.models import AuditEvent, User
from magnetfund.core.roles import Role
from magnetfund.kernel.errors import NotAllowed
from magnetfund.operations.first_account import make_first_administrator, print_link
from magnetfund.operations.people import add_person
from magnetfund.operations.role_changes import propose_role
from magnetfund.tests.walls_support import say_kind

pytestmark = pytest.mark.usefixtures("fresh_database")


@pytest.fixture
def ann(fresh_database: Any) -> User:
    """The first administrator of an empty production home, by the printed link."""
    say_kind(fresh_database, "production")
    link = print_link()
    assert link is not None
    word = link.rstrip("/").rsplit("/", 1)[-1]
    user = make_first_administrator(
        word=word, name="Ann Marlow", email="ann@example.com", password="x" * 20
    )
    return User.objects.get(pk=user.pk)


def by_command(*extra: str, email: str = "second@example.com", name: str = "ann marlow") -> Any:
    """As the owner's role, which the command runs as."""
    out, app = StringIO(), connections["default"]
    kept = dict(app.settings_dict)
    app.close()
    app.settings_dict.update(connections["owner"].settings_dict)
    try:
        call_command(
            "add_person", f"--email={email}", f"--name={name}", "--role=risk_officer", "--json",
            *extra, stdout=out,
        )  # fmt: skip
    finally:
        app.close()
        app.settings_dict.update(kept)
    return json.loads(out.getvalue().strip().splitlines()[-1])


def by_page(ann: User, cluster: Any) -> None:
    propose_role(
        email="second@example.com", name="Marlow, Ann", role="director", reason="x",
        actor=Actor.of(ann),
    )  # fmt: skip


def by_acceptance(ann: User, cluster: Any) -> None:
    row = Investor.objects.create(
        number="I-1", legal_name="ANN MARLOW", email="second@example.com", kyc_state="review"
    )
    # Whether two people accepted him is the matter of another wall, and of its own tests.
    with psycopg.connect(cluster.dsn("postgres", "fresh"), autocommit=True) as superuser:
        superuser.execute("ALTER TABLE investors_investor DISABLE TRIGGER account_given_later")
    invite_investor(investor=row, actor=Actor.system("test"))


def by_sql(ann: User, cluster: Any) -> None:
    """As the web's role, which names a person of its own."""
    with psycopg.connect(cluster.dsn("fa_app", "fresh"), autocommit=True) as session:
        session.execute(
            "INSERT INTO core_user (password, is_superuser, id, email, name, person, is_active, "
            "is_staff, is_simulated, time_zone, theme, wants_mail, date_joined) VALUES ('', false, "
            "gen_random_uuid(), 'second@example.com', 'Ann  Marlow', gen_random_uuid(), true, "
            "false, false, 'UTC', 'auto', false, now())"
        )


ROADS = [by_page, by_acceptance, by_sql, lambda ann, cluster: by_command()]


@pytest.mark.parametrize("road", ROADS, ids=["page", "acceptance", "sql", "command"])
def test_a_second_account_is_the_same_person(ann: User, fresh_database: Any, road: Any):
    road(ann, fresh_database)
    second = User.objects.get(email="second@example.com")
    assert second.pk != ann.pk
    assert second.person == ann.person
    with pytest.raises(NotAllowed):
        Actor.of(second).require_other_than(ann, "anything")


def test_a_namesake_and_another_name_are_said_at_the_console(ann: User):
    report = by_command("--another-human=passport 17 seen, born elsewhere")
    assert report["same_person_as"] == []
    assert User.objects.get(email="second@example.com").person != ann.person
    report = by_command(
        "--person-of=ann@example.com", email="third@example.com", name="Anna M. Lindt"
    )
    assert report["same_person_as"] == ["ann@example.com"]
    assert User.objects.get(email="third@example.com").person == ann.person
    assert AuditEvent.objects.filter(action="person.said").count() == 2
    with pytest.raises(CommandError, match="unknown_person"):
        by_command("--person-of=nobody@example.com", email="fourth@example.com", name="Nobody Here")
    assert not User.objects.filter(email="fourth@example.com").exists()


def test_no_other_road_makes_an_account(ann: User):
    """The admin has no form for accounts, and the founding file names people who are there."""
    assert get_resolver().url_patterns  # the administration is loaded with its addresses
    request = RequestFactory().get("/admin/")
    request.user = ann
    assert not admin.site._registry[User].has_add_permission(request)
    assert {role.value for role in Role} >= ann.roles
    assert add_person.__kwdefaults__ == {"person_of": "", "another_human": ""}
