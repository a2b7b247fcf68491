"""The bars of a run that decides on closed bars and executes on shorter ones.

Prices come from the shorter candles; funding and the worst adverse bar known stay those of the bars
on which the strategies decide.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from magnetfund.kernel.errors import InvalidInput
from trading.domain.backtest.market import (
    InstrumentBars,
    IntColumn,
    MarketBars,
    build_instrument_bars,
)
from trading.domain.market.candles import Candles
from trading.domain.market.slices import ABSENT, AT_CLOSE, SlicePlan

BARS_MAX = 20_000_000
"""Slices times instruments of one run; about four gigabytes of packed bars."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FineMarket:
    """Slices as bars, when each closes, and which row of the decision bars it closes (-1: none)."""

    bars: MarketBars
    close_ms: IntColumn
    decision: IntColumn


def build_fine_market(
    *,
    market: MarketBars,
    shorter: Sequence[Candles],
    plan: SlicePlan,
    tick_sizes: Sequence[float],
) -> FineMarket:
    """The slices of ``plan`` in whole ticks; ``market`` holds the bars that decide.

    Raises :class:`InvalidInput` (``too_many_bars``) above :data:`BARS_MAX`, or for bad prices.
    """
    size = plan.time_ms.size
    if size * len(market.instruments) > BARS_MAX:
        raise InvalidInput(
            f"{size * len(market.instruments):,} bars are too many for one run "
            f"(at most {BARS_MAX:,}); take fewer instruments or a shorter span",
            code="too_many_bars",
        )
    rows = np.full((len(market.instruments), size), -1, dtype=np.int64)
    found = []
    for m, (coarse, candles, tick) in enumerate(
        zip(market.instruments, shorter, tick_sizes, strict=True)
    ):
        present = plan.rows[m] != ABSENT
        rows[m, present] = np.arange(int(present.sum()))
        found.append(_cut(coarse, candles, plan, m, present, market.rows[m], tick))
    bars = MarketBars(time_ms=plan.time_ms, rows=rows, instruments=tuple(found))
    return FineMarket(
        bars=bars,
        close_ms=plan.time_ms + plan.length_ms,
        decision=np.where(plan.is_end, plan.span, -1),
    )


def _cut(
    coarse: InstrumentBars,
    candles: Candles,
    plan: SlicePlan,
    m: int,
    present: np.ndarray[tuple[int], np.dtype[np.bool_]],
    coarse_rows: IntColumn,
    tick: float,
) -> InstrumentBars:
    """One instrument's slices."""
    ticks = build_instrument_bars(
        time_ms=candles.open_time,
        open_price=candles.open,
        high=candles.high,
        low=candles.low,
        close=candles.close,
        tick_size=tick,
        funding_rate=np.zeros(len(candles)),
    )
    row = plan.rows[m, present]
    span = coarse_rows[plan.span[present]]
    at_close = row == AT_CLOSE
    close = coarse.close[span]
    prices = {
        name: np.where(at_close, close, getattr(ticks, name)[np.maximum(row, 0)])
        for name in ("open", "high", "low", "close")
    }
    is_first = np.append(True, np.diff(span) != 0)
    return InstrumentBars(
        time_ms=plan.time_ms[present],
        **prices,
        funding_rate=np.where(is_first, coarse.funding_rate[span], 0.0),
        gap_rate_long=coarse.gap_rate_long[span],
        gap_rate_short=coarse.gap_rate_short[span],
    )
