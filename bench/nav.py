"""A strike with fees and lots of 100,000 investors, and its second engine; pure part.

Run as ``python -m bench nav``.
"""

from __future__ import annotations

import time
from datetime import date
from decimal import Decimal

from bench.timing import Row
from investors.domain.strike import (
    ClassInput,
    ClassTerms,
    LotInput,
    StrikeInputs,
    compute_strike,
    recompute_strike,
)

INVESTORS = 100_000


def make_inputs(count: int) -> StrikeInputs:
    """One lot an investor, marks on both sides of the price."""
    lots = tuple(
        LotInput(
            lot=f"l{k}",
            number=k,
            units=Decimal(50 + k % 97) + Decimal(k % 1_000) / 1_000,
            mark=Decimal(95 + k % 11),
            clock=date(2025, 1, 1),
            dealing_day=date(2025, 1, 1),
            holder=f"h{k}",
        )
        for k in range(count)
    )
    units = sum((lot.units for lot in lots), Decimal(0))
    terms = ClassTerms(management_rate=Decimal("0.015"), performance_rate=Decimal("0.15"))
    return StrikeInputs(
        day=date(2025, 2, 1),
        previous_day=date(2025, 1, 1),
        net_assets=units * Decimal("101.37"),
        classes=(
            ClassInput(
                code="A",
                terms=terms,
                launch_price=Decimal(100),
                lots=lots,
                gav_before=units * 100,
                nav_before=units * 100,
            ),
        ),
    )


def run() -> list[Row]:
    """The rows of this bench."""
    inputs = make_inputs(INVESTORS)
    began = time.perf_counter()
    first = compute_strike(inputs)
    took = time.perf_counter() - began
    began = time.perf_counter()
    second = recompute_strike(inputs)
    again = time.perf_counter() - began
    assert second["A"]["price"] == first.classes[0].price
    return [
        (f"NAV with fees and lots, {INVESTORS:,} investors", took, 5.0, "s"),
        ("the same by the second engine", again, 0.0, "s"),
    ]


if __name__ == "__main__":
    from bench.timing import print_rows

    print_rows(run())
