"""Workbooks of strangers: read as the CSV of their table, or refused with a code.

The parts are those that spreadsheet programs write (ECMA-376, part 1, 18.3 and 18.4).
"""

from __future__ import annotations

import io
import zipfile

import pytest

from investors.domain.receipts import read_bank_csv
from investors.domain.receipts.tables import read_table
from investors.domain.receipts.workbooks import PART_BYTES_MAX, as_csv
from magnetfund.core.spreadsheets import write_workbook
from magnetfund.kernel.errors import InvalidInput

SPACE = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
RELATION = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
SHEET = '<sheet name="S" sheetId="1" r:id="rId1"/>'
STYLES = (
    f'<styleSheet {SPACE}><numFmts count="2"><numFmt numFmtId="164" formatCode="yyyy\\-mm\\-dd"/>'
    '<numFmt numFmtId="165" formatCode="[Red]0.00&quot; dollars&quot;"/></numFmts><cellXfs>'
    '<xf numFmtId="0"/><xf numFmtId="164"/><xf numFmtId="22"/><xf numFmtId="165"/></cellXfs>'
    "</styleSheet>"
)


def workbook(rows: str, *, sheets: str = SHEET, strings: str = "", **more: str) -> bytes:
    """A workbook with these rows, as bytes."""
    parts = {
        "xl/workbook.xml": f'<workbook {SPACE} xmlns:r="{RELATION}"><sheets>{sheets}</sheets>'
        "</workbook>",
        "xl/_rels/workbook.xml.rels": '<Relationships><Relationship Id="rId1" Target='
        '"worksheets/sheet1.xml"/></Relationships>',
        "xl/worksheets/sheet1.xml": f"<worksheet {SPACE}><sheetData>{rows}</sheetData></worksheet>",
        "xl/styles.xml": STYLES,
        "xl/sharedStrings.xml": f"<sst {SPACE}>{strings}</sst>",
        **more,
    }
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            archive.writestr(name, text)
    return target.getvalue()


def code_of(content: bytes) -> str:
    with pytest.raises(InvalidInput) as refused:
        as_csv(content)
    return refused.value.code


def test_a_table_is_read_with_strings_dates_numbers_and_gaps():
    rows = (
        '<row r="1"><c r="A1" t="s"><v>0</v></c><c r="B1" t="s"><v>1</v></c>'
        '<c r="D1" t="str"><v>D</v></c></row>'
        '<row r="3"><c r="A3"><v>1234.5599999999999</v></c><c r="B3" s="1"><v>45748</v></c>'
        '<c r="C3" s="2"><v>45748.374999999993</v></c>'
        '<c r="D3" s="3"><v>0.30000000000000004</v></c></row>'
        '<row r="4"><c r="B4" t="b"><v>1</v></c><c r="C4"/><c r="D4"><v>1.0E-2</v></c></row>'
    )
    strings = "<si><t>A</t></si><si><r><t>B,</t></r><r><t> b</t></r><rPh><t>x</t></rPh></si>"
    assert as_csv(workbook(rows, strings=strings)).decode().split("\n") == [
        'A,"B, b",,D', "", "1234.56,2025-04-01,2025-04-01T09:00:00,0.3", ",true,,0.01", "",
    ]  # fmt: skip


def test_dates_of_the_other_system_begin_in_1904():
    book = (
        f'<workbook {SPACE} xmlns:r="{RELATION}"><workbookPr date1904="1"/>'
        f"<sheets>{SHEET}</sheets></workbook>"
    )
    content = workbook('<row><c s="1"><v>44286</v></c></row>', **{"xl/workbook.xml": book})
    assert as_csv(content) == b"2025-04-01\n"


def test_what_the_house_exports_is_read_again_and_csv_stays_as_it_is():
    table = [["reference", "amount"], ["A-1", "-12.50"], ["=1+1", "3"]]
    assert as_csv(write_workbook({"lines": table})) == (b"reference,amount\nA-1,-12.5\n=1+1,3\n"), (
        "text that begins like a formula is text"
    )
    assert as_csv(b"a;b\n1;2\n") == b"a;b\n1;2\n"


def test_a_banks_statement_is_the_same_from_both_forms():
    heads = ["reference", "booked_at", "amount", "currency", "party"]
    line = ["B1", "2025-03-07T08:00:00Z", "10000.00", "USD", "Ines Marlow"]
    plain = (",".join(heads) + "\n" + ",".join(line) + "\n").encode()
    assert read_bank_csv(write_workbook({"x": [heads, line]})).rows == read_bank_csv(plain).rows


def test_columns_are_refused_as_those_of_a_csv():
    with pytest.raises(InvalidInput) as refused:
        list(
            read_table(write_workbook({"x": [["a", "c"], ["1", "2"]]}), needed=("a",), optional=())
        )
    assert refused.value.code == "unknown_columns"


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        ("<row><c><f>SUM(B1:B9)</f><v>3</v></c></row>", "formula"),
        ('<row><c t="str"><f>HYPERLINK("https://example.com")</f><v>x</v></c></row>', "formula"),
        ('<row><c t="e"><v>#REF!</v></c></row>', "bad_cell"),
        ('<row><c t="s"><v>7</v></c></row>', "bad_cell"),
        ('<row><c t="s"><v>-1</v></c></row>', "bad_cell"),
        ('<row><c s="9"><v>1</v></c></row>', "bad_cell"),
        ("<row><c><v>1234567890123456</v></c></row>", "bad_cell"),
        ("<row><c><v>1E999999</v></c></row>", "bad_cell"),
        ("<row><c><v>1E-999999</v></c></row>", "bad_cell"),
        ("<row><c><v>nan</v></c></row>", "bad_cell"),
        (f"<row><c><v>{'1' * 50}</v></c></row>", "bad_cell"),
        ('<row><c s="1"><v>99999999999</v></c></row>', "bad_cell"),
        ('<row><c r="XFD1"><v>1</v></c></row>', "bad_cell"),
        ('<row r="1048576"><c><v>1</v></c></row>', "too_many_lines"),
        ('<row r="x"><c><v>1</v></c></row>', "bad_workbook"),
    ],
)
def test_a_cell_that_cannot_be_taken_as_it_is_refuses_the_file(rows: str, code: str):
    assert code_of(workbook(rows)) == code


def test_a_small_file_cannot_fill_the_memory():
    bomb = workbook(f"<row><c><v>1</v></c></row>{' ' * (PART_BYTES_MAX + 1)}")
    assert len(bomb) < 20_000
    assert code_of(bomb) == "workbook_too_big"
    many = workbook("", **{f"xl/media/{number}.png": "" for number in range(200)})
    assert code_of(many) == "workbook_too_big"


def test_entities_are_refused_before_anything_is_expanded():
    laughs = '<!DOCTYPE sst [<!ENTITY a "ha">]><sst><si><t>&a;</t></si></sst>'
    assert code_of(workbook("", **{"xl/sharedStrings.xml": laughs})) == "not_xml"


def test_what_is_no_whole_workbook_is_refused():
    good = workbook("<row><c><v>1</v></c></row>")
    assert code_of(good[: len(good) // 2]) == "bad_workbook"
    assert code_of(b"PK\x03\x04" + b"\0" * 400) == "bad_workbook"
    assert code_of(workbook("", sheets=SHEET + SHEET)) == "several_sheets"
    assert code_of(workbook("", sheets="")) == "several_sheets"
    other = {"xl/_rels/workbook.xml.rels": "<Relationships/>"}
    assert code_of(workbook("", **other)) == "bad_workbook"
