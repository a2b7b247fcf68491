"""A side pocket's way back: its units become main units at a NAV, less the fee over their marks."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from investors.domain.fees import ClassTerms, Hurdle
from investors.domain.strike import (
    ClassInput,
    LotInput,
    MergeInput,
    PocketLot,
    StrikeInputs,
    compute_strike,
    merge_side_pocket,
    recompute_strike,
)
from investors.models import Message, PocketEntry, SidePocket, UnitLot
from investors.services.capital_activity import read_capital
from investors.services.investor_statements import make_statements
from investors.services.ledger import read_balances
from investors.services.nav_as_known import nav_as_known
from investors.services.nav_errors import measure_nav_errors
from investors.services.pocket_books import read_pocket_holdings
from investors.services.pocket_changes import (
    decide_change,
    propose_change,
    propose_merge,
    withdraw_change,
)
from investors.services.restatements import prepare_restatement, sign_restatement
from investors.services.verification import verify_fund
from investors.tests.fund_support import SmallFund
from investors.tests.test_pocket_changes import change, pocketed
from investors.tests.test_side_pockets import (
    APRIL,
    FEBRUARY,
    MARCH,
    MAY,
    agree,
    balance,
    director,
    found_fund,
    refused,
    units_of,
)
from magnetfund.kernel.clock import utc_now

D = Decimal
DAY = date(2025, 3, 1)


def pocket_lot(units: str, value: str, *, mark: str = "100", price: str = "110") -> PocketLot:
    return PocketLot(
        lot="a", share_class="A", holder="ann", units=D(units), price=D(price), value=D(value),
        mark=D(mark), clock=date(2025, 1, 1),
    )  # fmt: skip


def merged(lot: PocketLot, terms: ClassTerms, price: str) -> Any:
    (part,) = merge_side_pocket(lots=[lot], terms={"A": terms}, prices={"A": D(price)}, day=DAY)
    return part


def test_a_lot_above_its_mark_pays_its_fee_and_begins_anew():
    """60 units carried at 7,920 are 132 each, 32 above the mark: a fifth of 1,920 is 384, and 7,536
    buy 68.509090 units at 110 for 7,536.00."""
    part = merged(pocket_lot("60", "7920"), ClassTerms(performance_rate=D("0.2")), "110")
    assert (part.fee, part.units) == (D(384), D("68.509090"))
    assert (part.consideration, part.residue) == (D("7536.00"), 0)
    assert (part.mark, part.clock) == (D(110), DAY)


def test_a_lot_below_its_mark_keeps_its_distance_and_its_clock():
    """60 units carried at 3,300 are 55 each, a mark of 100: at 110 they are 30 units, which are
    charged above 200."""
    part = merged(pocket_lot("60", "3300"), ClassTerms(performance_rate=D("0.2")), "110")
    assert (part.fee, part.units, part.mark) == (0, D(30), D(200))
    assert part.clock == date(2025, 1, 1)


def test_a_hurdle_runs_on_where_no_fee_is_due():
    """A hard hurdle of a year's 60 % is 9.7 % over 59 days: 105 does not pass it."""
    terms = ClassTerms(performance_rate=D("0.2"), hurdle=Hurdle.HARD, hurdle_rate=D("0.6"))
    part = merged(pocket_lot("60", "6300"), terms, "210")
    assert (part.fee, part.units, part.mark) == (0, D(30), D(200))
    later = merged(pocket_lot("60", "7200"), terms, "120")
    # 120 - 100 x (1 + 0.6 x 59 / 365) = 10.301369863 a unit.
    assert later.fee == D("123.61")


amounts = st.integers(1, 10**9).map(lambda n: D(n) / 100)
units = st.integers(1, 10**12).map(lambda n: D(n) / 10**6)
prices = st.integers(1, 10**9).map(lambda n: D(n) / 10**4)


@settings(max_examples=60, deadline=None)
@given(
    lots=st.lists(st.tuples(units, prices, prices, amounts), min_size=1, max_size=5),
    money=amounts,
    rate=st.integers(0, 40),
)
def test_both_engines_make_the_same_units_and_no_value_is_lost(
    lots: list[tuple[Decimal, ...]], money: Decimal, rate: int
):
    terms = ClassTerms(performance_rate=D(rate) / 100)
    held = tuple(
        PocketLot(lot=str(k), share_class="A", holder="x", units=u, price=p, value=v, mark=m,
                  clock=date(2025, 1, 1))
        for k, (u, p, m, v) in enumerate(lots)
    )  # fmt: skip
    inputs = StrikeInputs(
        day=DAY,
        previous_day=date(2025, 2, 1),
        net_assets=money + 10**7,
        classes=(
            ClassInput(
                code="A", terms=terms, launch_price=D(100), gav_before=D(10**7),
                nav_before=D(10**7),
                lots=(LotInput(lot="m", number=1, units=D(10**5), mark=D(100),
                               clock=date(2025, 1, 1), dealing_day=date(2025, 1, 1)),),
            ),
        ),
        merges=(MergeInput(pocket="SP-1", lots=held),),
    )  # fmt: skip
    (item,) = compute_strike(inputs).classes
    second = recompute_strike(inputs)["A"]
    (part,) = item.merges
    assert (second["merge_fee:SP-1"], second["merge_units:SP-1"]) == (part.fee, part.units)
    parts = merge_side_pocket(
        lots=held, terms={"A": terms}, prices={"A": item.issue_price}, day=DAY
    )
    for one in parts:
        assert one.fee + one.consideration + one.residue == one.pocket.value
        assert 0 <= one.residue <= item.issue_price * D("0.000001") + D("0.01")


