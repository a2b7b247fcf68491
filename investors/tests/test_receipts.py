"""Money that arrives: files read whole or not at all, lines booked once, every outcome."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from hypothesis import given
from hypothesis import strategies as st

from investors.domain.receipts import (
    Arrival,
    NameBook,
    Outcome,
    WaitingOrder,
    WaitingOrders,
    read_bank_csv,
    read_camt053,
    read_chain_csv,
    score_names,
    suggest_match,
)
from investors.models import (
    DealingOrder,
    Entry,
    FundAccount,
    LineAllocation,
    PayeeAccount,
    StatementLine,
)
from investors.services.dealing import cancel_order
from investors.services.ledger import read_balances
from investors.services.money_accounts import (
    add_payee,
    approve_account,
    approve_payee,
    open_account,
)
from investors.services.receipt_suggestions import (
    nearest_names,
    open_receipts,
    suggest,
    suggest_all,
)
from investors.services.receipts import advance_receipt, match_receipt, take_part, use_advance
from investors.services.statements import confirm_statement, record_receipt, upload_statement
from investors.services.verification import verify_fund
from investors.tests.fund_support import FIRST, SmallFund, first_of, make_fund
from magnetfund.kernel.errors import Conflict, FundError, InvalidInput, NotAllowed

D = Decimal
FEBRUARY = first_of(2025, 2)
IBAN = "CH9300762011623852957"
OTHER_IBAN = "DE89370400440532013000"
PAID = FIRST - timedelta(days=3)
CAMT = """<?xml version="1.0" encoding="UTF-8"?>
<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"><BkToCstmrStmt>
<GrpHdr><MsgId>M1</MsgId></GrpHdr><Stmt><Id>S1</Id>
<Acct><Id><IBAN>{iban}</IBAN></Id><Ccy>USD</Ccy></Acct>
<Bal><Tp><CdOrPrtry><Cd>CLBD</Cd></CdOrPrtry></Tp><Amt Ccy="USD">{closing}</Amt>
<CdtDbtInd>CRDT</CdtDbtInd><Dt><Dt>2024-12-28</Dt></Dt></Bal>{entries}</Stmt></BkToCstmrStmt></Document>"""
ENTRY = """<Ntry><Amt Ccy="USD">{amount}</Amt><CdtDbtInd>{sign}</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts>
<BookgDt><DtTm>2024-12-28T10:00:00Z</DtTm></BookgDt><AcctSvcrRef>{reference}</AcctSvcrRef>
<NtryDtls><TxDtls><Refs><EndToEndId>NOTPROVIDED</EndToEndId></Refs><RltdPties><Dbtr><Pty><Nm>{name}</Nm></Pty></Dbtr>
<DbtrAcct><Id><IBAN>{account}</IBAN></Id></DbtrAcct></RltdPties>
<RmtInf><Ustrd>{text}</Ustrd></RmtInf></TxDtls></NtryDtls></Ntry>"""


def entry(**changes: str) -> str:
    given = {
        "amount": "1000.00", "sign": "CRDT", "reference": "B1", "name": "Ann", "account": IBAN,
        "text": "",
    }  # fmt: skip
    return ENTRY.format(**{**given, **changes})


def camt(*entries: str, iban: str = OTHER_IBAN) -> bytes:
    return CAMT.format(iban=iban, closing="1000.00", entries="".join(entries)).encode()


def account_of(small: SmallFund, kind: str = "bank") -> FundAccount:
    is_bank = kind == "bank"
    row = open_account(
        fund=small.fund, code=kind, kind=kind, bank="Northern Bank" if is_bank else "Ethereum",
        number=OTHER_IBAN if is_bank else "0x" + "ab" * 20, currency="USD" if is_bank else "USDC",
        confirmations=0 if is_bank else 64, actor=small.maker,
    )  # fmt: skip
    return approve_account(account=row, actor=small.checker)


def payee_of(small: SmallFund, name: str, number: str = IBAN) -> PayeeAccount:
    who = small.investor(name)
    row = add_payee(
        fund=small.fund, investor=who, kind="bank", name=who.legal_name, number=number,
        currency="USD", evidence="call-back to the number on file", actor=small.maker,
    )  # fmt: skip
    return approve_payee(payee=row, actor=small.checker, at=PAID - timedelta(days=20))


def bring(small: SmallFund, content: bytes, account: FundAccount, at: datetime = PAID) -> Any:
    file, _ = upload_statement(account=account, name="f", content=content, actor=small.maker)
    return confirm_statement(file=file, actor=small.maker, at=at)


@pytest.fixture
def small() -> SmallFund:
    fund = make_fund()
    fund.day(FIRST)
    fund.day(FEBRUARY)
    return fund


def order_of(small: SmallFund, name: str = "ann", amount: str = "1000") -> DealingOrder:
    return small.subscribe(name, amount, before=FIRST, paid=False)


class TestFiles:
    def test_camt_gives_parties_references_and_the_closing_balance(self):
        read = read_camt053(camt(entry(text="S-1 for Ann")))
        row = read.rows[0]
        assert (row.reference, row.amount, row.currency) == ("B1", D("1000.00"), "USD")
        assert (row.party, row.party_account, row.text) == ("Ann", IBAN, "S-1 for Ann")
        assert row.booked_at == datetime(2024, 12, 28, 10, tzinfo=UTC)
        assert (read.account, read.closing, row.end_to_end) == (OTHER_IBAN, D("1000.00"), "")

    def test_a_debit_is_negative_and_a_date_alone_ends_its_day(self):
        assert read_camt053(camt(entry(sign="DBIT"))).rows[0].amount == -1000
        read = read_bank_csv(b"reference,booked_at,amount,currency\nA,2024-12-28,5.00,USD\n")
        assert read.rows[0].booked_at == datetime(2024, 12, 28, 23, 59, 59, tzinfo=UTC)

    @pytest.mark.parametrize(
        ("content", "code"),
        [
            (b"<a>", "not_xml"),
            (b"<a/>", "not_camt053"),
            (b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "not_xml"),
            (camt(), "empty_file"),
            (camt(entry(), entry()), "doubled_reference"),
            (camt(entry(amount="1000.001")), "too_fine"),
            (camt(entry(amount="-5")), "negative"),
            (camt(entry(amount="NaN")), "not_finite"),
            (camt(entry(reference="")), "reference_missing"),
            (camt(entry(sign="X")), "bad_line"),
        ],
    )
    def test_a_malformed_camt_is_refused_whole(self, content: bytes, code: str):
        with pytest.raises(InvalidInput) as refused:
            read_camt053(content)
        assert refused.value.code == code

    @pytest.mark.parametrize(
        ("content", "code"),
        [
            (b"\xff\xfe", "bad_encoding"),
            (b"reference,amount\n", "missing_columns"),
            (b"reference,booked_at,amount,currency,fee\n", "unknown_columns"),
            (b"reference,booked_at,amount,currency,\n", "unknown_columns"),
            (b"reference,booked_at,amount,currency,text,text\n", "doubled_columns"),
            (b"reference,booked_at,amount,currency\n", "empty_file"),
            (b"reference,booked_at,amount,currency\nA,2024-12-28,5\n", "bad_line"),
            (b"reference,booked_at,amount,currency\nA,28.12.2024,5,USD\n", "bad_time"),
            (b"reference,booked_at,amount,currency\nA,2024-12-28,0,USD\n", "zero_amount"),
            (b"reference,booked_at,amount,currency\nA,2024-12-28,x,USD\n", "not_a_number"),
            (b"reference,booked_at,amount,currency\nA,2024-12-28,5,XXX\n", "unknown_currency"),
        ],
    )
    def test_a_malformed_csv_names_what_is_wrong(self, content: bytes, code: str):
        with pytest.raises(InvalidInput) as refused:
            read_bank_csv(content)
        assert refused.value.code == code

    def test_transfers_of_one_transaction_are_told_apart(self):
        read = read_chain_csv(
            b"transaction,index,time,amount,asset,from,confirmations\n"
            b"0xAA,1,2024-12-28T10:00:00Z,5,USDC,0x01,3\n0xAA,2,2024-12-28T10:00:00Z,6,USDC,0x01,3\n"
        )
        assert [row.reference for row in read.rows] == ["0xaa:1", "0xaa:2"]


class TestSuggestion:
    ORDER = WaitingOrder(
        order="o", reference="S-1A2B3C4D", investor="i", name="Inès Marlow", amount=D(1000),
        paid=D(0), currency="USD", deadline_at=FIRST,
    )  # fmt: skip

    @pytest.mark.parametrize(
        ("changes", "outcome", "is_automatic"),
        [
            ({}, Outcome.EXACT, True),
            ({"text": "s 1a2b 3c4d thanks"}, Outcome.EXACT, True),
            ({"text": "no reference"}, Outcome.EXACT, False),
            ({"party_account": "", "party": "MARLOW Ines"}, Outcome.EXACT, False),
            ({"open_amount": D(400)}, Outcome.SHORT, False),
            ({"open_amount": D(1200)}, Outcome.OVER, False),
            ({"cleared_at": FIRST + timedelta(seconds=1)}, Outcome.LATE, False),
            (
                {"party_account": OTHER_IBAN, "party": "Hart Joinery Ltd"},
                Outcome.THIRD_PARTY,
                False,
            ),
            ({"party_account": OTHER_IBAN, "party": ""}, Outcome.EXACT, False),
            ({"currency": "EUR"}, Outcome.WRONG_CURRENCY, False),
            ({"text": "", "party_account": "", "party": "M. Lindqvist"}, Outcome.UNKNOWN, False),
            ({"text": "", "party_account": "", "currency": "EUR"}, Outcome.WRONG_CURRENCY, False),
        ],
    )
    def test_each_outcome(self, changes: dict[str, Any], outcome: Outcome, is_automatic: bool):
        given = {
            "text": "S-1A2B3C4D", "party": "Ines Marlow",
            "party_account": "CH93 0076 2011 6238 52957",
            "open_amount": D(1000), "currency": "USD", "cleared_at": PAID,
        }  # fmt: skip
        found = suggest_match(
            arrival=Arrival(**{**given, **changes}), orders=WaitingOrders([self.ORDER]),
            accounts={IBAN: "i"}, currency="USD",
        )  # fmt: skip
        assert (found.outcome, found.is_automatic) == (outcome, is_automatic)
        assert found.matched + found.left == {**given, **changes}["open_amount"]

    def test_anothers_account_is_a_third_party_whatever_its_name(self):
        found = suggest_match(
            arrival=Arrival(text="S-1A2B3C4D", party="Ines Marlow", party_account=IBAN,
                            open_amount=D(1000), currency="USD", cleared_at=PAID),
            orders=WaitingOrders([self.ORDER]), accounts={IBAN: "somebody else"}, currency="USD",
        )  # fmt: skip
        assert found.outcome is Outcome.THIRD_PARTY

    def test_names_compare_without_order_case_and_accents(self):
        assert score_names("Inès Marlow", "MARLOW, ines") == 1
        assert score_names("", "Ann") == 0

    @given(
        names=st.lists(st.text("abÀé -", max_size=9), max_size=12),
        party=st.text("abcé -", max_size=9),
        least=st.sampled_from([0.3, 0.5, 0.85, 1.0]),
    )
    def test_many_names_are_compared_as_one_by_one(
        self, names: list[str], party: str, least: float
    ):
        book = NameBook(names)
        score, name = max(((score_names(party, item), item) for item in names), default=(0, ""))
        assert book.nearest(party) == ((name, score) if score else ("", 0))
        alike = {item for item in names if score_names(party, item) >= least}
        assert book.alike(party, score_min=least) == alike


@pytest.mark.django_db
class TestImport:
    def test_an_exact_line_funds_its_order_at_once_and_the_file_again_brings_nothing(
        self, small: SmallFund
    ):
        order, account = order_of(small), account_of(small)
        payee_of(small, "ann")
        content = camt(entry(text=order.reference))
        report = bring(small, content, account)
        assert (report.new, report.known, report.matched) == (1, 0, 1)
        order.refresh_from_db()
        assert (order.state, order.funded_amount) == ("funded", 1000)
        assert order.funded_at == datetime(2024, 12, 28, 10, tzinfo=UTC)
        again = bring(small, content, account)
        assert (again.new, again.known, again.matched) == (0, 1, 0)
        assert read_balances(small.fund)["2010", "USD"] == -1000
        assert ("2015", "USD") not in {k for k, v in read_balances(small.fund).items() if v}
        small.strike(FIRST)
        order.refresh_from_db()
        assert (order.state, order.dealt_units) == ("settled", 10)
        assert verify_fund(small.fund) == []

    def test_trying_out_writes_no_line(self, small: SmallFund):
        _, report = upload_statement(
            account=account_of(small), name="f", content=camt(entry()), actor=small.maker
        )
        assert report.new == 1
        assert not StatementLine.objects.exists()
        assert not Entry.objects.filter(fund=small.fund).exists()

    def test_a_reference_with_another_amount_refuses_the_file(self, small: SmallFund):
        account = account_of(small)
        bring(small, camt(entry()), account)
        with pytest.raises(Conflict) as refused:
            bring(small, camt(entry(amount="1001.00"), entry(reference="B2")), account)
        assert refused.value.code == "refused_lines"
        assert refused.value.details["refused"][0]["code"] == "reference_conflict"
        assert StatementLine.objects.count() == 1

    def test_a_receipt_recorded_by_hand_is_known_when_the_file_comes(self, small: SmallFund):
        order = order_of(small)
        record_receipt(order=order, amount=D(1000), reference="B1", party="Ann",
                       actor=small.maker, at=PAID)  # fmt: skip
        assert bring(small, camt(entry()), account_of(small)).known == 1
        assert StatementLine.objects.count() == 1

    def test_files_of_other_accounts_of_the_future_and_of_no_person(self, small: SmallFund):
        account = account_of(small)
        with pytest.raises(InvalidInput) as other:
            bring(small, camt(entry(), iban=IBAN), account)
        assert other.value.code == "other_account"
        with pytest.raises(Conflict) as future:
            bring(small, camt(entry()), account, at=PAID - timedelta(days=30))
        assert future.value.details["refused"][0]["code"] == "in_future"
        with pytest.raises(NotAllowed):
            upload_statement(account=account, name="f", content=b"", actor=small.checker)

    def test_a_chain_receipt_waits_for_its_confirmations(self, small: SmallFund):
        account = account_of(small, "wallet")
        head = "transaction,time,amount,asset,from,confirmations\n"
        line = "0xAB,2024-12-28T10:00:00Z,8000,USDC,0x01,{}\n"
        report = bring(small, (head + line.format(31)).encode(), account)
        assert (report.new, report.waiting) == (1, 1)
        assert list(open_receipts(small.fund)) == []
        report = bring(small, (head + line.format(64)).encode(), account)
        assert (report.new, report.deeper, report.waiting) == (0, 1, 0)
        found = open_receipts(small.fund).get()
        assert (found.open_amount, found.outcome) == (8000, "wrong_currency")
        assert read_balances(small.fund)["2015", "USDC"] == -8000

    def test_an_unmatched_dollar_stops_nobody(self, small: SmallFund):
        small.subscribe("ann", "1000", before=FIRST)
        bring(small, camt(entry(amount="1.00", name="A Stranger", text="hi")), account_of(small))
        strike = small.strike(FIRST)
        assert (strike.state, strike.nav) == ("dealt", 0)
        assert small.strike(FEBRUARY).nav == 1000
        assert read_balances(small.fund)["2015", "USD"] == -1
        assert verify_fund(small.fund) == []


@pytest.mark.django_db
class TestMatching:
    def test_a_short_wire_is_topped_up(self, small: SmallFund):
        order, account = order_of(small), account_of(small)
        bring(small, camt(entry(amount="400.00", text=order.reference)), account)
        line = open_receipts(small.fund).get()
        assert (line.outcome, suggest(line).missing) == ("short", 600)
        match_receipt(line=line, order=order, actor=small.maker, at=PAID)
        order.refresh_from_db()
        assert (order.state, order.funded_amount) == ("accepted", 400)
        bring(small, camt(entry(amount="600.00", reference="B2", text=order.reference)), account)
        match_receipt(line=open_receipts(small.fund).get(), order=order, actor=small.maker, at=PAID)
        order.refresh_from_db()
        assert (order.state, order.funded_amount) == ("funded", 1000)
        small.strike(FIRST)
        assert verify_fund(small.fund) == []

    def test_many_receipts_cost_as_many_reads_as_one_and_each_finds_its_own_order(
        self, small: SmallFund, django_assert_num_queries: Any
    ):
        account, orders = account_of(small), []
        for number in range(12):
            who = ("ann", "ben", "cleo")[number % 3]
            orders.append(small.subscribe(who, str(1000 + number), before=FIRST, paid=False))
        texts = [f"s {item.pk.hex[:4]} {item.pk.hex[4:8]} thanks" for item in orders[:6]]
        lines = [entry(amount="7.00", reference=f"R{k}", text=text, name="Somebody")
                 for k, text in enumerate(texts)]  # fmt: skip
        lines += [entry(amount=f"{1000 + k}.00", reference=f"A{k}", text="", name=name)
                  for k, name in ((9, "Ann"), (10, "Ann"))]  # fmt: skip
        bring(small, camt("".join(lines)), account)
        found = list(open_receipts(small.fund))
        with django_assert_num_queries(2):
            several = suggest_all(small.fund, found)
        by_line = {line.reference: item for line, item in zip(found, several, strict=True)}
        assert [by_line[f"R{k}"].order for k in range(6)] == [str(item.pk) for item in orders[:6]]
        assert by_line["A9"].order == str(orders[9].pk)
        assert by_line["A10"].order == ""
        assert [suggest(line) for line in found] == several
        with django_assert_num_queries(1):
            near = nearest_names(small.fund, ["Ann", "Bern", "", "999"])
        assert (near["Ann"][1], near["Bern"][0][:3]) == (1, "Ben")
        assert set(near) == {"Ann", "Bern"}

    def test_the_part_that_came_is_dealt_when_the_investor_asks(self, small: SmallFund):
        order = order_of(small)
        record_receipt(order=order, amount=D(400), reference="W", party="Ann",
                       actor=small.maker, at=PAID)  # fmt: skip
        with pytest.raises(InvalidInput):
            take_part(order=order, reason=" ", actor=small.maker)
        take_part(order=order, reason="letter of 29 Dec", actor=small.maker, at=PAID)
        small.strike(FIRST)
        order.refresh_from_db()
        assert (order.state, order.dealt_units, order.dealt_amount) == ("settled", 4, 400)
        assert read_balances(small.fund)["2010", "USD"] == 0
        assert verify_fund(small.fund) == []

    def test_what_is_over_stands_for_the_next_order(self, small: SmallFund):
        order = order_of(small)
        record_receipt(order=order, amount=D(1200), reference="W", party="Ann",
                       actor=small.maker, at=PAID)  # fmt: skip
        line = open_receipts(small.fund).get()
        assert (line.open_amount, line.outcome) == (200, "over")
        ann = small.investor("ann")
        advance_receipt(line=line, investor=ann, actor=small.maker, reason="her call", at=PAID)
        assert read_balances(small.fund)["2010", "USD"] == -1200
        small.strike(FIRST)
        after = small.subscribe("ann", "200", before=FEBRUARY, paid=False)
        use_advance(order=after, actor=small.maker, at=FEBRUARY - timedelta(days=5))
        with pytest.raises(Conflict):
            use_advance(order=after, actor=small.maker)
        small.strike(FEBRUARY)
        after.refresh_from_db()
        assert (after.state, read_balances(small.fund)["2010", "USD"]) == ("settled", 0)
        assert verify_fund(small.fund) == []

    @pytest.mark.parametrize(
        ("changes", "code"),
        [
            ({"name": "Hart Joinery Ltd", "account": OTHER_IBAN}, "third_party_money"),
            ({"name": "", "account": ""}, "reason_missing"),
        ],
    )
    def test_money_of_others_is_never_matched(
        self, small: SmallFund, changes: dict[str, str], code: str
    ):
        order = order_of(small)
        bring(small, camt(entry(text=order.reference, **changes)), account_of(small))
        with pytest.raises(InvalidInput) as refused:
            match_receipt(line=open_receipts(small.fund).get(), order=order, actor=small.maker)
        assert refused.value.code == code
        assert not LineAllocation.objects.exists()

    def test_a_cancelled_order_owes_its_money_to_the_sender(self, small: SmallFund):
        order = small.subscribe("ann", "1000", before=FIRST)
        cancel_order(order=order, actor=small.maker, at=FIRST - timedelta(days=6))
        order.refresh_from_db()
        assert (order.state, order.funded_amount) == ("cancelled", 0)
        assert open_receipts(small.fund).get().open_amount == 1000
        balances = read_balances(small.fund)
        assert (balances["2010", "USD"], balances["2015", "USD"]) == (0, -1000)

    def test_no_more_than_came_is_ever_used(self, small: SmallFund):
        line = record_line(small)
        with pytest.raises(IntegrityError), transaction.atomic():
            StatementLine.objects.filter(pk=line.pk).update(allocated=D(1001))
        for amount in ("0", "-1", "1000.001", "1001"):
            with pytest.raises(FundError):
                match_receipt(line=line, order=DealingOrder.objects.get(state="accepted"),
                              amount=D(amount), actor=small.maker, at=PAID)  # fmt: skip


def record_line(small: SmallFund) -> StatementLine:
    order = order_of(small)
    bring(small, camt(entry(text=order.reference)), account_of(small))
    return StatementLine.objects.get()


@pytest.mark.django_db
class TestAccounts:
    def test_an_account_takes_two_people(self, small: SmallFund):
        given = {"fund": small.fund, "code": "b", "kind": "bank", "bank": "Bank",
                 "number": IBAN, "currency": "USD", "actor": small.maker}  # fmt: skip
        row = open_account(**given)
        with pytest.raises(InvalidInput):
            upload_statement(account=row, name="f", content=camt(entry()), actor=small.maker)
        with pytest.raises(NotAllowed):
            approve_account(account=row, actor=small.maker)
        with pytest.raises(Conflict):
            open_account(**given)
        for wrong in ({"number": "CH9300762011623852958"}, {"currency": "XXX"}, {"kind": "x"}):
            with pytest.raises(InvalidInput):
                open_account(**{**given, "code": "c", **wrong})

    def test_changed_details_cool_off_and_an_investor_is_paid_in_his_own_name(
        self, small: SmallFund
    ):
        first = payee_of(small, "ann")
        assert first.usable_from == first.approved_at
        second = payee_of(small, "ann", OTHER_IBAN)
        assert second.usable_from == second.approved_at + timedelta(days=3)
        with pytest.raises(InvalidInput) as refused:
            add_payee(fund=small.fund, investor=small.investor("ann"), kind="bank",
                      name="Bob", number=IBAN, currency="USD", evidence="letter",
                      actor=small.maker)  # fmt: skip
        assert refused.value.code == "third_party"
