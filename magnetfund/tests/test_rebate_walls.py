"""Rebates of fees tried from beside, as a stolen web or worker would send its SQL."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from datetime import date
from decimal import Decimal
from importlib import import_module
from threading import Thread
from typing import Any
from uuid import UUID

import pytest
from django.db import IntegrityError

from investors.domain.ledger import JointLine, Tags
from investors.domain.ledger.chart import REBATES_PAYABLE
from investors.domain.rebates import LotRebate
from investors.models import Entry, NavStrike, Payment, Rebate, UnitLot
from investors.services import nav_dealing, payment_books, payment_drafts, rebate_accruals
from investors.services.money_accounts import add_payee, approve_payee, open_account
from investors.services.money_accounts import approve_account as approve_own
from investors.services.nav import approve_strike
from investors.services.payment_drafts import prepare_rebate
from investors.services.payments import approve_payment, confirm_payment, release_payments
from investors.services.rebates import decide_rebate, propose_rebate
from investors.services.verification import verify_fund
from investors.tests.fund_support import FIRST, SmallFund, first_of, make_fund_of
from magnetfund.core.services.signing import (
    ACCOUNT,
    NAV,
    PAYEE,
    PAYMENT,
    REBATE,
    SignatureMissing,
)
from magnetfund.kernel.errors import FundError
from magnetfund.tests.test_decision_walls import checker_of, words
from magnetfund.tests.test_money_walls import NO_WORKER, ROLES, attack
from magnetfund.tests.walls_support import say_kind, wait_for_waiter, write_signature

D = Decimal
FEBRUARY = first_of(2025, 2)


def tell() -> SmallFund:
    """Ann and Bob hold 500 units of A each, Cyd 500 of B; both classes pay 2 % a year."""
    terms = {"performance_rate": "0", "management_rate": "0.02"}
    fund = make_fund_of("main", {"A": terms, "B": terms})
    for at in (FIRST, FEBRUARY):
        fund.day(at)
    for name in ("ann", "bob"):
        fund.subscribe(name, "50000", before=FIRST)
    fund.subscribe("cyd", "50000", before=FIRST, code="B")
    fund.strike(FIRST)
    return fund


@pytest.fixture(scope="module")
def story() -> Callable[[], SmallFund]:
    return tell


@pytest.fixture
def small(fresh_database: Any, told: Any) -> SmallFund:
    say_kind(fresh_database, "production")
    return deepcopy(told.value)


def propose(small: SmallFund, first_day: date = date(2025, 1, 1), **given: Any) -> Rebate:
    return propose_rebate(
        **{
            "investor": small.investor("ann"), "share_class": small.share_class(),
            "first_day": first_day, "management_share": D("0.5"), "performance_share": D(0),
            "reference": "letter 7", "actor": small.maker, **given,
        }
    )  # fmt: skip


def agree(cluster: Any, small: SmallFund) -> Rebate:
    row = propose(small)
    write_signature(cluster, REBATE, row.pk, checker_of(small))
    return decide_rebate(proposal=row, is_approved=True, actor=small.checker)


def strike(cluster: Any, small: SmallFund) -> NavStrike:
    row = small.prepare(FEBRUARY)
    write_signature(cluster, NAV, row.pk, checker_of(small))
    return approve_strike(strike=row, seen_hash=row.result_hash, actor=small.checker)


def approval(small: SmallFund, row: Rebate) -> tuple[str, tuple[Any, ...]]:
    return (
        "UPDATE investors_rebate SET decided_by_id = %s, decided_at = now(), is_approved = true "
        "WHERE id = %s",
        (checker_of(small).pk, row.pk),
    )


@pytest.mark.parametrize("role", ROLES)
def test_a_rebate_takes_a_signature_and_stays_as_it_was_signed(
    small: SmallFund, fresh_database: Any, role: str
):
    row, maker = propose(small), small.maker.user
    assert maker is not None
    born = (
        "INSERT INTO investors_rebate (id, investor_id, share_class_id, management_share, "
        "performance_share, first_day, reference, reason, proposed_by_id, proposed_at, "
        "decided_by_id, decided_at, is_approved) VALUES (gen_random_uuid(), %s, %s, 1, 1, "
        "'2025-01-02', 'x', '', %s, now(), %s, now(), true)",
        (row.investor_id, row.share_class_id, maker.pk, checker_of(small).pk),
    )
    more = ("UPDATE investors_rebate SET management_share = 1", ())
    for step in (born, approval(small, row), more):
        assert attack(fresh_database, role, step) != ""
    if role != "fa_app":
        return
    assert "proposed first" in attack(fresh_database, role, born)
    assert "has not signed this" in attack(fresh_database, role, approval(small, row))
    assert "permission denied" in attack(fresh_database, role, more)
    with pytest.raises(SignatureMissing):
        decide_rebate(proposal=row, is_approved=True, actor=small.checker)
    said = words(REBATE, row.pk)
    for part in ("class A, to Ann (holder main-ann)", "management fee: 50 %",
                 "performance fee: 0 %", "From: 2025-01-01", "Letter: letter 7"):  # fmt: skip
        assert part in said
    write_signature(fresh_database, REBATE, row.pk, checker_of(small))
    decide_rebate(proposal=row, is_approved=True, actor=small.checker)
    undone = ("UPDATE investors_rebate SET is_approved = NULL", ())
    assert "decision is fixed" in attack(fresh_database, role, undone)
    assert "permission denied" in attack(fresh_database, role, ("DELETE FROM investors_rebate", ()))
    strike(fresh_database, small)
    assert Entry.objects.filter(kind="fee_rebate").count() == 1
    assert verify_fund(small.fund) == []


def test_a_signature_gives_no_fee_of_days_that_a_nav_has_counted(
    small: SmallFund, fresh_database: Any
):
    row = propose(small, date(2025, 1, 31))
    write_signature(fresh_database, REBATE, row.pk, checker_of(small))
    strike(fresh_database, small)
    assert "has counted its first day" in attack(fresh_database, "fa_app", approval(small, row))
    on_time = propose(small, date(2025, 2, 1))
    write_signature(fresh_database, REBATE, on_time.pk, checker_of(small))
    assert attack(fresh_database, "fa_worker", approval(small, on_time)).startswith(NO_WORKER)
    assert attack(fresh_database, "fa_app", approval(small, on_time)) == ""


@pytest.mark.parametrize(
    ("name", "amount", "refusal"),
    [
        ("bob", "1", "to a holder with whom nothing is agreed"),
        ("ann", "169.87", "of more than the class was charged"),
        ("ann", "169.86", ""),
    ],
)
def test_a_nav_gives_what_was_charged_to_whom_it_was_agreed_with(
    small: SmallFund, fresh_database: Any, monkeypatch: pytest.MonkeyPatch, name: str,
    amount: str, refusal: str,
):  # fmt: skip
    """With a NAV's own signature a thief gives fees to a holder; what the wall lets through, since
    it was charged and some of it is agreed, the books name."""
    agree(fresh_database, small)
    lot = UnitLot.objects.get(holding__investor=small.investor(name))
    forged = {small.share_class().pk: [
        LotRebate(lot=str(lot.pk), management=D(amount), performance=D(0))
    ]}  # fmt: skip
    with monkeypatch.context() as patch:
        patch.setattr(rebate_accruals, "strike_rebates", lambda _: forged)
        if refusal:
            with pytest.raises(IntegrityError, match=refusal):
                strike(fresh_database, small)
            return
        strike(fresh_database, small)
    found = verify_fund(small.fund)
    assert f"NAV of 2025-02-01: rebates of lot {lot.pk} 169.86" in found[-1]
    assert len(found) == 2


def paid(cluster: Any, small: SmallFund, row: Payment) -> Payment:
    account = small.fund.accounts.first()
    write_signature(cluster, PAYMENT, row.pk, checker_of(small))
    approve_payment(payment=row, seen_hash=row.content_hash, actor=small.checker)
    release_payments(payments=[row], account=account, actor=small.maker)
    return confirm_payment(payment=row, bank_reference="B", actor=small.maker)


def test_a_rebate_leaves_the_books_once_and_to_its_holder(
    small: SmallFund, fresh_database: Any, monkeypatch: pytest.MonkeyPatch
):
    """Two payments of the same rebate were signed; the second is in no book, whatever the web says
    is owed."""
    agree(fresh_database, small)
    strike(fresh_database, small)
    own = open_account(fund=small.fund, code="bank", kind="bank", bank="Bank", currency="USD",
                       number="OWNACCOUNT01", actor=small.maker)  # fmt: skip
    write_signature(fresh_database, ACCOUNT, own.pk, checker_of(small))
    approve_own(account=own, actor=small.checker)
    payee = add_payee(fund=small.fund, investor=small.investor("ann"), kind="bank", name="Ann",
                      number="ANNSACCOUNT1", currency="USD", evidence="call-back",
                      actor=small.maker)  # fmt: skip
    write_signature(fresh_database, PAYEE, payee.pk, checker_of(small))
    payee = approve_payee(payee=payee, actor=small.checker)
    ann = small.investor("ann").pk
    rows = []
    monkeypatch.setattr(payment_drafts, "require_receiver", lambda *_, **__: None)
    monkeypatch.setattr("investors.services.payments.require_receiver", lambda *_, **__: None)
    owed = payment_drafts.list_rebates(small.fund)
    for _ in range(2):
        monkeypatch.setattr(payment_drafts, "list_owed_by_lot", lambda *_: owed)
        rows.append(prepare_rebate(fund=small.fund, payee=payee, actor=small.maker))
    first = payment_books.owed_by_lot(small.fund, REBATES_PAYABLE)
    paid(fresh_database, small, rows[0])
    assert payment_books.owed_by_lot(small.fund, REBATES_PAYABLE) == {}
    with pytest.raises(FundError, match="less is owed"):
        paid(fresh_database, small, rows[1])
    bobs: UUID = UnitLot.objects.get(holding__investor=small.investor("bob")).pk
    for lie, refusal in (
        (first, "of more than is owed"),
        ({ann: {bobs: rows[1].amount}}, "to another than the holder"),
    ):
        monkeypatch.setattr(payment_books, "owed_by_lot", lambda *_, lie=lie: lie)
        with pytest.raises(IntegrityError, match=refusal):
            confirm_payment(payment=rows[1], bank_reference="B", actor=small.maker)
    assert Entry.objects.filter(kind="rebate_paid").count() == 1
    assert verify_fund(small.fund) == []


def test_an_entry_of_rebates_names_its_class_and_lots_of_it(
    small: SmallFund, fresh_database: Any, monkeypatch: pytest.MonkeyPatch
):
    """Without a class nothing was charged that would bound it, and an agreement about one class
    gives nothing of another's fees."""
    agree(fresh_database, small)
    lot = str(UnitLot.objects.get(holding__investor=small.investor("ann")).pk)
    real = rebate_accruals.entry_of

    def nameless(book: Any, event: str, code: str, lines: Any) -> Any:
        plain = [
            JointLine(amounts=line.amounts, tags=Tags(lot=line.tags.lot), other=Tags())
            for line in lines
        ]
        return real(book, event, "", plain)

    forged = [LotRebate(lot=lot, management=D(1000), performance=D(0))]
    monkeypatch.setattr(
        rebate_accruals, "strike_rebates", lambda _: {small.share_class().pk: forged}
    )
    with monkeypatch.context() as patch:
        patch.setattr(rebate_accruals, "entry_of", nameless)
        with pytest.raises(IntegrityError, match="with whom nothing is agreed"):
            strike(fresh_database, small)


