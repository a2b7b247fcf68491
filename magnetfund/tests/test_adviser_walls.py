"""Access of advisers tried from beside, as a stolen web or worker would send its SQL."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from investors.models import AdviserAccess, Investor
from investors.services.advisers import end_access, grant_access, invite_adviser
from investors.services.verification.others import find_other_differences
from investors.tests.fund_support import SmallFund, make_fund
from magnetfund.core.actors import Actor
from magnetfund.core.models import RoleGrant, User
from magnetfund.core.roles import Role
from magnetfund.core.services.signing import ADVISER, SignatureMissing
from magnetfund.kernel.clock import utc_now
from magnetfund.tests.test_decision_walls import words
from magnetfund.tests.test_money_walls import attack
from magnetfund.tests.walls_support import make_user, say_kind, write_signature


def tell() -> SmallFund:
    """Ann and Bob have accounts; Lea is of compliance, Tom has an account of nothing."""
    fund = make_fund("main")
    for name in ("ann", "bob"):
        user = make_user(name, Role.INVESTOR)
        Investor.objects.filter(pk=fund.investor(name).pk).update(user=user)
    make_user("lea", Role.COMPLIANCE)
    make_user("tom")
    make_user("zoe")
    return fund


@pytest.fixture(scope="module")
def story() -> Callable[[], SmallFund]:
    return tell


@pytest.fixture
def small(fresh_database: Any, told: Any) -> SmallFund:
    say_kind(fresh_database, "production")
    return deepcopy(told.value)


def account(name: str) -> User:
    return User.objects.get(email=f"{name}@example.com")


def invite(small: SmallFund) -> AdviserAccess:
    return invite_adviser(
        investor=Investor.objects.get(pk=small.investor("ann").pk), name="Tom Tax",
        email="tom@example.com", until=utc_now().date() + timedelta(days=30), sees_holdings=True,
        sees_papers=False, actor=Actor.of(account("ann")),
    )  # fmt: skip


def grant(row: AdviserAccess, name: str, how: str = "") -> tuple[str, tuple[Any, ...]]:
    return (
        "UPDATE investors_adviseraccess SET granted_by_id = %s, granted_at = now(), "
        "confirmed_how = %s WHERE id = %s",
        (account(name).pk, how, row.pk),
    )


def take(row: AdviserAccess, name: str) -> tuple[str, tuple[Any, ...]]:
    return (
        "UPDATE investors_adviseraccess SET user_id = %s, accepted_at = now() WHERE id = %s",
        (account(name).pk, row.pk),
    )


def test_nobody_reads_a_portal_without_the_holders_signature(small: SmallFund, fresh_database: Any):
    row = invite(small)
    web = "fa_app"
    ask = (
        "INSERT INTO investors_adviseraccess (id, investor_id, name, email, sees_holdings, "
        "sees_papers, until, invited_by_id, invited_at, granted_by_id, granted_at, confirmed_how) "
        "VALUES (gen_random_uuid(), %s, 'Zoe', 'zoe@example.com', true, true, "
        "current_date + {days}, %s, now(), {granted}, '')"
    )
    ann = (row.investor_id, account("ann").pk)
    zoe = (row.investor_id, account("zoe").pk)
    born = ask.format(days=9, granted="core_user.id, now()").replace(
        "VALUES (", "SELECT "
    ).replace("now(), '')", "now(), '' FROM core_user LIMIT 1")  # fmt: skip
    assert "asked for first" in attack(fresh_database, web, (born, ann))
    unsigned = ask.format(days=9, granted="NULL, NULL")
    assert "the holder alone" in attack(fresh_database, web, (unsigned, zoe))
    long = ask.format(days=900, granted="NULL, NULL")
    assert "a year at most" in attack(fresh_database, web, (long, ann))
    assert "has not signed this" in attack(fresh_database, web, grant(row, "ann"))
    assert "the holder signs" in attack(fresh_database, web, grant(row, "bob", "x"))
    assert "the holder signs" in attack(fresh_database, web, grant(row, "zoe", "x"))
    assert "the holder signs" in attack(fresh_database, web, grant(row, "lea"))
    assert "has not signed this" in attack(fresh_database, web, grant(row, "lea", "called back"))
    assert "after it was signed" in attack(fresh_database, web, take(row, "tom"))
    assert attack(fresh_database, "fa_worker", grant(row, "ann")) != ""
    with pytest.raises(SignatureMissing):
        grant_access(access=row, actor=Actor.of(account("ann")))
    said = words(ADVISER, row.pk)
    for part in ("Let Tom Tax <tom@example.com> read the portal of Ann (holder main-ann)",
                 "What: holdings and NAV\n", f"Last day: {row.until}"):  # fmt: skip
        assert part in said
    write_signature(fresh_database, ADVISER, row.pk, account("ann"))
    done = grant_access(access=row, actor=Actor.of(account("ann")))
    assert done.granted_at is not None
    for statement in ("sees_papers = true", "until = '2099-01-01'", "email = 'zoe@example.com'",
                      "investor_id = investor_id"):  # fmt: skip
        text = f"UPDATE investors_adviseraccess SET {statement}"
        assert "permission denied" in attack(fresh_database, web, (text, ()))
    for name in ("zoe", "ann", "lea"):
        assert "of the invited address" in attack(fresh_database, web, take(row, name))
    undone = ("UPDATE investors_adviseraccess SET granted_by_id = NULL, granted_at = NULL", ())
    assert "a signature is fixed" in attack(fresh_database, web, undone)
    end_access(access=row, actor=Actor.of(account("ann")))
    again = ("UPDATE investors_adviseraccess SET ended_at = NULL, ended_by_id = NULL", ())
    assert "stays ended" in attack(fresh_database, web, again)
    assert "stays ended" in attack(fresh_database, web, take(row, "tom"))


def test_nobody_hands_a_holders_portal_to_another_account(small: SmallFund, fresh_database: Any):
    taken = (
        "UPDATE investors_investor SET user_id = %s WHERE id = %s",
        (account("zoe").pk, small.investor("ann").pk),
    )
    assert "keeps his account" in attack(fresh_database, "fa_app", taken)
    assert attack(fresh_database, "fa_worker", taken) != ""


def test_a_forged_access_is_named_where_the_books_are_verified(
    small: SmallFund, fresh_database: Any
):
    row = invite(small)
    write_signature(fresh_database, ADVISER, row.pk, account("ann"))
    grant_access(access=row, actor=Actor.of(account("ann")))
    assert find_other_differences(small.fund) == []
    with psycopg.connect(fresh_database.dsn("postgres", "fresh"), autocommit=True) as session:
        session.execute("SET session_replication_role = replica")
        session.execute("ALTER TABLE investors_adviseraccess DISABLE TRIGGER adviser_signed")
        session.execute("UPDATE investors_adviseraccess SET until = '2099-01-01'")
        session.execute("ALTER TABLE investors_adviseraccess ENABLE ALWAYS TRIGGER adviser_signed")
    [found] = find_other_differences(small.fund)
    assert "access of tom@example.com to the portal of main-ann: no audit line" in found


def test_compliance_signs_for_a_holder_without_a_key(small: SmallFund, fresh_database: Any):
    row = invite(small)
    write_signature(fresh_database, ADVISER, row.pk, account("lea"))
    grant_access(access=row, actor=Actor.of(account("lea")), confirmed_how="called back")
    row.refresh_from_db()
    assert (row.granted_by, row.state) == (account("lea"), "invited")


def test_an_adviser_is_nobody_of_the_house(small: SmallFund, fresh_database: Any):
    give = "INSERT INTO core_rolegrant (user_id, role, granted_at) VALUES (%s, %s, now())"
    lea = (give, (account("lea").pk, "adviser"))
    assert "no role of the house" in attack(fresh_database, "fa_app", lea)
    RoleGrant.objects.create(user=account("tom"), role=Role.ADVISER.value)
    tom = (give, (account("tom").pk, "compliance"))
    assert "no role of the house" in attack(fresh_database, "fa_app", tom)
