"""A side pocket's way back tried from beside, as a stolen web or worker would send its SQL."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from django.db import Error

from investors.models import PocketChange, PocketEntry, SidePocket, UnitEntry
from investors.services import pocket_merges
from investors.services.nav import approve_strike
from investors.services.pocket_changes import decide_change, propose_change, propose_merge
from investors.services.verification import verify_fund
from investors.tests.fund_support import SmallFund
from magnetfund.core.actors import Actor
from magnetfund.core.services.signing import NAV, POCKET_CHANGE, SignatureMissing
from magnetfund.tests import test_pocket_walls
from magnetfund.tests.test_decision_walls import checker_of, words
from magnetfund.tests.test_money_walls import ROLES, attack
from magnetfund.tests.test_pocket_walls import APRIL, MARCH, agree, strike
from magnetfund.tests.test_signed_decisions import dora
from magnetfund.tests.walls_support import write_signature

D = Decimal
small, story = test_pocket_walls.small, test_pocket_walls.story


def merge(cluster: Any, small: SmallFund) -> PocketChange:
    """The claim of 10,000, 100 a unit like the mark, comes to 12,000 and back."""
    agree(cluster, small)
    strike(cluster, small)
    for row in (
        propose_change(
            pocket=SidePocket.objects.get(), value=D(12000), source="letter", actor=small.maker
        ),
    ):
        write_signature(cluster, POCKET_CHANGE, row.pk, dora())
        decide_change(proposal=row, is_approved=True, actor=Actor.of(dora()))
    strike(cluster, small, MARCH)
    row = propose_merge(
        pocket=SidePocket.objects.get(), account="1030", source="it pays out again",
        actor=small.maker,
    )  # fmt: skip
    said = words(POCKET_CHANGE, row.pk)
    assert said.startswith("Merge side pocket SP-1 of ")
    assert "Carried at: 12000 USD, into account 1030" in said
    with pytest.raises(SignatureMissing):
        decide_change(proposal=row, is_approved=True, actor=Actor.of(dora()))
    write_signature(cluster, POCKET_CHANGE, row.pk, dora())
    return decide_change(proposal=row, is_approved=True, actor=Actor.of(dora()))


def test_an_honest_merge_passes_and_stays_as_it_was(small: SmallFund, fresh_database: Any):
    """60 units of 120 pay a fifth of 1,200; the rest, 6,960, buys 69.6 units at 100."""
    row = merge(fresh_database, small)
    steps: list[Any] = [
        ("UPDATE investors_pocketchange SET merged = 1", ()),
        ("UPDATE investors_pocketchange SET account = '1200' WHERE id = %s", (row.pk,)),
        ("UPDATE investors_pocketchange SET strike_id = (SELECT id FROM investors_navstrike "
         "LIMIT 1) WHERE id = %s", (row.pk,)),
        ("INSERT INTO investors_pocketentry (pocket_id, lot_id, kind, units, price, value, fee, "
         "high_water_mark, hurdle_start, strike_id, entry_id, effective_at) SELECT pocket_id, "
         "lot_id, 'merged', -units, price, -value, 0, high_water_mark, hurdle_start, strike_id, "
         "entry_id, effective_at FROM investors_pocketentry LIMIT 1", ()),
        ("INSERT INTO investors_unitentry (lot_id, kind, units, price, high_water_mark, "
         "hurdle_start, strike_id, entry_id, effective_at) SELECT lot_id, 'merge', 1, price, "
         "high_water_mark, hurdle_start, strike_id, entry_id, effective_at "
         "FROM investors_pocketentry LIMIT 1", ()),
        ("INSERT INTO trading_bookflow (book, amount, source_ref, text, occurred_at, recorded_at) "
         "VALUES ('main', 12000, %s, 'x', now(), now())", (f"pocket-merge:{row.pk}",)),
    ]  # fmt: skip
    for role in ROLES:
        for step in steps:
            assert attack(fresh_database, role, step) != ""
    done = strike(fresh_database, small, APRIL)
    assert "Side pocket SP-1 merged back: 12000 into account 1030" in words(NAV, done.pk)
    units = UnitEntry.objects.filter(kind="merge").order_by("-units")
    assert [(item.units, item.high_water_mark) for item in units] == [
        (D("69.6"), 100), (D("46.4"), 100),
    ]  # fmt: skip
    assert verify_fund(small.fund) == []
    for role in ROLES:
        for step in steps:
            assert attack(fresh_database, role, step) != ""


FORGED: dict[str, Callable[[Any, Any], tuple[Any, Any]]] = {
    "a higher fee": lambda one, two: (
        replace(one, fee=one.fee + 500, consideration=one.consideration - 500), two),
    "more units": lambda one, two: (replace(one, units=one.units + 5), two),
    "fewer units": lambda one, two: (replace(one, units=one.units - 5), two),
    "a lower mark": lambda one, two: (replace(one, mark=one.mark - 50), two),
    "a higher mark": lambda one, two: (replace(one, mark=one.mark + 50), two),
    "another clock": lambda one, two: (replace(one, clock=one.clock.replace(year=2020)), two),
    "the other's value": lambda one, two: (
        replace(one, pocket=replace(one.pocket, value=one.pocket.value + 100),
                consideration=one.consideration + 100, units=one.units + 1),
        replace(two, pocket=replace(two.pocket, value=two.pocket.value - 100),
                consideration=two.consideration - 100, units=two.units - 1)),
    "capital for the fund": lambda one, two: (
        replace(one, consideration=one.consideration - 500, residue=one.residue + 500), two),
}  # fmt: skip


@pytest.mark.parametrize("change", FORGED)
def test_a_stolen_web_merges_nothing_else_than_was_signed(
    small: SmallFund, fresh_database: Any, monkeypatch: pytest.MonkeyPatch, change: str
):
    """With every signature there, the dealing itself merges otherwise."""
    merge(fresh_database, small)
    honest = pocket_merges.merge_side_pocket
    monkeypatch.setattr(
        pocket_merges, "merge_side_pocket", lambda **given: FORGED[change](*honest(**given))
    )
    monkeypatch.setattr(pocket_merges, "_require_frozen", lambda *args: None)
    row = small.prepare(APRIL)
    write_signature(fresh_database, NAV, row.pk, checker_of(small))
    with pytest.raises((Error, psycopg.Error)):
        approve_strike(strike=row, seen_hash=row.result_hash, actor=small.checker)
    row.refresh_from_db()
    assert (row.state, PocketEntry.objects.filter(kind="merged").count()) == ("prepared", 0)


TAMPERED = {
    "a higher fee": (
        "UPDATE investors_pocketentry SET fee = fee + 1 WHERE kind = 'merged'",
        "by the rule",
    ),
    "more units": (
        "UPDATE investors_unitentry SET units = units + 1 WHERE kind = 'merge'",
        "not the main units, mark or clock",
    ),
    "a lower mark": (
        "UPDATE investors_unitentry SET high_water_mark = 1 WHERE kind = 'merge'",
        "not the main units, mark or clock",
    ),
    "another value": (
        "UPDATE investors_pocketentry SET value = value + 1 WHERE kind = 'merged'",
        "merged back, signed",
    ),
    "another lot": (
        "UPDATE investors_pocketentry SET into_id = NULL WHERE kind = 'merged'",
        "that no pocket gave",
    ),
    "another account": (
        "UPDATE investors_pocketchange SET account = '1200' WHERE kind = 'merge'",
        "pocket_change.approved",
    ),
    "what was signed": (
        "UPDATE investors_pocketchange SET merged = merged + 1 WHERE kind = 'merge'",
        "signed 12001",
    ),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_a_superusers_change_of_a_merge_is_named(small: SmallFund, fresh_database: Any, what: str):
    merge(fresh_database, small)
    strike(fresh_database, small, APRIL)
    step, named = TAMPERED[what]
    with psycopg.connect(fresh_database.dsn("postgres", "fresh"), autocommit=True) as session:
        for table in ("pocketentry", "unitentry", "pocketchange"):
            session.execute(f"ALTER TABLE investors_{table} DISABLE TRIGGER USER".encode())
        assert session.execute(step.encode()).rowcount > 0
    found = verify_fund(small.fund)
    assert any(named in line for line in found), found
