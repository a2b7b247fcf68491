"""Rates of stablecoins tried from beside, as a stolen web or worker would send its SQL."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from datetime import timedelta
from decimal import Decimal
from importlib import import_module
from typing import Any

import psycopg
import pytest

from investors.models import CoinRate, RateProposal
from investors.services.coin_rates import decide_rates, propose_rates
from investors.services.verification import verify_fund
from investors.tests.fund_support import SmallFund, make_fund
from magnetfund.core.services.signing import RATE, SignatureMissing
from magnetfund.kernel.clock import utc_now
from magnetfund.tests.test_decision_walls import checker_of, words
from magnetfund.tests.test_money_walls import NO_WORKER, ROLES, attack
from magnetfund.tests.walls_support import say_kind, write_signature

D = Decimal


@pytest.fixture(scope="module")
def story() -> Callable[[], SmallFund]:
    return lambda: make_fund("main")


@pytest.fixture
def small(fresh_database: Any, told: Any) -> SmallFund:
    say_kind(fresh_database, "production")
    return deepcopy(told.value)


def propose(small: SmallFund, *rates: str) -> RateProposal:
    begin = utc_now() - timedelta(days=2)
    return propose_rates(
        fund=small.fund, coin="USDC", source="a page", actor=small.maker,
        lines=[(begin + timedelta(hours=n), D(rate)) for n, rate in enumerate(rates)],
    )  # fmt: skip


def rate(
    minutes: float, *, value: str = "0.5", proposal: RateProposal | None = None
) -> tuple[str, tuple[Any, ...]]:
    """A rate so many minutes old, which says that it arrived then."""
    at = utc_now() - timedelta(minutes=minutes)
    return (
        "INSERT INTO investors_coinrate (coin, currency, rate, source, observed_at, arrived_at, "
        "held, proposal_id) VALUES ('USDC', 'USD', %s, 'a page', %s, %s, '', %s)",
        (value, at, at, None if proposal is None else proposal.pk),
    )


@pytest.mark.parametrize("role", ROLES)
def test_no_role_enters_a_rate_by_hand_without_the_signature(
    small: SmallFund, fresh_database: Any, role: str
):
    row = propose(small, "0.88")
    born = (
        "INSERT INTO investors_rateproposal (id, fund_id, coin, currency, source, lines, reason, "
        "proposed_by_id, proposed_at, decided_by_id, decided_at, is_approved) SELECT "
        "gen_random_uuid(), fund_id, coin, currency, source, lines, '', proposed_by_id, now(), %s, "
        "now(), true FROM investors_rateproposal",
        (checker_of(small).pk,),
    )
    approved = (
        "UPDATE investors_rateproposal SET decided_by_id = %s, decided_at = now(), "
        "is_approved = true WHERE id = %s",
        (checker_of(small).pk, row.pk),
    )
    other = ("UPDATE investors_rateproposal SET lines = '[]'", ())
    unsigned = rate(60, proposal=row)
    for step in (born, approved, other, unsigned):
        assert attack(fresh_database, role, step) != ""
    assert "nobody signed this one" in attack(fresh_database, role, unsigned)
    if role == "fa_app":
        assert "proposed first" in attack(fresh_database, role, born)
        assert "has not signed this" in attack(fresh_database, role, approved)
        assert "permission denied" in attack(fresh_database, role, other)
    if role == "fa_worker":
        assert attack(fresh_database, role, approved).startswith(NO_WORKER)
    assert CoinRate.objects.count() == 0


def test_a_signature_is_on_the_rates_that_it_names_and_on_no_other(
    small: SmallFund, fresh_database: Any
):
    row = propose(small, "0.88", "0.9")
    with pytest.raises(SignatureMissing):
        decide_rates(proposal=row, is_approved=True, actor=small.checker)
    said = words(RATE, row.pk)
    for part in ("Value USDC held by", "in USD by 2 rates", "Source: a page", "UTC: 0.88",
                 "UTC: 0.9\n"):  # fmt: skip
        assert part in said
    write_signature(fresh_database, RATE, row.pk, checker_of(small))
    decide_rates(proposal=row, is_approved=True, actor=small.checker)
    assert CoinRate.objects.count() == 2
    assert "nobody signed" in attack(fresh_database, "fa_app", rate(60, proposal=row))
    for change in ("UPDATE investors_coinrate SET rate = 1", "DELETE FROM investors_coinrate"):
        assert "permission denied" in attack(fresh_database, "fa_app", (change, ()))
    assert verify_fund(small.fund) == []


def test_a_long_file_is_signed_by_its_digest(small: SmallFund, fresh_database: Any):
    row = propose(small, *["0.99"] * 40)
    said = words(RATE, row.pk)
    assert "by 40 rates" in said
    assert "and 20 more, up to " in said
    assert "SHA-256 of all: " in said


@pytest.mark.parametrize("role", ROLES)
def test_without_a_signature_a_rate_is_the_jobs_and_of_now(
    small: SmallFund, fresh_database: Any, role: str
):
    said = attack(fresh_database, role, rate(0))
    assert said == "" if role == "fa_worker" else "one that a person enters is signed" in said
    if role == "fa_worker":
        row = CoinRate.objects.get()
        assert "not of now" in attack(fresh_database, role, rate(16))
        assert "not of now" in attack(fresh_database, role, rate(-2))
        assert attack(fresh_database, role, rate(10)) == ""
        late = CoinRate.objects.exclude(pk=row.pk).get()
        assert late.arrived_at - late.observed_at > timedelta(minutes=9), "the server's time"


def test_taken_back_the_migration_leaves_the_functions_as_they_were(
    small: SmallFund, fresh_database: Any
):
    module = import_module("investors.migrations.0049_rates_of_stablecoins")
    with psycopg.connect(fresh_database.dsn("postgres", "fresh")) as session:

        def said(name: str) -> str:
            row = session.execute("SELECT pg_get_functiondef(%s::regprocedure)", [name]).fetchone()
            assert row is not None
            return str(row[0])

        for name, before, after in module.ROUTES:
            now = said(name)
            session.execute(module._changed(name, after, before))
            assert said(name) == now.replace(after, before) != now
            session.execute(module._changed(name, before, after))
            assert said(name) == now
            with pytest.raises(psycopg.errors.RaiseException), session.transaction():
                session.execute(module._changed(name, "words that stand nowhere", ""))
        session.rollback()