def test_an_agreement_about_one_class_gives_nothing_of_another(
    small: SmallFund, fresh_database: Any, monkeypatch: pytest.MonkeyPatch
):
    """Cyd's agreement is about B: his lot has no part of what A was charged."""
    row = propose(small, investor=small.investor("cyd"), share_class=small.share_class("B"))
    write_signature(fresh_database, REBATE, row.pk, checker_of(small))
    decide_rebate(proposal=row, is_approved=True, actor=small.checker)
    lot = UnitLot.objects.get(holding__investor=row.investor)
    forged = {small.share_class("A").pk: [
        LotRebate(lot=str(lot.pk), management=D(1), performance=D(0))
    ]}  # fmt: skip
    monkeypatch.setattr(rebate_accruals, "strike_rebates", lambda _: forged)
    with pytest.raises(IntegrityError, match="with whom nothing is agreed"):
        strike(fresh_database, small)


def test_an_approval_beside_a_nav_waits_for_it_and_comes_too_late(
    small: SmallFund, fresh_database: Any, monkeypatch: pytest.MonkeyPatch
):
    """Else the NAV would miss an agreement that stands, and could never be mended."""
    row = propose(small)
    write_signature(fresh_database, REBATE, row.pk, checker_of(small))
    said: list[str] = []
    beside = Thread(
        target=lambda: said.append(attack(fresh_database, "fa_app", approval(small, row)))
    )
    real = nav_dealing.settle_strike

    def settle(*args: Any, **more: Any) -> None:
        beside.start()
        wait_for_waiter(fresh_database)
        real(*args, **more)

    monkeypatch.setattr(nav_dealing, "settle_strike", settle)
    strike(fresh_database, small)
    beside.join(timeout=30)
    assert "has counted its first day" in said[0]
    assert verify_fund(small.fund) == []


def test_taken_back_the_migrations_leave_the_functions_as_they_were():
    module, routes, sources, later = (
        import_module(f"investors.migrations.{name}")
        for name in (
            "0042_fee_rebates", "0040_signed_sleeves", "0038_entries_have_sources",
            "0043_payments_in_the_books",
        )
    )  # fmt: skip
    assert module._before(module.ROUTES).strip() == routes.ROUTES.strip()
    stood = sources.ACCOUNTS + sources.SOURCES + sources.WALLS
    parts = module._before(module.LEDGER).split("CREATE OR REPLACE ")
    assert len(parts) == 5
    for part in parts[1:]:
        assert part.strip() in stood
    parts = later._before(later.REBATES).split("CREATE OR REPLACE ")
    assert len(parts) == 3
    for part in parts[1:]:
        assert part.strip() in module.WALLS
