"""A suspension of dealing and a running cost take the signature of whoever decides them.

Each attack is the SQL that a stolen web, worker or trader could send; the honest way by service,
page, API and admin is taken beside it, on the same rows.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from copy import deepcopy
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse
from rest_framework.test import APIClient

from investors.models import DealingDay, Expense, ExpenseChange, Fund, SuspensionProposal
from investors.models.expenses import EXPENSE_ACCOUNTS
from investors.services.expenses import (
    decide_expense,
    describe_expense,
    propose_end,
    propose_expense,
)
from investors.services.suspension import decide_suspension, propose_suspension
from investors.services.verification import verify_fund
from investors.tests.fund_support import FIRST, SmallFund, make_fund
from magnetfund.core.actors import Actor
from magnetfund.core.models import SignatureRequest, User
from magnetfund.core.roles import Role
from magnetfund.core.services.audit import record_audit
from magnetfund.core.services.signing import (
    EXPENSE,
    EXPENSE_CHANGE,
    SUSPENSION,
    SignatureMissing,
)
from magnetfund.kernel.clock import utc_now
from magnetfund.operations.people import ensure_user
from magnetfund.tests.test_decision_walls import checker_of, words
from magnetfund.tests.test_money_walls import ROLES, attack
from magnetfund.tests.walls_support import make_user, say_kind, write_signature

Step = tuple[str, tuple[Any, ...]]


def tell() -> SmallFund:
    """A fund of a production whose checker is its controller; Dora is a director."""
    fund = make_fund("main")
    fund.day(FIRST)
    fund.subscribe("ann", "1000", before=FIRST)
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


def dora() -> User:
    return User.objects.get(email="dora@example.com")


def suspension(small: SmallFund, *, suspends: bool = True) -> SuspensionProposal:
    return propose_suspension(
        fund=small.fund, suspends=suspends, reason="the venue is closed",
        notice="Nothing is dealt.\nProposed by: nobody", actor=small.checker,
    )  # fmt: skip


def cost(small: SmallFund, **changes: Any) -> Expense:
    return propose_expense(
        **{
            "fund": small.fund, "account": "5040", "supplier": "Auditor Ltd", "reference": "2025",
            "amount": Decimal(3650), "first_day": date(2025, 1, 1), "is_yearly": True,
            "actor": small.maker, **changes,
        }
    )  # fmt: skip


def decided(table: str, row: uuid.UUID, user: User) -> Step:
    return (
        f"UPDATE investors_{table} SET decided_by_id = %s, decided_at = now(), is_approved = true "
        "WHERE id = %s",
        (user.pk, row),
    )


OPENED: Step = ("UPDATE investors_fund SET is_suspended = false", ())
PASSED_OVER: Step = ("UPDATE investors_dealingday SET is_suspended = true", ())
SHUT: Step = ("UPDATE investors_fund SET is_suspended = true", ())


@pytest.mark.parametrize("role", ROLES)
def test_dealing_is_suspended_and_opened_on_a_signature_alone(
    small: SmallFund, fresh_database: Any, role: str
):
    checker, director = checker_of(small), dora()
    row = suspension(small)
    born: Step = (
        "INSERT INTO investors_suspensionproposal (id, fund_id, suspends, reason, notice, "
        "proposed_by_id, proposed_at, decided_by_id, decided_at, is_approved) VALUES "
        "(gen_random_uuid(), %s, false, 'x', 'x', %s, now(), %s, now(), true)",
        (small.fund.pk, checker.pk, director.pk),
    )
    honest = decided("suspensionproposal", row.pk, director)
    for step in (born, honest):
        assert attack(fresh_database, role, step) != ""
    if role != "fa_app":
        return
    assert "proposed first" in attack(fresh_database, role, born)
    assert "has not signed this" in attack(fresh_database, role, honest)
    half: Step = ("UPDATE investors_suspensionproposal SET decided_at = now()", ())
    assert "has a person and a time" in attack(fresh_database, role, half)
    own = decided("suspensionproposal", row.pk, checker)
    assert "approved by another person" in attack(fresh_database, role, own)
    with pytest.raises(SignatureMissing):
        decide_suspension(proposal=row, is_approved=True, actor=Actor.of(director))
    said = words(SUSPENSION, row.pk)
    assert said.splitlines()[0] == "Suspend dealing in main (main)"
    assert "Holders are told: Nothing is dealt. Proposed by: nobody\n" in said
    write_signature(fresh_database, SUSPENSION, row.pk, director)
    decide_suspension(proposal=row, is_approved=True, actor=Actor.of(director))
    assert Fund.objects.get().is_suspended
    again: Step = ("UPDATE investors_suspensionproposal SET is_approved = NULL", ())
    assert "decision is fixed" in attack(fresh_database, role, again)
    lifting = suspension(small, suspends=False)
    forged = decided("suspensionproposal", lifting.pk, director)
    assert "has not signed this" in attack(fresh_database, role, forged)
    write_signature(fresh_database, SUSPENSION, lifting.pk, director)
    decide_suspension(proposal=lifting, is_approved=True, actor=Actor.of(director))
    assert not Fund.objects.get().is_suspended
    assert verify_fund(small.fund) == []
    # Nobody closes the fund or a day of it beside the decision.
    for step in (SHUT, OPENED, PASSED_OVER):
        assert "permission denied" in attack(fresh_database, role, step)
    with psycopg.connect(fresh_database.dsn("postgres", "fresh")) as superuser:
        superuser.execute(SHUT[0].encode())
    (found,) = verify_fund(small.fund)
    assert found == "dealing is suspended, and what was decided says that it is open"


def test_a_lifting_passes_over_no_day_that_is_to_come(small: SmallFund, fresh_database: Any):
    """The thief adds a time of his own to the director's true signature."""
    director, later = dora(), utc_now() + timedelta(days=30)
    small.day(later)
    row = suspension(small)
    write_signature(fresh_database, SUSPENSION, row.pk, director)
    decide_suspension(proposal=row, is_approved=True, actor=Actor.of(director))
    lifting = suspension(small, suspends=False)
    write_signature(fresh_database, SUSPENSION, lifting.pk, director)
    said = attack(
        fresh_database, "fa_app",
        ("UPDATE investors_suspensionproposal SET decided_by_id = %s, is_approved = true, "
         "decided_at = now() + interval '1 year' WHERE id = %s", (director.pk, lifting.pk)),
    )  # fmt: skip
    assert said == ""
    assert not Fund.objects.get().is_suspended
    assert not DealingDay.objects.filter(is_suspended=True).exists()


