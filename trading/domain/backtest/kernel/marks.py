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


def summarise_all(
    marks: Any,
    cut: int,
    start: float,
    edges: Any,
    returns: Any,
    sums: Any,
    gaps: Any,
    path: Any,
) -> None:
    """Summarise runs, one a row of ``marks``; ``returns`` is left with those of the last."""
    for v in range(marks.shape[0]):
        summarise(marks[v], cut, start, edges, returns, sums[v], gaps[v], path[v])


def summarise(
    marks: Any,
    cut: int,
    start: float,
    edges: Any,
    returns: Any,
    sums: Any,
    gaps: Any,
    path: Any,
) -> None:
    """Daily returns of a run and what judging it needs of them.

    ``marks`` are those at the ends of days.  ``sums`` receives the total return, mean, deviation
    (ddof 1) and second to fourth central moments of all days, then mean and deviation of the days
    before ``cut`` and of those from it on; ``gaps`` the sums of the returns and of their squares
    between the days ``edges``; ``path`` compounded return and deepest fall from a high (<= 0) of
    the days before ``cut``.
    """
    days = marks.shape[0]
    before, growth, high, fall = start, 1.0, 1.0, 0.0
    total, seen, unseen = 0.0, 0.0, 0.0
    # One pass for all sums: none waits for another, and each is added up in the order of the days.
    for j in range(days):
        value = marks[j]
        change = max(value / before - 1.0, -1.0) if before > 0.0 else 0.0
        before = value
        returns[j] = change
        growth *= 1.0 + change
        total += change
        if j < cut:
            high = max(high, growth)
            fall = min(fall, growth / high - 1.0)
            path[0] = growth - 1.0
            seen = total
        else:
            unseen += change
    path[1] = fall
    sums[0] = growth - 1.0
    measure_moments(returns, total / days, sums)
    measure_part(returns, 0, cut, seen, sums, 6)
    measure_part(returns, cut, days, unseen, sums, 8)
    for k in range(edges.shape[0] - 1):
        added, squares = 0.0, 0.0
        for j in range(edges[k], edges[k + 1]):
            added += returns[j]
            squares += returns[j] * returns[j]
        gaps[0, k] = added
        gaps[1, k] = squares


def measure_moments(returns: Any, mean: float, sums: Any) -> None:
    """Mean, deviation (ddof 1; 0 for one day) and central moments of all days."""
    days = returns.shape[0]
    second, third, fourth = 0.0, 0.0, 0.0
    for j in range(days):
        away = returns[j] - mean
        square = away * away
        second += square
        third += square * away
        fourth += square * square
    sums[1] = mean
    sums[2] = (second / (days - 1)) ** 0.5 if days > 1 else 0.0
    sums[3] = second / days
    sums[4] = third / days
    sums[5] = fourth / days


def measure_part(returns: Any, first: int, stop: int, total: float, sums: Any, at: int) -> None:
    """Mean and deviation (ddof 1) of days whose sum is ``total``; zero where there are too few."""
    count = stop - first
    sums[at] = 0.0
    sums[at + 1] = 0.0
    if count < 1:
        return
    mean = total / count
    sums[at] = mean
    if count < 2:
        return
    squares = 0.0
    for j in range(first, stop):
        away = returns[j] - mean
        squares += away * away
    sums[at + 1] = (squares / (count - 1)) ** 0.5
