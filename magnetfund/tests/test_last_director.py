"""Nobody gets rid of the second person: the last director stays active."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from django.test import Client
from django.urls import reverse

from investors.tests.fund_support import make_fund
from magnetfund.core.actors import Actor
from magnetfund.core.models import User
from magnetfund.core.roles import Role
from magnetfund.operations.people import ensure_user
from magnetfund.operations.role_changes import propose_role
from magnetfund.tests.test_money_walls import attack
from magnetfund.tests.walls_support import make_user, say_kind

OFF = "UPDATE core_user SET is_active = false WHERE id = %s"
STAYS = "the last director stays active"


def tell() -> tuple[User, User]:
    """Two directors of a home."""
    make_fund("main")
    return make_user("dora", Role.DIRECTOR), make_user("dan", Role.DIRECTOR)


@pytest.fixture(scope="module")
def story() -> Callable[[], tuple[User, User]]:
    return tell


@pytest.fixture
def directors(fresh_database: Any, told: Any) -> tuple[User, User]:
    say_kind(fresh_database, "production")
    dora, dan = told.value
    return dora, dan


def test_a_thief_of_the_web_leaves_one_director(directors: Any, fresh_database: Any):
    dora, dan = directors
    everybody = ("UPDATE core_user SET is_active = false", ())
    assert STAYS in attack(fresh_database, "fa_app", everybody)
    both = ((OFF, (dora.pk,)), (OFF, (dan.pk,)))
    assert STAYS in attack(fresh_database, "fa_app", *both)
    assert attack(fresh_database, "fa_app", (OFF, (dan.pk,))) == ""
    assert STAYS in attack(fresh_database, "fa_app", (OFF, (dora.pk,)))
    # Whoever is active again counts again.
    back = ("UPDATE core_user SET is_active = true WHERE id = %s", (dan.pk,))
    assert attack(fresh_database, "fa_app", back, (OFF, (dora.pk,))) == ""


def test_two_at_once_wait_for_each_other(directors: Any, fresh_database: Any):
    dora, dan = directors
    with psycopg.connect(fresh_database.dsn("fa_app", "fresh")) as first:
        first.execute(OFF.encode(), (dora.pk,))
        hurried = ("SET lock_timeout = '200ms'", ())
        assert "lock timeout" in attack(fresh_database, "fa_app", hurried, (OFF, (dan.pk,)))
        first.commit()
    assert STAYS in attack(fresh_database, "fa_app", (OFF, (dan.pk,)))


@pytest.mark.django_db
def test_an_administrator_cannot_make_himself_the_only_one_who_decides():
    ada = ensure_user(email="ada@example.com", name="Ada", roles=[Role.ADMINISTRATOR])
    dora = ensure_user(email="dora@example.com", name="Dora", roles=[Role.DIRECTOR])
    other = ensure_user(email="olga@example.com", name="Olga", roles=[Role.OPERATOR])
    client = Client()
    client.force_login(ada)

    def switch_off(user: User) -> Any:
        page = reverse("admin:core_user_change", args=[user.pk])
        return client.post(page, {"name": user.name, "time_zone": "UTC", "theme": "auto"})

    assert "somebody else becomes one first" in switch_off(dora).content.decode()
    dora.refresh_from_db()
    assert dora.is_active
    assert switch_off(other).status_code == 302
    other.refresh_from_db()
    assert not other.is_active
    row = propose_role(
        email="friend@example.com", name="A Friend", role="director", reason="x",
        actor=Actor.of(ada),
    )  # fmt: skip
    assert row.decided_at is None
    ensure_user(email="dan@example.com", name="Dan", roles=[Role.DIRECTOR])
    assert switch_off(dora).status_code == 302
