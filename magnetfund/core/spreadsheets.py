"""Cells of files that people open in a spreadsheet."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape, quoteattr

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def safe_cell(value: Any) -> str:
    """The value as text that no spreadsheet takes for a formula; signed numbers stay numbers."""
    text = "" if value is None else str(value)
    is_number = text.lstrip("+-").replace(".", "", 1).isdigit()
    return f"'{text}" if text.startswith(_FORMULA_STARTS) and not is_number else text


def write_rows(rows: Sequence[Sequence[str]]) -> bytes:
    """A CSV file of plain cells."""
    sheet = io.StringIO()
    csv.writer(sheet, lineterminator="\n").writerows(
        [[safe_cell(cell) for cell in row] for row in rows]
    )
    return sheet.getvalue().encode()


_SHEET = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_RELATION = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml"
#: More digits than a binary float keeps stay text: a spreadsheet would change them.
DIGITS_MAX = 15


def write_workbook(tables: Mapping[str, Sequence[Sequence[str]]]) -> bytes:
    """An Office Open XML workbook (ECMA-376) of plain cells, one sheet a table, with equal bytes
    for equal tables.  A cell is a number where it reads as one, else text, never a formula."""
    names = [name[:31].translate(str.maketrans("[]:*?/\\", "-------")) for name in tables]
    sheets = range(1, len(names) + 1)
    relations = "".join(
        f'<Relationship Id="r{k}" Type="{_RELATION}/worksheet" Target="worksheets/sheet{k}.xml"/>'
        for k in sheets
    )
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types">'
        f'<Default Extension="rels" ContentType="{_TYPE_OF_RELATIONS}"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{_TYPE}.sheet.main+xml"/>'
        + "".join(
            f'<Override PartName="/xl/worksheets/sheet{k}.xml" '
            f'ContentType="{_TYPE}.worksheet+xml"/>'
            for k in sheets
        )
        + "</Types>",
        "_rels/.rels": f'<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="r1" '
        f'Type="{_RELATION}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{_SHEET}" xmlns:r="{_RELATION}"><sheets>'
        + "".join(
            f'<sheet name={quoteattr(name)} sheetId="{k}" r:id="r{k}"/>'
            for k, name in zip(sheets, names, strict=True)
        )
        + "</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{_PACKAGE}/relationships">'
        f"{relations}</Relationships>",
        **{
            f"xl/worksheets/sheet{k}.xml": _sheet(rows)
            for k, rows in zip(sheets, tables.values(), strict=True)
        },
    }
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            # A fixed date: the same tables give the same bytes.
            info = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, _HEAD + text)
    return target.getvalue()


_TYPE_OF_RELATIONS = "application/vnd.openxmlformats-package.relationships+xml"


def _sheet(rows: Sequence[Sequence[str]]) -> str:
    lines = "".join(f"<row>{''.join(_cell(value) for value in row)}</row>" for row in rows)
    return f'<worksheet xmlns="{_SHEET}"><sheetData>{lines}</sheetData></worksheet>'


def _cell(value: str) -> str:
    digits = value.removeprefix("-").replace(".", "", 1)
    if digits.isascii() and digits.isdigit() and len(digits) <= DIGITS_MAX:
        return f"<c><v>{value}</v></c>"
    clean = "".join(sign for sign in value if sign.isprintable())
    return f'<c t="inlineStr"><is><t xml:space="preserve">{escape(clean)}</t></is></c>'
