"""Whole days of an open position, taken as one where nothing of them can matter.

A day is all stretches between two midnights (see :mod:`.quiet`).  Its payments are made one after
the other as everywhere; prices are compared once, by the extremes of the day with the least and the
most cash of it.  A sum of two doubles never falls when one of them rises, so what the extremes
cannot reach no bar of the day reaches, to the last bit.
"""

from __future__ import annotations

from typing import Any

from risk.domain.fuse.thresholds import compute_loss_threshold
from trading.domain.backtest.kernel.marks import ROUNDING

#: Bars that turn the day, as in :mod:`.quiet`.
NEW_DAY = 2
#: Columns of a day: extremes of its bars and of their closes, all its flags, its last close, the
#: bar after it, its first stretch.
WI_LOW, WI_HIGH, WI_BOTTOM, WI_TOP, WI_FLAGS, WI_CLOSE, WI_NEXT, WI_FIRST = 0, 1, 2, 3, 4, 5, 6, 7
WI_WIDTH = 8


def walk_days(
    d: int,
    end: int,
    days: Any,
    opens: Any,
    dues: Any,
    side: int,
    lots: int,
    entry: int,
    unit: float,
    lower: int,
    upper: int,
    loud: int,
    acting: bool,
    daily: float,
    fall: float,
    cash: float,
    funding: float,
    value: float,
    day_start: float,
    peak: float,
    ceiling: float,
    deeper: float,
    equity: Any,
) -> tuple[int, float, float, float, float, int]:
    """Pass whole days from day ``d`` on, up to the first that must be looked at, or to ``end``.

    A day must be looked at where a level, a loss threshold, a mark above ``ceiling`` or at most
    ``deeper`` may lie in it.  Returns the stretch to go on with, cash, funding, the last mark,
    equity at the day's start, and the stretch that turned the day last (-1: none).
    """
    turned = -1
    while d < days.shape[0] - 1:
        last, flag = days[d, WI_NEXT], days[d, WI_FLAGS]
        if last > end or flag & loud or days[d, WI_LOW] <= lower or days[d, WI_HIGH] >= upper:
            break
        best, worst, lowest = days[d, WI_TOP], days[d, WI_LOW], days[d, WI_BOTTOM]
        if side < 0:
            best, worst, lowest = days[d, WI_BOTTOM], days[d, WI_HIGH], days[d, WI_TOP]
        after, sum_paid = cash, funding
        first = days[d, WI_FIRST]
        notional = opens[first] * lots * unit
        paid = -side * notional * dues[first]
        after += paid
        sum_paid += paid
        least, most = after, after
        for k in range(first + 1, days[d + 1, WI_FIRST]):
            notional = opens[k] * lots * unit
            paid = -side * notional * dues[k]
            after += paid
            sum_paid += paid
            least, most = min(least, after), max(most, after)
        if most + (best - entry) * side * lots * unit > ceiling:
            break
        if least + (lowest - entry) * side * lots * unit <= deeper:
            break
        start = day_start
        if flag & NEW_DAY:
            start = value
        if acting:
            threshold = compute_loss_threshold(start, peak, daily, fall)
            adverse = least + (worst - entry) * side * lots * unit
            if adverse <= threshold + abs(threshold) * ROUNDING:
                break
        if flag & NEW_DAY:
            turned = first
        cash, funding, day_start = after, sum_paid, start
        value = cash + (days[d, WI_CLOSE] - entry) * side * lots * unit
        equity[last - 1] = value
        d += 1
    return days[d, WI_FIRST], cash, funding, value, day_start, turned
