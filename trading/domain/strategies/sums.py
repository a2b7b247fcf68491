"""Sums of a sliding window that do not drift, in compiled loops.

A running sum is kept as an unevaluated pair of doubles (Dekker 1971, Knuth TAOCP 4.2.2): its error
is some 2**-106 of the sum, so the difference of two of them, rounded once, is what ``math.fsum``
gives for the window.
"""

from __future__ import annotations

from typing import Any

NAN = float("nan")


def sum_twofold(values: Any, high: Any, low: Any) -> None:
    """Sums of the first 0, 1, ... values; ``high + low`` is the sum, ``low`` what high lacks."""
    top, bottom = 0.0, 0.0
    high[0] = top
    low[0] = bottom
    for k in range(values.shape[0]):
        value = values[k]
        total = top + value
        part = total - top
        bottom += (top - (total - part)) + (value - part)
        top = total + bottom
        bottom -= top - total
        high[k + 1] = top
        low[k + 1] = bottom


def compute_window_means(high: Any, low: Any, length: int, means: Any) -> None:
    """The mean of the last ``length`` values at each, NaN before there are so many."""
    for k in range(means.shape[0]):
        means[k] = NAN
        if k + 1 >= length:
            first = k + 1 - length
            total = high[k + 1] - high[first]
            part = total - high[k + 1]
            rest = (high[k + 1] - (total - part)) - (high[first] + part)
            means[k] = (total + (rest + (low[k + 1] - low[first]))) / length
