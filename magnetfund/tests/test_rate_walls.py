"""Rates of stablecoins tried from beside, as a stolen web or worker would send its SQL."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from datetime import date, timedelta
from decimal import Decimal
from importlib import import_module
from typing import Any

import psycopg
import pytest
from django.db import IntegrityError

from investors.models import CoinRate, RateProposal
from investors.services import coin_values
from investors.services.coin_rates import decide_rates, find_rate, propose_rates
from investors.services.par_terms import decide_par, propose_par
from investors.services.verification import verify_fund
from investors.tests.fund_support import SmallFund, make_fund
from magnetfund.core.services.signing import NAV, PAR, RATE, SignatureMissing
from magnetfund.kernel.clock import utc_midnight, utc_now
from magnetfund.tests.test_decision_walls import checker_of, words
from magnetfund.tests.test_money_walls import NO_WORKER, ROLES, attack
from magnetfund.tests.walls_support import make_instrument, say_kind, write_signature

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


def test_a_rate_that_was_put_right_is_not_written_again(small: SmallFund, fresh_database: Any):
    """The first signature is on 0.5 still; written anew, it would be the newest of its instant."""
    at = utc_now() - timedelta(minutes=60)
    rows = []
    for value in ("0.5", "0.98"):
        row = propose_rates(
            fund=small.fund, coin="USDC", source="a page", lines=[(at, D(value))],
            actor=small.maker,
        )  # fmt: skip
        write_signature(fresh_database, RATE, row.pk, checker_of(small))
        rows.append(decide_rates(proposal=row, is_approved=True, actor=small.checker))
    again = (
        "INSERT INTO investors_coinrate (coin, currency, rate, source, observed_at, arrived_at, "
        "held, proposal_id) SELECT coin, currency, rate, source, observed_at, now(), '', "
        "proposal_id FROM investors_coinrate WHERE proposal_id = %s",
        (rows[0].pk,),
    )
    for role in ROLES:
        assert attack(fresh_database, role, again) != ""
    found = find_rate("USDC", "USD", at=utc_now())
    assert found is not None
    assert found.rate == D("0.98")


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
    # Newer migrations change the same functions; this one is the last to touch its own words.
    module = import_module("investors.migrations.0053_values_of_stablecoins")
    changes = [*module.ROUTES, *module.FAULTS]
    with psycopg.connect(fresh_database.dsn("postgres", "fresh")) as session:

        def said(name: str) -> str:
            row = session.execute("SELECT pg_get_functiondef(%s::regprocedure)", [name]).fetchone()
            assert row is not None
            return str(row[0])

        stood = {name: said(name) for name, _, _ in changes}
        for name, before, after in reversed(changes):
            now = said(name)
            session.execute(module._changed(name, after, before))
            assert said(name) == now.replace(after, before) != now
        for name, before, after in changes:
            session.execute(module._changed(name, before, after))
        assert {name: said(name) for name in stood} == stood
        with pytest.raises(psycopg.errors.RaiseException), session.transaction():
            session.execute(module._changed(changes[0][0], "words that stand nowhere", ""))
        session.rollback()


@pytest.mark.parametrize("role", ROLES)
def test_par_takes_a_signature_and_no_nav_of_before(
    small: SmallFund, fresh_database: Any, role: str
):
    row = propose_par(
        fund=small.fund, coin="USDC", is_at_par=True, first_day=date(2030, 1, 1),
        reference="board 7", actor=small.maker,
    )  # fmt: skip
    born = (
        "INSERT INTO investors_parterm (id, fund_id, coin, is_at_par, first_day, reference, "
        "reason, proposed_by_id, proposed_at, decided_by_id, decided_at, is_approved) SELECT "
        "gen_random_uuid(), fund_id, coin, true, '2031-01-01', 'x', '', proposed_by_id, now(), %s, "
        "now(), true FROM investors_parterm",
        (checker_of(small).pk,),
    )
    approved = (
        "UPDATE investors_parterm SET decided_by_id = %s, decided_at = now(), is_approved = true "
        "WHERE id = %s",
        (checker_of(small).pk, row.pk),
    )
    other = ("UPDATE investors_parterm SET first_day = '2020-01-01'", ())
    for step in (born, approved, other):
        assert attack(fresh_database, role, step) != ""
    if role == "fa_worker":
        assert attack(fresh_database, role, approved).startswith(NO_WORKER)
    if role == "fa_app":
        assert "proposed first" in attack(fresh_database, role, born)
        assert "has not signed this" in attack(fresh_database, role, approved)
        assert "permission denied" in attack(fresh_database, role, other)
        said = words(PAR, row.pk)
        for part in ("Carry USDC at par in ", "more than 0.5 %", "From the NAV of: 2030-01-01"):
            assert part in said
        write_signature(fresh_database, PAR, row.pk, checker_of(small))
        decide_par(proposal=row, is_approved=True, actor=small.checker)
        assert verify_fund(small.fund) == []


def test_a_nav_is_valued_at_rates_that_were_shown_or_signed(
    small: SmallFund, fresh_database: Any, monkeypatch: pytest.MonkeyPatch
):
    """With a NAV's own signature a thief takes no other rate, and books no other amount."""
    instrument = make_instrument(venue="binanceusdm")
    assert instrument.settle == "USDT"
    first, second = (utc_midnight(utc_now()) - timedelta(days=days) for days in (2, 1))
    for at in (first, second):
        small.day(at)
        row = propose_rates(
            fund=small.fund, coin="USDT", source="a page", actor=small.maker,
            lines=[(at, D("1") if at == first else D("0.9"))],
        )  # fmt: skip
        write_signature(fresh_database, RATE, row.pk, checker_of(small))
        decide_rates(proposal=row, is_approved=True, actor=small.checker)
    strike = small.prepare(first)
    write_signature(fresh_database, NAV, strike.pk, checker_of(small))
    small.approve(strike)
    entry = (
        "SELECT investors_coin_fault(e) FROM investors_entry e WHERE e.kind = 'coins_valued' "
        "ORDER BY e.seq DESC LIMIT 1"
    )
    # Somebody's money is there by an entry of a superuser: what counts is how it is valued.
    with psycopg.connect(fresh_database.dsn("postgres", "fresh"), autocommit=True) as session:
        session.execute("ALTER TABLE investors_entry DISABLE TRIGGER entry_sourced")
        session.execute("ALTER TABLE investors_entry DISABLE TRIGGER entry_of_dealing")
    small.earn("1000", at=first + timedelta(hours=1), by_trading=True)
    with psycopg.connect(fresh_database.dsn("postgres", "fresh"), autocommit=True) as session:
        session.execute("ALTER TABLE investors_entry ENABLE ALWAYS TRIGGER entry_sourced")
        session.execute("ALTER TABLE investors_entry ENABLE ALWAYS TRIGGER entry_of_dealing")
    real = coin_values.require_coin_rate

    def invented(*args: Any, **more: Any) -> CoinRate:
        found = real(*args, **more)
        found.rate = D("1.4")
        return found

    with monkeypatch.context() as patch:
        patch.setattr(coin_values, "require_coin_rate", invented)
        with pytest.raises(IntegrityError, match="at a rate that counted for nobody"):
            small.prepare(second)
    with monkeypatch.context() as patch:
        patch.setattr(coin_values, "value_difference", lambda amount, applied: D(5_000))
        with pytest.raises(IntegrityError, match="another difference than its NAV names"):
            small.prepare(second)
    with monkeypatch.context() as patch:
        patch.setattr(coin_values, "is_par_agreed", lambda *_, **__: True)
        patch.setattr(coin_values, "applied_rate", lambda rate, **_: D(1))
        small.prepare(second)  # nothing is booked at par
    with psycopg.connect(fresh_database.dsn("postgres", "fresh")) as session:
        assert session.execute(entry.encode()).fetchone() is None
