"""A decision is dated by the server: what a later one is measured from cannot be dated away."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from datetime import timedelta
from typing import Any

import pytest

from investors.models import DealingDay, Fund, SuspensionProposal
from investors.services.suspension import decide_suspension, propose_suspension
from investors.tests.fund_support import SmallFund, first_of, make_fund
from magnetfund.core.actors import Actor
from magnetfund.core.models import RoleProposal, User
from magnetfund.core.roles import Role
from magnetfund.core.services.signing import ROLE, SUSPENSION
from magnetfund.kernel.clock import utc_now
from magnetfund.operations.role_changes import propose_role
from magnetfund.tests.test_money_walls import attack
from magnetfund.tests.walls_support import make_user, say_kind, write_signature

FEBRUARY = first_of(2025, 2)
MINUTE = timedelta(minutes=1)
NEVER, LONG_AGO = "2126-01-01T00:00:00Z", "2020-01-01T00:00:00Z"


def tell() -> SmallFund:
    fund = make_fund("main")
    fund.day(FEBRUARY)
    return fund


@pytest.fixture(scope="module")
def story() -> Callable[[], SmallFund]:
    return tell


@pytest.fixture
def small(fresh_database: Any, told: Any) -> SmallFund:
    say_kind(fresh_database, "production")
    return deepcopy(told.value)


def make_person(cluster: Any, name: str, role: Role) -> User:
    say_kind(cluster, "test")
    found = make_user(name, role)
    say_kind(cluster, "production")
    return found


@pytest.mark.parametrize("at", [NEVER, LONG_AGO])
def test_a_suspension_passes_over_the_days_of_its_own_time(
    small: SmallFund, fresh_database: Any, at: str
):
    dora = make_person(fresh_database, "dora", Role.DIRECTOR)
    row: SuspensionProposal = propose_suspension(
        fund=small.fund, suspends=True, reason="prices", notice="Nothing is dealt.",
        actor=small.checker,
    )  # fmt: skip
    write_signature(fresh_database, SUSPENSION, row.pk, dora)
    step = (
        "UPDATE investors_suspensionproposal SET decided_by_id = %s, decided_at = %s, "
        "is_approved = true WHERE id = %s",
        (dora.pk, at, row.pk),
    )
    assert attack(fresh_database, "fa_app", step) == ""
    row.refresh_from_db()
    assert Fund.objects.get().is_suspended
    assert row.decided_at is not None
    assert abs(row.decided_at - utc_now()) < MINUTE
    small.day(utc_now())
    lifting: SuspensionProposal = propose_suspension(
        fund=small.fund, suspends=False, reason="prices", notice="Dealt again.",
        actor=small.checker,
    )  # fmt: skip
    write_signature(fresh_database, SUSPENSION, lifting.pk, dora)
    decide_suspension(proposal=lifting, is_approved=True, actor=Actor.of(dora))
    passed = DealingDay.objects.order_by("day").values_list("is_suspended", flat=True)
    assert list(passed) == [False, True]


def test_a_signed_role_is_not_kept_for_later(small: SmallFund, fresh_database: Any):
    ada = make_person(fresh_database, "ada", Role.ADMINISTRATOR)
    dora = make_person(fresh_database, "dora", Role.DIRECTOR)
    row: RoleProposal = propose_role(
        email="new@example.com", name="New Person", role="controller", reason="joins",
        actor=Actor.of(ada),
    )  # fmt: skip
    write_signature(fresh_database, ROLE, row.pk, dora)
    step = (
        "UPDATE core_roleproposal SET decided_by_id = %s, decided_at = %s, is_approved = true",
        (dora.pk, NEVER),
    )
    assert attack(fresh_database, "fa_app", step) == ""
    row.refresh_from_db()
    assert row.decided_at is not None
    assert abs(row.decided_at - utc_now()) < MINUTE
    later = ("UPDATE core_roleproposal SET decided_at = now() + interval '1 day'", ())
    assert "a decision is fixed" in attack(fresh_database, "fa_app", later)
