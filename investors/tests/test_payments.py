"""Money that leaves: prepared, signed in bands, released, confirmed by the bank, returned."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from investors.domain.payments import (
    Debtor,
    PaymentKind,
    Transfer,
    write_pain001,
    write_wallet_instructions,
)
from investors.domain.receipts.xml_files import parse_xml
from investors.models import (
    DealingOrder,
    Entry,
    FundAccount,
    Investor,
    PayeeAccount,
    Payment,
    StatementLine,
)
from investors.services.ledger import read_balances
from investors.services.money_accounts import (
    add_payee,
    approve_account,
    approve_payee,
    open_account,
)
from investors.services.payment_drafts import (
    owed,
    payable_of,
    prepare_fee,
    prepare_proceeds,
    prepare_refund,
    release_holdback,
)
from investors.services.payments import (
    approve_payment,
    cancel_payment,
    confirm_payment,
    release_payments,
    return_payment,
)
from investors.services.receipt_suggestions import open_receipts
from investors.services.statements import confirm_statement, upload_statement
from investors.services.verification import verify_fund
from investors.tests.fund_support import FIRST, SmallFund, first_of, make_fund
from magnetfund.core.actors import Actor
from magnetfund.core.roles import Role
from magnetfund.kernel.errors import Conflict, FundError, InvalidInput, NotAllowed
from magnetfund.operations.people import ensure_user

pytestmark = pytest.mark.django_db
D = Decimal
FEBRUARY, MARCH = first_of(2025, 2), first_of(2025, 3)
IBAN, OTHER = "CH9300762011623852957", "DE89370400440532013000"
PAYDAY = FEBRUARY + timedelta(days=3)


def with_redemption(
    units: str | None = "4", amount: str = "1000", **terms: Any
) -> tuple[SmallFund, DealingOrder]:
    """A fund in which Ann redeemed some of her ten units at 100."""
    small = make_fund(**terms)
    for at in (FIRST, FEBRUARY, MARCH):
        small.day(at)
    for name in ("ann", "bob"):
        small.subscribe(name, amount, before=FIRST)
    small.strike(FIRST)
    order = small.redeem("ann", units, before=FEBRUARY)
    small.strike(FEBRUARY)
    order.refresh_from_db()
    return small, order


def director() -> Actor:
    user = ensure_user(email="director@example.com", name="Director", roles=[Role.DIRECTOR])
    return Actor.of(user)


def payee_of(small: SmallFund, name: str | None = "ann", number: str = IBAN) -> PayeeAccount:
    who = small.investor(name) if name else None
    row = add_payee(
        fund=small.fund, investor=who, kind="bank", number=number, currency="USD",
        name=who.legal_name if who else "Manager", evidence="call-back", actor=small.maker,
    )  # fmt: skip
    return approve_payee(payee=row, actor=small.checker, at=FIRST)


def bank_of(small: SmallFund) -> FundAccount:
    row = open_account(fund=small.fund, code="bank", kind="bank", bank="Bank", number=OTHER,
                       currency="USD", actor=small.maker)  # fmt: skip
    return approve_account(account=row, actor=small.checker)


def sign(small: SmallFund, row: Payment, actor: Actor | None = None) -> Payment:
    return approve_payment(
        payment=row, seen_hash=row.content_hash, actor=actor or small.checker, at=PAYDAY
    )


def pay(small: SmallFund, row: Payment, account: FundAccount) -> Payment:
    sign(small, row)
    release_payments(payments=[row], account=account, actor=small.maker, at=PAYDAY)
    return confirm_payment(payment=row, bank_reference="B", actor=small.maker, at=PAYDAY)


def refused(step: Any, *args: Any, **more: Any) -> str:
    with pytest.raises(FundError) as found, transaction.atomic():
        step(*args, **more)
    return found.value.code


class TestRedemption:
    def test_nothing_is_paid_before_the_bank_confirms(self):
        small, order = with_redemption()
        assert (order.state, payable_of(order)) == ("payable", 400)
        row = prepare_proceeds(order=order, payee=payee_of(small), actor=small.maker, at=PAYDAY)
        sign(small, row)
        file = release_payments(
            payments=[row], account=bank_of(small), actor=small.maker, at=PAYDAY
        )
        assert b"<EndToEndId>P-00001</EndToEndId>" in bytes(file.content)
        assert read_balances(small.fund)["2020", "USD"] == -400
        assert not Entry.objects.filter(kind="redemption_paid").exists()
        confirm_payment(payment=row, bank_reference="B77", actor=small.maker, at=PAYDAY)
        order.refresh_from_db()
        assert (order.state, order.paid_amount, payable_of(order)) == ("settled", 400, 0)
        balances = read_balances(small.fund)
        assert (balances["2020", "USD"], balances["1010", "USD"]) == (0, 0)
        assert small.strike(MARCH).nav == 1600
        assert verify_fund(small.fund) == []

    def test_unpaid_money_waits_in_the_bank_and_never_prices_a_unit(self):
        small, _ = with_redemption()
        assert read_balances(small.fund)["1010", "USD"] == 400
        assert small.strike(MARCH).nav == 1600
        assert read_balances(small.fund)["1010", "USD"] == 400
        assert small.book_cash() == 1600

    def test_a_payment_that_came_back_is_owed_again(self):
        small, order = with_redemption()
        account, payee = bank_of(small), payee_of(small)
        row = prepare_proceeds(order=order, payee=payee, actor=small.maker, at=PAYDAY)
        pay(small, row, account)
        return_payment(payment=row, reason="AC04 closed", actor=small.maker, at=PAYDAY)
        order.refresh_from_db()
        assert (order.state, payable_of(order)) == ("payable", 400)
        assert read_balances(small.fund)["2020", "USD"] == -400
        again = prepare_proceeds(order=order, payee=payee, actor=small.maker, at=PAYDAY)
        pay(small, again, account)
        order.refresh_from_db()
        assert (order.state, again.reference) == ("settled", "P-00002")
        assert refused(return_payment, payment=row, reason="x", actor=small.maker) == "wrong_state"
        assert verify_fund(small.fund) == []

    def test_the_bank_statement_confirms_and_returns_by_itself(self):
        small, order = with_redemption()
        account = bank_of(small)
        row = prepare_proceeds(order=order, payee=payee_of(small), actor=small.maker, at=PAYDAY)
        sign(small, row)
        release_payments(payments=[row], account=account, actor=small.maker, at=PAYDAY)
        head = "reference,booked_at,amount,currency,end_to_end,return_code\n"

        def bring(line: str) -> None:
            file, _ = upload_statement(account=account, name="f", content=(head + line).encode(),
                                       actor=small.maker)  # fmt: skip
            confirm_statement(file=file, actor=small.maker, at=PAYDAY)

        bring("B0,2025-02-02T10:00:00Z,-399.00,USD,P-00001,\n")
        row.refresh_from_db()
        assert row.state == "released"
        bring("B1,2025-02-02T10:00:00Z,-400.00,USD,P-00001,\n")
        row.refresh_from_db()
        assert (row.state, row.bank_reference) == ("confirmed", "B1")
        bring("B2,2025-02-03T10:00:00Z,400.00,USD,P-00001,AC04\n")
        row.refresh_from_db()
        assert (row.state, row.reason) == ("returned", "returned by the bank, AC04")
        assert list(open_receipts(small.fund)) == []
        assert payable_of(order) == 400
        assert verify_fund(small.fund) == []

    def test_each_refusal_has_its_code_and_changes_nothing(self):
        small, order = with_redemption()
        payee = payee_of(small)
        given = {"order": order, "actor": small.maker, "at": PAYDAY}
        assert refused(prepare_proceeds, payee=payee_of(small, "bob", OTHER), **given) == (
            "third_party"
        )
        raw = add_payee(fund=small.fund, investor=order.investor, kind="bank", name="Ann",
                        number=OTHER, currency="USD", evidence="letter",
                        actor=small.maker)  # fmt: skip
        assert refused(prepare_proceeds, payee=raw, **given) == "receiver_not_approved"
        late = approve_payee(payee=raw, actor=small.checker, at=PAYDAY)
        assert refused(prepare_proceeds, payee=late, **given) == "cooling_off"
        row = prepare_proceeds(payee=payee, **given)
        assert refused(prepare_proceeds, payee=payee, **given) == "nothing_owed"
        assert refused(sign, small, row, small.maker) == "not_allowed"
        assert refused(approve_payment, payment=row, seen_hash="x", actor=small.checker) == (
            "changed"
        )
        account = bank_of(small)
        assert (
            refused(release_payments, payments=[row], account=account, actor=small.maker)
            == "wrong_state"
        )
        sign(small, row)
        Investor.objects.filter(pk=order.investor_id).update(kyc_state="restricted")
        assert (
            refused(release_payments, payments=[row], account=account, actor=small.maker)
            == "on_hold"
        )
        assert (
            refused(confirm_payment, payment=row, bank_reference="B", actor=small.maker)
            == "wrong_state"
        )
        cancel_payment(payment=row, reason="on hold", actor=small.checker)
        assert payable_of(order) == 400
        assert read_balances(small.fund)["2020", "USD"] == -400

    def test_the_database_keeps_maker_checker_and_director_apart(self):
        small, order = with_redemption()
        row = prepare_proceeds(order=order, payee=payee_of(small), actor=small.maker, at=PAYDAY)
        for change in ({"approved_by": small.maker.user}, {"state": "approved"},
                       {"directed_by": small.maker.user}, {"state": "confirmed"}):  # fmt: skip
            with pytest.raises(IntegrityError), transaction.atomic():
                Payment.objects.filter(pk=row.pk).update(**change)


class TestBands:
    def test_above_the_band_a_director_signs_too_in_any_order(self):
        small, order = with_redemption("250.01", "30000")
        assert (order.dealt_amount, small.fund.payment_band) == (25001, 25000)
        payee = payee_of(small)
        row = prepare_proceeds(order=order, payee=payee, actor=small.maker, at=PAYDAY)
        assert sign(small, row).state == "prepared"
        assert refused(sign, small, row) == "signed_already"
        assert sign(small, row, director()).state == "approved"
        cancel_payment(payment=row, reason="again", actor=small.maker)
        row = prepare_proceeds(order=order, payee=payee, actor=small.maker, at=PAYDAY)
        assert sign(small, row, director()).state == "prepared"
        assert sign(small, row).state == "approved"

    def test_below_the_band_a_director_has_nothing_to_sign(self):
        small, order = with_redemption()
        row = prepare_proceeds(order=order, payee=payee_of(small), actor=small.maker, at=PAYDAY)
        assert refused(sign, small, row, director()) == "signed_already"


class TestFees:
    def test_a_fee_is_paid_up_to_what_is_owed_and_by_class(self):
        small, _ = with_redemption(management_rate="0.12")
        most = owed(small.fund, PaymentKind.MANAGEMENT_FEE)
        assert most > 1
        manager = payee_of(small, None)
        given = {"fund": small.fund, "kind": PaymentKind.MANAGEMENT_FEE, "payee": manager,
                 "text": "January", "actor": small.maker, "at": PAYDAY}  # fmt: skip
        assert refused(prepare_fee, amount=most + 1, **given) == "too_much"
        assert refused(prepare_fee, **{**given, "payee": payee_of(small)}) == "third_party"
        assert refused(prepare_fee, **{**given, "kind": PaymentKind.REFUND}) == "wrong_kind"
        row = prepare_fee(amount=D(1), **given)
        assert prepare_fee(**given).amount == most - 1
        assert refused(prepare_fee, **given) == "nothing_owed"
        pay(small, row, bank_of(small))
        assert owed(small.fund, PaymentKind.MANAGEMENT_FEE) == 0
        assert -read_balances(small.fund)["2100", "USD"] == most - 1
        paid = Entry.objects.get(kind="management_fee_paid")
        assert [leg.share_class for leg in paid.postings.all()] == ["A", "A"]


class TestRefund:
    def test_money_goes_back_to_its_origin_alone(self):
        small, _ = with_redemption()
        account = bank_of(small)
        head = "reference,booked_at,amount,currency,party,party_account\n"
        content = head + f"X1,2025-02-02T10:00:00Z,50.00,USD,Hart Ltd,{IBAN}\n"
        content += "X2,2025-02-02T10:00:00Z,60.00,USD,,\n"
        file, _ = upload_statement(account=account, name="f", content=content.encode(),
                                   actor=small.maker)  # fmt: skip
        confirm_statement(file=file, actor=small.maker, at=PAYDAY)
        line, nameless = StatementLine.objects.filter(amount__lt=100).order_by("amount")
        given = {"actor": small.maker, "reason": "third party", "at": PAYDAY}
        assert refused(prepare_refund, line=nameless, **given) == "no_origin"
        row = prepare_refund(line=line, **given)
        assert (row.to_name, row.to_number, row.amount) == ("Hart Ltd", IBAN, 50)
        assert refused(prepare_refund, line=line, **given) == "nothing_owed"
        pay(small, row, account)
        line.refresh_from_db()
        assert line.open_amount == 0
        assert read_balances(small.fund)["2015", "USD"] == -60
        return_payment(payment=row, reason="AC01", actor=small.maker, at=PAYDAY)
        assert read_balances(small.fund)["2015", "USD"] == -110
        assert verify_fund(small.fund) == []


class TestHoldback:
    def test_a_part_of_a_full_redemption_waits_for_the_audit(self):
        small, order = with_redemption(None, holdback_share="0.05")
        assert (order.dealt_amount, order.held_amount, payable_of(order)) == (1000, 50, 950)
        account, payee = bank_of(small), payee_of(small)
        row = prepare_proceeds(order=order, payee=payee, actor=small.maker, at=PAYDAY)
        pay(small, row, account)
        order.refresh_from_db()
        assert (order.state, order.paid_amount) == ("payable", 950)
        assert read_balances(small.fund)["2030", "USD"] == -50
        with pytest.raises(NotAllowed):
            release_holdback(order=order, actor=small.maker, reason="audit signed")
        release_holdback(order=order, actor=small.checker, reason="audit signed", at=PAYDAY)
        order.refresh_from_db()
        assert payable_of(order) == 50
        row = prepare_proceeds(order=order, payee=payee, actor=small.maker, at=PAYDAY)
        pay(small, row, account)
        order.refresh_from_db()
        assert (order.state, order.paid_amount) == ("settled", 1000)
        assert verify_fund(small.fund) == []

    def test_a_partial_redemption_is_paid_whole(self):
        _, order = with_redemption("4", holdback_share="0.05")
        assert (order.held_amount, payable_of(order)) == (0, 400)


class TestFiles:
    TRANSFER = Transfer(
        reference="P-00001", name="Ann & Söhne", number=IBAN, bank="POFICHBEXXX",
        amount=D("400"), currency="USD", text="Redemption",
    )  # fmt: skip

    def test_equal_payments_give_equal_bytes(self):
        def write() -> bytes:
            return write_pain001(
                message="M-1", made_at=datetime(2025, 2, 4, tzinfo=UTC),
                on=datetime(2025, 2, 4, tzinfo=UTC).date(),
                debtor=Debtor(name="Fund", number=OTHER), transfers=[self.TRANSFER],
            )  # fmt: skip

        text = write().decode()
        assert write().decode() == text
        assert '<InstdAmt Ccy="USD">400.00</InstdAmt>' in text
        assert f"<IBAN>{IBAN}</IBAN>" in text
        assert "Ann &amp; Söhne" in text
        assert "<CtrlSum>400</CtrlSum>" in text

    @pytest.mark.parametrize(
        ("bank", "written"),
        [
            ("POFICHBEXXX", "<BICFI>POFICHBEXXX</BICFI>"),
            ("POFICHBE", "<BICFI>POFICHBE</BICFI>"),
            ("Northern", "<Nm>Northern</Nm>"),
            ("Post Finance", "<Nm>Post Finance</Nm>"),
        ],
    )
    def test_one_odd_receiver_makes_no_file_that_a_bank_refuses(self, bank: str, written: str):
        odd = replace(self.TRANSFER, bank=bank, name="Ann\x0b \u0000Soe")
        content = write_pain001(
            message="M-1", made_at=datetime(2025, 2, 4, tzinfo=UTC),
            on=datetime(2025, 2, 4, tzinfo=UTC).date(),
            debtor=Debtor(name="Fund", number=OTHER), transfers=[self.TRANSFER, odd],
        )  # fmt: skip
        parse_xml(content)
        flat = re.sub(r">\s+<", "><", content.decode())
        assert f"<FinInstnId>{written}" in flat
        assert "<Nm>Ann Soe</Nm>" in content.decode()

    def test_an_account_is_written_in_printable_characters(self):
        small, _ = with_redemption()
        for name, bank in (("Ann\x0bSoe", ""), ("Ann Soe", "PO\x01FI")):
            code = refused(
                add_payee, fund=small.fund, kind="bank", name=name, bank=bank, number=IBAN,
                currency="USD", evidence="letter", actor=small.maker,
            )  # fmt: skip
            assert code == "bad_account"

    def test_a_wallet_has_a_table(self):
        rows = write_wallet_instructions(
            debtor=Debtor(name="Fund", number="0xf"), transfers=[self.TRANSFER]
        ).decode()
        assert rows.splitlines()[1] == f"P-00001,0xf,{IBAN},POFICHBEXXX,USD,400.00,Redemption"


def test_a_payment_without_a_file_or_chosen_rows():
    small, _ = with_redemption()
    with pytest.raises(InvalidInput):
        release_payments(payments=[], account=bank_of(small), actor=small.maker)
    with pytest.raises(Conflict):
        release_holdback(
            order=DealingOrder.objects.filter(kind="redemption").get(),
            actor=small.checker,
            reason="none",
        )
