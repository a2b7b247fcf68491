"""Tables of a spreadsheet's workbook (.xlsx), read as the CSV that the same table would be.

A workbook has one sheet.  A formula is refused and never evaluated: what it shows is a guess of the
program that saved it.  A number is read with the 15 digits that a spreadsheet keeps; a longer whole
number was changed by it already and is refused.  Dates become ISO 8601 without a zone.

Source: ECMA-376 (Office Open XML), part 1, 18.3 (sheets), 18.4 (strings), 18.8.30 (formats).
"""

from __future__ import annotations

import csv
import io
import re
import xml.etree.ElementTree as ET
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Context, Decimal, InvalidOperation

from investors.domain.receipts.xml_files import parse_xml
from magnetfund.kernel.errors import InvalidInput

#: How a file that is an archive begins.
ARCHIVE_SIGN = b"PK\x03\x04"
#: What one part may unpack to, so that a small file cannot fill the memory.
PART_BYTES_MAX = 8 * 1024 * 1024
PARTS_MAX = 200
ROWS_MAX, COLUMNS_MAX = 20_000, 64
#: Significant digits that a spreadsheet keeps of a number.
DIGITS_MAX = 15
_AS_SHOWN = Context(prec=DIGITS_MAX)
#: Characters of a number in the file, and decimals of any amount in the ledger.
NUMBER_LENGTH_MAX, DECIMALS_MAX = 40, 18
_DATE_FORMATS = frozenset((*range(14, 23), *range(45, 48)))
#: Quoted words, colours and conditions, which say nothing of a format's kind.
_ASIDE = re.compile(r'"[^"]*"|\[[^\]]*\]|\\.')
_CELL = re.compile(r"([A-Z]{1,3})([1-9][0-9]{0,6})")


def as_csv(content: bytes) -> bytes:
    """The table of a workbook as CSV in UTF-8; other content as it is.

    Line numbers are those of the sheet.  Raises :class:`InvalidInput`: ``bad_workbook``,
    ``workbook_too_big``, ``several_sheets``, ``formula``, ``bad_cell``, ``too_many_lines``.
    """
    if not content.startswith(ARCHIVE_SIGN):
        return content
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            rows = _read_rows(archive)
    except (
        zipfile.BadZipFile, zlib.error, EOFError, KeyError, RuntimeError, OSError, ValueError,
    ) as error:  # fmt: skip
        if isinstance(error, InvalidInput):
            raise
        raise InvalidInput("the file is not a whole workbook", code="bad_workbook") from None
    width = max((max(cells) + 1 for cells in rows.values() if cells), default=0)
    target = io.StringIO()
    writer = csv.writer(target, lineterminator="\n")
    for number in range(1, max(rows, default=0) + 1):
        cells = rows.get(number, {})
        writer.writerow([cells.get(column, "") for column in range(width)] if cells else [])
    return target.getvalue().encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Book:
    """What the cells of a sheet refer to."""

    strings: tuple[str, ...]
    #: Whether a cell of each style shows a date.
    dates: tuple[bool, ...]
    first_day: datetime


def _read_rows(archive: zipfile.ZipFile) -> dict[int, dict[int, str]]:
    """Cells by row, from one, and column, from zero; empty ones are left out."""
    names = set(archive.namelist())
    if len(names) > PARTS_MAX:
        raise InvalidInput("the workbook has too many parts", code="workbook_too_big")
    workbook = _part(archive, "xl/workbook.xml")
    sheets = list(_all(workbook, "sheet"))
    if len(sheets) != 1:
        raise InvalidInput(
            f"the workbook has {len(sheets)} sheets; import one sheet at a time",
            code="several_sheets",
        )
    (wanted,) = (value for name, value in sheets[0].attrib.items() if name.endswith("}id"))
    targets = {
        node.attrib["Id"]: node.attrib["Target"]
        for node in _all(_part(archive, "xl/_rels/workbook.xml.rels"), "Relationship")
    }
    target = targets[wanted]
    path = target.removeprefix("/") if target.startswith("/") else f"xl/{target}"
    styles = "xl/styles.xml"
    strings = "xl/sharedStrings.xml"
    is_1904 = any(node.get("date1904") in ("1", "true") for node in _all(workbook, "workbookPr"))
    book = _Book(
        strings=tuple(map(_words, _all(_part(archive, strings), "si"))) if strings in names else (),
        dates=_read_dates(_part(archive, styles)) if styles in names else (),
        first_day=datetime(1904, 1, 1) if is_1904 else datetime(1899, 12, 30),  # noqa: DTZ001
    )
    return dict(_sheet_rows(_part(archive, path), book))


