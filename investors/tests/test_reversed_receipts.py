"""Receipts that the bank takes back: held at once, ended once, refused where they have a use."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from investors.domain.ledger import build_entry
from investors.models import BookBreak, Entry, FundAccount, LineAllocation, StatementLine
from investors.services.breaks import close_break
from investors.services.dealing import cancel_order
from investors.services.ledger import NewEntry, post_entry, read_balances
from investors.services.payment_drafts import prepare_refund
from investors.services.payments import approve_payment, cancel_payment
from investors.services.receipts import advance_receipt, match_receipt, use_advance
from investors.services.reversals import reverse_receipt
from investors.services.verification import verify_fund
from investors.tests.fund_support import FIRST, SmallFund, first_of, make_fund
from investors.tests.test_camt_entries import balance, camt, entry
from investors.tests.test_receipts import IBAN, PAID, account_of, bring, order_of, payee_of
from magnetfund.kernel.errors import Conflict, InvalidInput

D = Decimal
PARTIES = (
    "<RltdPties><Dbtr><Nm>Ann</Nm></Dbtr>"
    f"<DbtrAcct><Id><IBAN>{IBAN}</IBAN></Id></DbtrAcct></RltdPties>"
)


def details(end_to_end: str, text: str = "") -> str:
    return (
        f"<TxDtls><Refs><EndToEndId>{end_to_end}</EndToEndId></Refs>{PARTIES}"
        f"<RmtInf><Ustrd>{text}</Ustrd></RmtInf></TxDtls>"
    )


def credit(name: str = "C1", end_to_end: str = "E-1", text: str = "") -> str:
    return entry("1000.00", details(end_to_end, text), names=f"<AcctSvcrRef>{name}</AcctSvcrRef>")


def debit(name: str = "R1", end_to_end: str = "E-1") -> str:
    return entry(
        "1000.00", details(end_to_end), sign="DBIT", names=f"<AcctSvcrRef>{name}</AcctSvcrRef>",
        more="<RvslInd>true</RvslInd>",
    )  # fmt: skip


@pytest.fixture
def small() -> SmallFund:
    fund = make_fund()
    fund.day(FIRST)
    fund.day(first_of(2025, 2))
    return fund


@pytest.fixture
def account(small: SmallFund) -> FundAccount:
    return account_of(small)


def line_of(reference: str) -> StatementLine:
    return StatementLine.objects.get(reference=reference)


def book(small: SmallFund, receipt: str = "C1", reversal: str = "R1") -> LineAllocation:
    return reverse_receipt(
        receipt=line_of(receipt), reversal=line_of(reversal), actor=small.maker, at=PAID
    )


def bank_of_books(small: SmallFund) -> Decimal:
    return sum(
        (n for (code, _), n in read_balances(small.fund).items() if code in ("1010", "1020")), D(0)
    )


def fault_of(row: Entry) -> str | None:
    """What the database finds wrong with where an entry comes from."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT investors_entry_fault(e) FROM investors_entry e WHERE e.id = %s", [row.pk]
        )
        found: str | None = cursor.fetchone()[0]
    return found


def refused(code: str, call: Any) -> str:
    with pytest.raises((Conflict, InvalidInput)) as error:
        call()
    assert error.value.code == code
    return error.value.message


