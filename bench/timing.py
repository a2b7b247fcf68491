"""Timing shared by the benches: the best of several runs after one that compiles."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

Row = tuple[str, float, float, str]
"""A bench row: name, measured value, bar to reach (0 = none), unit."""


def best_seconds(work: Callable[[], object], *, rounds: int = 5) -> float:
    """The shortest of ``rounds`` runs in seconds; one run before them is not counted."""
    work()
    best = float("inf")
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return best


def print_rows(rows: Iterable[Row]) -> None:
    """Print rows as a table."""
    for name, value, bar, unit in rows:
        print(f"{name:<72} {value:>16,.4g} {unit:<10} bar {bar:,.4g}")
