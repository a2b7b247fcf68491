"""Rebates of fees from the letter to the bank: agreed, accrued by NAVs, paid, stated, verified."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction

from investors.domain.onboarding import KycState
from investors.domain.payments import PaymentKind
from investors.models import Entry, NavStrike, Payment, Rebate
from investors.services.investor_statements import make_statements
from investors.services.kyc import move_case
from investors.services.ledger import read_balances
from investors.services.money_accounts import add_payee
from investors.services.payment_drafts import (
    list_rebates,
    owed,
    prepare_fee,
    prepare_proceeds,
    prepare_rebate,
)
from investors.services.payments import approve_payment, return_payment
from investors.services.rebates import decide_rebate, propose_rebate
from investors.services.verification import verify_fund
from investors.tests.fund_support import FIRST, SmallFund, first_of, make_fund, make_fund_of
from investors.tests.test_payments import bank_of, pay, payee_of
from magnetfund.core.actors import Actor
from magnetfund.core.models import AuditEvent
from magnetfund.core.roles import Role
from magnetfund.kernel.errors import FundError
from magnetfund.tests.walls_support import make_user

pytestmark = pytest.mark.django_db
D = Decimal
FEBRUARY, MARCH, APRIL = first_of(2025, 2), first_of(2025, 3), first_of(2025, 4)


def found_fund(code: str = "main", **terms: Any) -> SmallFund:
    """Ann holds a quarter and Bob three quarters of 100,000."""
    fund = make_fund(code, **{"management_rate": "0.02", "performance_rate": "0", **terms})
    for at in (FIRST, FEBRUARY, MARCH, APRIL):
        fund.day(at)
    fund.subscribe("ann", "25000", before=FIRST)
    fund.subscribe("bob", "75000", before=FIRST)
    fund.strike(FIRST)
    return fund


def propose(small: SmallFund, name: str = "ann", **given: Any) -> Rebate:
    return propose_rebate(
        **{
            "investor": small.investor(name), "share_class": small.share_class(),
            "management_share": D("0.5"), "performance_share": D(0),
            "first_day": date(2025, 1, 1), "reference": "letter 7", "actor": small.maker, **given,
        }
    )  # fmt: skip


def agree(small: SmallFund, name: str = "ann", **given: Any) -> Rebate:
    return decide_rebate(
        proposal=propose(small, name, **given), is_approved=True, actor=small.checker
    )


def refused(step: Any, *args: Any, **more: Any) -> str:
    with pytest.raises(FundError) as found, transaction.atomic():
        step(*args, **more)
    return found.value.code


def balance(small: SmallFund, account: str) -> Decimal:
    return -read_balances(small.fund).get((account, "USD"), D(0))


def test_half_of_the_fee_of_a_quarter_of_the_class_goes_back_and_no_unit_moves():
    """2 % of 100,000 over the 31 days of January is 169.86; Ann bore 42.465, half of it is 21.2325,
    that is 21.23.  What the fund owes in all, and its NAV, are those of a fund without a rebate."""
    plain = found_fund("plain").strike(FEBRUARY)
    small = found_fund()
    agree(small)
    january = small.strike(FEBRUARY)
    assert (january.nav, january.result_hash) == (plain.nav, plain.result_hash)
    values = [
        set(row.lots.values_list("net_value_per_unit", flat=True)) for row in (january, plain)
    ]
    assert values[0] == values[1]
    assert january.classes.get().management_fee == D("169.86")
    assert (balance(small, "2160"), balance(small, "2100")) == (D("21.23"), D("148.63"))
    assert list_rebates(small.fund) == {small.investor("ann").pk: D("21.23")}
    # The bank keeps both until they are paid; the manager can have no more than is left.
    assert read_balances(small.fund)["1010", "USD"] == D("169.86")
    assert verify_fund(small.fund) == []


def test_an_agreement_counts_from_its_day_and_a_later_one_takes_its_place():
    """Of January's 31 days half for 10, and all of Ann's 42.465 for 6: (5 + 6) / 31 is 15.07."""
    small = found_fund()
    agree(small, first_day=date(2025, 1, 16))
    agree(small, first_day=date(2025, 1, 26), management_share=D(1), reference="letter 8")
    small.strike(FEBRUARY)
    assert balance(small, "2160") == D("15.07")
    agree(small, first_day=date(2025, 2, 1), management_share=D(0), reference="ended")
    small.strike(MARCH)
    assert balance(small, "2160") == D("15.07")
    assert verify_fund(small.fund) == []


def test_a_performance_fee_goes_back_as_it_becomes_final():
    """Bob's 750 units gain 7,500; a fifth is the fee, 1,500, and of that a tenth goes back.  On the
    third that he redeems the fee is final at once, on the rest at the year's end."""
    small = found_fund(management_rate="0", performance_rate="0.2", crystallisation_months=[3])
    agree(small, "bob", management_share=D(0), performance_share=D("0.1"))
    small.earn("10000", at=FIRST + timedelta(days=3))
    small.redeem("bob", "250", before=FEBRUARY)
    small.strike(FEBRUARY)
    assert (balance(small, "2160"), balance(small, "2120")) == (D(50), D(450))
    small.strike(MARCH)
    assert balance(small, "2160") == D(50)
    small.strike(APRIL)
    assert balance(small, "2160") == D(150)
    # Ann's 500 are the manager's whole; fee units leave two cents of dust with the lots.
    assert balance(small, "2120") == D("1849.98")
    assert verify_fund(small.fund) == []


