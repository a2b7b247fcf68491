"""Stablecoins at their rates: a depeg by hand, par and its band, money sent, and its books."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from investors.domain.coins import (
    applied_rate,
    convert_money,
    recompute_difference,
    value_difference,
)
from investors.models import Entry, NavStrike, ParTerm
from investors.services.coin_values import find_restated_rates, list_held
from investors.services.estimates import estimate_prices
from investors.services.investor_statements import make_statements
from investors.services.ledger import read_balances
from investors.services.nav import reject_strike
from investors.services.nav_as_known import nav_as_known
from investors.services.nav_errors import measure_nav_errors
from investors.services.par_terms import decide_par, is_par_agreed, propose_par
from investors.services.pocket_changes import withdraw_change
from investors.services.statement_books import read_books
from investors.services.statement_periods import find_period
from investors.services.verification import verify_fund
from investors.tests.fund_support import FIRST, SmallFund, first_of, make_fund_of
from investors.tests.test_coin_rates import HOUR, refused, say
from investors.tests.test_pocket_changes import change
from investors.tests.test_side_pockets import agree as set_apart
from magnetfund.kernel.clock import utc_now
from magnetfund.tests.walls_support import make_instrument
from trading.models import BookFlow

D = Decimal
FEBRUARY, MARCH, APRIL, MAY = (first_of(2025, month) for month in (2, 3, 4, 5))


@pytest.fixture
def small(db: Any) -> SmallFund:
    return begin(performance_rate="0.2", management_rate="0.02")


def begin(**terms: str) -> SmallFund:
    """60,000 of Ann's went into USDC at par; 40,000 more are owed by the manager, in dollars."""
    make_instrument("BTC/USDC:USDC", venue="binanceusdm", settle="USDC")
    fund = make_fund_of("main", {"A": terms})
    for at in (FIRST, FEBRUARY, MARCH, APRIL, MAY):
        fund.day(at)
    fund.subscribe("ann", "60000", before=FIRST)
    say(fund, "1", at=FIRST, coin="USDC")
    fund.strike(FIRST)
    fund.earn("40000", at=FIRST + timedelta(days=3))
    return fund


def balance(small: SmallFund, account: str, *, before: Any = None) -> Decimal:
    return read_balances(small.fund, before=before).get((account, small.fund.currency), D(0))


def agree(small: SmallFund, *, first: date, is_at_par: bool = True) -> ParTerm:
    row = propose_par(
        fund=small.fund, coin="USDC", is_at_par=is_at_par, first_day=first, reference="board 7",
        actor=small.maker,
    )  # fmt: skip
    return decide_par(proposal=row, is_approved=True, actor=small.checker)


def lines(strike: NavStrike) -> dict[str, Decimal]:
    return {name: D(amount) for name, amount in strike.waterfall}


def test_a_depeg_day_worked_by_hand(small: SmallFund):
    """60,000 USDC at 0.88 are 52,800: net assets are 92,800 and not 100,000.

    The currency result is -7,200 and the trading result +40,000.  The management fee is 2 % of
    60,000 over 31 days, 101.92; the performance fee a fifth of (92,698.08 - 60,000), 6,539.62.  So
    the fees follow the fall: at par they would have been 7,979.62.
    """
    say(small, "0.88", at=FEBRUARY - HOUR, coin="USDC")
    row = small.strike(FEBRUARY)
    told = lines(row)
    assert told["net assets before fees"] == D("92800.00")
    assert told["currency result of stablecoins"] == D("-7200.00")
    assert told["trading result for the period"] == D("40000.00")
    assert told["management fee"] == D("-101.92")
    assert abs(told["accrued performance fee (not crystallised)"] + D("6539.62")) <= D("0.01")
    assert row.checklist[-1]["name"] == "USDC valued and counted again"
    assert "0.88 (exchange page" in row.checklist[-1]["words"]
    assert "difference -7,200.00 against -7,200.00" in row.checklist[-1]["words"]
    assert all(line["passed"] for line in row.checklist)
    assert balance(small, "1040", before=FEBRUARY) == D("-7200")
    assert balance(small, "4055") == D("7200")
    known = nav_as_known(fund=small.fund, valuation_at=FEBRUARY, known_at=utc_now())
    assert (known.strike.nav, known.strike.net_assets) == (row.nav, row.gross_assets)
    assert verify_fund(small.fund) == []


