"""Side pockets tried from beside, as a stolen web or worker would send its SQL."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from django.db import Error, connection, transaction

from investors.domain.ledger import JointLine, Tags, build_joint_entry
from investors.models import (
    NavStrike,
    PocketChange,
    PocketEntry,
    SidePocket,
    UnitLot,
)
from investors.services import nav_dealing, pocket_dealing, pocket_proceeds
from investors.services.ledger import NewEntry, post_entries
from investors.services.nav import approve_strike
from investors.services.pocket_changes import decide_change, propose_change
from investors.services.pockets import decide_pocket, propose_pocket
from investors.services.verification import verify_fund
from investors.tests.fund_support import FIRST, SmallFund, first_of, make_fund
from magnetfund.core.actors import Actor
from magnetfund.core.roles import Role
from magnetfund.core.services.signing import NAV, POCKET, POCKET_CHANGE, SignatureMissing
from magnetfund.operations.people import ensure_user
from magnetfund.tests.test_decision_walls import checker_of, words
from magnetfund.tests.test_money_walls import ROLES, attack
from magnetfund.tests.test_signed_decisions import dora
from magnetfund.tests.walls_support import say_kind, write_signature

D = Decimal
FEBRUARY, MARCH, APRIL = (first_of(2025, month) for month in (2, 3, 4))


def tell() -> SmallFund:
    """Ann holds 600 units at 100, Bob 400."""
    fund = make_fund("main", performance_rate="0.2", management_rate="0")
    for at in (FIRST, FEBRUARY, MARCH, APRIL):
        fund.day(at)
    fund.subscribe("ann", "60000", before=FIRST)
    fund.subscribe("bob", "40000", before=FIRST)
    fund.strike(FIRST)
    ensure_user(email="dora@example.com", name="Dora", roles=[Role.DIRECTOR])
    return fund


@pytest.fixture(scope="module")
def story() -> Callable[[], SmallFund]:
    return tell


@pytest.fixture
def small(fresh_database: Any, told: Any) -> SmallFund:
    say_kind(fresh_database, "production")
    return deepcopy(told.value)


def propose(small: SmallFund) -> SidePocket:
    return propose_pocket(
        fund=small.fund, asset="Claim against Example Exchange", account="1030", value=D(10000),
        cause="it stopped paying out", notice="It stopped paying out.", actor=small.maker,
    )  # fmt: skip


def agree(cluster: Any, small: SmallFund) -> SidePocket:
    row, director = propose(small), dora()
    write_signature(cluster, POCKET, row.pk, director)
    return decide_pocket(proposal=row, is_approved=True, actor=Actor.of(director))


def strike(cluster: Any, small: SmallFund, at: datetime = FEBRUARY) -> NavStrike:
    row = small.prepare(at)
    write_signature(cluster, NAV, row.pk, checker_of(small))
    return approve_strike(strike=row, seen_hash=row.result_hash, actor=small.checker)


@pytest.mark.parametrize("role", ROLES)
def test_a_claim_takes_a_directors_signature_and_stays_as_it_was_signed(
    small: SmallFund, fresh_database: Any, role: str
):
    row, director = propose(small), dora()
    approval = (
        "UPDATE investors_sidepocket SET decided_by_id = %s, decided_at = now(), "
        "is_approved = true WHERE id = %s",
        (director.pk, row.pk),
    )
    by_controller = (approval[0], (checker_of(small).pk, row.pk))
    more = ("UPDATE investors_sidepocket SET value = 50000", ())
    created = (
        "UPDATE investors_sidepocket SET strike_id = (SELECT id FROM investors_navstrike)",
        (),
    )
    for step in (approval, by_controller, more, created):
        assert attack(fresh_database, role, step) != ""
    if role != "fa_app":
        return
    assert "has not signed this" in attack(fresh_database, role, approval)
    assert "permission denied" in attack(fresh_database, role, more)
    said = words(POCKET, row.pk)
    assert "Carried at: 10000 USD, out of account 1030" in said
    with pytest.raises(SignatureMissing):
        decide_pocket(proposal=row, is_approved=True, actor=Actor.of(director))
    write_signature(fresh_database, POCKET, row.pk, director)
    decide_pocket(proposal=row, is_approved=True, actor=Actor.of(director))
    # Signed, it still waits for a NAV that is being dealt and names it.
    assert "no NAV that is being dealt" in attack(fresh_database, role, created)


def test_units_come_into_a_pocket_with_its_nav_alone(small: SmallFund, fresh_database: Any):
    agree(fresh_database, small)
    done = strike(fresh_database, small)
    lot, entry = UnitLot.objects.first(), PocketEntry.objects.first()
    assert (lot is not None, entry is not None) == (True, True)
    assert "Set apart in side pocket SP-1: 10000" in words(NAV, done.pk)
    assert PocketEntry.objects.count() == 2
    assert verify_fund(small.fund) == []
    minted = (
        "INSERT INTO investors_pocketentry (pocket_id, lot_id, kind, units, price, value, "
        "high_water_mark, hurdle_start, strike_id, entry_id, effective_at) SELECT pocket_id, %s, "
        "'created', 1000, price, 0, high_water_mark, hurdle_start, strike_id, entry_id, "
        "effective_at FROM investors_pocketentry LIMIT 1",
        (lot.pk if lot else None,),
    )
    taken = (
        "INSERT INTO investors_unitentry (lot_id, kind, units, price, high_water_mark, "
        "hurdle_start, strike_id, entry_id, effective_at) SELECT lot_id, 'side_pocket_out', -1, "
        "price, high_water_mark, hurdle_start, strike_id, entry_id, effective_at "
        "FROM investors_pocketentry LIMIT 1",
        (),
    )
    for role in ROLES:
        for step in (minted, taken, ("DELETE FROM investors_pocketentry", ())):
            assert attack(fresh_database, role, step) != ""


@pytest.mark.parametrize("change", ["another share", "one lot left out", "another value"])
def test_a_stolen_web_sets_nothing_else_apart_than_the_nav_says(
    small: SmallFund, fresh_database: Any, monkeypatch: pytest.MonkeyPatch, change: str
):
    """With every signature there, the dealing itself splits otherwise."""
    agree(fresh_database, small)
    honest = pocket_dealing.plan_pockets

    def forged(*args: Any) -> Any:
        (split,) = honest(*args)
        if change == "one lot left out":
            return [replace(split, moves=split.moves[:1], values=split.values[:1])]
        if change == "another value":
            return [
                replace(split, value=split.value + 1, values=[split.values[0] + 1, split.values[1]])
            ]
        first, second = split.moves
        more = replace(first, goes=replace(first.goes, units=first.goes.units + 5))
        return [replace(split, moves=(more, second))]

    monkeypatch.setattr(nav_dealing, "plan_pockets", forged)
    row = small.prepare(FEBRUARY)
    write_signature(fresh_database, NAV, row.pk, checker_of(small))
    with pytest.raises(Error):
        approve_strike(strike=row, seen_hash=row.result_hash, actor=small.checker)
    row.refresh_from_db()
    assert (row.state, PocketEntry.objects.count()) == ("prepared", 0)


def come_to(cluster: Any, small: SmallFund) -> PocketChange:
    """The claim of 10,000 comes to 24,000: half of it in cash."""
    agree(cluster, small)
    strike(cluster, small)
    row = propose_change(
        pocket=SidePocket.objects.get(), value=D(12000), cash=D(12000), source="letter",
        actor=small.maker,
    )  # fmt: skip
    write_signature(cluster, POCKET_CHANGE, row.pk, dora())
    return decide_change(proposal=row, is_approved=True, actor=Actor.of(dora()))


@pytest.mark.parametrize("role", ROLES)
def test_what_a_claim_came_to_takes_a_directors_signature(
    small: SmallFund, fresh_database: Any, role: str
):
    agree(fresh_database, small)
    strike(fresh_database, small)
    row = propose_change(
        pocket=SidePocket.objects.get(), value=D(1), source="letter", actor=small.maker
    )
    approval = (
        "UPDATE investors_pocketchange SET decided_by_id = %s, decided_at = now(), "
        "is_approved = true WHERE id = %s",
        (dora().pk, row.pk),
    )
    steps = (
        approval, (approval[0], (checker_of(small).pk, row.pk)),
        ("UPDATE investors_pocketchange SET cash = 5000, kind = 'cash'", ()),
        ("UPDATE investors_pocketchange SET strike_id = (SELECT id FROM investors_navstrike "
         "LIMIT 1)", ()),
        ("INSERT INTO investors_pocketentry (pocket_id, lot_id, kind, units, price, value, fee, "
         "high_water_mark, hurdle_start, strike_id, entry_id, effective_at) SELECT pocket_id, "
         "lot_id, 'paid', -units, price, -value, 0, high_water_mark, hurdle_start, strike_id, "
         "entry_id, effective_at FROM investors_pocketentry LIMIT 1", ()),
    )  # fmt: skip
    for step in steps:
        assert attack(fresh_database, role, step) != ""
    if role == "fa_app":
        assert "has not signed this" in attack(fresh_database, role, approval)
    assert words(POCKET_CHANGE, row.pk).startswith("Carry the claim of side pocket SP-1")


def test_an_honest_booking_passes(small: SmallFund, fresh_database: Any):
    """24,000 over 100 units are 240; of Ann's 60 units half leaves for 7,200, and a fifth of 30
    times 140 above her mark of 100 is the fee of 840."""
    come_to(fresh_database, small)
    done = strike(fresh_database, small, MARCH)
    assert "Side pocket SP-1: carried at 12000, paid out 12000" in words(NAV, done.pk)
    paid = PocketEntry.objects.filter(kind="paid").order_by("lot__number")
    assert sorted((row.units, row.value, row.fee) for row in paid) == [
        (-30, -7200, 840), (-20, -4800, 560),
    ]  # fmt: skip
    assert verify_fund(small.fund) == []


@pytest.mark.parametrize("change", ["all to one", "a higher fee", "no fee and less claim"])
def test_a_stolen_web_books_nothing_else_than_was_signed(
    small: SmallFund, fresh_database: Any, monkeypatch: pytest.MonkeyPatch, change: str
):
    """With every signature there, the dealing itself books otherwise."""
    come_to(fresh_database, small)
    honest = pocket_proceeds.change_pocket

    def forged(**given: Any) -> Any:
        one, two = honest(**given)
        if change == "all to one":
            return (
                replace(one, gross=one.gross + 100), replace(two, gross=two.gross - 100)
            )  # fmt: skip
        if change == "a higher fee":
            return (replace(one, fee=one.fee + 1000), two)
        return (replace(one, change=one.change + 500), two)

    monkeypatch.setattr(pocket_proceeds, "change_pocket", forged)
    row = small.prepare(MARCH)
    write_signature(fresh_database, NAV, row.pk, checker_of(small))
    with pytest.raises(Error):
        approve_strike(strike=row, seen_hash=row.result_hash, actor=small.checker)
    row.refresh_from_db()
    assert (row.state, PocketEntry.objects.exclude(kind="created").count()) == ("prepared", 0)


def test_value_moved_from_one_lot_to_another_is_refused(
    small: SmallFund, fresh_database: Any, monkeypatch: pytest.MonkeyPatch
):
    """Units and sums are as signed; 1,000 of Ann's part would stand at Bob's lot."""
    agree(fresh_database, small)
    honest = pocket_dealing.plan_pockets

    def forged(*args: Any) -> Any:
        (split,) = honest(*args)
        return [replace(split, values=[split.values[0] + 1000, split.values[1] - 1000])]

    monkeypatch.setattr(nav_dealing, "plan_pockets", forged)
    with pytest.raises(Error):
        strike(fresh_database, small)
    assert PocketEntry.objects.count() == 0


def test_no_row_moves_value_beside_a_booking(
    small: SmallFund, fresh_database: Any, monkeypatch: pytest.MonkeyPatch
):
    """The value stays, so no lot has a row of its own; the checks of the commit are asked for
    early, and then 1,000 of Ann's part go to Bob's lot."""
    agree(fresh_database, small)
    strike(fresh_database, small)
    row = propose_change(
        pocket=SidePocket.objects.get(), value=D(10000), source="letter", actor=small.maker
    )
    write_signature(fresh_database, POCKET_CHANGE, row.pk, dora())
    decide_change(proposal=row, is_approved=True, actor=Actor.of(dora()))
    honest = pocket_proceeds.copy_rows
    said = []

    def forged(model: Any, names: Any, rows: Any) -> None:
        honest(model, names, rows)
        nav = NavStrike.objects.get(state="approved")
        parts = [
            (item, D(-1000) if item.units == 60 else D(1000)) for item in PocketEntry.objects.all()
        ]
        lines = [
            JointLine(amounts={"change": part},
                      tags=Tags(share_class="A", lot=item.lot_id, pocket="SP-1"))
            for item, part in parts
        ]  # fmt: skip
        entry = build_joint_entry(
            event="side_pocket_valued", source_ref=f"side_pocket_valued:{nav.pk}:A", lines=lines,
            effective_at=MARCH, currency="USD",
        )  # fmt: skip
        (posted,) = post_entries(small.fund, [NewEntry.of(entry)], actor=small.checker)
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS change_made IMMEDIATE")
        try:
            with transaction.atomic():
                honest(
                    model,
                    names,
                    [
                        (
                            item.pocket_id,
                            item.lot_id,
                            "valued",
                            D(0),
                            item.price,
                            part,
                            D(0),
                            item.high_water_mark,
                            item.hurdle_start,
                            nav.pk,
                            posted.pk,
                            MARCH,
                        )
                        for item, part in parts
                    ],
                )
        except Error as error:
            said.append(str(error))
            raise

    monkeypatch.setattr(pocket_proceeds, "copy_rows", forged)
    with pytest.raises(Error):
        strike(fresh_database, small, MARCH)
    assert "another booking than was signed" in said[0]
    assert PocketEntry.objects.exclude(kind="created").count() == 0
