"""The file that tells a bank or a wallet what to pay; equal payments give equal bytes.

Source: ISO 20022 message definition CustomerCreditTransferInitiation, pain.001.001.09.
"""

from __future__ import annotations

import csv
import io
import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from magnetfund.kernel.clock import isoformat_z
from magnetfund.kernel.money import currency_quantum, quantize

NAMESPACE = "urn:iso:std:iso:20022:tech:xsd:pain.001.001.09"
NAME_MAX, TEXT_MAX = 140, 140
#: ISO 9362: a bank by its code; anything else that stands there is its name.
_BIC = re.compile(r"[A-Z0-9]{4}[A-Z]{2}[A-Z0-9]{2}(?:[A-Z0-9]{3})?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Debtor:
    """The fund and the account that pays."""

    name: str
    number: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """One payment of a file; ``reference`` comes back with the bank's line."""

    reference: str
    name: str
    number: str
    bank: str
    amount: Decimal
    currency: str
    text: str


def write_pain001(
    *, message: str, made_at: datetime, on: date, debtor: Debtor, transfers: Sequence[Transfer]
) -> bytes:
    """A pain.001 message of one batch per currency of ``transfers``, in their order."""
    root = ET.Element("Document", {"xmlns": NAMESPACE})
    body = ET.SubElement(root, "CstmrCdtTrfInitn")
    head = ET.SubElement(body, "GrpHdr")
    _leaf(head, "MsgId", message)
    _leaf(head, "CreDtTm", isoformat_z(made_at))
    _leaf(head, "NbOfTxs", str(len(transfers)))
    _leaf(head, "CtrlSum", _sum(transfers))
    _leaf(ET.SubElement(head, "InitgPty"), "Nm", debtor.name[:NAME_MAX])
    for currency in sorted({item.currency for item in transfers}):
        batch = [item for item in transfers if item.currency == currency]
        _write_batch(body, f"{message}-{currency}", on, debtor, batch)
    ET.indent(root, " ")
    written: bytes = ET.tostring(root, encoding="UTF-8", xml_declaration=True)
    return written + b"\n"


def _write_batch(
    body: ET.Element, name: str, on: date, debtor: Debtor, batch: Sequence[Transfer]
) -> None:
    info = ET.SubElement(body, "PmtInf")
    _leaf(info, "PmtInfId", name)
    _leaf(info, "PmtMtd", "TRF")
    _leaf(info, "NbOfTxs", str(len(batch)))
    _leaf(info, "CtrlSum", _sum(batch))
    _leaf(ET.SubElement(info, "ReqdExctnDt"), "Dt", on.isoformat())
    _leaf(ET.SubElement(info, "Dbtr"), "Nm", debtor.name[:NAME_MAX])
    _account(ET.SubElement(info, "DbtrAcct"), debtor.number)
    agent = ET.SubElement(ET.SubElement(info, "DbtrAgt"), "FinInstnId")
    _leaf(ET.SubElement(agent, "Othr"), "Id", "NOTPROVIDED")
    for item in batch:
        node = ET.SubElement(info, "CdtTrfTxInf")
        _leaf(ET.SubElement(node, "PmtId"), "EndToEndId", item.reference)
        amount = ET.SubElement(ET.SubElement(node, "Amt"), "InstdAmt", {"Ccy": item.currency})
        amount.text = f"{quantize(item.amount, currency_quantum(item.currency)):f}"
        if item.bank:
            named = ET.SubElement(ET.SubElement(node, "CdtrAgt"), "FinInstnId")
            is_code = _BIC.fullmatch(item.bank) is not None
            _leaf(named, "BICFI" if is_code else "Nm", item.bank[:NAME_MAX])
        _leaf(ET.SubElement(node, "Cdtr"), "Nm", item.name[:NAME_MAX])
        _account(ET.SubElement(node, "CdtrAcct"), item.number)
        _leaf(ET.SubElement(node, "RmtInf"), "Ustrd", item.text[:TEXT_MAX])


def write_wallet_instructions(*, debtor: Debtor, transfers: Sequence[Transfer]) -> bytes:
    """Transfers of a wallet as CSV, for the people who hold its keys."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["reference", "from", "to", "chain", "asset", "amount", "text"])
    for item in transfers:
        writer.writerow(
            [
                item.reference, debtor.number, item.number, item.bank, item.currency,
                f"{quantize(item.amount, currency_quantum(item.currency)):f}", item.text,
            ]
        )  # fmt: skip
    return text.getvalue().encode()


def _sum(transfers: Sequence[Transfer]) -> str:
    return f"{sum((item.amount for item in transfers), Decimal(0)).normalize():f}"


def _leaf(parent: ET.Element, name: str, text: str) -> None:
    # A sign that XML has no place for would make every payment of the file unreadable.
    ET.SubElement(parent, name).text = "".join(sign for sign in text if sign.isprintable())


def _account(parent: ET.Element, number: str) -> None:
    box = ET.SubElement(parent, "Id")
    if number[:2].isalpha() and number[2:4].isdigit():
        _leaf(box, "IBAN", number)
    else:
        _leaf(ET.SubElement(box, "Othr"), "Id", number)