database = pytest.mark.django_db


def merge(small: SmallFund, account: str = "1030") -> Any:
    row = propose_merge(
        pocket=SidePocket.objects.get(), account=account, source="the venue pays out again",
        actor=small.maker,
    )  # fmt: skip
    return decide_change(proposal=row, is_approved=True, actor=director())


@database
def test_a_claim_that_turned_good_becomes_main_units_again():
    """The claim of 22,000 comes to 26,400, 132 a unit.  Ann's 60 units pay 384 and buy 68.509090;
    Bob's 40 pay 256 and buy 45.672727, Cyd's 100 pay 640 and buy 114.181818."""
    small = pocketed()
    change(small, "26400")
    before = small.strike(MARCH)
    merge(small)
    april = small.strike(APRIL)
    assert april.nav == before.nav
    held = [units_of(small, *who) for who in (("ann",), ("bob",), ("cyd", "B"))]
    assert held == [D("608.509090"), D("405.672727"), D("1014.181818")]
    assert (balance(small, "1500"), balance(small, "3020")) == (0, 0)
    assert (balance(small, "2120"), read_pocket_holdings(small.fund)) == (D(-1280), [])
    new = UnitLot.objects.filter(parent__holding__investor=small.investor("ann")).first()
    assert new is not None
    assert (new.high_water_mark, new.hurdle_start, new.cost) == (D(110), APRIL.date(), D("7536.00"))
    assert verify_fund(small.fund) == []
    # The fee is paid by the bank, and the rest works: same price, claim less fee more of it.
    may = small.strike(MAY)
    assert may.classes.get(share_class__code="A").price == D(110)
    assert may.nav == april.nav + 26400 - 1280
    assert verify_fund(small.fund) == []
    text = Message.objects.get(
        investor=small.investor("ann"), subject__startswith="Side pocket SP-1: merged"
    ).body
    assert "68.50909 units" in text
    assert "a performance fee of 384.00" in text


@database
def test_a_claim_below_its_mark_comes_back_without_a_fee_and_with_its_loss():
    """11,000 are 55 a unit: Ann's 60 become 30 at 110, charged above 200."""
    small = pocketed()
    change(small, "11000")
    small.strike(MARCH)
    merge(small, "1200")
    small.strike(APRIL)
    assert units_of(small, "ann") == 570
    assert (balance(small, "1200"), balance(small, "2120")) == (D(11000), 0)
    assert set(UnitLot.objects.exclude(parent=None).values_list("high_water_mark", flat=True)) == {
        D(200)
    }
    assert PocketEntry.objects.filter(kind="merged").count() == 3
    assert verify_fund(small.fund) == []
    small.earn("5000", at=APRIL + timedelta(days=2))
    small.redeem("ann", None, before=MAY)
    small.strike(MAY)
    assert units_of(small, "ann") == 0
    assert verify_fund(small.fund) == []


@database
def test_orders_of_the_day_do_not_take_what_comes_back():
    """Bob redeems everything in March: his 360 units leave, his 40 of the pocket come back as units
    that he can redeem in April."""
    small = pocketed()
    merge(small)
    small.redeem("bob", None, before=MARCH)
    small.strike(MARCH)
    assert units_of(small, "bob") == D("39.272727")
    assert verify_fund(small.fund) == []
    small.redeem("bob", None, before=APRIL)
    small.strike(APRIL)
    assert units_of(small, "bob") == 0
    assert verify_fund(small.fund) == []


@database
def test_a_class_that_everybody_left_takes_its_units_back_at_its_launch_price():
    small = pocketed()
    for who, code in (("ann", "A"), ("bob", "A")):
        small.redeem(who, None, before=MARCH, code=code)
    small.strike(MARCH)
    merge(small)
    small.strike(APRIL)
    # 6,600 less a fifth of 600 buy 64.80 units at 100.
    assert units_of(small, "ann") == D("64.8")
    assert verify_fund(small.fund) == []
    small.strike(MAY)
    assert verify_fund(small.fund) == []


