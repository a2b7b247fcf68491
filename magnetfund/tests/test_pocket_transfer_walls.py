"""Pocket units on their way to another holder, tried from beside."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from django.db import Error

from investors.models import DealingProposal, PocketEntry
from investors.services import pocket_transfers, transfers
from investors.services.dealing_proposals import decide_dealing, propose_dealing
from investors.services.verification import verify_fund
from investors.tests.fund_support import SmallFund
from magnetfund.core.services.signing import DEALING
from magnetfund.tests import test_pocket_walls
from magnetfund.tests.test_decision_walls import checker_of, words
from magnetfund.tests.test_money_walls import ROLES, attack
from magnetfund.tests.test_pocket_walls import FEBRUARY, MARCH, agree, strike
from magnetfund.tests.walls_support import write_signature

D = Decimal
small, story = test_pocket_walls.small, test_pocket_walls.story


def hand_over(cluster: Any, small: SmallFund, units: str = "180") -> DealingProposal:
    """A third of Ann's 540 units goes to Bob, and with it 20 of her 60 of the pocket."""
    row = propose_dealing(
        kind="transfer", investor=small.investor("ann"), share_class=small.share_class(),
        receiver=small.investor("bob"), units=D(units), is_all=False, reason="gift",
        actor=small.maker,
    )  # fmt: skip
    assert words(DEALING, row.pk).endswith("Their part of side pockets goes along: SP-1")
    write_signature(cluster, DEALING, row.pk, checker_of(small))
    return decide_dealing(
        proposal=row, is_approved=True, actor=small.checker, at=FEBRUARY + timedelta(hours=9)
    )


def test_an_honest_transfer_takes_its_part_along(small: SmallFund, fresh_database: Any):
    agree(fresh_database, small)
    strike(fresh_database, small)
    hand_over(fresh_database, small)
    moved = PocketEntry.objects.filter(kind__startswith="transfer").order_by("units")
    assert [(row.units, row.value) for row in moved] == [(-20, -2000), (20, 2000)]
    assert verify_fund(small.fund) == []
    steps: list[Any] = [
        ("INSERT INTO investors_pocketentry (pocket_id, lot_id, kind, units, price, value, fee, "
         "high_water_mark, hurdle_start, into_id, entry_id, effective_at) SELECT pocket_id, "
         "lot_id, 'transfer_out', -1, price, -100, 0, high_water_mark, hurdle_start, into_id, "
         "entry_id, effective_at FROM investors_pocketentry WHERE kind = 'transfer_out'", ()),
        ("INSERT INTO investors_pocketentry (pocket_id, lot_id, kind, units, price, value, fee, "
         "high_water_mark, hurdle_start, entry_id, effective_at) SELECT pocket_id, lot_id, "
         "'transfer_in', 1000, price, 0, 0, high_water_mark, hurdle_start, entry_id, effective_at "
         "FROM investors_pocketentry WHERE kind = 'created' LIMIT 1", ()),
        ("UPDATE investors_pocketentry SET units = 1", ()),
    ]  # fmt: skip
    for role in ROLES:
        for step in steps:
            assert attack(fresh_database, role, step) != ""
    strike(fresh_database, small, MARCH)
    assert verify_fund(small.fund) == []


Parts = list[pocket_transfers.PocketPartOf]


def altered(item: Any, **more: Any) -> Any:
    return replace(item, part=replace(item.part, **more))


FORGED: dict[str, Callable[[Parts], Parts]] = {
    "left behind": lambda parts: [],
    "more units": lambda parts: [altered(parts[0], units=D(40), value=D(4000))],
    "fewer units": lambda parts: [altered(parts[0], units=D(10), value=D(1000))],
    "more value": lambda parts: [altered(parts[0], value=D(3000))],
    "another mark": lambda parts: [
        altered(parts[0], lot=replace(parts[0].part.lot, mark=D(50)))
    ],
    "another price": lambda parts: [
        altered(parts[0], lot=replace(parts[0].part.lot, price=D(50)))
    ],
}  # fmt: skip


@pytest.mark.parametrize("change", FORGED)
def test_a_stolen_web_takes_nothing_else_along(
    small: SmallFund, fresh_database: Any, monkeypatch: pytest.MonkeyPatch, change: str
):
    """With the signature there, the transfer itself takes another part."""
    agree(fresh_database, small)
    strike(fresh_database, small)
    honest = transfers.plan_parts
    monkeypatch.setattr(
        transfers, "plan_parts", lambda *args, **given: FORGED[change](honest(*args, **given))
    )
    with pytest.raises((Error, psycopg.Error), match="takes along what its units have"):
        hand_over(fresh_database, small)
    assert PocketEntry.objects.exclude(kind="created").count() == 0


TAMPERED = {
    "more units": (
        "UPDATE investors_pocketentry SET units = units * 2 WHERE kind LIKE 'transfer%'",
        "a transfer took 40",
    ),
    "more value": (
        "UPDATE investors_pocketentry SET value = value * 2 WHERE kind LIKE 'transfer%'",
        "worth 4000",
    ),
    "a lower mark": (
        "UPDATE investors_pocketentry SET high_water_mark = 1 WHERE kind = 'transfer_in'",
        "what left did not arrive",
    ),
    "nothing left": (
        "DELETE FROM investors_pocketentry WHERE kind = 'transfer_out'",
        "that no lot gave",
    ),
    "left behind": (
        "DELETE FROM investors_pocketentry WHERE kind LIKE 'transfer%'",
        "a transfer took 0 units",
    ),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_a_superusers_change_of_a_part_is_named(small: SmallFund, fresh_database: Any, what: str):
    agree(fresh_database, small)
    strike(fresh_database, small)
    hand_over(fresh_database, small)
    step, named = TAMPERED[what]
    with psycopg.connect(fresh_database.dsn("postgres", "fresh"), autocommit=True) as session:
        session.execute("ALTER TABLE investors_pocketentry DISABLE TRIGGER USER")
        assert session.execute(step.encode()).rowcount > 0
    found = verify_fund(small.fund)
    assert any(named in line for line in found), found