def test_the_sum_over_strikes_is_the_way_of_the_rate(db: Any):
    """0.88, then 0.97, then par again: -7,200 + 5,400 + 1,800 come to nothing."""
    small = begin(performance_rate="0", management_rate="0")
    moved = []
    for at, rate in ((FEBRUARY, "0.88"), (MARCH, "0.97"), (APRIL, "1")):
        say(small, rate, at=at, coin="USDC")
        held = list_held(small.fund, before=at, positions=[])[0].amount
        row = small.strike(at)
        moved.append((held, lines(row).get("currency result of stablecoins", D(0))))
    assert moved == [(60000, D("-7200")), (60000, D("5400")), (60000, D("1800"))]
    assert balance(small, "1040") == balance(small, "4055") == 0
    assert Entry.objects.filter(kind="coins_valued").count() == 3
    assert verify_fund(small.fund) == []


def test_money_becomes_coins_and_coins_money_at_the_rate_of_the_nav(small: SmallFund):
    """At 0.9996, 10,000 USD are 10,004.00160064 USDC; nobody gains by the exchange.  In March the
    coin stands at 1: the currency result is 0.0004 of all that is held, bought then or before."""
    say(small, "0.9996", at=FEBRUARY, coin="USDC")
    small.subscribe("bob", "10000", before=FEBRUARY)
    row = small.strike(FEBRUARY)
    flow = BookFlow.objects.order_by("-pk").first()
    assert flow is not None
    fee = -lines(row)["management fee"]
    paid = 10000 - fee
    assert flow.amount == convert_money(paid, D("0.9996"))
    assert convert_money(D(10000), D("0.9996")) == D("10004.00160064")
    assert balance(small, "1030") == 60000 + flow.amount
    # Before: 60,000 x -0.0004; the new coins stand at what they cost.
    assert balance(small, "1040") == D("-24") - (flow.amount - paid)
    entry = Entry.objects.get(source_ref=f"venue_funded:strike:{row.pk}")
    assert "against 9,902.04081632 USDC at 0.9996" in entry.text or "USDC at 0.9996" in entry.text
    say(small, "1", at=MARCH, coin="USDC")
    held = list_held(small.fund, before=MARCH, positions=[])[0].amount
    march = small.strike(MARCH)
    expected = (held * D("0.0004")).quantize(D("0.01"))
    assert abs(lines(march)["currency result of stablecoins"] - expected) <= D("0.01")
    assert verify_fund(small.fund) == []


def test_a_redemption_at_a_low_rate_takes_more_coins(small: SmallFund):
    """What is owed in dollars leaves the venue in coins at the NAV's rate, and moves no value."""
    say(small, "0.8", at=FEBRUARY, coin="USDC")
    small.redeem("ann", "100", before=FEBRUARY)
    row = small.strike(FEBRUARY)
    flow = BookFlow.objects.order_by("-pk").first()
    assert flow is not None
    owed = -sum(balance(small, code) for code in ("2020", "2100", "2120"))
    assert flow.amount == convert_money(-owed, D("0.8")) < -owed
    assert balance(small, "1010") == owed
    after = sum(
        amount for (account, unit), amount in read_balances(small.fund).items()
        if unit == "USD" and account[0] in "12"
    )  # fmt: skip
    left = row.classes.get()
    assert abs(after - (left.units - 100) * left.nav_per_unit) < D("0.05")
    assert verify_fund(small.fund) == []


@pytest.mark.parametrize(
    ("rate", "applied", "words"),
    [
        ("0.995", "1", "at par"),
        ("1.005", "1", "at par"),
        ("0.9949", "0.9949", "par is void beyond 0.5 %"),
        ("0.88", "0.88", "par is void beyond 0.5 %"),
    ],
)
def test_agreed_par_holds_to_half_a_per_cent(small: SmallFund, rate: str, applied: str, words: str):
    agree(small, first=date(2025, 2, 1))
    say(small, rate, at=FEBRUARY, coin="USDC")
    row = small.strike(FEBRUARY)
    [taken] = row.inputs["coins"]
    assert (taken["rate"], taken["applied"], taken["is_par_agreed"]) == (rate, applied, True)
    assert words in row.checklist[-1]["words"]
    expected = 60000 * (D(applied) - 1)
    assert lines(row).get("currency result of stablecoins", D(0)) == expected
    assert verify_fund(small.fund) == []