@database
def test_one_pocket_comes_back_at_the_nav_that_sets_another_apart():
    small = pocketed()
    merge(small)
    agree(small, "19800", asset="Frozen deposit")
    small.strike(MARCH)
    # A tenth of the main units alone goes; 60 units of 110 come back less a fee of 120.
    assert units_of(small, "ann") == D(540) - 54 + D("58.909090")
    assert balance(small, "1500") == D(19800)
    assert verify_fund(small.fund) == []


@database
def test_what_came_back_is_on_statement_and_capital_paper():
    small = pocketed()
    merge(small)
    march = small.strike(MARCH)
    assert read_capital(march)["A", small.investor("ann").number]["set_apart"] == D("6480.00")
    small.earn("1980", at=MARCH + timedelta(days=3))
    small.strike(APRIL)
    for period, lines in (("2025-02", None), ("2025-03", "6,480.00")):
        run = make_statements(fund=small.fund, period=period, actor=small.maker)
        assert (len(run.made), run.refused) == (3, {}), period
        if lines is not None:
            paper = next(row for row in run.made if row.investor == small.investor("ann"))
            bridge = {words: amount for words, amount, _ in paper.data["bridge"]}
            assert bridge["Merged back from side pockets"] == f"+{lines}"
            assert "pockets" not in paper.data
    assert verify_fund(small.fund) == []


@database
def test_a_merge_is_replayed_as_it_was_signed():
    small = pocketed()
    merge(small)
    march = small.strike(MARCH)
    known = nav_as_known(fund=small.fund, valuation_at=MARCH, known_at=utc_now())
    assert known.plain()["result_hash"] == march.result_hash
    small.strike(APRIL)
    again = nav_as_known(fund=small.fund, valuation_at=MARCH, known_at=utc_now())
    assert again.strike == known.strike


@database
def test_a_merge_waits_alone_can_be_withdrawn_and_makes_a_prepared_nav_stale():
    small = found_fund()
    row = agree(small)
    given = {"pocket": row, "account": "1030", "source": "x", "actor": small.maker}
    assert refused(propose_merge, **given) == "not_set_apart"
    small.strike(FEBRUARY)
    for code, more in (
        ("source_missing", {"source": " "}),
        ("unknown_account", {"account": "1010"}),
    ):
        assert refused(propose_merge, **given | more) == code
    waiting = propose_merge(**given)
    assert refused(propose_merge, **given) == "proposal_open"
    assert refused(propose_change, pocket=row, value=D(1), source="x", actor=small.maker) == (
        "proposal_open"
    )
    assert refused(decide_change, proposal=waiting, is_approved=True, actor=small.maker)
    assert refused(decide_change, proposal=waiting, is_approved=True, actor=small.checker)
    prepared = small.prepare(MARCH)
    done = decide_change(proposal=waiting, is_approved=True, actor=director())
    assert refused(small.approve, prepared) == "stale"
    withdraw_change(change=done, reason="too early", actor=small.maker)
    small.approve(prepared)
    assert (balance(small, "1500"), units_of(small, "ann")) == (D(22000), 540)
    merge(small)
    april = small.strike(APRIL)
    (line,) = [one for one in april.checklist if "merged back" in one["name"]]
    assert line["passed"] is True
    assert "22,000.00 of 22,000.00 carried" in line["words"]
    assert refused(propose_merge, **given) == "pocket_empty"
    assert read_balances(small.fund).get(("1500", "USD"), D(0)) == 0
    assert verify_fund(small.fund) == []


@pytest.mark.django_db
def test_who_merged_at_a_wrong_price_is_owed_as_one_who_bought():
    """Dan came in March and has no part.  In April 22,000 come back at a price a tenth too high:
    Ann, Bob and Cyd get too few units for what is theirs."""
    small = pocketed()
    small.subscribe("dan", "11000", before=MARCH)
    small.strike(MARCH)
    merge(small)
    april = small.strike(APRIL)
    wrong = measure_nav_errors(fund=small.fund, first=APRIL.date(), amount=-april.nav / 10)
    off = {row.share_class: row.published - row.right for row in wrong.errors}
    owed: dict[str, Decimal] = {}
    for item in wrong.deals:
        assert item.entry.kind == "merge"
        name = item.entry.lot.holding.investor.legal_name
        owed[name] = owed.get(name, D(0)) + item.found.due
    assert owed == {
        name: (units * off[code]).quantize(D("0.01"))
        for name, code, units in (
            ("Ann", "A", D("58.909090")), ("Bob", "A", D("39.272727")),
            ("Cyd", "B", D("98.181818")),
        )
    }  # fmt: skip
    row = prepare_restatement(
        fund=small.fund, first=APRIL.date(), amount=(-april.nav / 10).quantize(D("0.01")),
        cause="a price was old", evidence="quote of 1 April", actor=small.maker,
    )  # fmt: skip
    for signer in (small.checker, director()):
        row = sign_restatement(restatement=row, seen_hash=row.content_hash, actor=signer)
    assert row.booked_at is not None
    assert verify_fund(small.fund) == []
