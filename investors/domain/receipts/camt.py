"""Bank statements in ISO 20022 camt.053, any version: entries, parties, returns, closing balance.

A batch booking (one entry of several transactions) becomes one line per transaction.  A document
type declaration is refused before anything is read, so that no entity is ever expanded.

Source: ISO 20022 message definition BankToCustomerStatement (camt.053.001.02 to .08).
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from datetime import UTC, datetime, tzinfo
from decimal import Decimal

from investors.domain.receipts.lines import (
    BankStatement,
    StatementFormat,
    StatementRow,
    require_distinct,
)
from investors.domain.receipts.tables import read_time
from investors.domain.receipts.xml_files import parse_xml
from magnetfund.kernel.errors import InvalidInput
from magnetfund.kernel.money import decimal_of

#: Between the number of an entry in its statement and its day, where the bank names it by no more.
OF_DAY = " of "
#: A payment that came back for no stated reason, and one that the bank itself took back.
RETURNED, REVERSED = "RTRN", "RVSL"
RETURN_CODE_MAX = 4


def read_camt053(content: bytes, *, zone: tzinfo = UTC) -> BankStatement:
    """The booked entries of one statement; dates without a time end their day in ``zone``.

    An entry of nothing moves no money and is left out.  Raises :class:`InvalidInput`: ``not_xml``,
    ``not_camt053``, ``several_statements``, ``bad_line``, ``doubled_reference``,
    ``too_many_lines``, ``empty_file``, and ``balance_differs`` where the entries do not lead from
    the opening balance to the closing one: then lines are missing, or were changed.
    """
    root = parse_xml(content)
    statements = [node for node in root.iter() if _name(node) == "Stmt"]
    if not statements:
        raise InvalidInput("the file is not a camt.053 statement", code="not_camt053")
    if len(statements) > 1:
        raise InvalidInput(
            "the file holds several statements; import one account at a time",
            code="several_statements",
        )
    stmt = statements[0]
    rows = require_distinct(tuple(_rows(stmt, zone)))
    closing, closed_at, currency = _closing(stmt, zone)
    _require_balance(stmt, rows, closing)
    return BankStatement(
        format=StatementFormat.CAMT053,
        rows=rows,
        account=_text(stmt, "Acct", "Id", "IBAN") or _text(stmt, "Acct", "Id", "Othr", "Id"),
        closing=closing,
        closed_at=closed_at,
        currency=currency,
    )


def _rows(stmt: ET.Element, zone: tzinfo) -> Iterator[StatementRow]:
    for number, entry in enumerate(_all(stmt, "Ntry"), start=1):
        if not _is_booked(entry):
            continue
        try:
            if _amount(entry)[0]:
                yield from _entry_rows(entry, zone)
        except InvalidInput as error:
            raise InvalidInput(f"entry {number}: {error.message}", code=error.code) from None


def _is_booked(entry: ET.Element) -> bool:
    """Booked by its code, or by no status at all; one of the bank's own words is not."""
    stated = _all(entry, "Sts")
    return not stated or (_text(entry, "Sts", "Cd") or _text(entry, "Sts")) == "BOOK"


def _entry_rows(entry: ET.Element, zone: tzinfo) -> Iterator[StatementRow]:
    sign = _sign(entry)
    stamp = _text(entry, "BookgDt", "DtTm") or _text(entry, "BookgDt", "Dt")
    if not stamp:
        raise InvalidInput("the entry has no booking date", code="bad_line")
    booked_at = read_time(stamp, zone=zone)
    is_reversal = _text(entry, "RvslInd") in ("true", "1")
    details = [node for box in _all(entry, "NtryDtls") for node in _all(box, "TxDtls")]
    named = [_text(node, "Refs", "AcctSvcrRef") for node in details]
    own = _text(entry, "AcctSvcrRef") or (named[0] if len(details) == 1 else "")
    if not own and (number := _text(entry, "NtryRef")):
        # Many banks count the entries of each statement anew.
        own = f"{number}{OF_DAY}{stamp[:10]}"
    if len(details) < 2:
        node = details[0] if details else None
        amount, currency = _amount(entry)
        yield _row(node, own, sign * amount, currency, booked_at, is_reversal)
        return
    total = Decimal(0)
    for index, node in enumerate(details, start=1):
        amount, currency = _amount(node)
        if _text(node, "CdtDbtInd"):
            amount *= sign * _sign(node)
        total += amount
        if amount:
            # A bank may repeat the reference of the entry in each of its transactions.
            name = named[index - 1]
            reference = name if name and named.count(name) == 1 else f"{own}/{index}"
            yield _row(node, reference, sign * amount, currency, booked_at, is_reversal)
    if total != _amount(entry)[0]:
        raise InvalidInput("the transactions do not add to their entry", code="bad_line")


