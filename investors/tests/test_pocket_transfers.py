"""Pocket units that go along with the main units of their lot to another holder."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from investors.domain.dealing import take_pocket_part
from investors.domain.payments import PaymentKind
from investors.domain.strike import PocketLot
from investors.models import DealingProposal, Message, PocketEntry, UnitLot
from investors.services.dealing_proposals import decide_dealing, propose_dealing
from investors.services.estates import report_death
from investors.services.investor_statements import make_statements
from investors.services.kyc_file import still_holds
from investors.services.payment_drafts import list_owed_by_lot
from investors.services.pocket_books import has_pocket_units, read_pocket_holdings
from investors.services.pocket_changes import decide_change, propose_change
from investors.services.transfer_note import describe_transfer
from investors.services.verification import verify_fund
from investors.tests.fund_support import SmallFund
from investors.tests.test_pocket_changes import change, pocketed
from investors.tests.test_pocket_merges import merge
from investors.tests.test_side_pockets import (
    APRIL,
    FEBRUARY,
    MARCH,
    MAY,
    agree,
    balance,
    director,
    refused,
    units_of,
)
from magnetfund.tests.test_attorneys import PDF, officer

D = Decimal
STEP = D("0.000001")


def own(units: str, value: str) -> PocketLot:
    return PocketLot(
        lot="a", share_class="A", holder="ann", units=D(units), price=D(110), value=D(value),
        mark=D(100), clock=date(2025, 1, 1),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("taken", "held", "units", "value"),
    [
        ("540", "540", "60", "6600.00"),
        ("180", "540", "20", "2200.00"),
        # 7 of 540 are 0.777777.7 pocket units and 85.5555 of their value.
        ("7", "540", "0.777777", "85.55"),
        ("0", "0", "60", "6600.00"),
    ],
)
def test_a_part_goes_along_in_whole_steps_and_cents(taken: str, held: str, units: str, value: str):
    part = take_pocket_part(own("60", "6600"), taken=D(taken), held=D(held), unit_quantum=STEP)
    assert part is not None
    assert (part.units, part.value) == (D(units), D(value))


def test_a_part_below_a_step_stays():
    assert (
        take_pocket_part(own("0.000001", "0.00"), taken=D(1), held=D(3), unit_quantum=STEP) is None
    )


database = pytest.mark.django_db


def hand_over(
    small: SmallFund, units: str | None, *, giver: str = "ann", receiver: str = "dan", at: Any
) -> DealingProposal:
    row = propose_dealing(
        kind="transfer", investor=small.investor(giver), share_class=small.share_class("A"),
        receiver=small.investor(receiver), units=None if units is None else D(units),
        is_all=units is None, reason="gift", actor=small.maker,
    )  # fmt: skip
    return decide_dealing(proposal=row, is_approved=True, actor=small.checker, at=at)


def parts(small: SmallFund) -> dict[str, tuple[Decimal, Decimal, Decimal]]:
    found: dict[str, tuple[Decimal, Decimal, Decimal]] = {}
    for name in ("ann", "bob", "cyd", "dan"):
        for row in read_pocket_holdings(small.fund, investor=small.investor(name).pk):
            units, value, _ = found.get(name, (D(0), D(0), D(0)))
            found[name] = units + row.units, value + row.value, row.mark
    return found


@database
def test_a_third_of_a_lot_takes_a_third_of_its_pocket_units():
    """Ann gives Dan 180 of 540 units; 20 of her 60 of the pocket go along, carried at 2,200.  What
    comes in afterwards is paid to both by their units."""
    small = pocketed()
    row = hand_over(small, "180", at=FEBRUARY + timedelta(hours=9))
    assert parts(small) == {
        "ann": (40, 4400, 100), "bob": (40, 4400, 100), "cyd": (100, 11000, 100),
        "dan": (20, 2200, 100),
    }  # fmt: skip
    assert verify_fund(small.fund) == []
    change(small, "0", "26400")
    small.strike(MARCH)
    # 132 a unit: 40 are 5,280 less a fifth of 40 x 32, 20 are 2,640 less 128.
    owed = list_owed_by_lot(small.fund, PaymentKind.POCKET)
    assert owed[small.investor("ann").pk] == D(5280) - 256
    assert owed[small.investor("dan").pk] == D(2640) - 128
    assert (balance(small, "1500"), balance(small, "3020")) == (0, 0)
    assert verify_fund(small.fund) == []
    text = Message.objects.get(investor=small.investor("dan"), subject="Units transferred").body
    assert "SP-1: 20 pocket units, carried at 2,200.00 USD" in text
    strike = small.fund.strikes.get(valuation_at=FEBRUARY)
    note = describe_transfer(row, strike, "TN-1")
    assert note["parts"][1]["rows"] == [
        ["SP-1, Claim against Example Exchange", "20.000000 units, carried at 2,200.00 USD"]
    ]


@database
def test_all_of_a_holder_takes_lots_that_have_pocket_units_alone():
    """Bob redeemed his main units in March; in April his 40 of the pocket go to Ann."""
    small = pocketed()
    small.redeem("bob", None, before=MARCH)
    small.strike(MARCH)
    bob = small.investor("bob")
    part: dict[str, Any] = {"giver": "bob", "receiver": "ann", "at": MARCH + timedelta(hours=9)}
    assert refused(hand_over, small, "1", **part) == "not_enough_units"
    hand_over(small, None, **part)
    assert parts(small)["ann"] == (100, 11000, 100)
    assert not has_pocket_units(bob.pk)
    lot = UnitLot.objects.get(parent__holding__investor=bob)
    assert (lot.units, lot.entries.count()) == (0, 0)
    assert verify_fund(small.fund) == []
    assert refused(hand_over, small, None, **part) == "not_enough_units"
    merge(small)
    small.strike(APRIL)
    assert units_of(small, "ann") == D(540) + D("58.909090") + D("39.272727")
    small.strike(MAY)
    assert verify_fund(small.fund) == []


@database
def test_what_was_paid_before_stays_owed_to_who_held_it():
    small = pocketed()
    change(small, "11000", "11000")
    small.strike(MARCH)
    hand_over(small, None, at=MARCH + timedelta(hours=9))
    owed = list_owed_by_lot(small.fund, PaymentKind.POCKET)
    ann, dan = small.investor("ann"), small.investor("dan")
    # 30 of 60 units left at 110, less a fifth of 300.
    assert (owed[ann.pk], owed.get(dan.pk)) == (D(3240), None)
    assert parts(small)["dan"] == (30, 3300, 100)
    assert still_holds(ann), "the fund owes her"
    assert verify_fund(small.fund) == []
    change(small, "0", "11000")
    small.strike(APRIL)
    owed = list_owed_by_lot(small.fund, PaymentKind.POCKET)
    assert (owed[ann.pk], owed[dan.pk]) == (D(3240), D(3240))
    assert verify_fund(small.fund) == []


@database
def test_two_pockets_and_two_transfers_keep_every_unit_and_cent():
    small = pocketed()
    agree(small, "7777.77", asset="Frozen deposit")
    small.strike(MARCH)
    before = {row.pk: D(0) for row in small.fund.pockets.all()}
    sums = dict(before)
    for row in PocketEntry.objects.all():
        sums[row.pocket_id] += row.value
    hand_over(small, "123.456789", at=MARCH + timedelta(hours=9))
    hand_over(small, "17.000001", giver="dan", receiver="bob", at=MARCH + timedelta(hours=10))
    hand_over(small, None, giver="dan", receiver="cyd", at=MARCH + timedelta(hours=11))
    after = dict(before)
    for row in PocketEntry.objects.all():
        after[row.pocket_id] += row.value
    assert after == sums
    assert not has_pocket_units(small.investor("dan").pk)
    assert verify_fund(small.fund) == []
    change_of(small, "SP-2", "10000")
    small.strike(APRIL)
    assert verify_fund(small.fund) == []
    small.strike(MAY)
    run = make_statements(fund=small.fund, period="2025-04", actor=small.maker)
    assert run.refused == {}
    assert verify_fund(small.fund) == []


def change_of(small: SmallFund, name: str, value: str) -> None:
    row = propose_change(
        pocket=small.fund.pockets.get(number=int(name.removeprefix("SP-"))), value=D(value),
        source="letter", actor=small.maker,
    )  # fmt: skip
    decide_change(proposal=row, is_approved=True, actor=director())


@database
def test_the_valuation_for_an_estate_names_the_units_of_side_pockets(settings: Any, tmp_path: Path):
    """Bob has nothing but his 40 units of the pocket, Ann 540 main units and 60 of the pocket."""
    settings.DOCUMENT_KEYS = tmp_path / "keys"
    small = pocketed()
    small.redeem("bob", None, before=MARCH)
    small.strike(MARCH)
    for name, said in (("ann", "60.000000 units, carried at 6,600.00"),
                       ("bob", "40.000000 units, carried at 4,400.00")):  # fmt: skip
        paper = report_death(
            investor=small.investor(name), deceased=name, died_on=date(2025, 3, 2),
            paper_name="paper.pdf", paper=PDF, actor=officer("lea"),
        ).valuation  # fmt: skip
        assert paper is not None, name
        [[asset, words]] = paper.data["parts"][1]["rows"]
        assert asset == "SP-1, Claim against Example Exchange"
        assert words == f"{said} USD before any fee"
        assert paper.data["parts"][0]["rows"][2] == ["Classes", "A"]
