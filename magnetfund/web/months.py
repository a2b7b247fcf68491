"""Returns by month and year as a table whose cells are shaded by their size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from trading.domain.research.report import MONTHS, compute_heat_edge, heat_class

__all__ = ["MONTHS", "shade_months"]


def shade_months(years: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Months with the class of their heat: p1 to p3 for gains, n1 to n3 for losses."""
    edge = compute_heat_edge(years)
    return [
        {
            "year": year["year"],
            "whole": year["whole"],
            "months": [
                {"name": name, "value": value, "heat": heat_class(value, edge)}
                for name, value in zip(MONTHS, year["months"], strict=True)
            ],
        }
        for year in years
    ]
