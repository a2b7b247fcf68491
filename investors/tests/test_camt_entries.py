"""Entries of camt.053 as banks write them: reversals, batches, entries of nothing, references."""

from __future__ import annotations

from decimal import Decimal

import pytest

from investors.domain.receipts import BankStatement, read_camt053
from investors.models import BookBreak, StatementLine
from investors.services.payment_drafts import payable_of, prepare_proceeds
from investors.services.payments import release_payments
from investors.services.receipt_suggestions import open_receipts
from investors.services.verification import verify_fund
from investors.tests.fund_support import make_fund
from investors.tests.test_payments import PAYDAY, bank_of, payee_of, sign, with_redemption
from investors.tests.test_receipts import account_of, bring
from magnetfund.kernel.errors import InvalidInput

D = Decimal
SENT = "<EndToEndId>P-00001</EndToEndId>"
OWN = "DE89370400440532013000"


def balance(code: str, amount: str) -> str:
    return (
        f"<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp><Amt Ccy='USD'>{amount}</Amt>"
        "<CdtDbtInd>CRDT</CdtDbtInd><Dt><Dt>2024-12-28</Dt></Dt></Bal>"
    )


def part(amount: str, reference: str = "", more: str = "") -> str:
    named = f"<AcctSvcrRef>{reference}</AcctSvcrRef>" if reference else ""
    return f"<TxDtls><Refs>{named}</Refs><Amt Ccy='USD'>{amount}</Amt>{more}</TxDtls>"


def entry(
    amount: str, *parts: str, sign: str = "CRDT", names: str = "<AcctSvcrRef>E1</AcctSvcrRef>",
    day: str = "2024-12-28", more: str = "",
) -> str:  # fmt: skip
    return (
        f"<Ntry>{names}<Amt Ccy='USD'>{amount}</Amt><CdtDbtInd>{sign}</CdtDbtInd>{more}"
        f"<Sts><Cd>BOOK</Cd></Sts><BookgDt><Dt>{day}</Dt></BookgDt>"
        f"<NtryDtls>{''.join(parts)}</NtryDtls></Ntry>"
    )


def camt(*entries: str, balances: str = "", iban: str = OWN) -> bytes:
    return (
        "<Document><BkToCstmrStmt><Stmt><Id>S1</Id><Acct><Id><IBAN>"
        f"{iban}</IBAN></Id></Acct>{balances}{''.join(entries)}</Stmt></BkToCstmrStmt></Document>"
    ).encode()


def amounts(read: BankStatement) -> dict[str, Decimal]:
    return {row.reference: row.amount for row in read.rows}


def test_a_batch_may_hold_what_goes_the_other_way():
    back = part("30.00", "P2", "<CdtDbtInd>DBIT</CdtDbtInd>")
    paid = part("100.00", "P1", "<CdtDbtInd>CRDT</CdtDbtInd>")
    assert amounts(read_camt053(camt(entry("70.00", paid, back)))) == {"P1": 100, "P2": -30}
    whole = entry("70.00", paid, back, sign="DBIT")
    with pytest.raises(InvalidInput, match="do not add"):
        read_camt053(camt(whole))


def test_a_batch_whose_parts_repeat_the_reference_of_their_entry_is_told_apart():
    read = read_camt053(camt(entry("3.00", part("1.00", "E1"), part("2.00", "E1"))))
    assert amounts(read) == {"E1/1": 1, "E1/2": 2}


def test_an_entry_of_nothing_moves_nothing_and_refuses_no_file():
    nothing = entry("0.00", names="<AcctSvcrRef>FEE</AcctSvcrRef>")
    assert amounts(read_camt053(camt(nothing, entry("5.00")))) == {"E1": 5}


def test_an_entry_that_the_bank_does_not_call_booked_is_none():
    booked = entry("5.00")
    own = entry("7.00").replace("<Cd>BOOK</Cd>", "<Prtry>held for review</Prtry>")
    pending = entry("9.00").replace("<Cd>BOOK</Cd>", "<Cd>PDNG</Cd>")
    assert amounts(read_camt053(camt(own, booked, pending))) == {"E1": 5}
    silent = booked.replace("<Sts><Cd>BOOK</Cd></Sts>", "")
    old = booked.replace("<Sts><Cd>BOOK</Cd></Sts>", "<Sts>BOOK</Sts>")
    for one in (silent, old):
        assert amounts(read_camt053(camt(one))) == {"E1": 5}


