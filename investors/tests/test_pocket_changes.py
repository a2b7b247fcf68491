"""What becomes of a side pocket: new values, cash for its holders less their fees, its end."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from investors.domain.dealing import PocketLot, change_pocket
from investors.domain.fees import ClassTerms
from investors.domain.payments import PaymentKind
from investors.models import NavStrike, Payment, PocketChange, SidePocket, StatementLine
from investors.services.investor_statements import make_statements
from investors.services.payment_drafts import list_owed_by_lot, prepare_of_lots
from investors.services.payments import return_payment
from investors.services.pocket_books import read_pocket_holdings
from investors.services.pocket_changes import decide_change, propose_change, withdraw_change
from investors.services.verification import verify_fund
from investors.tests.fund_support import SmallFund
from investors.tests.test_payments import bank_of, pay, payee_of
from investors.tests.test_receipts import account_of, bring, camt, entry
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
)

D = Decimal
POCKET = PaymentKind.POCKET


def pocketed(**terms: Any) -> SmallFund:
    """Ann has 60 units of the pocket, Bob 40, Cyd 100 of class B: 22,000 at 110, mark 100."""
    small = found_fund(terms, terms)
    agree(small)
    small.strike(FEBRUARY)
    return small


def change(small: SmallFund, value: str, cash: str = "0", **given: Any) -> PocketChange:
    row = propose_change(
        pocket=SidePocket.objects.get(), value=D(value), cash=D(cash),
        source="letter of the liquidator", actor=small.maker, **given,
    )  # fmt: skip
    return decide_change(proposal=row, is_approved=True, actor=director())


def parts(small: SmallFund) -> dict[str, tuple[Decimal, Decimal]]:
    names = {small.investor(name).pk: name for name in ("ann", "bob", "cyd")}
    return {names[row.investor]: (row.units, row.value) for row in read_pocket_holdings(small.fund)}


def lot(name: str, units: str, price: str, value: str, code: str = "A") -> PocketLot:
    return PocketLot(
        lot=name, share_class=code, holder=name, units=D(units), price=D(price), value=D(value),
        mark=D(100), clock=date(2025, 1, 1),
    )  # fmt: skip


def test_half_a_claim_is_paid_by_the_weight_of_the_creation_and_charged_over_the_mark():
    """60 units at 110 and 20 at 220 weigh 6,600 and 4,400.  The claim of 11,000 comes to 13,200: a
    unit of the first is worth 132, 32 above its mark.  Half is paid: 30 units for 3,960, a fifth of
    30 x 32 is 192; 10 units at 264 for 2,640, a fifth of 10 x 164 is 328."""
    terms = {code: ClassTerms(performance_rate=D("0.2")) for code in "AB"}
    lots = [lot("a", "60", "110", "6600"), lot("b", "20", "220", "4400", "B")]
    one, two = change_pocket(
        lots=lots, cash=D(6600), rest=D(6600), terms=terms, day=date(2025, 3, 1)
    )
    assert (one.price, one.units, one.gross, one.fee, one.net) == (132, 30, 3960, 192, 3768)
    assert (two.price, two.units, two.gross, two.fee) == (264, 10, 2640, 328)
    assert (one.change, two.change) == (1320, 880)


pytestmark = pytest.mark.django_db


def test_a_write_down_moves_the_claim_and_no_price():
    small = pocketed()
    before = small.strike(MARCH)
    change(small, "11000")
    april = small.strike(APRIL)
    assert (april.nav, balance(small, "1500"), balance(small, "3020")) == (
        before.nav, D(11000), D(-11000),
    )  # fmt: skip
    assert parts(small) == {"ann": (60, 3300), "bob": (40, 2200), "cyd": (100, 5500)}
    assert verify_fund(small.fund) == []


def test_cash_at_the_venue_is_paid_to_who_held_the_units_less_their_fees():
    """13,200 come in and 13,200 rest: 26,400 are 132 a unit.  Ann's 30 units are paid 3,960 less a
    fee of 192; in May the rest comes in."""
    small = pocketed()
    small.redeem("bob", None, before=MARCH)
    small.strike(MARCH)
    change(small, "13200", "13200")
    april = small.strike(APRIL)
    assert april.nav == small.fund.strikes.get(valuation_at=MARCH).nav - D(38880)
    owed = list_owed_by_lot(small.fund, POCKET)
    assert owed == {
        small.investor("ann").pk: D(3768), small.investor("bob").pk: D(2512),
        small.investor("cyd").pk: D(6280),
    }  # fmt: skip
    assert (balance(small, "2040"), balance(small, "1500")) == (D(-12560), D(13200))
    assert parts(small)["ann"] == (30, 3960)
    assert verify_fund(small.fund) == []
    change(small, "0", "13200")
    small.strike(MAY)
    assert (parts(small), balance(small, "1500"), balance(small, "3020")) == ({}, 0, 0)
    assert list_owed_by_lot(small.fund, POCKET)[small.investor("ann").pk] == D(7536)
    assert verify_fund(small.fund) == []
    # Paid, returned and paid again, as every payment is.
    account, payee = bank_of(small), payee_of(small)
    row = prepare_of_lots(fund=small.fund, kind=POCKET, payee=payee, actor=small.maker)
    assert (row.kind, row.amount, row.text) == ("pocket", D(7536), "Side-pocket proceeds main-ann")
    again = {"fund": small.fund, "kind": POCKET, "payee": payee, "actor": small.maker}
    assert refused(prepare_of_lots, **again) == "nothing_owed"
    pay(small, row, account)
    assert small.investor("ann").pk not in list_owed_by_lot(small.fund, POCKET)
    return_payment(payment=row, reason="account closed", actor=small.maker)
    pay(small, prepare_of_lots(**again), account)
    assert Payment.objects.filter(kind="pocket", state="confirmed").count() == 1
    assert verify_fund(small.fund) == []


def test_what_came_in_is_what_went_out_and_what_is_left():
    """Cash in = cash out + fees + NAV + what stands apart, with a claim that came to more."""
    small = pocketed()
    change(small, "0", "30000")
    small.strike(MARCH)
    gained = D(20000) + D(8000)
    cash_in = D(200000) + gained
    last = NavStrike.objects.get(valuation_at=MARCH)
    owed = -(balance(small, "2040") + balance(small, "2120"))
    assert owed == D(30000)
    assert last.nav + owed + (-balance(small, "2110")) == cash_in
    assert verify_fund(small.fund) == []


def test_a_receipt_pays_the_holders_once():
    """15,000 came to the bank for the claim, 7,000 rest; nothing else can use the money."""
    small = pocketed()
    account = account_of(small)
    bring(
        small, camt(entry(amount="15000.00", reference="C1", name="Example Exchange")), account,
        at=FEBRUARY + timedelta(days=5),
    )  # fmt: skip
    line = StatementLine.objects.get(reference="C1")
    given = {"pocket": SidePocket.objects.get(), "value": D(7000), "source": "x", "line": line}
    assert refused(propose_change, **given, cash=D(15001), actor=small.maker) == "not_received"
    change(small, "7000", "15000", line=line)
    march = small.strike(MARCH)
    line.refresh_from_db()
    assert (line.open_amount, balance(small, "2015"), balance(small, "1020")) == (0, 0, 0)
    assert balance(small, "1500") == D(7000)
    assert -(balance(small, "2040") + balance(small, "2120")) == D(15000)
    assert march.nav == D(194400)
    assert verify_fund(small.fund) == []


def test_a_claim_that_comes_to_nothing_is_closed():
    small = pocketed()
    change(small, "0")
    small.strike(MARCH)
    assert (parts(small), balance(small, "1500"), balance(small, "3020")) == ({}, 0, 0)
    assert list_owed_by_lot(small.fund, POCKET) == {}
    assert verify_fund(small.fund) == []
    assert refused(
        propose_change, pocket=SidePocket.objects.get(), value=D(1), source="x", actor=small.maker
    ) == "pocket_empty"  # fmt: skip


def test_a_statement_shows_the_new_value_and_ties_over_a_payment():
    small = pocketed()
    change(small, "11000", "5500")
    small.strike(MARCH)
    small.earn("1980", at=MARCH + timedelta(days=3))
    small.strike(APRIL)
    run = make_statements(fund=small.fund, period="2025-03", actor=small.maker)
    assert (len(run.made), run.refused) == (3, {})
    paper = next(row for row in run.made if row.investor == small.investor("ann"))
    assert paper.data["pockets"][0][3:5] == ["40.000000", "3,300.00"]
    assert verify_fund(small.fund) == []


def test_what_is_proposed_waits_alone_and_can_be_withdrawn():
    small = found_fund()
    row = agree(small)
    given = {"pocket": row, "value": D(1), "source": "x", "actor": small.maker}
    assert refused(propose_change, **given) == "not_set_apart"
    small.strike(FEBRUARY)
    for code, more in (
        ("source_missing", {"source": ""}), ("wrong_amount", {"value": D("-1")}),
        ("wrong_amount", {"cash": D("0.001")}),
    ):  # fmt: skip
        assert refused(propose_change, **given | more) == code
    waiting = propose_change(**given)
    assert refused(propose_change, **given) == "proposal_open"
    assert refused(decide_change, proposal=waiting, is_approved=True, actor=small.checker)
    prepared = small.prepare(MARCH)
    done = decide_change(proposal=waiting, is_approved=True, actor=director())
    assert refused(small.approve, prepared) == "stale"
    withdraw_change(change=done, reason="too early", actor=small.maker)
    small.approve(prepared)
    assert balance(small, "1500") == D(22000)
    assert verify_fund(small.fund) == []
