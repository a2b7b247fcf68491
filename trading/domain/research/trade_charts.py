"""Single trades on their candles: what the strategy saw, where it stood, how it ended.

Prices are quote currency, times milliseconds UTC.  A long trade is drawn on fewer, joined candles.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trading.domain.backtest.market import InstrumentBars
from trading.domain.backtest.result import find_row
from trading.domain.engine.book import CloseReason, RoundTrip
from trading.domain.research.run import Backtest
from trading.domain.strategies.signals import Signals

NEWEST, BEST, WORST = 4, 2, 2
BARS_BEFORE, BARS_AFTER, BARS_MAX = 24, 8, 90
POINTS_MAX = 600


def build_trade_charts(backtest: Backtest) -> list[dict[str, Any]]:
    """The newest trades, the best and the worst by R, each with its candles and its reason."""
    trades = backtest.result.trades
    return [_build(backtest, trades[index], title) for index, title in _choose(trades)]


def list_excursions(rows: Sequence[dict[str, Any]]) -> list[list[float]]:
    """Worst and best of each trade on its way and its result, all in R; evenly thinned."""
    step = max(1, -(-len(rows) // POINTS_MAX))
    return [
        [round(row["mae_r"], 3), round(row["mfe_r"], 3), round(row["r"], 3)] for row in rows[::step]
    ]


def _choose(trades: Sequence[RoundTrip]) -> list[tuple[int, str]]:
    by_result = sorted(range(len(trades)), key=lambda k: trades[k].r_multiple)
    wanted = [(k, "Best") for k in by_result[: -BEST - 1 : -1]]
    wanted += [(k, "Worst") for k in by_result[:WORST]]
    wanted += [(k, "Newest") for k in range(len(trades) - 1, max(len(trades) - 1 - NEWEST, -1), -1)]
    titles: dict[int, str] = {}
    for index, title in wanted:
        titles.setdefault(index, title)
    return list(titles.items())


def _build(backtest: Backtest, trade: RoundTrip, title: str) -> dict[str, Any]:
    rules, market = backtest.prepared.rules, backtest.prepared.market
    slot = rules.slots[trade.slot]
    instrument, bars = rules.instruments[slot.instrument], market.instruments[slot.instrument]
    tick = instrument.tick_size
    entry = find_row(bars.time_ms, trade.entry_time)
    leave = find_row(bars.time_ms, trade.exit_time)
    first, stop = max(0, entry - BARS_BEFORE), min(len(bars.time_ms), leave + BARS_AFTER + 1)
    zone, why = _explain(backtest.signals[trade.slot], entry - 1)
    return {
        "title": title,
        "strategy": slot.traits.strategy_id,
        "instrument": instrument.symbol,
        "side": "long" if trade.side > 0 else "short",
        "entry_ms": trade.entry_time,
        "exit_ms": trade.exit_time,
        "entry": trade.entry_ticks * tick,
        "exit": trade.exit_ticks * tick,
        "stop": trade.stop_ticks * tick,
        "target": trade.target_ticks * tick if trade.target_ticks else None,
        "zone": zone,
        "why": why,
        "reason": CloseReason(trade.reason).code,
        "r": trade.r_multiple,
        "net": trade.net,
        "leverage": trade.leverage,
        "candles": join_bars(bars, first, stop, tick),
    }


def join_bars(bars: InstrumentBars, first: int, stop: int, tick: float) -> dict[str, list[float]]:
    """Rows ``first`` to ``stop`` as at most ``BARS_MAX`` candles; ``t`` is the open in ms."""
    count = -(-(stop - first) // BARS_MAX)
    starts: NDArray[np.int64] = np.arange(0, stop - first, max(count, 1))
    part = slice(first, stop)
    last = np.append(starts[1:], stop - first) - 1
    priced = {
        "open": bars.open[part][starts],
        "high": np.maximum.reduceat(bars.high[part], starts),
        "low": np.minimum.reduceat(bars.low[part], starts),
        "close": bars.close[part][last],
    }
    return {
        "t": bars.time_ms[part][starts].tolist(),
        **{name: np.round(column * tick, 8).tolist() for name, column in priced.items()},
    }


def _explain(signals: Signals, row: int) -> tuple[float | None, str]:
    """The zone that it aimed at (None without one) and the reading at the close before entry."""
    if row < 0:
        return None, ""
    told = []
    for name, words in (
        ("strength", "strength {:.0f} of 100"),
        ("conflict", "conflict {:.2f}"),
        ("distance", "{:.1f} ATR away"),
        ("volatility_ratio", "volatility {:.2f} of its usual"),
    ):
        value = float(getattr(signals, name)[row])
        if np.isfinite(value):
            told.append(words.format(value))
    zone = float(signals.target_zone_price[row])
    return (zone if np.isfinite(zone) and zone > 0 else None), ", ".join(told)
