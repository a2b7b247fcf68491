"""Statements of banks and chains: uploaded, tried out, then imported once by reference.

A line enters the books when its money is final: as a liability to its sender, which blocks nothing.
What is certain is matched at once; the rest waits for a person.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from django.db import transaction

from investors.domain.ledger import build_entry
from investors.domain.receipts import (
    OF_DAY,
    BankStatement,
    StatementRow,
    plain_number,
    read_bank_csv,
    read_camt053,
    read_chain_csv,
)
from investors.models import (
    DealingOrder,
    Entry,
    Fund,
    FundAccount,
    StatementFile,
    StatementLine,
)
from investors.services.ledger import NewEntry, open_since, post_entry
from investors.services.payment_lines import settle_line
from investors.services.receipt_suggestions import note_outcome
from investors.services.receipts import match_as_suggested, match_receipt
from magnetfund.core.actors import Actor
from magnetfund.core.models import User
from magnetfund.core.roles import Capability
from magnetfund.core.services.audit import record_audit
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import Conflict, InvalidInput, NotAllowed
from magnetfund.kernel.identifiers import derived_uuid

FILE_BYTES_MAX = 5 * 1024 * 1024
#: How far a bank's clock may run ahead of ours, and a date end after now.
AHEAD_MAX = timedelta(days=1)
ZERO = Decimal(0)


@dataclass(slots=True, kw_only=True)
class StatementImport:
    """What a file brings: lines by what becomes of them, money that comes in and goes out.

    ``refused`` names each line that contradicts the books, with its code; nothing of a file is
    imported while there is one.
    """

    format: str
    new: int = 0
    known: int = 0
    deeper: int = 0
    waiting: int = 0
    matched: int = 0
    money_in: dict[str, Decimal] = field(default_factory=dict)
    money_out: dict[str, Decimal] = field(default_factory=dict)
    refused: list[dict[str, str]] = field(default_factory=list)

    def plain(self) -> dict[str, object]:
        """As it is stored and answered."""
        return {
            "format": self.format,
            "new": self.new,
            "known": self.known,
            "deeper": self.deeper,
            "waiting": self.waiting,
            "matched": self.matched,
            "money_in": {code: f"{amount:f}" for code, amount in self.money_in.items()},
            "money_out": {code: f"{amount:f}" for code, amount in self.money_out.items()},
            "refused": self.refused,
        }


def upload_statement(
    *, account: FundAccount, name: str, content: bytes, actor: Actor
) -> tuple[StatementFile, StatementImport]:
    """Keep a file as it came and say what importing it would do; no line is written yet.

    Raises :class:`InvalidInput`: what the readers raise, ``file_too_large``, ``other_account``.
    """
    actor.require(Capability.DEALING_PROCESS)
    user = _person(actor)
    statement = read_statement(account, content)
    row = StatementFile.objects.create(
        account=account,
        format=statement.format.value,
        name=name[:120] or "statement",
        content=content,
        sha256=hashlib.sha256(content).hexdigest(),
        closing=statement.closing,
        closed_at=statement.closed_at,
        uploaded_by=user,
    )
    return row, preview_statement(row)


def preview_statement(file: StatementFile) -> StatementImport:
    """What confirming a file would do now; nothing is written."""
    statement = read_statement(file.account, bytes(file.content))
    report, _ = _plan(file.account, statement, utc_now())
    return report


def read_statement(account: FundAccount, content: bytes) -> BankStatement:
    """The lines of a file in the account's format; raises :class:`InvalidInput`."""
    if account.approved_at is None or account.closed_at is not None:
        raise InvalidInput("this account is not in use", code="unknown_account")
    if len(content) > FILE_BYTES_MAX:
        raise InvalidInput("a statement has at most 5 MB", code="file_too_large")
    zone = ZoneInfo(account.fund.zone)
    if account.kind == "wallet":
        statement = read_chain_csv(content, zone=zone)
    elif content.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"<"):
        statement = read_camt053(content, zone=zone)
    else:
        statement = read_bank_csv(content, zone=zone)
    if statement.account and plain_number(statement.account) != account.number:
        raise InvalidInput(
            f"this statement is of the account {statement.account}", code="other_account"
        )
    return statement