def test_two_controllers_do_not_suspend_a_fund(small: SmallFund, fresh_database: Any):
    row = suspension(small)
    say_kind(fresh_database, "test")
    second = make_user("cleo", Role.CONTROLLER)
    say_kind(fresh_database, "production")
    write_signature(fresh_database, SUSPENSION, row.pk, second)
    said = attack(fresh_database, "fa_app", decided("suspensionproposal", row.pk, second))
    assert "a controller and a director decide together" in said


@pytest.mark.parametrize("role", ROLES)
def test_a_running_cost_and_its_changes_take_a_signature(
    small: SmallFund, fresh_database: Any, role: str
):
    checker, row = checker_of(small), cost(small)
    honest = decided("expense", row.pk, checker)
    born: Step = (
        "INSERT INTO investors_expense (id, fund_id, account, supplier, reference, amount, "
        "is_yearly, first_day, reason, proposed_by_id, proposed_at, decided_by_id, decided_at, "
        "is_approved) VALUES (gen_random_uuid(), %s, '5040', 'x', 'x', 1, true, now(), '', %s, "
        "now(), %s, now(), true)",
        (small.fund.pk, small.maker.user and small.maker.user.pk, checker.pk),
    )
    for step in (born, honest):
        assert attack(fresh_database, role, step) != ""
    if role != "fa_app":
        return
    assert "proposed first" in attack(fresh_database, role, born)
    assert "has not signed this" in attack(fresh_database, role, honest)
    with pytest.raises(SignatureMissing):
        decide_expense(proposal=row, is_approved=True, actor=small.checker)
    said = words(EXPENSE, row.pk)
    assert "take a cost: Audit (5040) by Auditor Ltd, 2025" in said
    assert "Amount: 3650 USD a year, from 2025-01-01 until it is ended" in said
    write_signature(fresh_database, EXPENSE, row.pk, checker)
    decide_expense(proposal=row, is_approved=True, actor=small.checker)
    again: Step = ("UPDATE investors_expense SET is_approved = NULL", ())
    assert "decision is fixed" in attack(fresh_database, role, again)

    # A change with the id of the cost: the signature of the one is none of the other.
    twin: Step = (
        "INSERT INTO investors_expensechange (id, expense_id, kind, last_day, reference, reason, "
        "proposed_by_id, proposed_at) VALUES (%s, %s, 'end', '2025-02-01', '', '', %s, now())",
        (row.pk, row.pk, small.maker.user and small.maker.user.pk),
    )
    taken = decided("expensechange", row.pk, checker)
    assert "has not signed this" in attack(fresh_database, role, twin, taken)
    change = propose_end(expense=row, last_day=date(2025, 6, 30), actor=small.maker)
    ended = decided("expensechange", change.pk, checker)
    assert "has not signed this" in attack(fresh_database, role, ended)
    assert "Its last day: 2025-06-30" in words(EXPENSE_CHANGE, change.pk)
    write_signature(fresh_database, EXPENSE_CHANGE, change.pk, checker)
    decide_expense(proposal=change, is_approved=True, actor=small.checker)
    assert verify_fund(small.fund) == []


def test_the_words_name_every_account_of_a_cost(small: SmallFund):
    for number, (code, name) in enumerate(EXPENSE_ACCOUNTS):
        row = cost(small, account=code, reference=str(number))
        assert f"take a cost: {name} ({code}) by Auditor Ltd" in words(EXPENSE, row.pk)