def test_par_is_a_term_of_two_people_from_a_day_that_no_nav_counted(small: SmallFund):
    def propose(**given: Any) -> ParTerm:
        said = {
            "fund": small.fund, "coin": "USDC", "is_at_par": True, "first_day": date(2025, 2, 1),
            "reference": "board 7", "actor": small.maker,
        }  # fmt: skip
        return propose_par(**{**said, **given})

    assert refused(propose, coin="USD") == "unknown_coin"
    assert refused(propose, reference=" ") == "no_reference"
    assert refused(propose, first_day=date(2025, 1, 1)) == "period_closed"
    row = propose()
    assert refused(propose) == "par_known"
    assert refused(decide_par, proposal=row, is_approved=True, actor=small.maker) != ""
    assert not is_par_agreed(small.fund, "USDC", at=FEBRUARY)
    say(small, "0.999", at=FEBRUARY, coin="USDC")
    prepared = small.prepare(FEBRUARY)
    assert lines(prepared)["currency result of stablecoins"] == D("-60.00")
    decide_par(proposal=row, is_approved=True, actor=small.checker)
    assert refused(small.approve, prepared) == "stale"
    reject_strike(strike=prepared, reason="par", actor=small.checker)
    dealt = small.strike(FEBRUARY)
    assert "currency result of stablecoins" not in lines(dealt)
    assert balance(small, "1040") == 0
    late = propose(first_day=date(2025, 3, 1), is_at_par=False)
    say(small, "0.999", at=MARCH, coin="USDC")
    small.strike(MARCH)
    assert refused(decide_par, proposal=late, is_approved=True, actor=small.checker) == (
        "period_closed"
    )
    agree(small, first=date(2025, 4, 1), is_at_par=False)
    say(small, "0.999", at=APRIL, coin="USDC")
    assert "currency result of stablecoins" in lines(small.strike(APRIL))
    assert verify_fund(small.fund) == []


def test_a_rate_put_right_after_the_nav_is_an_error_of_the_nav(small: SmallFund):
    """The page that was read showed 0.98; the market had closed at 0.95.  The NAV stays, and what
    it lacked, 60,000 x -0.03, goes the way of every error."""
    say(small, "0.98", at=FEBRUARY, coin="USDC")
    row = small.strike(FEBRUARY)
    say(small, "0.95", at=FEBRUARY, coin="USDC")
    row.refresh_from_db()
    assert (row.state, row.inputs["coins"][0]["applied"]) == ("dealt", "0.98")
    [found] = find_restated_rates(small.fund)
    assert (found.strike, found.coin, found.taken, found.now) == (row, "USDC", D("0.98"), D("0.95"))
    assert found.lacked == D("-1800")
    errors = measure_nav_errors(fund=small.fund, first=date(2025, 2, 1), amount=found.lacked)
    assert errors.restated[0].right.net_assets == row.gross_assets - 1800
    assert verify_fund(small.fund) == []


def test_a_side_pocket_takes_venue_cash_at_par_alone(db: Any):
    """A claim leaves venue cash one for one, so it waits for a NAV that takes the coin at par."""
    small = begin(performance_rate="0", management_rate="0")
    set_apart(small, "10000")
    say(small, "0.9", at=FEBRUARY, coin="USDC")
    row = small.prepare(FEBRUARY)
    assert [line["name"] for line in row.checklist if not line["passed"]] == [
        "side pockets take venue cash at par"
    ]
    reject_strike(strike=row, reason="off par", actor=small.checker)
    say(small, "1", at=FEBRUARY, coin="USDC")
    small.strike(FEBRUARY)
    say(small, "0.9", at=MARCH, coin="USDC")
    march = small.strike(MARCH)
    assert march.inputs["coins"][0]["amount"] == "50000"
    assert lines(march)["currency result of stablecoins"] == D("-5000.00")
    assert verify_fund(small.fund) == []


