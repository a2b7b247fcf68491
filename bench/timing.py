"""Timing and verdicts shared by the benches: the best of several runs after one that compiles."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

Row = tuple[str, float, float, str]
"""A bench row: name, measured value, bar to reach (0 = none), unit."""

LOWER_IS_BETTER = frozenset({"s", "ms", "us", "MB", "kB", "queries"})
EXACT = frozenset({"trades", "USD", "fields"})
EXACT_TOLERANCE = 0.005
"""Figures of results, not of speed, must equal their bar to half a cent."""


class Skip(Exception):
    """A bench cannot run here; the text says why."""


def best_seconds(work: Callable[[], object], *, rounds: int = 5) -> float:
    """The shortest of ``rounds`` runs in seconds; one run before them is not counted."""
    work()
    best = float("inf")
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return best


def judge(row: Row) -> str:
    """ "pass" or "FAIL" against the bar; "-" where a row has none."""
    _, value, bar, unit = row
    if unit in EXACT:
        return "pass" if abs(value - bar) <= EXACT_TOLERANCE else "FAIL"
    if bar == 0:
        return "-"
    good = value <= bar if unit in LOWER_IS_BETTER else value >= bar
    return "pass" if good else "FAIL"


def print_rows(rows: Iterable[Row]) -> None:
    """Print rows as a table."""
    for row in rows:
        name, value, bar, unit = row
        aim = f"{bar:,.6g}" if bar or unit in EXACT else ""
        print(f"{name:<66} {value:>14,.6g} {unit:<8} {aim:>12} {judge(row):>5}")
