"""One line of a bank statement or a chain, as every format is read into it.

Amounts are signed: money that came in is positive, money that left is negative.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from magnetfund.kernel.errors import InvalidInput
from magnetfund.kernel.identifiers import content_hash
from magnetfund.kernel.money import currency_quantum, decimal_of, quantize

#: Lines of one file; a month of a busy account is far below.
LINES_MAX = 20_000
TEXT_MAX = 300
NAME_MAX = 200
NUMBER_MAX = 120
REFERENCE_MAX = 100


class StatementFormat(StrEnum):
    """How a file is written."""

    CAMT053 = "camt053"
    BANK_CSV = "csv"
    CHAIN_CSV = "chain"


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementRow:
    """One line.  ``reference`` is the bank's or chain's own name of it, unique in the account.

    ``booked_at`` is when the money was final there; a date without a time counts as the end of that
    day.  ``end_to_end`` is the payer's own name of the payment, ``return_code`` why a payment came
    back, ``confirmations`` the depth of a chain transaction (``None``: a bank line, final).
    """

    reference: str
    booked_at: datetime
    amount: Decimal
    currency: str
    party: str = ""
    party_account: str = ""
    text: str = ""
    end_to_end: str = ""
    return_code: str = ""
    confirmations: int | None = None

    def __post_init__(self) -> None:
        for name, longest in (
            ("reference", REFERENCE_MAX),
            ("party", NAME_MAX),
            ("party_account", NUMBER_MAX),
            ("text", TEXT_MAX),
            ("end_to_end", REFERENCE_MAX),
        ):
            value = clean_text(getattr(self, name))
            if name in ("reference", "party_account", "end_to_end") and len(value) > longest:
                raise InvalidInput(f"{name} is longer than {longest} characters", code="bad_line")
            object.__setattr__(self, name, value[:longest])
        if not self.reference:
            raise InvalidInput("the line has no reference", code="reference_missing")
        amount = decimal_of(self.amount)
        quantum = currency_quantum(self.currency)
        if amount == 0:
            raise InvalidInput("the amount must not be zero", code="zero_amount")
        if quantize(amount, quantum) != amount:
            raise InvalidInput(
                f"the amount is finer than {quantum:f} {self.currency}", code="too_fine"
            )
        if self.booked_at.tzinfo is None:
            raise InvalidInput("the time of the line has no zone", code="bad_time")
        if self.confirmations is not None and self.confirmations < 0:
            raise InvalidInput("confirmations must not be negative", code="negative")

    @property
    def identity(self) -> str:
        """Hash of what one reference may only ever mean: amount, currency and party."""
        return content_hash(
            [self.reference, f"{self.amount.normalize():f}", self.currency, self.party_account]
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BankStatement:
    """A whole file.  ``account`` is the one that it names itself ("" where it names none).

    ``closing`` and ``closed_at`` are the closing balance that it states, where it states one.
    """

    format: StatementFormat
    rows: tuple[StatementRow, ...]
    account: str = ""
    closing: Decimal | None = None
    closed_at: datetime | None = None
    currency: str = ""


def clean_text(value: str) -> str:
    """A text on one line, without control characters and doubled spaces."""
    shown = "".join(" " if unicodedata.category(sign)[0] == "C" else sign for sign in value)
    return " ".join(shown.split())


def plain_number(value: str) -> str:
    """An account number or address as it is compared: no spaces, one case for what has no case.

    Wallet addresses of the EVM chains differ in case by a checksum alone; other alphabets keep
    theirs.
    """
    packed = "".join(value.split()).replace("-", "")
    if packed[:2].lower() == "0x":
        return packed.lower()
    return packed.upper() if packed[:2].isalpha() and packed[2:4].isdigit() else packed


def require_distinct(rows: tuple[StatementRow, ...]) -> tuple[StatementRow, ...]:
    """The rows, unless the file is too long or names one reference twice."""
    if not rows:
        raise InvalidInput("the file has no lines", code="empty_file")
    if len(rows) > LINES_MAX:
        raise InvalidInput(f"a file has at most {LINES_MAX:,} lines", code="too_many_lines")
    seen: set[str] = set()
    for row in rows:
        if row.reference in seen:
            raise InvalidInput(
                f"the reference {row.reference} appears twice in this file",
                code="doubled_reference",
            )
        seen.add(row.reference)
    return rows


def mask_number(number: str) -> str:
    """The first and the last four signs of an account; of a short number the last four alone."""
    return f"{number[:4]} … {number[-4:]}" if len(number) > 12 else f"… {number[-4:]}"
