"""The returns that an investor reads: the one of the units and the one of the money."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from magnetfund.web.portal.selectors import compute_money_weighted, compute_time_weighted


def struck(*rows: tuple[date, int, int]) -> Any:
    return [
        SimpleNamespace(day=day, value=Decimal(value), net_invested=Decimal(put_in))
        for day, value, put_in in rows
    ]


JANUARY, JULY, NEXT = date(2025, 1, 1), date(2025, 7, 2), date(2026, 1, 1)


def test_one_deposit_earns_the_same_both_ways():
    rows = struck((JANUARY, 100, 100), (NEXT, 110, 100))
    assert float(compute_money_weighted(rows) or 0) == pytest.approx(0.10)
    assert compute_time_weighted(None, rows) == Decimal("0.1")  # type: ignore[arg-type]


def test_money_that_came_before_the_loss_tells_a_worse_story_than_the_units():
    # The units double and then fall back; almost all the money came before the fall.
    rows = struck((JANUARY, 100, 100), (JULY, 1_200, 1_100), (NEXT, 600, 1_100))
    by_units = compute_time_weighted(None, rows)  # type: ignore[arg-type]
    by_money = compute_money_weighted(rows)
    assert by_units == Decimal(0)
    assert by_money is not None
    assert by_money < Decimal("-0.5")


def test_half_a_year_is_not_annualised():
    rows = struck((JANUARY, 100, 100), (JULY, 110, 100))
    assert float(compute_money_weighted(rows) or 0) == pytest.approx(0.10)


def test_before_the_second_strike_there_is_none():
    assert compute_money_weighted(struck((JANUARY, 100, 100))) is None
