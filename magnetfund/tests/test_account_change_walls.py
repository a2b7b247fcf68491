"""Accounts that holders ask for, tried from beside, as a stolen web would send its SQL."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from investors.models import AccountChange, Investor
from investors.services.account_changes import ask_change, record_call_back, withdraw_change
from investors.services.money_accounts import add_payee, approve_payee
from investors.services.verification import verify_fund
from investors.services.verification.others import find_change_differences
from investors.tests.fund_support import SmallFund, make_fund
from magnetfund.core.actors import Actor
from magnetfund.core.models import User
from magnetfund.core.roles import Role
from magnetfund.core.services.signing import PAYEE, SignatureMissing
from magnetfund.kernel.clock import utc_now
from magnetfund.tests.test_decision_walls import words
from magnetfund.tests.test_money_walls import attack
from magnetfund.tests.walls_support import make_user, say_kind, write_signature

NEW = "DE89370400440532013000"


def tell() -> SmallFund:
    """Ann holds an account and is approved."""
    fund = make_fund("main")
    for name in ("ann", "bob"):
        user = make_user(name, Role.INVESTOR)
        Investor.objects.filter(pk=fund.investor(name).pk).update(user=user)
    return fund


@pytest.fixture(scope="module")
def story() -> Callable[[], SmallFund]:
    return tell


@pytest.fixture
def small(fresh_database: Any, told: Any) -> SmallFund:
    say_kind(fresh_database, "production")
    return deepcopy(told.value)


def ask(small: SmallFund, number: str = NEW) -> AccountChange:
    ann = Investor.objects.select_related("user").get(pk=small.investor("ann").pk)
    assert ann.user is not None
    return ask_change(
        fund=small.fund, investor=ann, kind="bank", name="Ann", number=number, currency="USD",
        actor=Actor.of(ann.user),
    )  # fmt: skip


def call(small: SmallFund, row: AccountChange) -> AccountChange:
    return record_call_back(
        change=row, called_at=utc_now(), called_number="+41 44 000 00 00",
        known_since=utc_now().date() - timedelta(days=9), spoken_with="Ann", actor=small.maker,
    )  # fmt: skip


def calling(row: AccountChange, small: SmallFund, payee: Any, **said: str) -> tuple[str, Any]:
    """The record of a call-back, written by hand."""
    given = {"by": small.maker.user, "at": "now()", "since": "'2025-01-01'", **said}
    return (
        f"UPDATE investors_accountchange SET payee_id = %s, called_by_id = %s, called_at = "
        f"{given['at']}, known_since = {given['since']}, called_number = '+41', "
        "spoken_with = 'Ann' WHERE id = %s",
        (payee, given["by"].pk, row.pk),
    )


def test_a_request_is_the_holders_and_a_call_back_is_of_what_he_asked(
    small: SmallFund, fresh_database: Any
):
    web = "fa_app"
    row = ask(small)
    bob = User.objects.get(email="bob@example.com")
    forged = (
        "INSERT INTO investors_accountchange (id, fund_id, investor_id, kind, name, number, bank, "
        "currency, asked_by_id, asked_at, called_number, spoken_with, reason) SELECT "
        "gen_random_uuid(), fund_id, investor_id, kind, name, '1234567', bank, currency, %s, now(),"
        " '', '', '' FROM investors_accountchange",
        (bob.pk,),
    )
    assert "the holder asks" in attack(fresh_database, web, forged)
    assert "worker" in attack(fresh_database, "fa_worker", forged)
    for column in ("number = 'x'", "investor_id = gen_random_uuid()", "asked_at = now()"):
        text = (f"UPDATE investors_accountchange SET {column}", ())
        assert "permission denied" in attack(fresh_database, web, text)
    other = add_payee(
        fund=small.fund, investor=row.investor, kind="bank", name="Ann", number="7654321",
        currency="USD", evidence="call-back", actor=small.maker,
    )  # fmt: skip
    assert "another account" in attack(fresh_database, web, calling(row, small, other.pk))
    same = add_payee(
        fund=small.fund, investor=row.investor, kind="bank", name="Ann", number=NEW,
        currency="USD", evidence="call-back", actor=small.maker,
    )  # fmt: skip
    ann = row.asked_by
    for said, words_of in (
        ({"by": ann}, "another person"),
        ({"by": small.checker.user}, "another account"),
        ({"since": "now()::date"}, "known before"),
        ({"at": "now() - interval '1 day'"}, "called after"),
        ({"at": "now() + interval '1 day'"}, "called after"),
    ):
        refused = attack(fresh_database, web, calling(row, small, same.pk, **said))
        assert words_of in refused, said
    assert attack(fresh_database, web, calling(row, small, same.pk)) == ""
    again = ("UPDATE investors_accountchange SET spoken_with = 'Bob'", ())
    assert "recorded once" in attack(fresh_database, web, again)
    left = (
        "UPDATE investors_accountchange SET withdrawn_at = now(), withdrawn_by_id = asked_by_id",
        (),
    )
    assert "closed with it" in attack(fresh_database, web, left)


def test_the_signer_reads_the_call_and_a_withdrawn_request_is_never_paid(
    small: SmallFund, fresh_database: Any
):
    row = call(small, ask(small))
    assert row.payee is not None
    with pytest.raises(SignatureMissing):
        approve_payee(payee=row.payee, actor=small.checker)
    said = words(PAYEE, row.payee.pk)
    for part in (NEW, "asked in the portal", "+41 44 000 00 00", "spoke with Ann"):
        assert part in said
    assert small.checker.user is not None
    write_signature(fresh_database, PAYEE, row.payee.pk, small.checker.user)
    assert row.investor.user is not None
    withdraw_change(change=row, actor=Actor.of(row.investor.user))
    signed = (
        "UPDATE investors_payeeaccount SET approved_by_id = %s, approved_at = now(), usable_from = "
        "now() WHERE id = %s",
        (small.checker.user.pk, row.payee.pk),
    )
    assert "stays closed" in attack(fresh_database, "fa_app", signed)
    back = ("UPDATE investors_accountchange SET withdrawn_at = NULL, withdrawn_by_id = NULL", ())
    assert "stays so" in attack(fresh_database, "fa_app", back)


def test_the_books_name_an_account_that_is_another_than_was_asked_for(
    small: SmallFund, fresh_database: Any
):
    call(small, ask(small))
    assert find_change_differences(small.fund) == []
    with psycopg.connect(fresh_database.dsn("postgres", "fresh"), autocommit=True) as owner:
        owner.execute("UPDATE investors_payeeaccount SET number = '9999999'")
    [found] = find_change_differences(small.fund)
    assert "another one came on the list" in found
    assert found in verify_fund(small.fund)
