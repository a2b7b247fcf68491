"""What a class returned: by month, a year on average, and beside its instruments simply held.

Prices come with the newest first.  A NAV at 00:00 closes the day before, so that of 1 February is
the end of January.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from investors.domain.performance.returns import (
    AnnualisedReturn,
    BenchmarkComparison,
    annualise_return,
    build_monthly_table,
    compare_with_benchmark,
)
from investors.models import ClassNav, Holding, NavStrike
from magnetfund.web.months import shade_months
from trading.models import Instrument
from trading.selectors import read_closes_at

#: Instruments that stand beside a class.
BESIDE_MAX = 4
PRICES_MAX = 400
INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class PricePoint:
    """The net price per unit at a NAV; at the first one what the first units cost."""

    at: datetime
    price: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldBeside:
    """An instrument held from the first to the last NAV shown, and how the class compares."""

    symbol: str
    compared: BenchmarkComparison


def list_prices(share_class_id: int) -> list[PricePoint]:
    """Prices at dealt NAVs, the newest first, from the NAV at which the class last began.

    A class begins where units were issued while it had none.
    """
    rows = list(
        ClassNav.objects.filter(share_class_id=share_class_id, strike__state=NavStrike.State.DEALT)
        .select_related("strike", "share_class")
        .defer("strike__inputs", "detail")
        .order_by("-strike__valuation_at")[:PRICES_MAX]
    )
    found: list[PricePoint] = []
    for row in rows:
        if row.nav_per_unit:
            found.append(PricePoint(at=row.strike.valuation_at, price=row.nav_per_unit))
            continue
        is_held = Holding.objects.filter(share_class_id=share_class_id, units__gt=0)
        if found or is_held.exists():
            found.append(PricePoint(at=row.strike.valuation_at, price=row.issue_price))
        break
    return found


def tabulate_months(prices: Sequence[PricePoint]) -> list[dict[str, Any]]:
    """The newest year first; empty with fewer than two prices."""
    if len(prices) < 2:
        return []
    # The oldest opens its first month, every other closes one.
    path = [(prices[-1].at, prices[-1].price)]
    path += [(row.at - INSTANT, row.price) for row in prices[:-1]]
    years = [
        {
            "year": row.year,
            "whole": float(row.total),
            "months": [None if value is None else float(value) for value in row.months],
        }
        for row in build_monthly_table(values=path)
    ]
    return list(reversed(shade_months(years)))


def find_yearly(prices: Sequence[PricePoint]) -> AnnualisedReturn | None:
    """The return a year since the first NAV; None with fewer than two prices."""
    if len(prices) < 2:
        return None
    return annualise_return(
        total_return=prices[0].price / prices[-1].price - 1,
        days=(prices[0].at - prices[-1].at).days,
    )


def find_beside(
    prices: Sequence[PricePoint], instruments: Sequence[Instrument]
) -> tuple[HeldBeside, ...]:
    """The instruments whose prices at both ends are stored, held over the same days."""
    if len(prices) < 2:
        return ()
    ends = (prices[-1].at, prices[0].at)
    closes = read_closes_at(instruments, ends)
    own = prices[0].price / prices[-1].price - 1
    found = []
    for item in instruments:
        first, last = (closes.get((item.pk, end)) for end in ends)
        if first and last:
            compared = compare_with_benchmark(fund_return=own, benchmark_return=last / first - 1)
            found.append(HeldBeside(symbol=item.symbol, compared=compared))
    return tuple(found)