def test_what_the_venue_pays_for_a_claim_is_counted_and_comes_at_par_alone(db: Any):
    """Off par it would come one for one and be owed to its holders in full: at 0.9 the fund would
    sell 11,111.11 coins for the 10,000 that came in, and the others bear the rest."""
    small = begin(performance_rate="0", management_rate="0")
    set_apart(small, "10000")
    say(small, "1", at=FEBRUARY, coin="USDC")
    before = small.strike(FEBRUARY).nav
    waiting = change(small, "0", "10000")
    say(small, "0.9", at=MARCH, coin="USDC")
    row = small.prepare(MARCH)
    assert [line["name"] for line in row.checklist if not line["passed"]] == [
        "side pockets take venue cash at par"
    ]
    assert "SP-1" in row.checklist[-1]["words"]
    reject_strike(strike=row, reason="off par", actor=small.checker)
    withdraw_change(change=waiting, reason="off par", actor=small.maker)
    low = small.strike(MARCH)
    change(small, "0", "10000")
    say(small, "1", at=APRIL, coin="USDC")
    april = small.strike(APRIL)
    assert april.nav == before - D(10000)
    assert low.nav == before - D(10000) - D(5000)
    assert (balance(small, "2040"), balance(small, "1040")) == (D(-10000), 0)
    say(small, "1", at=MAY, coin="USDC")
    may = small.strike(MAY)
    assert may.nav == april.nav
    assert may.inputs["coins"][0]["amount"] == "50000"
    assert all(line["passed"] for line in may.checklist)
    assert verify_fund(small.fund) == []


def test_an_estimate_takes_the_newest_rate_and_else_that_of_the_nav(small: SmallFund):
    """Half a day after the NAV at 0.9 the book is worth 61,000 coins and one of them 0.92."""
    say(small, "0.9", at=FEBRUARY, coin="USDC")
    row = small.strike(FEBRUARY)
    held = list_held(small.fund, before=FEBRUARY + HOUR, positions=[])[0].amount
    noon = FEBRUARY + timedelta(hours=12)
    small.value_book(f"{held}", at=noon)
    before = estimate_prices(small.fund, at=noon)
    assert before is not None
    assert not before.is_struck
    struck = row.classes.get().price
    assert struck is not None
    assert abs(before.prices["A"] - struck) < D("0.01"), "no newer rate: that of the NAV"
    say(small, "0.92", at=noon, coin="USDC")
    after = estimate_prices(small.fund, at=noon)
    assert after is not None
    gained = held * D("0.02") / row.classes.get().units
    assert abs(after.prices["A"] - before.prices["A"] - gained) < D("0.001")


def test_the_statement_has_the_line(small: SmallFund):
    """Ann holds all of it, so her line is the whole: -7,200 of currency in January."""
    say(small, "0.88", at=FEBRUARY, coin="USDC")
    small.strike(FEBRUARY)
    books = read_books(small.fund, find_period(small.fund, "2025-01"))
    assert books.periods[-1].result["fx"] == D("-7200")
    run = make_statements(fund=small.fund, period="2025-01", actor=small.maker)
    assert (len(run.made), run.refused) == (1, {})


rates = st.decimals(min_value="0.5", max_value="1.5", places=6)
amounts = st.decimals(min_value="-1e7", max_value="1e7", places=8)


@given(st.lists(amounts, max_size=8), rates, st.booleans())
def test_both_engines_come_to_the_same(parts: list[Decimal], rate: Decimal, is_agreed: bool):
    applied = applied_rate(rate, is_par_agreed=is_agreed)
    first = value_difference(sum(parts, D(0)), applied)
    assert recompute_difference(parts, rate, is_par_agreed=is_agreed) == first


@given(amounts, rates)
def test_an_exchange_moves_no_value(paid: Decimal, rate: Decimal):
    """The coins at their rate are what was paid, to the last stored digit."""
    coins = convert_money(paid, rate)
    assert abs(Fraction(coins) * Fraction(rate) - Fraction(paid)) <= Fraction(2, 10**8)