def test_a_decision_that_no_signature_carries_is_named_afterwards(
    small: SmallFund, fresh_database: Any
):
    """The owner's triggers were off: two names and an audit line stand there, and no signature."""
    row, shut, user = cost(small), suspension(small), dora()
    with psycopg.connect(fresh_database.dsn("postgres", "fresh"), autocommit=True) as session:
        for table, subject, who in (
            ("expense", row.pk, checker_of(small)), ("suspensionproposal", shut.pk, user),
        ):  # fmt: skip
            text, values = decided(table, subject, who)
            session.execute(f"ALTER TABLE investors_{table} DISABLE TRIGGER USER".encode())
            session.execute(text.encode(), values)
        session.execute("UPDATE investors_fund SET is_suspended = true")
    row.refresh_from_db()
    record_audit(
        actor=small.checker, action="expense.approved", subject=("expense", row.pk),
        body=describe_expense(row),
    )  # fmt: skip
    record_audit(
        actor=Actor.of(user), action="suspension.decided", subject=("fund", small.fund.pk),
        body={"proposal": shut.pk, "suspends": True, "reason": shut.reason, "approved": True},
    )  # fmt: skip
    assert verify_fund(small.fund) == [
        f"expense Auditor Ltd 2025: no signature of {checker_of(small)} is kept",
        f"suspension of {shut.proposed_at:%Y-%m-%d}: no signature of {user} is kept",
    ]


def by_page(user: User, name: str, row: Any) -> str:
    client = Client()
    client.force_login(user)
    answer = client.post(reverse(name, args=[row.pk]), {"decision": "approve"})
    return str(answer.headers["Location"])


def by_api(user: User, path: str, body: dict[str, Any]) -> Any:
    client = APIClient()
    client.force_authenticate(user)
    return client.post(path, body, format="json", headers={"Idempotency-Key": path})


def by_admin(user: User, table: str, verb: str, row: Any) -> str:
    client = Client()
    client.force_login(user)
    chosen = {"action": verb, "_selected_action": [str(row.pk)]}
    return client.post(f"/admin/investors/{table}/", chosen, follow=True).content.decode()


def assert_leads_to_the_signer(page: str, row: Any, *, back: str) -> None:
    """The admin's refusal links to a wish to sign ``row``, which leads back to its table."""
    (wish,) = re.findall(rf'href="{re.escape(settings.SIGN_URL)}/sign/([0-9a-f-]+)/"', page)
    asked = SignatureRequest.objects.get(pk=wish)
    assert (asked.subject, asked.back) == (row.pk, back)


def test_page_api_and_admin_lead_to_the_signer_first(small: SmallFund, fresh_database: Any):
    checker, director = checker_of(small), dora()
    row, shut = cost(small), suspension(small)
    for user, action, page, path, item, body in (
        (checker, EXPENSE, "desk_expense_decide", f"/api/money/expenses/{row.pk}/step", row,
         {"step": "approve"}),
        (director, SUSPENSION, "desk_suspension_decide",
         f"/api/dealing/suspensions/{shut.pk}/decision", shut, {"is_approved": True}),
    ):  # fmt: skip
        assert by_page(user, page, item).startswith(f"{settings.SIGN_URL}/sign/")
        refused = by_api(user, path, body)
        assert refused.status_code == 409
        details = refused.json()["error"]["details"]
        assert (details["action"], details["subject"]) == (action, str(item.pk))
        assert details["sign_url"].startswith(f"{settings.SIGN_URL}/sign/")
        write_signature(fresh_database, action, item.pk, user)
        assert by_api(user, path, body).json()["is_approved"] is True
    ended = propose_end(expense=row, last_day=date(2025, 6, 30), actor=small.maker)
    assert by_page(checker, "desk_expense_decide", ended).startswith(settings.SIGN_URL)
    page = by_admin(checker, "expensechange", "approve", ended)
    assert "signature_missing" in page
    assert_leads_to_the_signer(page, ended, back="/admin/investors/expensechange/")
    write_signature(fresh_database, EXPENSE_CHANGE, ended.pk, checker)
    assert by_page(checker, "desk_expense_decide", ended) == reverse("desk_expenses")
    assert ExpenseChange.objects.get().is_approved
    lifting = propose_suspension(
        fund=small.fund, suspends=False, reason="it is open", notice="x", actor=Actor.of(director)
    )
    page = by_admin(checker, "suspensionproposal", "sign", lifting)
    assert "signature_missing" in page
    assert_leads_to_the_signer(page, lifting, back="/admin/investors/suspensionproposal/")
    write_signature(fresh_database, SUSPENSION, lifting.pk, checker)
    assert "1 signed" in by_admin(checker, "suspensionproposal", "sign", lifting)
    assert not Fund.objects.get().is_suspended
    again = suspension(small)
    write_signature(fresh_database, SUSPENSION, again.pk, director)
    assert "1 signed" in by_admin(director, "suspensionproposal", "sign", again)
    assert Fund.objects.get().is_suspended
