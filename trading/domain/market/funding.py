"""Funding of perpetuals by date, and how much of it falls due on a bar or between two prices.

A rate is a fraction of the notional at its stamp; a positive one is paid by longs to shorts.  Where
no dated rate is stored, 0.01 % is due at 00:00, 08:00 and 16:00 UTC.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from magnetfund.kernel.errors import InvalidInput
from trading.domain.market.candles import HOUR_MS, MINUTE_MS, FloatArray, IntArray

FUNDING_PERIOD_MS = 8 * HOUR_MS
FUNDING_RATE_DEFAULT = 0.0001
#: Venues stamp a few milliseconds late; no venue charges twice within a minute.
STAMP_MS = MINUTE_MS


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FundingRates:
    """Dated rates of one instrument, oldest first; both columns have shape (n,)."""

    stamp_ms: IntArray
    rate: FloatArray

    @classmethod
    def none(cls) -> FundingRates:
        """No dated rate: the default applies throughout."""
        return cls(stamp_ms=np.empty(0, dtype=np.int64), rate=np.empty(0))

    def due(self, start_ms: int, end_ms: int) -> float:
        """The rate that falls due in ``[start_ms, end_ms)``: dated where any is, else the default.

        Spans of up to one funding period; :func:`spread_funding` says the same for many bars.
        """
        first = int(np.searchsorted(self.stamp_ms, start_ms))
        stop = int(np.searchsorted(self.stamp_ms, end_ms))
        if stop > first:
            return float(self.rate[first:stop].sum())
        stamps = (end_ms - 1) // FUNDING_PERIOD_MS - (start_ms - 1) // FUNDING_PERIOD_MS
        return FUNDING_RATE_DEFAULT * max(0, stamps)


def round_stamps(stamp_ms: IntArray) -> IntArray:
    """Stamps on the whole minute nearest to what the venue reported."""
    return (stamp_ms + STAMP_MS // 2) // STAMP_MS * STAMP_MS


def spread_funding(*, open_time: IntArray, bar_ms: int, rates: FundingRates) -> FloatArray:
    """Funding charged at the open of each bar, shape (n,): the sum of its dated stamps, else the
    default at each 8-hour stamp that it holds.

    Raises :class:`InvalidInput` unless open times rise.
    """
    if open_time.size == 0:
        return np.empty(0)
    if (np.diff(open_time) <= 0).any():
        raise InvalidInput("open times must rise strictly", code="bar_order")
    stamps = (open_time + bar_ms - 1) // FUNDING_PERIOD_MS - (open_time - 1) // FUNDING_PERIOD_MS
    row = np.searchsorted(open_time, rates.stamp_ms, side="right") - 1
    inside = (row >= 0) & (rates.stamp_ms < open_time[np.maximum(row, 0)] + bar_ms)
    dated = np.zeros(open_time.size)
    np.add.at(dated, row[inside], rates.rate[inside])
    known = np.zeros(open_time.size, dtype=np.bool_)
    known[row[inside]] = True
    return np.where(known, dated, FUNDING_RATE_DEFAULT * stamps)