def confirm_statement(
    *, file: StatementFile, actor: Actor, at: datetime | None = None
) -> StatementImport:
    """Import the lines of an uploaded file, once.

    Raises :class:`Conflict`: ``file_confirmed``, and ``refused_lines`` where the preview refuses
    any; then nothing is imported.
    """
    actor.require(Capability.DEALING_PROCESS)
    _person(actor)
    at = at or utc_now()
    with transaction.atomic():
        # The account's row is what two imports of the same lines wait for.
        account = FundAccount.objects.select_for_update(of=("self",)).get(pk=file.account_id)
        row = StatementFile.objects.select_for_update(of=("self",)).get(pk=file.pk)
        if row.confirmed_at is not None:
            raise Conflict("this file has been imported already", code="file_confirmed")
        report, plan = _plan(account, read_statement(account, bytes(row.content)), at)
        if report.refused:
            raise Conflict(
                "lines of this file contradict the books; nothing was imported",
                code="refused_lines",
                details={"refused": report.refused},
            )
        # Many banks write the newest line first: what came back is read after what had left, and
        # what was taken back before the receipt that it names, which then waits for a person.
        plan.sort(key=lambda item: bool(item[0].return_code) * (1 if item[0].amount > 0 else -1))
        report.matched = sum(_import(account, row, line, known, actor, at) for line, known in plan)
        row.confirmed_at, row.counts = at, report.plain()
        row.save(update_fields=["confirmed_at", "counts"])
        record_audit(
            actor=actor,
            action="statement.imported",
            subject=("statement_file", row.pk),
            body={"sha256": row.sha256, "new": report.new, "known": report.known},
            at=at,
        )
    return report


def _plan(
    account: FundAccount, statement: BankStatement, at: datetime
) -> tuple[StatementImport, list[tuple[StatementRow, StatementLine | None]]]:
    report, plan = StatementImport(format=statement.format.value), []
    known, undated = _known_lines(account, statement), _known_undated(account, statement)
    for row in statement.rows:
        if row.reference in undated:
            report.known += 1
            continue
        there = known.get(row.reference)
        refusal = _refuse(account, row, there, at)
        if refusal is not None:
            code, words = refusal
            report.refused.append({"reference": row.reference, "code": code, "words": words})
            continue
        if there is not None and (there.final_at or row.confirmations == there.confirmations):
            report.known += 1
            continue
        is_final = _is_final(account, row)
        if there is not None:
            report.deeper += 1
        else:
            report.new += 1
            money = report.money_in if row.amount > 0 else report.money_out
            money[row.currency] = money.get(row.currency, ZERO) + abs(row.amount)
        report.waiting += not is_final
        plan.append((row, there))
    return report, plan


def _known_lines(account: FundAccount, statement: BankStatement) -> dict[str, StatementLine]:
    """Lines of the account by reference, and those recorded by hand before the file came."""
    rows = StatementLine.objects.filter(
        fund=account.fund_id, reference__in=[row.reference for row in statement.rows]
    )
    found = {row.reference: row for row in rows.filter(account=None)}
    found.update({row.reference: row for row in rows.filter(account=account)})
    return found


def _known_undated(account: FundAccount, statement: BankStatement) -> set[str]:
    """References of lines that the account has under the number of their entry alone."""
    heads = {
        row.reference: row.reference.rpartition(OF_DAY)[0]
        for row in statement.rows
        if OF_DAY in row.reference
    }
    if not heads:
        return set()
    there = {
        line.reference: line
        for line in StatementLine.objects.filter(account=account, reference__in=heads.values())
    }
    return {
        row.reference
        for row in statement.rows
        if (line := there.get(heads.get(row.reference, ""))) is not None
        and (line.amount, line.currency, line.booked_at)
        == (row.amount, row.currency, row.booked_at)
    }


def _refuse(
    account: FundAccount, row: StatementRow, there: StatementLine | None, at: datetime
) -> tuple[str, str] | None:
    if there is not None:
        same = (there.amount, there.currency) == (row.amount, row.currency)
        if there.account_id is not None:
            same = there.identity == row.identity
        if not same:
            return (
                "reference_conflict",
                f"this reference stands in the books with {there.amount:,.2f} {there.currency}",
            )
        return None
    if row.booked_at > at + AHEAD_MAX:
        return "in_future", "the line is dated in the future"
    if row.currency != account.currency and account.kind == "bank":
        return "currency_differs", f"the account is in {account.currency}"
    return None