def test_a_rebate_is_paid_once_returned_and_paid_again():
    small = found_fund()
    agree(small)
    small.strike(FEBRUARY)
    account, payee = bank_of(small), payee_of(small)
    row = prepare_rebate(fund=small.fund, payee=payee, actor=small.maker)
    assert (row.kind, row.amount, row.to_name) == ("rebate", D("21.23"), "Ann")
    assert (
        refused(prepare_rebate, fund=small.fund, payee=payee, actor=small.maker) == "nothing_owed"
    )
    assert refused(approve_payment, payment=row, seen_hash=row.content_hash, actor=small.maker) in (
        "not_allowed",
        "same_person",
        "missing_capability",
    )
    # What the next NAV adds is not in the payment that is on its way.
    small.strike(MARCH)
    second = list_rebates(small.fund)[small.investor("ann").pk]
    pay(small, row, account)
    assert balance(small, "2160") == second > 0
    return_payment(payment=row, reason="account closed", actor=small.maker)
    assert balance(small, "2160") == second + row.amount
    again = prepare_rebate(fund=small.fund, payee=payee, actor=small.maker)
    assert again.amount == second + row.amount
    pay(small, again, account)
    assert (balance(small, "2160"), list_rebates(small.fund)) == (0, {})
    assert verify_fund(small.fund) == []
    # The manager's own payment takes what is left of the fee.
    fee = prepare_fee(
        fund=small.fund, kind=PaymentKind.MANAGEMENT_FEE, text="fee", actor=small.maker,
        payee=payee_of(small, None, "MANAGERS0001"),
    )  # fmt: skip
    pay(small, fee, account)
    assert owed(small.fund, PaymentKind.MANAGEMENT_FEE) == 0
    assert small.strike(APRIL).state == NavStrike.State.DEALT
    assert verify_fund(small.fund) == []


def test_a_former_holder_whom_a_rebate_is_owed_to_does_not_leave():
    small = found_fund()
    agree(small)
    order = small.redeem("ann", None, before=FEBRUARY)
    small.strike(FEBRUARY)
    account, payee = bank_of(small), payee_of(small)
    row = prepare_proceeds(order=order, payee=payee, actor=small.maker)
    given: dict[str, Any] = {
        "investor": small.investor("ann"), "to": KycState.EXITED, "reason": "moved away",
        "actor": Actor.of(make_user("lea", Role.COMPLIANCE)),
    }  # fmt: skip
    pay(small, row, account)
    assert refused(move_case, **given) == "still_holds"
    row = prepare_rebate(fund=small.fund, payee=payee, actor=small.maker)
    assert refused(move_case, **given) == "still_holds"
    pay(small, row, account)
    assert move_case(**given).kyc_state == "exited"