def _row(
    node: ET.Element | None,
    reference: str,
    amount: Decimal,
    currency: str,
    booked_at: datetime,
    is_reversal: bool,
) -> StatementRow:
    # A reversal names the parties of what it takes back.
    party = "Dbtr" if (amount > 0) is not is_reversal else "Cdtr"

    def find(*path: str) -> str:
        return _text(node, *path)

    name = find("RltdPties", party, "Nm") or find("RltdPties", party, "Pty", "Nm")
    account = find("RltdPties", f"{party}Acct", "Id", "IBAN") or find(
        "RltdPties", f"{party}Acct", "Id", "Othr", "Id"
    )
    lines = []
    if node is not None:
        for box in _all(node, "RmtInf"):
            lines += [(item.text or "") for item in _all(box, "Ustrd")]
            lines.append(_text(box, "Strd", "CdtrRefInf", "Ref"))
    end_to_end = find("Refs", "EndToEndId")
    return StatementRow(
        reference=reference,
        booked_at=booked_at,
        amount=amount,
        currency=currency,
        party=name,
        party_account=account,
        text=" ".join(line for line in lines if line),
        end_to_end="" if end_to_end == "NOTPROVIDED" else end_to_end,
        return_code=_return_code(node, is_reversal),
    )


def _return_code(node: ET.Element | None, is_reversal: bool) -> str:
    """Why a payment came back; that it did counts, whatever the bank says of the reason."""
    info = None if node is None else next(iter(_all(node, "RtrInf")), None)
    if info is not None:
        code = _text(info, "Rsn", "Cd") or _text(info, "Rsn", "Prtry")
        return code[:RETURN_CODE_MAX] or RETURNED
    return REVERSED if is_reversal else ""


def _require_balance(
    stmt: ET.Element, rows: tuple[StatementRow, ...], closing: Decimal | None
) -> None:
    opening = _balance(stmt, "OPBD")
    if opening is None or closing is None:
        return  # one page of several
    moved = sum((row.amount for row in rows), Decimal(0))
    if _sign(opening) * _amount(opening)[0] + moved != closing:
        raise InvalidInput(
            f"the entries add to {moved:,.2f}, which does not lead from the opening balance to the "
            f"closing one, {closing:,.2f}: the file is not whole",
            code="balance_differs",
        )


def _closing(stmt: ET.Element, zone: tzinfo) -> tuple[Decimal | None, datetime | None, str]:
    box = _balance(stmt, "CLBD")
    if box is None:
        return None, None, _text(stmt, "Acct", "Ccy")
    amount, currency = _amount(box)
    stamp = _text(box, "Dt", "DtTm") or _text(box, "Dt", "Dt")
    return _sign(box) * amount, read_time(stamp, zone=zone), currency


def _balance(stmt: ET.Element, code: str) -> ET.Element | None:
    """The only balance of a kind that a statement states."""
    found = [box for box in _all(stmt, "Bal") if _text(box, "Tp", "CdOrPrtry", "Cd") == code]
    return found[0] if found else None


def _sign(node: ET.Element) -> int:
    word = _text(node, "CdtDbtInd")
    if word not in ("CRDT", "DBIT"):
        raise InvalidInput("credit or debit is not stated", code="bad_line")
    return 1 if word == "CRDT" else -1


def _amount(node: ET.Element) -> tuple[Decimal, str]:
    found = next(iter(_all(node, "Amt")), None)
    if found is None:
        found = next(
            (item for path in ("TxAmt", "InstdAmt") for item in _inside(node, "AmtDtls", path)),
            None,
        )
    if found is None:
        raise InvalidInput("the amount is missing", code="bad_line")
    amount = decimal_of((found.text or "").strip())
    if amount < 0:
        raise InvalidInput("an amount has no sign of its own", code="negative")
    return amount, found.get("Ccy", "").upper()


def _inside(node: ET.Element, *path: str) -> list[ET.Element]:
    boxes = [node]
    for name in path:
        boxes = [item for box in boxes for item in _all(box, name)]
    return [item for box in boxes for item in _all(box, "Amt")]


def _all(node: ET.Element, name: str) -> list[ET.Element]:
    return [item for item in node if _name(item) == name]


def _text(node: ET.Element | None, *path: str) -> str:
    for name in path:
        if node is None:
            return ""
        node = next((item for item in node if _name(item) == name), None)
    return (node.text or "").strip() if node is not None else ""


def _name(node: ET.Element) -> str:
    return node.tag.rsplit("}", 1)[-1]
