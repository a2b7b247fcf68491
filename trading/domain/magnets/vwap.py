"""Volume-weighted average price since an anchor, by weighted running moments.

``W += w; d = x - mean; mean += d*w/W; M2 += w*d*(x - mean); var = max(0, M2/W)`` with w the volume
and x = (high + low + close)/3 (West 1979).  The textbook form E[x^2] - E[x]^2 loses all digits at
prices of tens of thousands.  A bar without volume is skipped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from magnetfund.kernel.errors import InvalidInput
from trading.domain.compiled import compiled
from trading.domain.magnets.types import FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class VwapBands:
    """Per bar from the anchor on: the mean and the volume-weighted standard deviation (price).

    The bands are ``mean +- k * deviation``; NaN before the anchor and until volume has traded.
    """

    mean: FloatArray
    deviation: FloatArray


@compiled
def run_vwap(high: Any, low: Any, close: Any, volume: Any, first: Any, mean: Any, sd: Any) -> None:
    """Fill ``mean`` and ``sd``; the sums restart at each bar whose ``first`` is 1."""
    weight, centre, m2 = 0.0, 0.0, 0.0
    running = False
    for i in range(high.shape[0]):
        if first[i]:
            weight, centre, m2 = 0.0, 0.0, 0.0
            running = True
        if running and volume[i] > 0.0:
            x = (high[i] + low[i] + close[i]) / 3.0
            weight += volume[i]
            d = x - centre
            centre += d * volume[i] / weight
            m2 += volume[i] * d * (x - centre)
        known = running and weight > 0.0
        mean[i] = centre if known else np.nan
        sd[i] = np.sqrt(max(0.0, m2 / weight)) if known else np.nan


def compute_vwap(
    *,
    high: NDArray[np.float64],
    low: NDArray[np.float64],
    close: NDArray[np.float64],
    volume: NDArray[np.float64],
    anchors: NDArray[np.bool_],
) -> VwapBands:
    """The running average since the latest anchor, per bar.

    All columns have shape (n,); ``anchors`` marks the bars at which the sums start anew (a session
    open, a swing's own bar: usable only from the swing's ``known_at``).  A value at i uses bars up
    to i.  Raises :class:`InvalidInput` on unequal shapes.
    """
    h, lo, c, v = (np.ascontiguousarray(x, dtype=np.float64) for x in (high, low, close, volume))
    marks = np.ascontiguousarray(anchors, dtype=np.bool_)
    if any(x.shape != marks.shape or x.ndim != 1 for x in (h, lo, c, v)):
        raise InvalidInput("bars need equal one-dimensional columns", code="vwap_shape")
    mean, deviation = np.empty(marks.size), np.empty(marks.size)
    run_vwap(h, lo, c, v, marks, mean, deviation)
    return VwapBands(mean=mean, deviation=deviation)
