"""The returns that an investor reads: the one of the units and the one of the money."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from magnetfund.web.portal.selectors import (
    build_own_bridge,
    compute_money_weighted,
    compute_time_weighted,
)


def struck(*rows: tuple[date, int, int]) -> Any:
    return [
        SimpleNamespace(day=day, value=Decimal(value), net_invested=Decimal(put_in))
        for day, value, put_in in rows
    ]


JANUARY, JULY, NEXT = date(2025, 1, 1), date(2025, 7, 2), date(2026, 1, 1)


def test_one_deposit_earns_the_same_both_ways():
    rows = struck((JANUARY, 100, 100), (NEXT, 110, 100))
    assert float(compute_money_weighted(rows) or 0) == pytest.approx(0.10)
    assert compute_time_weighted(rows) == Decimal("0.1")  # type: ignore[arg-type]


def test_money_that_came_before_the_loss_tells_a_worse_story_than_the_units():
    # The units double and then fall back; almost all the money came before the fall.
    rows = struck((JANUARY, 100, 100), (JULY, 1_200, 1_100), (NEXT, 600, 1_100))
    by_units = compute_time_weighted(rows)
    by_money = compute_money_weighted(rows)
    assert by_units == Decimal(0)
    assert by_money is not None
    assert by_money < Decimal("-0.5")


def test_the_gain_comes_of_each_amount_and_the_file_says_the_same():
    # 98 units' worth for 100 paid in; +50 %, then 1,000 more, then everything is worth less.
    rows = struck((JANUARY, 98, 100), (JULY, 1_147, 1_100), (NEXT, 1_000, 1_100))
    found = build_own_bridge(rows)
    assert found is not None
    assert found.entry_cost == -2
    assert [day for day, _ in found.lines] == [JANUARY, JULY]
    earned = [line.earned for _, line in found.lines]
    assert sum(earned) + found.entry_cost == rows[-1].value - rows[-1].net_invested == -100
    assert found.bridge.twr.value == compute_time_weighted(rows)
    assert found.dietz == pytest.approx(Decimal(-98) / (98 + Decimal(1_000) * 183 / 365))
    head, first, *_, last = found.bridge.as_csv().splitlines()
    assert (head, first[:14]) == ("day,amount,twr_to_end,earned", "2025-01-01,98,")
    assert last.startswith("gain,,,-98")
    assert build_own_bridge(rows[:1]) is None


def test_half_a_year_is_not_annualised():
    rows = struck((JANUARY, 100, 100), (JULY, 110, 100))
    assert float(compute_money_weighted(rows) or 0) == pytest.approx(0.10)


def test_before_the_second_strike_there_is_none():
    assert compute_money_weighted(struck((JANUARY, 100, 100))) is None