def test_the_entries_lead_from_the_opening_balance_to_the_closing_one():
    balances = balance("OPBD", "10.00") + balance("CLBD", "15.00")
    assert read_camt053(camt(entry("5.00"), balances=balances)).closing == 15
    with pytest.raises(InvalidInput) as refused:
        read_camt053(camt(entry("4.00"), balances=balances))
    assert refused.value.code == "balance_differs"


@pytest.mark.parametrize(
    ("more", "info", "code"),
    [
        ("", "<RtrInf><Rsn><Cd>AC04</Cd></Rsn></RtrInf>", "AC04"),
        ("", "<RtrInf><Rsn><Prtry>account closed</Prtry></Rsn></RtrInf>", "acco"),
        ("", "<RtrInf><AddtlInf>none</AddtlInf></RtrInf>", "RTRN"),
        ("<RvslInd>true</RvslInd>", "", "RVSL"),
        ("<RvslInd>false</RvslInd>", "", ""),
    ],
)
def test_what_came_back_is_known_for_that_whatever_the_bank_says_of_it(
    more: str, info: str, code: str
):
    [row] = read_camt053(camt(entry("5.00", part("5.00", "", info), more=more))).rows
    assert row.return_code == code


def test_a_reversal_names_who_had_paid():
    both = "<RltdPties><Dbtr><Nm>Ann</Nm></Dbtr><Cdtr><Nm>The fund</Nm></Cdtr></RltdPties>"
    taken = entry("5.00", part("5.00", "", both), sign="DBIT", more="<RvslInd>1</RvslInd>")
    [row] = read_camt053(camt(taken)).rows
    assert (row.amount, row.party) == (-5, "Ann")


@pytest.mark.django_db
class TestImports:
    def test_equal_payments_that_the_bank_only_counts_are_two_on_two_days(self):
        small = make_fund()
        account = account_of(small)
        first, second = (
            camt(entry("1000.00", names="<NtryRef>1</NtryRef>", day=day))
            for day in ("2024-12-26", "2024-12-27")
        )
        assert bring(small, first, account).new == 1
        assert bring(small, first, account).known == 1
        assert bring(small, second, account).new == 1
        assert sum(StatementLine.objects.values_list("amount", flat=True)) == 2000

    def test_a_line_that_came_under_its_bare_number_is_known_by_it(self):
        small = make_fund()
        account = account_of(small)
        old = entry("1000.00", names="<AcctSvcrRef>1</AcctSvcrRef>", day="2024-12-26")
        bring(small, camt(old), account)
        again = entry("1000.00", names="<NtryRef>1</NtryRef>", day="2024-12-26")
        assert bring(small, camt(again), account).known == 1
        other = entry("900.00", names="<NtryRef>1</NtryRef>", day="2024-12-26")
        assert bring(small, camt(other), account).new == 1

    @pytest.mark.parametrize("is_newest_first", [False, True])
    def test_a_payment_that_the_bank_took_back_is_owed_again_and_is_no_receipt(
        self, is_newest_first: bool
    ):
        small, order = with_redemption()
        account = bank_of(small)
        row = prepare_proceeds(order=order, payee=payee_of(small), actor=small.maker, at=PAYDAY)
        sign(small, row)
        release_payments(payments=[row], account=account, actor=small.maker, at=PAYDAY)
        named = f"<TxDtls><Refs>{SENT}</Refs></TxDtls>"
        left = entry("400.00", named, sign="DBIT", day="2025-02-02")
        back = entry(
            "400.00", named, names="<AcctSvcrRef>E2</AcctSvcrRef>", day="2025-02-03",
            more="<RvslInd>true</RvslInd>",
        )  # fmt: skip
        lines = (back, left) if is_newest_first else (left, back)
        bring(small, camt(*lines, iban=account.number), account, at=PAYDAY)
        row.refresh_from_db()
        assert row.state == "returned"
        assert list(open_receipts(small.fund)) == []
        assert payable_of(order) == 400
        assert not BookBreak.objects.exists()
        assert verify_fund(small.fund) == []
