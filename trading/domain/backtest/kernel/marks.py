"""What the marks of a run say without keeping it: its deepest fall, its daily returns."""

from __future__ import annotations

from typing import Any

#: How deep a run fell: its highest mark, the deepest fall from one, the mark of a deeper one.
AF_PEAK, AF_FALL, AF_DEEPEST, AF_WIDTH = 0, 1, 2, 3
#: Levels nearer than this share of them count as met.
ROUNDING = 1e-9


def take_mark(value: float, peak: float, fall: float, deeper: float) -> tuple[float, float, float]:
    """Highest mark, deepest fall and the mark of a deeper one after a further mark of the book."""
    if value > peak:
        return value, fall, value * (1.0 + fall)
    if value <= deeper and peak > 0.0:
        fall = min(fall, value / peak - 1.0)
        return peak, fall, peak * (1.0 + fall) * (1.0 + ROUNDING)
    return peak, fall, deeper


def note_mark(value: float, af: Any) -> None:
    """Take a mark of the book into the deepest fall so far."""
    af[AF_PEAK], af[AF_FALL], af[AF_DEEPEST] = take_mark(
        value, af[AF_PEAK], af[AF_FALL], af[AF_DEEPEST]
    )


def note_marks(equity: Any, af: Any) -> None:
    """Take every mark of a run into its deepest fall."""
    for t in range(equity.shape[0]):
        note_mark(equity[t], af)


def summarise(
    equity: Any,
    ends: Any,
    cut: int,
    start: float,
    edges: Any,
    returns: Any,
    sums: Any,
    gaps: Any,
    path: Any,
) -> None:
    """Daily returns of a run and what judging it needs of them.

    ``ends`` are the last bars of the days.  ``sums`` receives the total return, mean, deviation
    (ddof 1) and second to fourth central moments of all days, then mean and deviation of the days
    before ``cut`` and of those from it on; ``gaps`` the sums of the returns and of their squares
    between the days ``edges``; ``path`` compounded return and deepest fall of the days before
    ``cut``.
    """
    before, growth = start, 1.0
    days = ends.shape[0]
    for j in range(days):
        value = equity[ends[j]]
        change = max(value / before - 1.0, -1.0) if before > 0.0 else 0.0
        returns[j] = change
        growth *= 1.0 + change
        before = value
    sums[0] = growth - 1.0
    measure_part(returns, 0, days, sums, 1)
    second, third, fourth = 0.0, 0.0, 0.0
    for j in range(days):
        away = returns[j] - sums[1]
        square = away * away
        second += square
        third += square * away
        fourth += square * square
    sums[3] = second / days
    sums[4] = third / days
    sums[5] = fourth / days
    measure_part(returns, 0, cut, sums, 6)
    measure_part(returns, cut, days, sums, 8)
    for k in range(edges.shape[0] - 1):
        total, squares = 0.0, 0.0
        for j in range(edges[k], edges[k + 1]):
            total += returns[j]
            squares += returns[j] * returns[j]
        gaps[0, k] = total
        gaps[1, k] = squares
    measure_path(returns, cut, path)


def measure_path(returns: Any, cut: int, path: Any) -> None:
    """Compounded return of the days before ``cut``, and their deepest fall from a high, <= 0."""
    growth, high, fall = 1.0, 1.0, 0.0
    for j in range(cut):
        growth *= 1.0 + returns[j]
        high = max(high, growth)
        fall = min(fall, growth / high - 1.0)
    path[0] = growth - 1.0
    path[1] = fall


def measure_part(returns: Any, first: int, stop: int, sums: Any, at: int) -> None:
    """Mean and deviation (ddof 1) of some days; zero where there are too few."""
    count = stop - first
    sums[at] = 0.0
    sums[at + 1] = 0.0
    if count < 1:
        return
    total = 0.0
    for j in range(first, stop):
        total += returns[j]
    mean = total / count
    sums[at] = mean
    if count < 2:
        return
    squares = 0.0
    for j in range(first, stop):
        squares += (returns[j] - mean) ** 2
    sums[at + 1] = (squares / (count - 1)) ** 0.5
