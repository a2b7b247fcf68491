"""Holes in the candles, with their reasons, and what they mean for indicators.

Nothing is ever filled forward.  A hole is a half-open interval of missing bars; a bar without
trades that the venue delivered is data, not a hole.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from trading.domain.market.candles import DAY_MS, Candles, IntArray
from trading.domain.market.instruments import DayRule
from trading.domain.market.sessions import is_market_open

GAP_BARS_MAX = 3
"""Longer holes in the feed make every indicator warm up again."""


class GapReason(StrEnum):
    """Why bars are missing."""

    CLOSED_MARKET = "closed_market"
    VENUE_OUTAGE = "venue_outage"
    FEED_LOSS = "feed_loss"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Missing bars: ``[start, end)`` in ms UTC on the timeframe's grid."""

    start: int
    end: int
    bars: int
    reason: GapReason


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """A stretch ``[start, end)`` (ms) in which the venue itself is known to have stood still."""

    start: int
    end: int


def find_gaps(
    *,
    candles: Candles,
    day_rule: DayRule,
    outages: Sequence[Outage] = (),
    holidays: Collection[date] = (),
) -> tuple[Gap, ...]:
    """The holes between the first and the last bar, oldest first, split by reason.

    A missing bar is ``closed_market`` when the market was closed at its open, ``venue_outage``
    when a known outage covers its open, else ``feed_loss``: the reason that stops trading.  Daily
    bars, which carry a bare date, are missing only on business days (crypto: on every day).
    """
    missing = _missing_times(candles)
    if missing.size == 0:
        return ()
    codes = np.full(missing.shape, 2, dtype=np.int8)
    for outage in outages:
        codes[(missing >= outage.start) & (missing < outage.end)] = 1
    if candles.timeframe_ms >= DAY_MS:
        codes[~_is_business_day(missing, day_rule, holidays)] = 0
    else:
        codes[~is_market_open(times=missing, day_rule=day_rule, holidays=holidays)] = 0
    reasons = (GapReason.CLOSED_MARKET, GapReason.VENUE_OUTAGE, GapReason.FEED_LOSS)
    step = candles.timeframe_ms
    breaks = np.flatnonzero((np.diff(missing) != step) | (np.diff(codes) != 0)) + 1
    starts = np.concatenate(([0], breaks))
    stops = np.concatenate((breaks, [missing.size]))
    return tuple(
        Gap(
            start=int(missing[a]),
            end=int(missing[b - 1]) + step,
            bars=int(b - a),
            reason=reasons[codes[a]],
        )
        for a, b in zip(starts.tolist(), stops.tolist(), strict=True)
    )


def find_restarts(
    *, candles: Candles, gaps: Sequence[Gap], gap_bars_max: int = GAP_BARS_MAX
) -> tuple[int, ...]:
    """Positions of the bars at which indicators warm up anew.

    Position 0, and the first bar after each feed loss of more than ``gap_bars_max`` bars.  A closed
    market or a venue outage restarts nothing: no price was missed.
    """
    restarts = {0} if len(candles) else set()
    for gap in gaps:
        if gap.reason is GapReason.FEED_LOSS and gap.bars > gap_bars_max:
            restarts.add(int(np.searchsorted(candles.open_time, gap.end)))
    return tuple(sorted(index for index in restarts if index < len(candles)))


def _is_business_day(
    times: IntArray, day_rule: DayRule, holidays: Collection[date]
) -> NDArray[np.bool_]:
    days = times.astype("datetime64[ms]").astype("datetime64[D]")
    closed = np.array(sorted(holidays), dtype="datetime64[D]")
    if day_rule is DayRule.UTC_MIDNIGHT:
        return ~np.isin(days, closed)
    return np.is_busday(days) & ~np.isin(days, closed)


def _missing_times(candles: Candles) -> IntArray:
    step = candles.timeframe_ms
    holes = np.flatnonzero(np.diff(candles.open_time) > step)
    if holes.size == 0:
        return np.empty(0, dtype=np.int64)
    return np.concatenate(
        [
            np.arange(candles.open_time[i] + step, candles.open_time[i + 1], step)
            for i in holes.tolist()
        ]
    ).astype(np.int64)
