"""The ground around the best variant: its neighbours, and the surface of two parameters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from trading.domain.research.parameters import text_of
from trading.domain.research.tried import Variant


def average_neighbours(variants: Sequence[Variant], best: int) -> float:
    """Mean seen Sharpe of the variants one step from the best in one parameter; NaN without any.

    Near the best's own, it stands on a plateau; far below, on a peak.
    """
    chosen = variants[best].parameters
    steps = {
        name: sorted({variant.parameters[name] for variant in variants}, key=_order)
        for name in chosen
    }
    near = []
    for variant in variants:
        moved = [name for name in chosen if variant.parameters[name] != chosen[name]]
        if len(moved) == 1:
            places = steps[moved[0]]
            gap = places.index(variant.parameters[moved[0]]) - places.index(chosen[moved[0]])
            if abs(gap) == 1:
                near.append(variant.seen)
    return float(np.mean(near)) if near else math.nan


def name_shape(*, best: float, neighbours: float, median: float) -> str:
    """``plateau`` where the neighbours keep half of the best's lead over the median, else ``peak``.

    ``none`` where there are no neighbours or no lead.
    """
    lead = best - median
    if not math.isfinite(neighbours) or not lead > 0.0:
        return "none"
    return "plateau" if neighbours - median >= 0.5 * lead else "peak"


def _order(value: Any) -> Any:
    return value if isinstance(value, (int, float)) else text_of(value)


def tabulate_surface(variants: Sequence[Variant], across: str, down: str) -> dict[str, Any]:
    """Median seen Sharpe by two parameters, for a heat map; None where nothing was tried."""
    cells: dict[tuple[str, str], list[float]] = {}
    for variant in variants:
        key = text_of(variant.parameters[across]), text_of(variant.parameters[down])
        cells.setdefault(key, []).append(variant.seen)
    columns, rows = (
        [text_of(value) for value in sorted({v.parameters[name] for v in variants}, key=_order)]
        for name in (across, down)
    )
    return {
        "across": across,
        "down": down,
        "columns": columns,
        "rows": [
            {
                "name": row,
                "cells": [
                    float(np.median(cells[column, row])) if (column, row) in cells else None
                    for column in columns
                ],
            }
            for row in rows
        ],
    }