@pytest.mark.django_db
class TestReversals:
    @pytest.mark.parametrize("files", [1, 2])
    @pytest.mark.parametrize("is_newest_first", [False, True])
    def test_a_receipt_ends_by_its_reversal_and_the_books_have_what_the_bank_has(
        self, small: SmallFund, account: FundAccount, files: int, is_newest_first: bool
    ):
        order = order_of(small)
        payee_of(small, "ann")
        kept = entry("250.00", names="<AcctSvcrRef>K</AcctSvcrRef>")
        end = balance("OPBD", "0.00") + balance("CLBD", "250.00")
        lines = [credit(), debit()]
        if files == 1:
            lines = lines[::-1] if is_newest_first else lines
            content = camt(kept, *lines, balances=end)
            bring(small, content, account)
            assert bring(small, content, account).new == 0
        else:
            bring(small, camt(kept, credit()), account)
            bring(small, camt(debit()), account)
        ann = line_of("C1")
        for call in (
            lambda: match_receipt(line=ann, order=order, actor=small.maker, at=PAID),
            lambda: prepare_refund(line=ann, reason="back", actor=small.maker, at=PAID),
            lambda: advance_receipt(
                line=ann, investor=order.investor, reason="asked", actor=small.maker, at=PAID
            ),
        ):
            refused("receipt_reversed", call)
        row = book(small)
        assert row.entry is not None
        assert row.entry.kind == "receipt_reversed"
        assert fault_of(row.entry) is None
        assert bank_of_books(small) == 250
        assert read_balances(small.fund)["2015", "USD"] == -250
        assert verify_fund(small.fund) == []
        refused("receipt_reversed", lambda: prepare_refund(
            line=line_of("C1"), reason="back", actor=small.maker, at=PAID))  # fmt: skip
        refused("not_open", lambda: book(small))
        again = bring(small, camt(kept, credit(), debit()), account)
        assert (again.new, again.known) == (0, 3)
        assert Entry.objects.filter(kind="receipt_reversed").count() == 1
        found = BookBreak.objects.get(line=line_of("R1"))
        assert found.state == "explained"
        refused("nothing_to_post", lambda: close_break(
            found=found, account="5080", resolution="cost", actor=small.checker))  # fmt: skip
        assert close_break(
            found=found, account="", resolution="seen", actor=small.checker
        ).closed_at

    def test_a_matched_receipt_says_what_to_undo_first(
        self, small: SmallFund, account: FundAccount
    ):
        order = order_of(small)
        payee_of(small, "ann")
        bring(small, camt(credit(text=order.reference)), account)
        order.refresh_from_db()
        assert order.state == "funded"
        bring(small, camt(debit()), account)
        assert "cancel that order first" in refused("in_use", lambda: book(small))
        cancel_order(order=order, actor=small.maker, at=PAID)
        book(small)
        assert bank_of_books(small) == 0
        assert verify_fund(small.fund) == []

    def test_the_money_of_a_dealt_order_stays_a_break(self, small: SmallFund, account: FundAccount):
        order = order_of(small)
        payee_of(small, "ann")
        bring(small, camt(credit(text=order.reference)), account)
        small.strike(FIRST)
        bring(small, camt(debit()), account)
        assert "was dealt" in refused("in_use", lambda: book(small))
        assert BookBreak.objects.get().state == "open"

    def test_money_kept_for_a_next_order_is_unused(self, small: SmallFund, account: FundAccount):
        order = order_of(small)
        payee_of(small, "ann")
        bring(small, camt(credit()), account)
        advance_receipt(
            line=line_of("C1"), investor=order.investor, reason="asked", actor=small.maker, at=PAID
        )
        bring(small, camt(debit()), account)
        refused("receipt_reversed", lambda: use_advance(order=order, actor=small.maker, at=PAID))
        book(small)
        assert read_balances(small.fund).get(("2010", "USD"), D(0)) == 0
        assert verify_fund(small.fund) == []

    def test_a_refund_on_its_way_stops_and_is_cancelled_first(
        self, small: SmallFund, account: FundAccount
    ):
        bring(small, camt(credit()), account)
        row = prepare_refund(line=line_of("C1"), reason="back", actor=small.maker, at=PAID)
        bring(small, camt(debit()), account)
        refused("receipt_reversed", lambda: approve_payment(
            payment=row, seen_hash=row.content_hash, actor=small.checker, at=PAID))  # fmt: skip
        assert "cancel that payment" in refused("in_use", lambda: book(small))
        cancel_payment(payment=row, reason="taken back", actor=small.maker, at=PAID)
        book(small)
        assert verify_fund(small.fund) == []

    def test_one_debit_ends_the_receipt_that_it_names_and_no_other(
        self, small: SmallFund, account: FundAccount
    ):
        lines = camt(credit(), credit("C2", "E-2"), debit(), entry("7.00"))
        bring(small, lines, account)
        refused("not_its_reversal", lambda: book(small, "C2"))
        refused("not_its_reversal", lambda: book(small, "E1"))
        assert prepare_refund(line=line_of("C2"), reason="b", actor=small.maker, at=PAID).amount

    def test_a_return_that_names_nothing_holds_each_that_it_can_mean_until_a_person_says(
        self, small: SmallFund, account: FundAccount
    ):
        bring(small, camt(credit(), credit("C2", "E-2"), debit(end_to_end="NOTPROVIDED")), account)
        for name in ("C1", "C2"):
            refused("receipt_reversed", lambda name=name: prepare_refund(
                line=line_of(name), reason="back", actor=small.maker, at=PAID))  # fmt: skip
        book(small, "C2")
        assert prepare_refund(line=line_of("C1"), reason="b", actor=small.maker, at=PAID).amount
        assert verify_fund(small.fund) == []

    def test_the_books_name_an_entry_or_an_end_without_its_line(
        self, small: SmallFund, account: FundAccount
    ):
        bring(small, camt(credit(), debit()), account)
        forged = build_entry(
            event="receipt_reversed", source_ref=f"allocation:{line_of('C1').pk}:1",
            effective_at=PAID, amounts={"amount": D(1000)}, currency="USD",
        )  # fmt: skip
        with transaction.atomic():
            posted = post_entry(small.fund, NewEntry.of(forged), actor=small.maker)
            assert posted is not None
            assert fault_of(posted) == "without the source that it names"
            transaction.set_rollback(True)
        book(small)
        StatementLine.objects.filter(reference="R1").update(outcome="payment")
        assert verify_fund(small.fund) == ["receipt C1: ended by a line that did not take it back"]

    def test_the_database_gives_an_ended_receipt_no_use_and_ends_none_without_its_line(
        self, small: SmallFund, account: FundAccount
    ):
        order = order_of(small)
        bring(small, camt(credit(), credit("C2", "E-2"), debit(), debit("R2", "E-2")), account)
        book(small)
        used = (
            "INSERT INTO investors_lineallocation (line_id, use, amount, order_id, investor_id, "
            "reason, made_by_label, made_at) VALUES (%s, 'order', %s, %s, %s, '', 'x', now())"
        )
        ended = (
            "INSERT INTO investors_lineallocation (line_id, use, amount, reversal_id, reason, "
            "made_by_label, made_at) VALUES (%s, 'reversed', %s, %s, '', 'x', now())"
        )
        refund = prepare_refund_row(small)
        for words, statement, values in (
            ("took this money back", used, (line_of("C1").pk, 1, order.pk, order.investor_id)),
            ("took this money back", used, (line_of("C1").pk, -1000, order.pk, order.investor_id)),
            ("no line of the bank", ended, (line_of("C2").pk, 1000, line_of("R2").pk)),
            ("already exists", ended, (line_of("C2").pk, 1000, line_of("R1").pk)),
            ("took this receipt back", *refund),
        ):
            with pytest.raises(DatabaseError, match=words), transaction.atomic():
                as_web(statement, values)


def as_web(statement: str, values: tuple[Any, ...]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL ROLE fa_app")
        cursor.execute(statement, values)


def prepare_refund_row(small: SmallFund) -> tuple[str, tuple[Any, ...]]:
    """A refund of the ended receipt, as a copy of one that stands."""
    other = StatementLine.objects.get(reference="C2")
    StatementLine.objects.filter(reference="R2").update(outcome="unknown")
    row = prepare_refund(line=other, reason="back", actor=small.maker, at=PAID)
    cancel_payment(payment=row, reason="a copy", actor=small.maker, at=PAID)
    columns = [f.column for f in row._meta.concrete_fields]
    changed = {"id": "gen_random_uuid()", "number": "number + 1", "line_id": "%s",
               "state": "'prepared'", "closed_at": "NULL"}  # fmt: skip
    return (
        f"INSERT INTO investors_payment ({', '.join(columns)}) "
        f"SELECT {', '.join(changed.get(name, name) for name in columns)} "
        "FROM investors_payment WHERE id = %s",
        (line_of("C1").pk, row.pk),
    )
