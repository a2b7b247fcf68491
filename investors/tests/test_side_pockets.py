"""Side pockets from the proposal to the NAV that sets a claim apart, and what follows it."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction

from investors.models import (
    DealingOrder,
    Holding,
    Paper,
    PocketEntry,
    SidePocket,
    UnitEntry,
    UnitLot,
)
from investors.services.investor_statements import make_due_statements, make_statements
from investors.services.ledger import read_balances
from investors.services.nav_as_known import nav_as_known
from investors.services.pocket_books import compare_pockets, read_pocket_holdings
from investors.services.pockets import decide_pocket, propose_pocket, withdraw_pocket
from investors.services.verification import verify_fund
from investors.tests.fund_support import FIRST, SmallFund, first_of, make_fund_of
from magnetfund.core.actors import Actor
from magnetfund.core.roles import Role
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import FundError
from magnetfund.operations.people import ensure_user

pytestmark = pytest.mark.django_db
D = Decimal
FEBRUARY, MARCH, APRIL, MAY = (first_of(2025, month) for month in (2, 3, 4, 5))
PLAIN = {"management_rate": "0", "performance_rate": "0.2"}


def found_fund(a: dict[str, Any] | None = None, b: dict[str, Any] | None = None) -> SmallFund:
    """Ann holds 600 units of A and Bob 400, Cyd 1,000 of B, at 100: 200,000 in all, at the venue;
    the fund earns 20,000, so that every unit is worth 110 with a fee of 2 accrued."""
    fund = make_fund_of("main", {"A": PLAIN | (a or {}), "B": PLAIN | (b or {})})
    for at in (FIRST, FEBRUARY, MARCH, APRIL, MAY):
        fund.day(at)
    fund.subscribe("ann", "60000", before=FIRST)
    fund.subscribe("bob", "40000", before=FIRST)
    fund.subscribe("cyd", "100000", before=FIRST, code="B")
    fund.strike(FIRST)
    fund.earn("20000", at=FIRST + timedelta(days=3))
    return fund


def director() -> Actor:
    return Actor.of(ensure_user(email="dora@example.com", name="Dora", roles=[Role.DIRECTOR]))


def propose(small: SmallFund, value: str = "22000", **given: Any) -> SidePocket:
    return propose_pocket(
        **{
            "fund": small.fund, "asset": "Claim against Example Exchange", "account": "1030",
            "value": D(value), "cause": "it stopped paying out",
            "notice": "Example Exchange stopped paying out.", "actor": small.maker, **given,
        }
    )  # fmt: skip


def agree(small: SmallFund, value: str = "22000", **given: Any) -> SidePocket:
    return decide_pocket(
        proposal=propose(small, value, **given), is_approved=True, actor=director()
    )


def refused(step: Any, *args: Any, **more: Any) -> str:
    with pytest.raises(FundError) as found, transaction.atomic():
        step(*args, **more)
    return found.value.code


def units_of(small: SmallFund, name: str, code: str = "A") -> Decimal:
    return Holding.objects.get(
        investor=small.investor(name), share_class=small.share_class(code)
    ).units


def balance(small: SmallFund, account: str) -> Decimal:
    return read_balances(small.fund).get((account, "USD"), D(0))


def test_a_tenth_of_every_lot_goes_and_the_price_stays():
    """22,000 of 220,000 is a tenth: Ann's 600 units become 540 and 60 of the pocket, carried at
    6,600; of her accrued 1,200 the 120 on them are released.  The next NAV is without the claim."""
    small = found_fund()
    agree(small)
    strike = small.strike(FEBRUARY)
    assert (strike.nav, strike.classes.get(share_class__code="A").price) == (D(216000), D(110))
    assert [units_of(small, *who) for who in (("ann",), ("bob",), ("cyd", "B"))] == [540, 360, 900]
    held = read_pocket_holdings(small.fund, investor=small.investor("ann").pk)
    assert [(row.units, row.value, row.mark) for row in held] == [(60, 6600, 100)]
    assert (balance(small, "1500"), balance(small, "3020")) == (D(22000), D(-22000))
    # A fifth of the gain of 10 on 1,800 units is still accrued.
    assert (balance(small, "2110"), balance(small, "1030")) == (D(-3600), D(178000))
    assert small.book_cash() == D(178000)
    assert verify_fund(small.fund) == []
    # Nothing happened since: the same price, and the NAV without the claim.
    march = small.strike(MARCH)
    assert march.classes.get(share_class__code="A").price == D(110)
    assert march.nav == D(220000 - 22000 - 3600)
    assert compare_pockets(small.fund) == []
    assert verify_fund(small.fund) == []


def test_who_comes_at_the_nav_has_no_part_and_who_leaves_keeps_his():
    small = found_fund()
    agree(small)
    small.subscribe("dan", "11000", before=FEBRUARY)
    small.redeem("bob", None, before=FEBRUARY)
    small.strike(FEBRUARY)
    assert (units_of(small, "dan"), units_of(small, "bob")) == (100, 0)
    order = DealingOrder.objects.get(kind="redemption")
    # 360 units at 110 less a fee of 2 each.
    assert (order.dealt_units, order.dealt_amount) == (D(360), D(38880))
    names = {row.investor: row.units for row in read_pocket_holdings(small.fund)}
    assert names == {
        small.investor("ann").pk: 60, small.investor("bob").pk: 40, small.investor("cyd").pk: 100,
    }  # fmt: skip
    assert verify_fund(small.fund) == []


def test_an_order_of_more_than_is_left_is_dealt_with_what_is_left():
    """Bob asked for his 400 units, Ann for 300 of 600: he gets 360, she 300."""
    small = found_fund()
    agree(small)
    small.redeem("bob", "400", before=FEBRUARY)
    small.redeem("ann", "300", before=FEBRUARY)
    small.strike(FEBRUARY)
    dealt = dict(
        DealingOrder.objects.filter(kind="redemption").values_list(
            "investor__legal_name", "dealt_units"
        )
    )
    assert dealt == {"Bob": 360, "Ann": 300}
    assert (units_of(small, "ann"), units_of(small, "bob")) == (240, 0)
    assert verify_fund(small.fund) == []


def test_a_gated_order_waits_over_the_creation():
    """A gate of a tenth: Bob's order over all of his 400 units is dealt in part in February and
    waits; the pocket takes its share of what he still has in March."""
    small = found_fund({"gate_share": "0.1"}, {"gate_share": "0.1"})
    small.redeem("bob", None, before=FEBRUARY)
    small.redeem("ann", "600", before=FEBRUARY)
    small.strike(FEBRUARY)
    before = {name: units_of(small, name) for name in ("ann", "bob")}
    value = D(20000)
    gross = balance(small, "1030") + balance(small, "2110")
    assert gross > 0
    agree(small, f"{value}")
    march = small.strike(MARCH)
    gav = sum((row.gav for row in march.classes.all()), D(0))
    for name, held in before.items():
        part = (held * value / gav).quantize(D("0.000001"), rounding="ROUND_DOWN")
        rows = read_pocket_holdings(small.fund, investor=small.investor(name).pk)
        assert [row.units for row in rows] == [part]
    assert verify_fund(small.fund) == []
    small.strike(APRIL)
    assert verify_fund(small.fund) == []


def test_a_year_end_crystallises_the_main_units_alone():
    """In February the year ends as well: 540 units of Ann cost 1,080, that is 9.818181 units at
    110; the 60 of the pocket keep their mark of 100."""
    small = found_fund({"crystallisation_months": [1]}, {"crystallisation_months": [1]})
    agree(small)
    small.strike(FEBRUARY)
    assert units_of(small, "ann") == D(540) - D("9.818181")
    held = read_pocket_holdings(small.fund, investor=small.investor("ann").pk)
    assert [(row.units, row.mark) for row in held] == [(60, 100)]
    lot = UnitLot.objects.get(holding__investor=small.investor("ann"))
    assert lot.high_water_mark == D(110)
    assert verify_fund(small.fund) == []
    small.earn("1000", at=FEBRUARY + timedelta(days=1))
    small.strike(MARCH)
    assert verify_fund(small.fund) == []


def test_two_pockets_at_one_nav_and_a_third_later():
    small = found_fund()
    agree(small, "22000")
    agree(small, "11000", asset="Frozen deposit")
    small.strike(FEBRUARY)
    # A tenth and a twentieth of 600.
    assert units_of(small, "ann") == 510
    assert UnitEntry.objects.filter(kind="side_pocket_out").count() == 3
    assert PocketEntry.objects.count() == 6
    agree(small, "7777.77", asset="Second claim")
    small.strike(MARCH)
    assert balance(small, "1500") == D("40777.77")
    assert verify_fund(small.fund) == []


def test_nobody_is_charged_for_what_stands_apart():
    """A year's management fee of 2 % over February's 28 days is on what is left, 198,000."""
    small = found_fund({"management_rate": "0.02", "performance_rate": "0"},
                       {"management_rate": "0.02", "performance_rate": "0"})  # fmt: skip
    small.strike(FEBRUARY)
    agree(small, "20000")
    small.strike(MARCH)
    april = small.strike(APRIL)
    marched = {row.share_class.code: row for row in small.fund.strikes.order_by("valuation_at")
               .all()[2].classes.select_related("share_class")}  # fmt: skip
    for row in april.classes.select_related("share_class"):
        base = marched[row.share_class.code].gav - D(20000) * marched[row.share_class.code].gav / (
            sum((other.gav for other in marched.values()), D(0))
        )
        assert abs(row.management_fee - base * D("0.02") * 31 / 365) < D("0.02")
    assert verify_fund(small.fund) == []


def test_a_statement_ties_over_the_creation_and_shows_the_pocket():
    small = found_fund()
    agree(small)
    small.strike(FEBRUARY)
    small.earn("1980", at=FEBRUARY + timedelta(days=3))
    small.strike(MARCH)
    run = make_statements(fund=small.fund, period="2025-02", actor=small.maker)
    assert (len(run.made), run.refused) == (3, {})
    paper = next(row for row in run.made if row.investor == small.investor("ann"))
    lines = {words: amount for words, amount, _ in paper.data["bridge"]}
    # 60 units at their net value of 108.
    assert lines["Set apart in side pockets"] == "\N{MINUS SIGN}6,480.00"
    assert paper.data["pockets"][0][3:5] == ["60.000000", "6,600.00"]
    assert verify_fund(small.fund) == []


def test_who_left_and_has_a_part_in_a_claim_still_gets_a_statement():
    """Bob redeems his main units in February; in March he has 40 units of the pocket alone."""
    small = found_fund()
    agree(small)
    small.redeem("bob", None, before=FEBRUARY)
    for at in (FEBRUARY, MARCH, APRIL):
        small.strike(at)
    ann, cyd = small.investor("ann"), small.investor("cyd")
    for who in (ann, cyd):
        make_statements(fund=small.fund, period="2025-03", actor=small.maker, investor=who)
    assert make_due_statements(small.fund, most=9) != "0 statements made"
    paper = Paper.objects.get(investor=small.investor("bob"), period="2025-03")
    assert paper.data["pockets"][0][3:5] == ["40.000000", "4,400.00"]
    assert paper.data["lots"] == []


def test_what_a_nav_set_apart_is_replayed():
    small = found_fund()
    agree(small)
    strike = small.strike(FEBRUARY)
    now = utc_now()
    first = nav_as_known(fund=small.fund, valuation_at=FEBRUARY, known_at=now)
    agree(small, "1000", asset="Another")
    small.strike(MARCH)
    assert nav_as_known(fund=small.fund, valuation_at=FEBRUARY, known_at=now).content() == (
        first.content()
    )
    assert first.plain()["result_hash"] == strike.result_hash


def test_what_was_withdrawn_since_changes_no_nav_that_was_known():
    """Signed, known, withdrawn, and the NAV dealt without it: the same bytes as when it waited."""
    small = found_fund()
    small.strike(FEBRUARY)
    row = agree(small)
    known = utc_now()

    def replay() -> bytes:
        return nav_as_known(fund=small.fund, valuation_at=MARCH, known_at=known).content()

    waiting = replay()
    withdraw_pocket(pocket=row, reason="it pays again", actor=director())
    assert replay() == waiting
    small.strike(MARCH)
    assert replay() == waiting
    agree(small)
    small.strike(APRIL)
    assert replay() == waiting
    now = nav_as_known(fund=small.fund, valuation_at=MARCH, known_at=utc_now()).content()
    assert now != waiting


def test_what_is_proposed_is_decided_by_a_director_and_can_be_withdrawn():
    small = found_fund()
    for code, given in (
        ("asset_missing", {"asset": " "}), ("cause_missing", {"cause": ""}),
        ("notice_missing", {"notice": ""}), ("unknown_account", {"account": "1010"}),
        ("wrong_amount", {"value": D("1.001")}), ("wrong_amount", {"value": D(0)}),
        ("not_in_account", {"value": D(200001)}),
    ):  # fmt: skip
        assert refused(propose, small, **given) == code
    row = propose(small)
    assert refused(decide_pocket, proposal=row, is_approved=True, actor=small.maker)
    assert refused(decide_pocket, proposal=row, is_approved=True, actor=small.checker)
    assert refused(decide_pocket, proposal=row, is_approved=False, actor=director()) == (
        "reason_missing"
    )
    done = decide_pocket(proposal=row, is_approved=True, actor=director())
    assert refused(decide_pocket, proposal=row, is_approved=True, actor=director()) == (
        "proposal_closed"
    )
    # What waits counts against the account.
    assert refused(propose, small, "180000") == "not_in_account"
    withdraw_pocket(pocket=done, reason="paid after all", actor=small.maker)
    assert refused(withdraw_pocket, pocket=done, reason="again", actor=small.maker) == "not_waiting"
    small.strike(FEBRUARY)
    assert (balance(small, "1500"), units_of(small, "ann")) == (0, 600)
    assert verify_fund(small.fund) == []


def test_a_pocket_approved_after_the_nav_was_prepared_makes_it_stale():
    small = found_fund()
    strike = small.prepare(FEBRUARY)
    agree(small)
    assert refused(small.approve, strike) == "stale"
