"""What a payment did to the books, tried from beside, as a stolen role would send its SQL."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from copy import deepcopy
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from django.core.management import call_command

from investors.domain.payments import PaymentKind
from investors.models import DealingOrder, Entry, FundAccount, PayeeAccount, Payment
from investors.services.ledger import read_balances
from investors.services.money_accounts import add_payee, approve_payee, open_account
from investors.services.money_accounts import approve_account as approve_own
from investors.services.payment_drafts import payable_of, prepare_fee
from investors.services.payments import (
    approve_payment,
    confirm_payment,
    release_payments,
    return_payment,
)
from investors.services.verification import verify_fund
from investors.tests.fund_support import FIRST, SmallFund, first_of, make_fund
from magnetfund.core.services.signing import ACCOUNT, PAYEE, PAYMENT
from magnetfund.tests.test_decision_walls import checker_of
from magnetfund.tests.test_money_walls import NO_WORKER, ROLES, attack
from magnetfund.tests.walls_support import say_kind, write_signature

D = Decimal
FEBRUARY = first_of(2025, 2)
FEE = D("169.86")


def tell() -> SmallFund:
    """Two hold 500 units each of a class that pays 2 % a year: 169.86 for January.  Bob leaves,
    and a tenth of his money is held back."""
    fund = make_fund("main", performance_rate="0", management_rate="0.02", holdback_share="0.1")
    for at in (FIRST, FEBRUARY):
        fund.day(at)
    for name in ("ann", "bob"):
        fund.subscribe(name, "50000", before=FIRST)
    fund.strike(FIRST)
    fund.redeem("bob", None, before=FEBRUARY)
    fund.strike(FEBRUARY)
    return fund


@pytest.fixture(scope="module")
def story() -> Callable[[], SmallFund]:
    return tell


@pytest.fixture
def small(fresh_database: Any, told: Any) -> SmallFund:
    say_kind(fresh_database, "production")
    return deepcopy(told.value)


def released(cluster: Any, small: SmallFund) -> Payment:
    """The fee of January on its way to the manager, with every signature."""
    own: FundAccount = open_account(
        fund=small.fund, code="bank", kind="bank", bank="Bank", currency="USD",
        number="OWNACCOUNT01", actor=small.maker,
    )  # fmt: skip
    write_signature(cluster, ACCOUNT, own.pk, checker_of(small))
    own = approve_own(account=own, actor=small.checker)
    payee: PayeeAccount = add_payee(
        fund=small.fund, kind="bank", name="Manager", number="MANAGERS0001", currency="USD",
        evidence="call-back", actor=small.maker,
    )  # fmt: skip
    write_signature(cluster, PAYEE, payee.pk, checker_of(small))
    payee = approve_payee(payee=payee, actor=small.checker)
    row = prepare_fee(
        fund=small.fund, kind=PaymentKind.MANAGEMENT_FEE, payee=payee, text="fee",
        actor=small.maker,
    )  # fmt: skip
    write_signature(cluster, PAYMENT, row.pk, checker_of(small))
    approve_payment(payment=row, seen_hash=row.content_hash, actor=small.checker)
    release_payments(payments=[row], account=own, actor=small.maker)
    row.refresh_from_db()
    return row


def entry(
    small: SmallFund, kind: str, source: str, legs: list[tuple[str, Decimal, str]]
) -> list[tuple[str, tuple[Any, ...]]]:
    """Statements that write an entry of (account, amount, class) as it is asked for."""
    pk = uuid.uuid4()
    return [
        (
            "INSERT INTO investors_entry (id, fund_id, kind, source_ref, text, effective_at, "
            "recorded_at, content_hash, created_by_label) "
            "VALUES (%s, %s, %s, %s, '', now(), now(), 'x', 'x')",
            (pk, small.fund.pk, kind, source),
        ),
        *(
            (
                "INSERT INTO investors_posting (entry_id, account_id, currency, amount, "
                "share_class, instrument, strategy) VALUES (%s, %s, 'USD', %s, %s, '', '')",
                (pk, account, amount, share_class),
            )
            for account, amount, share_class in legs
        ),
    ]


def moved(row: Payment, state: str) -> tuple[str, tuple[Any, ...]]:
    return (
        "UPDATE investors_payment SET state = %s, confirmed_at = coalesce(confirmed_at, now()), "
        "closed_at = now() WHERE id = %s",
        (state, row.pk),
    )


#: What came back, booked otherwise than it went: by account, amount and class.
OTHERWISE = (
    [("1010", FEE, "A"), ("2020", -FEE, "A")],
    [("1010", FEE, "A"), ("2100", -FEE, "B")],
    [("1020", FEE, "A"), ("2100", -FEE, "A")],
    [("2310", FEE, "A"), ("2100", -FEE, "A")],
    [("2100", FEE, "A"), ("1010", -FEE, "A")],
)


@pytest.mark.parametrize("role", ROLES)
def test_a_payment_comes_back_as_it_went(small: SmallFund, fresh_database: Any, role: str):
    """The same amount, owed to the holders, on another class or from another account than before;
    at last as it went."""
    row = released(fresh_database, small)
    confirm_payment(payment=row, bank_reference="B", actor=small.maker)
    back, source = moved(row, "returned"), f"payment-returned:{row.pk}"
    for legs in OTHERWISE:
        forged = entry(small, "payment_returned", source, legs)
        said = attack(fresh_database, role, back, *forged)
        assert said.startswith(("payment: 1 is back in the books otherwise", NO_WORKER)), legs
    assert attack(fresh_database, role, *entry(small, "payment_returned", source, OTHERWISE[0]))
    true = [("1010", FEE, "A"), ("2100", -FEE, "A")]
    said = attack(fresh_database, role, back, *entry(small, "payment_returned", source, true))
    assert said.startswith(NO_WORKER) if role == "fa_worker" else said == ""


@pytest.mark.parametrize("role", ROLES)
def test_no_payment_is_confirmed_or_returned_beside_the_books(
    small: SmallFund, fresh_database: Any, role: str
):
    """One that only says so would be owed, and so paid, a second time."""
    row = released(fresh_database, small)
    other = Entry.objects.filter(kind="management_fee").latest("seq")
    borrowed = ("UPDATE investors_payment SET entry_id = %s WHERE id = %s", (other.pk, row.pk))
    refused = [
        (moved(row, "confirmed"), "confirmed and not in the books"),
        (borrowed, "tied to another entry"),
    ]
    for step, why in refused:
        said = attack(fresh_database, role, step)
        assert said.startswith(NO_WORKER) or why in said, said
    confirm_payment(payment=row, bank_reference="B", actor=small.maker)
    for step, why in (
        (moved(row, "returned"), "returned in one of state and books alone"),
        (borrowed, "tied to another entry"),
    ):
        said = attack(fresh_database, role, step)
        assert said.startswith(NO_WORKER) or why in said, said
    return_payment(payment=row, reason="came back", actor=small.maker)
    assert read_balances(small.fund)["2100", "USD"] == -FEE
    assert verify_fund(small.fund) == []


def test_where_the_wall_was_off_the_books_name_the_payment(small: SmallFund, fresh_database: Any):
    row = released(fresh_database, small)
    with psycopg.connect(fresh_database.dsn("postgres", "fresh"), autocommit=True) as session:
        session.execute("ALTER TABLE investors_payment DISABLE TRIGGER payment_booked")
    assert attack(fresh_database, "fa_app", moved(row, "confirmed")) == ""
    assert verify_fund(small.fund) == ["payment P-00001 is confirmed and not in the books"]


def test_an_upgrade_finds_what_was_dealt_of_an_order_that_was_taken_back(
    small: SmallFund, fresh_database: Any
):
    """Its state was "cancelled", and no list of payments had its money."""
    order = small.redeem("ann", "10", before=FEBRUARY)
    call_command("migrate", "investors", "0044", database="owner", verbosity=0)
    with psycopg.connect(fresh_database.dsn("postgres", "fresh"), autocommit=True) as session:
        session.execute("ALTER TABLE investors_dealingorder DISABLE TRIGGER USER")
        session.execute(
            "UPDATE investors_dealingorder SET state = 'cancelled', dealt_units = 4, "
            "dealt_amount = 400, dealt_price = 100 WHERE id = %s",
            (order.pk,),
        )
        session.execute("ALTER TABLE investors_dealingorder ENABLE TRIGGER USER")
    call_command("migrate", "investors", database="owner", verbosity=0)
    order.refresh_from_db()
    assert (order.state, payable_of(order)) == ("payable", 400)


def test_the_books_name_a_holdback_that_was_released_otherwise_than_it_was_held(
    small: SmallFund, fresh_database: Any
):
    """The wall sees that the order holds nothing back any more, and not how much it was."""
    order = DealingOrder.objects.get(investor=small.investor("bob"), kind="redemption")
    assert (order.state, order.held_amount) == ("payable", D("4991.50"))
    legs = [("2030", D(1), "A"), ("2020", D(-1), "A")]
    said = attack(
        fresh_database, "fa_app",
        ("UPDATE investors_dealingorder SET held_amount = 0 WHERE id = %s", (order.pk,)),
        *entry(small, "holdback_released", f"holdback:{order.pk}", legs),
    )  # fmt: skip
    assert said == ""
    found = [line for line in verify_fund(small.fund) if line.startswith("account")]
    assert [line[:12] for line in found] == ["account 2020", "account 2030"]