def _is_final(account: FundAccount, row: StatementRow) -> bool:
    return row.confirmations is None or row.confirmations >= account.confirmations


def _import(
    account: FundAccount,
    file: StatementFile,
    row: StatementRow,
    there: StatementLine | None,
    actor: Actor,
    at: datetime,
) -> bool:
    """Write or deepen one line; whether it was matched at once."""
    is_final = _is_final(account, row)
    if there is None:
        line = new_line(account.fund, row, account=account, file=file, actor=actor, at=at)
    else:
        line = StatementLine.objects.select_for_update(of=("self",)).get(pk=there.pk)
        line.confirmations = row.confirmations
        line.save(update_fields=["confirmations"])
    if not is_final:
        return False
    if line.amount < 0 or line.return_code:
        is_settled = settle_line(line, actor=actor, at=at)
        if is_settled or line.amount < 0:
            return is_settled
    book_line(line, actor=actor, at=at)
    return match_as_suggested(line=line, actor=actor, at=at)


def new_line(
    fund: Fund,
    row: StatementRow,
    *,
    actor: Actor,
    at: datetime,
    account: FundAccount | None = None,
    file: StatementFile | None = None,
) -> StatementLine:
    """A line as it was read; it is in the books only after :func:`book_line`."""
    return StatementLine.objects.create(
        id=derived_uuid(
            "statement line", f"{fund.code}:{account.pk if account else ''}:{row.reference}"
        ),
        fund=fund,
        account=account,
        file=file,
        reference=row.reference,
        identity=row.identity,
        amount=row.amount,
        currency=row.currency,
        party=row.party,
        party_account=row.party_account,
        text=row.text,
        end_to_end=row.end_to_end,
        return_code=row.return_code,
        booked_at=row.booked_at,
        confirmations=row.confirmations,
        owner=actor.user,
    )


def book_line(line: StatementLine, *, actor: Actor, at: datetime) -> None:
    """Post a final receipt as owed to its sender; what came late stands in the open period."""
    place = line.account.code if line.account is not None else "hand"
    entry = build_entry(
        event="unknown_receipt",
        source_ref=f"receipt:{line.fund.code}:{place}:{line.reference}",
        effective_at=max(min(line.booked_at, at), open_since(line.fund)),
        amounts={"amount": line.amount},
        currency=line.currency,
        # No name: the ledger is kept for ever, a holder is not.
        text=f"Receipt {line.reference}",
    )
    posted: Entry | None = post_entry(line.fund, NewEntry.of(entry), actor=actor)
    if posted is None:
        raise Conflict("this reference is in the books already", code="reference_used")
    line.final_at = at
    line.save(update_fields=["final_at"])


def record_receipt(
    *,
    order: DealingOrder,
    amount: Decimal,
    reference: str,
    party: str,
    actor: Actor,
    party_account: str = "",
    currency: str = "",
    at: datetime | None = None,
) -> DealingOrder:
    """Record one cleared receipt by hand and use it for the order that it names.

    What it has too much stays owed to its sender, what it lacks is waited for.  Raises
    :class:`Conflict` (``not_waiting``, ``reference_used``) and what :func:`match_receipt` raises:
    then nothing is recorded.
    """
    actor.require(Capability.DEALING_PROCESS)
    at = at or utc_now()
    fund = order.share_class.fund
    row = StatementRow(
        reference=reference,
        booked_at=at,
        amount=amount,
        currency=currency or fund.currency,
        party=party,
        party_account=party_account,
        text=order.reference,
    )
    if row.amount < 0:
        raise InvalidInput("the amount must be positive", code="not_positive")
    with transaction.atomic():
        if StatementLine.objects.filter(fund=fund, reference=row.reference).exists():
            raise Conflict("this reference is in the books already", code="reference_used")
        line = new_line(fund, row, actor=actor, at=at)
        book_line(line, actor=actor, at=at)
        note_outcome(line)
        return match_receipt(line=line, order=order, actor=actor, at=at)


def _person(actor: Actor) -> User:
    if actor.user is None:
        raise NotAllowed("a statement is imported by a person", code="needs_person")
    return actor.user