def _part(archive: zipfile.ZipFile, name: str) -> ET.Element:
    with archive.open(name) as handle:
        content = handle.read(PART_BYTES_MAX + 1)
    if len(content) > PART_BYTES_MAX:
        raise InvalidInput(f"the part {name} of the workbook is too big", code="workbook_too_big")
    return parse_xml(content)


def _read_dates(styles: ET.Element) -> tuple[bool, ...]:
    own: Mapping[str, str] = {
        node.get("numFmtId", ""): node.get("formatCode", "") for node in _all(styles, "numFmt")
    }

    def is_date(number: str) -> bool:
        if number in own:
            return bool(re.search("[ymdhs]", _ASIDE.sub("", own[number].lower())))
        return number.isdigit() and int(number) in _DATE_FORMATS

    formats = next(iter(_all(styles, "cellXfs")), None)
    return tuple(is_date(node.get("numFmtId", "")) for node in formats or ())


def _sheet_rows(sheet: ET.Element, book: _Book) -> Iterator[tuple[int, dict[int, str]]]:
    number = 0
    for row in _all(sheet, "row"):
        number = int(row.get("r", number + 1))
        if not 1 <= number <= ROWS_MAX:
            raise InvalidInput(f"a sheet has at most {ROWS_MAX} rows", code="too_many_lines")
        column, cells = -1, dict[int, str]()
        for cell in _all(row, "c"):
            place = _CELL.fullmatch(cell.get("r", ""))
            column = _column(place[1]) if place else column + 1
            if column >= COLUMNS_MAX:
                raise InvalidInput(f"a sheet has at most {COLUMNS_MAX} columns", code="bad_cell")
            if text := _text(cell, book, f"{cell.get('r') or f'row {number}'}"):
                cells[column] = text
        yield number, cells


def _column(letters: str) -> int:
    found = 0
    for letter in letters:
        found = found * 26 + ord(letter) - ord("A") + 1
    return found - 1


def _text(cell: ET.Element, book: _Book, where: str) -> str:
    """What a cell holds, as it would stand in a CSV."""
    if next(iter(_all(cell, "f")), None) is not None:
        raise InvalidInput(f"cell {where} holds a formula; paste its value instead", code="formula")
    kind = cell.get("t", "n")
    if kind == "inlineStr":
        return _words(cell)
    value = next((node.text or "" for node in _all(cell, "v")), "")
    if not value:
        return ""
    if kind == "s":
        return book.strings[_index(value, len(book.strings), where)]
    if kind == "b":
        return "true" if value == "1" else "false"
    if kind in ("str", "d"):
        return value
    if kind != "n":
        raise InvalidInput(f"cell {where} holds an error: {value[:20]}", code="bad_cell")
    style = cell.get("s", "")
    is_date = bool(style) and book.dates[_index(style, len(book.dates), where)]
    return _date(value, book.first_day, where) if is_date else _number(value, where)


def _index(text: str, count: int, where: str) -> int:
    if not text.isdigit() or int(text) >= count:
        raise InvalidInput(f"cell {where} refers to nothing", code="bad_cell")
    return int(text)


def _decimal(value: str, where: str) -> Decimal:
    """A number of a cell as it stands in the file."""
    try:
        number = Decimal(value if len(value) <= NUMBER_LENGTH_MAX else "x")
    except InvalidOperation:
        raise InvalidInput(f"cell {where} is no number", code="bad_cell") from None
    if not number.is_finite() or (number and not -DECIMALS_MAX <= number.adjusted() < DIGITS_MAX):
        raise InvalidInput(
            f"cell {where} has more digits than a spreadsheet keeps; store it as text",
            code="bad_cell",
        )
    return number


def _number(value: str, where: str) -> str:
    text = f"{_AS_SHOWN.plus(_decimal(value, where)):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _date(value: str, first_day: datetime, where: str) -> str:
    try:
        found = first_day + timedelta(seconds=round(_decimal(value, where) * 86_400))
    except OverflowError:
        raise InvalidInput(f"cell {where} is no date", code="bad_cell") from None
    is_day = (found.hour, found.minute, found.second) == (0, 0, 0)
    return found.date().isoformat() if is_day else found.isoformat()


def _words(node: ET.Element) -> str:
    """The text of a string and its runs, without the reading aids of East Asian scripts."""
    found = []
    for part in node:
        name = part.tag.rpartition("}")[2]
        if name == "t":
            found.append(part.text or "")
        elif name in ("r", "is"):
            found.append(_words(part))
    return "".join(found)


def _all(node: ET.Element, name: str) -> Iterator[ET.Element]:
    """Elements of a name below ``node``, in whatever namespace the program wrote them."""
    return (item for item in node.iter() if item.tag.rpartition("}")[2] == name)
