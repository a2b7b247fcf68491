"""Running costs: proposed by one, approved by another, in every NAV, estimate and payment."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from investors.domain.ledger import build_entry
from investors.domain.ledger.chart import EXPENSES_PAYABLE
from investors.models import Entry, Expense
from investors.services.expenses import (
    decide_expense,
    expenses_due,
    propose_end,
    propose_expense,
    propose_invoice,
    read_expenses,
)
from investors.services.ledger import NewEntry, post_entry, read_balances
from investors.services.nav import reject_strike
from investors.services.nav_as_known import nav_as_known
from investors.services.verification import verify_fund
from investors.tests.fund_support import FIRST, SmallFund, first_of, make_fund
from magnetfund.core.actors import Actor
from magnetfund.core.models import AuditEvent
from magnetfund.core.roles import Role
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import FundError
from magnetfund.operations.people import ensure_scenario_people, ensure_user
from magnetfund.operations.scenario import enter_expenses, load_scenario

pytestmark = pytest.mark.django_db
D = Decimal
FEBRUARY, MARCH = first_of(2025, 2), first_of(2025, 3)


@pytest.fixture
def small() -> SmallFund:
    fund = make_fund("main", performance_rate="0", management_rate="0")
    for at in (FIRST, FEBRUARY, MARCH):
        fund.day(at)
    fund.subscribe("ann", "10000", before=FIRST)
    fund.strike(FIRST)
    return fund


def propose(small: SmallFund, **given: Any) -> Expense:
    return propose_expense(
        **{
            "fund": small.fund, "account": "5040", "supplier": "Auditor Ltd", "reference": "2025",
            "amount": D(3650), "first_day": date(2025, 1, 1), "last_day": date(2025, 12, 31),
            "actor": small.maker, **given,
        }
    )  # fmt: skip


def approved(small: SmallFund, **given: Any) -> Expense:
    row = decide_expense(proposal=propose(small, **given), is_approved=True, actor=small.checker)
    assert isinstance(row, Expense)
    return row


def refused(call: Any) -> str:
    with pytest.raises(FundError) as error:
        call()
    return error.value.code


def owed(small: SmallFund) -> Decimal:
    return -read_balances(small.fund).get((EXPENSES_PAYABLE, "USD"), D(0))


def test_each_nav_takes_what_its_days_cost(small: SmallFund) -> None:
    propose(small, reference="waits")
    approved(small)
    january = small.strike(FEBRUARY)
    # 10 a day over 31 days; who only proposed it took nothing.
    assert (january.nav, owed(small)) == (D(9690), 310)
    assert ["expenses", "-310.00"] in january.waterfall
    assert ["trading result for the period", "0.00"] in january.waterfall
    assert january.classes.get().expenses == 310
    assert january.inputs["expenses"] == "310"
    small.earn("100", at=FEBRUARY + timedelta(days=3))
    february = small.strike(MARCH)
    assert (february.nav, owed(small)) == (D(9510), 590)
    assert ["trading result for the period", "100.00"] in february.waterfall
    assert verify_fund(small.fund) == []
    known = nav_as_known(fund=small.fund, valuation_at=MARCH, known_at=utc_now())
    assert known.strike.waterfall == tuple((name, D(amount)) for name, amount in february.waterfall)


def test_a_second_preparing_posts_nothing_twice(small: SmallFund) -> None:
    approved(small)
    first = small.prepare(FEBRUARY)
    # An expense that was approved after the preparing makes the NAV stale; it is not lost.
    approved(small, reference="late", amount=D(31), last_day=date(2025, 1, 31))
    assert refused(lambda: small.approve(first)) == "stale"
    reject_strike(strike=first, reason="an expense came late", actor=small.checker)
    again = small.strike(FEBRUARY)
    assert (again.nav, owed(small)) == (D(9659), 341)
    assert Entry.objects.filter(kind="expense_accrued").count() == 2


def test_a_late_invoice_lands_in_the_next_nav(small: SmallFund) -> None:
    row = approved(small, last_day=date(2025, 1, 31), amount=D(310))
    small.strike(FEBRUARY)
    change = propose_invoice(expense=row, amount=D(400), reference="A-77", actor=small.maker)
    decide_expense(proposal=change, is_approved=True, actor=small.checker)
    after = small.strike(MARCH)
    assert (after.nav, owed(small)) == (D(9600), 400)
    difference = Entry.objects.get(kind="invoice_difference")
    assert difference.effective_at == MARCH - timedelta(microseconds=1)
    assert read_expenses(small.fund)[0].total == 400


def test_an_end_gives_back_days_that_were_taken(small: SmallFund) -> None:
    row = approved(small, is_yearly=True, last_day=None)
    small.strike(FEBRUARY)
    end = propose_end(expense=row, last_day=date(2025, 1, 21), actor=small.maker)
    assert owed(small) == 310
    decide_expense(proposal=end, is_approved=True, actor=small.checker)
    assert small.strike(MARCH).nav == D(9790)
    assert owed(small) == 210
    assert expenses_due(small.fund, at=MARCH + timedelta(days=200)) == 0


def test_an_estimate_is_net_of_days_that_no_nav_took_yet(small: SmallFund) -> None:
    approved(small)
    assert expenses_due(small.fund, at=FEBRUARY) == 310
    small.strike(FEBRUARY)
    assert expenses_due(small.fund, at=FEBRUARY) == 0
    assert expenses_due(small.fund, at=FEBRUARY + timedelta(days=2, hours=12)) == 30


def test_a_fund_without_units_accrues_nothing_until_it_has_some() -> None:
    fund = make_fund("main", performance_rate="0", management_rate="0")
    for at in (FIRST, FEBRUARY):
        fund.day(at)
    approved(fund, account="5060", amount=D(100), first_day=date(2024, 12, 1),
             last_day=date(2024, 12, 10))  # fmt: skip
    fund.subscribe("ann", "10000", before=FIRST)
    assert fund.strike(FIRST).nav == 0
    assert owed(fund) == 0
    assert fund.strike(FEBRUARY).nav == D(9900)


def test_refusals_change_nothing(small: SmallFund) -> None:
    stranger = Actor.of(ensure_user(email="op@example.com", name="Op", roles=[Role.OPERATOR]))
    row = propose(small)
    assert refused(lambda: propose(small, supplier="auditor ltd ")) == "expense_known"
    assert refused(lambda: propose(small, reference=" ")) == "no_reference"
    assert refused(lambda: propose(small, supplier=" ")) == "no_supplier"
    assert refused(lambda: propose(small, amount=D("1.001"))) == "too_fine"
    assert refused(lambda: propose(small, amount=D("1e12"))) == "too_large"
    assert refused(lambda: propose(small, reference="x", actor=stranger)) == "not_allowed"
    assert refused(
        lambda: propose_end(expense=row, last_day=date(2025, 2, 1), actor=small.maker)
    ) == "not_approved"  # fmt: skip
    decide = {"proposal": row, "actor": small.checker}
    assert refused(lambda: decide_expense(**decide, is_approved=False)) == "reason_missing"
    assert refused(
        lambda: decide_expense(proposal=row, is_approved=True, actor=small.maker)
    ) == "not_allowed"  # fmt: skip
    decide_expense(**decide, is_approved=False, reason="twice")
    assert refused(lambda: decide_expense(**decide, is_approved=True)) == "proposal_closed"
    again = approved(small)
    assert refused(
        lambda: propose_end(expense=again, last_day=date(2025, 2, 1), actor=small.maker)
    ) == "has_an_end"  # fmt: skip
    propose_invoice(expense=again, amount=D(1), reference="A", actor=small.maker)
    assert refused(
        lambda: propose_invoice(expense=again, amount=D(1), reference="B", actor=small.maker)
    ) == "change_known"  # fmt: skip
    lines = AuditEvent.objects.filter(action__startswith="expense.").values_list(
        "action", flat=True
    )
    assert sorted(lines) == [
        "expense.approved", "expense.declined", "expense.invoice_proposed", "expense.proposed",
        "expense.proposed",
    ]  # fmt: skip


def test_the_database_keeps_decisions_to_another_person(small: SmallFund) -> None:
    row = propose(small)
    maker = ensure_user(email="maker.two@example.com", name="Two", roles=[Role.CONTROLLER])

    def decide(by: object) -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                "UPDATE investors_expense SET is_approved = true, decided_by_id = %s,"
                " decided_at = now() WHERE id = %s",
                [by, row.pk],
            )

    with pytest.raises(DatabaseError):
        decide(row.proposed_by_id)
    with pytest.raises(DatabaseError, match="permission denied"), transaction.atomic():
        Expense.objects.filter(pk=row.pk).update(amount=1)
    decide(maker.pk)
    with pytest.raises(DatabaseError, match="a decision is fixed"):
        decide(maker.pk)


@pytest.mark.usefixtures("forged_entries")
def test_books_find_a_cost_that_nobody_approved_or_that_is_not_what_was_approved(
    small: SmallFund,
) -> None:
    row = approved(small, is_yearly=True, last_day=None)
    small.strike(FEBRUARY)
    end = propose_end(expense=row, last_day=date(2025, 1, 21), actor=small.maker)
    decide_expense(proposal=end, is_approved=True, actor=small.checker)
    # A change waits for the next NAV, and is no difference meanwhile.
    assert verify_fund(small.fund) == []
    bill = propose_invoice(expense=row, amount=D(99), reference="A", actor=small.maker)
    decide_expense(proposal=bill, is_approved=True, actor=small.checker)
    assert verify_fund(small.fund) == []
    small.strike(MARCH)
    assert (owed(small), verify_fund(small.fund)) == (99, [])

    def forge(name: object, account: str) -> None:
        entry = build_entry(
            event="expense_accrued",
            source_ref=f"expense:{name}:2025-03-02:amount:7",
            effective_at=MARCH + timedelta(days=1),
            amounts={"amount": D(7)},
            currency="USD",
            account=account,
        )
        post_entry(small.fund, NewEntry.of(entry), actor=Actor.system("nav"))

    forge(row.pk, "5060")
    forge(small.fund.pk, "5040")
    found = "\n".join(verify_fund(small.fund))
    assert "posted to 5040, 5060" in found
    assert "which no terms of it come to" in found
    assert "approved by nobody" in found


def test_books_find_an_approval_without_its_audit_line(small: SmallFund) -> None:
    row = propose(small)
    Expense.objects.filter(pk=row.pk).update(
        decided_by=small.checker.user, decided_at=utc_now(), is_approved=True
    )
    assert any("no audit line expense.approved" in line for line in verify_fund(small.fund))


def test_the_costs_of_the_demo_stand_in_its_navs_and_were_signed_before_them():
    """3,600 a year are 305.75 for the 31 days of January."""
    fund = make_fund("main")
    for at in (FIRST, FEBRUARY):
        fund.day(at)
    fund.subscribe("ann", "100000", before=FIRST)
    people = ensure_scenario_people()
    before = FIRST - timedelta(days=30)
    enter_expenses(load_scenario(), fund=fund.fund, people=people, at=before)
    row = Expense.objects.get()
    assert (row.is_approved, row.proposed_at, row.decided_at) == (True, before, before)
    fund.strike(FIRST)
    strike = fund.strike(FEBRUARY)
    assert D(dict(strike.waterfall)["expenses"]) == D("-305.75")
    assert verify_fund(fund.fund) == []
