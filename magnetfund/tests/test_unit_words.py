"""Units in words: one unit is one, everything else is plural."""

from __future__ import annotations

import pytest

from magnetfund.core.templatetags.figures import unit_count


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("1", "1 unit"),
        ("1.000000", "1 unit"),
        ("0.5", "0.5 units"),
        ("1000.25", "1,000.25 units"),
        ("0", "0 units"),
        (None, "-"),
    ],
)
def test_only_one_unit_is_singular(value: str | None, words: str) -> None:
    assert unit_count(value) == words
