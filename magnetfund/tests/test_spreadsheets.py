"""Exported cells: numbers stay numbers, and no name becomes a formula."""

from __future__ import annotations

from typing import Any

import pytest

from magnetfund.core.spreadsheets import safe_cell


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""), ("-12.5", "-12.5"), ("+3", "+3"), (-4, "-4"), ("Ann", "Ann"),
        ('=HYPERLINK("https://example.com")', '\'=HYPERLINK("https://example.com")'),
        ("@SUM(A1)", "'@SUM(A1)"), ("-1+cmd", "'-1+cmd"), ("\t=1", "'\t=1"),
    ],
)  # fmt: skip
def test_what_begins_like_a_formula_is_quoted(value: Any, text: str):
    assert safe_cell(value) == text
