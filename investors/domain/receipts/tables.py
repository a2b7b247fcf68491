"""Statements as CSV or as a workbook (.xlsx) of one sheet: a bank's, and transfers of a chain.

Columns are found by name in any order; a bank file has ``reference``, ``booked_at``, ``amount``,
``currency`` and may have ``party``, ``party_account``, ``text``, ``end_to_end``, ``return_code``.
A chain file has ``transaction``, ``time``, ``amount``, ``asset``, ``from``, ``confirmations`` and
may have ``index`` (the transfer's number in its transaction) and ``text``.  Times are ISO 8601.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from investors.domain.receipts.lines import (
    BankStatement,
    StatementFormat,
    StatementRow,
    require_distinct,
)
from investors.domain.receipts.workbooks import as_csv
from magnetfund.kernel.errors import InvalidInput
from magnetfund.kernel.money import decimal_of

BANK_COLUMNS = ("reference", "booked_at", "amount", "currency")
BANK_OPTIONAL = ("party", "party_account", "text", "end_to_end", "return_code")
CHAIN_COLUMNS = ("transaction", "time", "amount", "asset", "from", "confirmations")
CHAIN_OPTIONAL = ("index", "text")


def read_bank_csv(content: bytes, *, zone: tzinfo = UTC) -> BankStatement:
    """The lines of a bank's CSV; a date without a time is the end of that day in ``zone``.

    Raises :class:`InvalidInput` naming the line: ``bad_encoding``, ``missing_columns``,
    ``unknown_columns``, ``doubled_columns``, ``bad_line``, ``doubled_reference``,
    ``too_many_lines``, ``empty_file``.
    """

    def read(row: dict[str, str]) -> StatementRow:
        return StatementRow(
            reference=row["reference"],
            booked_at=read_time(row["booked_at"], zone=zone),
            amount=decimal_of(row["amount"].replace("'", "").strip()),
            currency=row["currency"].strip().upper(),
            party=row.get("party", ""),
            party_account=row.get("party_account", ""),
            text=row.get("text", ""),
            end_to_end=row.get("end_to_end", ""),
            return_code=row.get("return_code", "").strip()[:4],
        )

    rows = require_distinct(tuple(_read(content, BANK_COLUMNS, BANK_OPTIONAL, read)))
    return BankStatement(format=StatementFormat.BANK_CSV, rows=rows)


def read_chain_csv(content: bytes, *, zone: tzinfo = UTC) -> BankStatement:
    """Transfers to one address; the reference is the transaction with the transfer's number.

    Raises what :func:`read_bank_csv` raises.
    """

    def read(row: dict[str, str]) -> StatementRow:
        index = row.get("index", "").strip()
        try:
            depth = int(row["confirmations"])
        except ValueError:
            raise InvalidInput("confirmations is a whole number", code="bad_line") from None
        return StatementRow(
            reference=row["transaction"].strip().lower() + (f":{index}" if index else ""),
            booked_at=read_time(row["time"], zone=zone),
            amount=decimal_of(row["amount"].strip()),
            currency=row["asset"].strip().upper(),
            party_account=row["from"],
            text=row.get("text", ""),
            confirmations=depth,
        )

    rows = require_distinct(tuple(_read(content, CHAIN_COLUMNS, CHAIN_OPTIONAL, read)))
    return BankStatement(format=StatementFormat.CHAIN_CSV, rows=rows)


def read_time(text: str, *, zone: tzinfo) -> datetime:
    """An instant from ISO 8601; a bare date is the last second of that day in ``zone``."""
    plain = text.strip()
    try:
        if len(plain) == len("2026-11-20"):
            day = date.fromisoformat(plain) + timedelta(days=1)
            ends = datetime.combine(day, time(), tzinfo=zone).astimezone(UTC)
            return ends - timedelta(seconds=1)
        found = datetime.fromisoformat(plain)
    except (ValueError, OverflowError):
        raise InvalidInput(f"{plain[:40]!r} is not a date or time", code="bad_time") from None
    return (found if found.tzinfo is not None else found.replace(tzinfo=zone)).astimezone(UTC)


def _read(
    content: bytes,
    needed: tuple[str, ...],
    optional: tuple[str, ...],
    read: Callable[[dict[str, str]], StatementRow],
) -> Iterator[StatementRow]:
    for number, row in read_table(content, needed=needed, optional=optional):
        yield _at_line(number, read, row)


def read_table(
    content: bytes, *, needed: tuple[str, ...], optional: tuple[str, ...]
) -> Iterator[tuple[int, dict[str, str]]]:
    """Each line of a CSV file or a workbook with its number, by the names of the first line.

    Raises :class:`InvalidInput`: ``bad_encoding``, ``missing_columns``, ``unknown_columns``,
    ``doubled_columns``, ``bad_line``, and what :func:`as_csv` raises.
    """
    try:
        text = as_csv(content).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidInput("the file is not UTF-8 text", code="bad_encoding") from None
    head = text.split("\n", 1)[0]
    reader = csv.reader(io.StringIO(text), delimiter=";" if ";" in head else ",", strict=True)
    try:
        names = [name.strip().lower() for name in next(reader, [])]
        _require_columns(names, needed, optional)
        for number, cells in enumerate(reader, start=2):
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(names):
                raise InvalidInput(
                    f"line {number} has {len(cells)} cells of {len(names)}", code="bad_line"
                )
            yield number, dict(zip(names, cells, strict=True))
    except csv.Error as error:
        raise InvalidInput(f"the file is not CSV: {error}", code="bad_line") from None


def _require_columns(names: list[str], needed: tuple[str, ...], optional: tuple[str, ...]) -> None:
    """Refuse a column that would be read by nobody: it may hold what the sender meant."""
    missing = [name for name in needed if name not in names]
    if missing:
        raise InvalidInput(
            f"the file lacks the columns {', '.join(missing)}", code="missing_columns"
        )
    known = (*needed, *optional)
    unknown = [name or "(without a name)" for name in names if name not in known]
    if unknown:
        raise InvalidInput(
            f"nobody reads the columns {', '.join(unknown)}; known are {', '.join(known)}",
            code="unknown_columns",
        )
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise InvalidInput(f"the columns {', '.join(doubled)} stand twice", code="doubled_columns")


def _at_line(
    number: int, read: Callable[[dict[str, str]], StatementRow], row: dict[str, str]
) -> StatementRow:
    try:
        return read(row)
    except InvalidInput as error:
        raise InvalidInput(f"line {number}: {error.message}", code=error.code) from None
