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

_BOOKED = ("BOOK", "")


def read_camt053(content: bytes, *, zone: tzinfo = UTC) -> BankStatement:
    """The booked entries of one statement; dates without a time end their day in ``zone``.

    Raises :class:`InvalidInput`: ``not_xml``, ``not_camt053``, ``several_statements``,
    ``bad_line``, ``doubled_reference``, ``too_many_lines``, ``empty_file``.
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
        status = _text(entry, "Sts", "Cd") or _text(entry, "Sts")
        if status not in _BOOKED:
            continue
        try:
            yield from _entry_rows(entry, zone)
        except InvalidInput as error:
            raise InvalidInput(f"entry {number}: {error.message}", code=error.code) from None


def _entry_rows(entry: ET.Element, zone: tzinfo) -> Iterator[StatementRow]:
    sign = _sign(entry)
    own = _text(entry, "AcctSvcrRef") or _text(entry, "NtryRef")
    stamp = _text(entry, "BookgDt", "DtTm") or _text(entry, "BookgDt", "Dt")
    if not stamp:
        raise InvalidInput("the entry has no booking date", code="bad_line")
    booked_at = read_time(stamp, zone=zone)
    details = [node for box in _all(entry, "NtryDtls") for node in _all(box, "TxDtls")]
    if len(details) < 2:
        node = details[0] if details else None
        amount, currency = _amount(entry)
        yield _row(node, own, sign * amount, currency, booked_at)
        return
    total = Decimal(0)
    for index, node in enumerate(details, start=1):
        amount, currency = _amount(node)
        total += amount
        reference = _text(node, "Refs", "AcctSvcrRef") or f"{own}/{index}"
        yield _row(node, reference, sign * amount, currency, booked_at)
    if total != _amount(entry)[0]:
        raise InvalidInput("the transactions do not add to their entry", code="bad_line")


def _row(
    node: ET.Element | None, reference: str, amount: Decimal, currency: str, booked_at: datetime
) -> StatementRow:
    party = "Dbtr" if amount > 0 else "Cdtr"

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
        return_code=find("RtrInf", "Rsn", "Cd"),
    )


def _closing(stmt: ET.Element, zone: tzinfo) -> tuple[Decimal | None, datetime | None, str]:
    for box in _all(stmt, "Bal"):
        if _text(box, "Tp", "CdOrPrtry", "Cd") == "CLBD":
            amount, currency = _amount(box)
            stamp = _text(box, "Dt", "DtTm") or _text(box, "Dt", "Dt")
            return _sign(box) * amount, read_time(stamp, zone=zone), currency
    return None, None, _text(stmt, "Acct", "Ccy")


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