def test_no_rebate_leaves_for_another_or_for_an_account_that_nobody_approved():
    small = found_fund()
    agree(small)
    small.strike(FEBRUARY)
    fresh = add_payee(
        fund=small.fund, investor=small.investor("ann"), kind="bank", number="NEWACCOUNT1",
        currency="USD", name="Ann", evidence="call-back", actor=small.maker,
    )  # fmt: skip
    prepare = {"fund": small.fund, "actor": small.maker}
    assert refused(prepare_rebate, payee=fresh, **prepare) == "receiver_not_approved"
    assert refused(prepare_rebate, payee=payee_of(small, None), **prepare) == "third_party"
    bobs = payee_of(small, "bob", "BOBSACCOUNT1")
    assert refused(prepare_rebate, payee=bobs, **prepare) == "nothing_owed"
    anns = payee_of(small, "ann", "ANNSACCOUNT1")
    anns.investor.kyc_state = "restricted"
    anns.investor.save(update_fields=["kyc_state"])
    assert refused(prepare_rebate, payee=anns, **prepare) == "on_hold"
    assert not Payment.objects.exists()


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"management_share": D("1.01")}, "rate_out_of_range"),
        ({"performance_share": D("-0.1")}, "rate_out_of_range"),
        ({"management_share": D("0.1234567")}, "too_fine"),
        ({"reference": " "}, "no_reference"),
        ({"first_day": date(2025, 1, 31)}, "period_closed"),
        ({"actor": Actor.system("x")}, "not_allowed"),
    ],
)
def test_what_no_rebate_may_say(given: dict[str, Any], code: str):
    small = found_fund()
    small.strike(FEBRUARY)
    assert refused(propose, small, **{"first_day": date(2025, 2, 1), **given}) == code
    assert not Rebate.objects.exists()


def test_one_person_agrees_nothing_and_a_decision_stands():
    small = found_fund()
    row = propose(small)
    decide = {"proposal": row, "is_approved": True}
    assert refused(decide_rebate, actor=small.maker, **decide) == "not_allowed"
    assert refused(propose, small) == "rebate_known"
    small.strike(FEBRUARY)
    # A proposal gives nothing, and a NAV counted its first day meanwhile.
    assert not Entry.objects.filter(kind="fee_rebate").exists()
    assert refused(decide_rebate, actor=small.checker, **decide) == "period_closed"
    no = {"proposal": row, "is_approved": False, "actor": small.checker}
    assert refused(decide_rebate, **no) == "reason_missing"
    decide_rebate(reason="too late", **no)
    assert refused(decide_rebate, reason="again", **no) == "proposal_closed"
    told = AuditEvent.objects.filter(subject_type="rebate").values_list("action", flat=True)
    assert sorted(told) == ["rebate.declined", "rebate.proposed"]
    assert verify_fund(small.fund) == []


def test_the_statement_lists_what_was_credited_and_paid():
    small = found_fund()
    small.strike(FEBRUARY)
    agree(small, first_day=date(2025, 2, 1))
    small.strike(MARCH)
    row = prepare_rebate(fund=small.fund, payee=payee_of(small), actor=small.maker)
    pay(small, row, bank_of(small))
    small.strike(APRIL)
    papers = {}
    for period in ("2025-01", "2025-02", "2025-03"):
        run = make_statements(fund=small.fund, period=period, actor=small.maker)
        assert run.refused == {}
        papers |= {
            (period, paper.investor.legal_name): paper for paper in run.made if paper.investor
        }
    assert "rebates" not in papers["2025-01", "Ann"].data
    assert "rebates" not in papers["2025-02", "Bob"].data
    assert papers["2025-02", "Ann"].data["rebates"] == [
        ["Owed to you on 1 Feb 2025", "0.00", "total"],
        ["Rebate of fees, NAV of 1 Mar 2025", "+19.15", "line"],
        ["Owed to you on 1 Mar 2025", "19.15", "total"],
    ]
    assert papers["2025-03", "Ann"].data["rebates"][1:] == [
        ["Paid on 1 Mar 2025", "\u221219.15", "line"],
        ["Rebate of fees, NAV of 1 Apr 2025", "+21.16", "line"],
        ["Owed to you on 1 Apr 2025", "21.16", "total"],
    ]
    assert bytes(papers["2025-03", "Ann"].content).startswith(b"%PDF")


def test_a_fund_of_a_coin_gives_back_satoshis():
    """2 % of 1 BTC over January is 0.00169863; Ann bore a quarter, half of it is 0.00021233."""
    terms = {"management_rate": "0.02", "performance_rate": "0", "cash_quantum": "0.00000001"}
    small = make_fund_of("coin", {"A": terms}, currency="BTC")
    for at in (FIRST, FEBRUARY):
        small.day(at)
    small.subscribe("ann", "0.25", before=FIRST)
    small.subscribe("bob", "0.75", before=FIRST)
    small.strike(FIRST)
    agree(small)
    assert small.strike(FEBRUARY).classes.get().management_fee == D("0.00169863")
    assert list_rebates(small.fund) == {small.investor("ann").pk: D("0.00021233")}
