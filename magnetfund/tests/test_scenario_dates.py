"""When a scenario's fund deals: at its inception, then on first days with time for their orders."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from magnetfund.operations.scenario import ORDER_LEAD, dealing_instant


@pytest.mark.parametrize(
    ("inception", "first"),
    [
        ("2019-01-01", "2019-02-01"), ("2020-09-20", "2020-10-01"), ("2020-09-21", "2020-11-01"),
        ("2020-12-31", "2021-02-01"), ("2024-02-19", "2024-03-01"),
    ],
)  # fmt: skip
def test_the_first_dealing_after_the_inception(inception: str, first: str):
    start, expected = (
        datetime.fromisoformat(text).replace(tzinfo=UTC) for text in (inception, first)
    )
    assert dealing_instant(start, 0) == start
    assert dealing_instant(start, 1) == expected
    assert dealing_instant(start, 1) - ORDER_LEAD >= start
    assert dealing_instant(start, 13).replace(year=expected.year) == dealing_instant(start, 1)
