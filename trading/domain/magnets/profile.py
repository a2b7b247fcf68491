"""The volume profile: where a session's volume traded, its value area and its nodes.

Each bar's volume is spread evenly over [low, high]; rows of one height start at the session's low,
and every row up to its high exists, also an empty one.  A row's price is its middle.  The point of
control (POC) is the row of the largest volume (tie: nearest to the middle of the range, then the
lower).  The value area grows from there to at least 70 % of the volume by one of the two published
conventions:

- ``one_row`` (CBOT): the larger of the single next rows above and below joins; equal: above.
- ``two_row`` (TPO, Steidlmayer): the larger of the two next pairs joins; a side with one row left
  adds one; equal: above.

The two give different areas on the same sheet, so the convention is always named.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from trading.domain.compiled import compiled

Convention = Literal["one_row", "two_row"]
CONVENTIONS: tuple[Convention, Convention] = ("one_row", "two_row")

NODE_SIGMA_ROWS = 2.5
NODE_PROMINENCE = 0.25
NODES_MAX = 32
"""Nodes of one sort kept for a session, lowest price first."""
_ROWS_MAX = 100_000


@compiled
def spread_volume(
    high: Any, low: Any, volume: Any, bottom: float, height: float, rows: Any
) -> None:
    """Add each bar's volume to ``rows``, evenly over its range; a bar without range fills one."""
    last = rows.shape[0] - 1
    for i in range(high.shape[0]):
        first_row = min(last, int((low[i] - bottom) / height))
        last_row = min(last, int((high[i] - bottom) / height))
        width = high[i] - low[i]
        if first_row == last_row or width <= 0.0:
            rows[first_row] += volume[i]
            continue
        for row in range(first_row, last_row + 1):
            start = low[i] if row == first_row else bottom + row * height
            end = high[i] if row == last_row else bottom + (row + 1) * height
            rows[row] += volume[i] * max(0.0, end - start) / width


@compiled
def find_poc_row(rows: Any) -> int:
    """Row of the largest volume; ties go to the nearest to mid-range, then to the lower."""
    middle = (rows.shape[0] - 1) / 2.0
    best = 0
    for row in range(1, rows.shape[0]):
        if rows[row] > rows[best] or (
            rows[row] == rows[best] and abs(row - middle) < abs(best - middle)
        ):
            best = row
    return best


@compiled
def grow_value_area(rows: Any, poc: int, share: float, step: int) -> tuple[int, int]:
    """Lowest and highest row of the value area; ``step`` 1 is one_row, 2 is two_row."""
    total = rows.sum()
    needed = share * total * (1.0 - 1e-12)
    low, high, inside = poc, poc, rows[poc]
    last = rows.shape[0] - 1
    while inside < needed and (low > 0 or high < last):
        above = rows[high + 1 : min(last, high + step) + 1].sum()
        below = rows[max(0, low - step) : low].sum()
        if high < last and (low == 0 or above >= below):
            inside += above
            high = min(last, high + step)
        else:
            inside += below
            low = max(0, low - step)
    return low, high


@compiled
def find_nodes(rows: Any, poc_volume: float, sign: float, found: Any) -> int:
    """Rows of the smoothed profile's peaks (sign +1) or troughs (-1); their number.

    Smoothed by a Gaussian of 2.5 rows.  A node's prominence (its height over the higher of the two
    lowest points on the way to a higher row, or to the edge) is at least a quarter of the point of
    control's volume; a low node also lies under a quarter of it.
    """
    n = rows.shape[0]
    reach = int(3 * NODE_SIGMA_ROWS) + 1
    smooth = np.zeros(n)
    for i in range(n):
        weight_sum = 0.0
        for j in range(max(0, i - reach), min(n, i + reach + 1)):
            weight = np.exp(-0.5 * ((i - j) / NODE_SIGMA_ROWS) ** 2)
            weight_sum += weight
            smooth[i] += weight * rows[j]
        smooth[i] *= sign / weight_sum
    count = 0
    for i in range(1, n - 1):
        if not (smooth[i] > smooth[i - 1] and smooth[i] >= smooth[i + 1]):
            continue
        if sign < 0 and -smooth[i] >= NODE_PROMINENCE * poc_volume:
            continue
        left = smooth[i]
        j = i - 1
        while j >= 0 and smooth[j] <= smooth[i]:
            left = min(left, smooth[j])
            j -= 1
        right = smooth[i]
        j = i + 1
        while j < n and smooth[j] <= smooth[i]:
            right = min(right, smooth[j])
            j += 1
        if smooth[i] - max(left, right) >= NODE_PROMINENCE * poc_volume and count < found.shape[0]:
            found[count] = i
            count += 1
    return count


@compiled
def count_rows(bottom: float, top: float, height: float) -> int:
    """Rows of ``height`` that cover [bottom, top]; at least one."""
    return max(1, int(np.ceil((top - bottom) / height - 1e-9)))
