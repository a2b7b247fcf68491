"""What a sleeve earned, from its closed trades: counts, averages, ratios, chance of a good year.

Money is float64 in the quote currency (the exact sums stay in the rows).  Returns are shares of the
book's equity at the trade: a sleeve has no equity of its own.  Drawdowns are positive fractions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from risk.domain.ratios import (
    compute_equity_drawdowns,
    compute_profit_factor,
    compute_sharpe,
    compute_sortino,
)
from trading.domain.market.candles import DAY_MS

DAYS_A_YEAR = 365.0
SURVIVAL_DRAWS = 2_000
SURVIVAL_DRAWDOWN = 0.10
SURVIVAL_TRADES_MIN = 10
SURVIVAL_YEAR_TRADES_MAX = 2_000
FloatColumn = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedTrade:
    """One round trip; ``net`` after all costs, ``balance`` the book's equity when it was sized."""

    opened_ms: int
    closed_ms: int
    net: float
    balance: float

    @property
    def share(self) -> float:
        """The result as a share of equity."""
        return self.net / self.balance if self.balance > 0.0 else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SleeveFigures:
    """Figures of closed trades; None where there are too few to say.

    ``profit_factor`` is infinite where nothing was lost.  ``exposure`` is the share of the time
    from the first entry to the end in which a position was open.
    """

    trades: int
    wins: int
    losses: int
    average_win: float | None
    average_loss: float | None
    largest_win: float | None
    largest_loss: float | None
    profit_factor: float | None
    expectancy: float | None
    expectancy_error: float | None
    sharpe: float | None
    sortino: float | None
    drawdown_max: float | None
    exposure: float | None
    days: int

    @property
    def win_rate(self) -> float | None:
        """Won trades as a share of all."""
        return self.wins / self.trades if self.trades else None


def measure_trades(trades: Sequence[ClosedTrade], *, end_ms: int) -> SleeveFigures:
    """The figures of trades in the order of their closing, as they stand at ``end_ms``."""
    net = np.array([trade.net for trade in trades])
    won, lost = net[net > 0.0], net[net < 0.0]
    daily = compute_daily_shares(trades, end_ms=end_ms)
    factor = None
    if net.size:
        factor = compute_profit_factor(results=net)
        factor = math.inf if factor is None and won.size else factor
    enough = daily.size > 1
    return SleeveFigures(
        trades=int(net.size),
        wins=int(won.size),
        losses=int(net.size - won.size),
        average_win=_mean(won),
        average_loss=_mean(lost),
        largest_win=float(won.max()) if won.size else None,
        largest_loss=float(lost.min()) if lost.size else None,
        profit_factor=factor,
        expectancy=_mean(net),
        expectancy_error=float(net.std(ddof=1)) / math.sqrt(net.size) if net.size > 1 else None,
        sharpe=compute_sharpe(returns=daily, periods_a_year=DAYS_A_YEAR) if enough else None,
        sortino=compute_sortino(returns=daily, periods_a_year=DAYS_A_YEAR) if enough else None,
        drawdown_max=-float(compute_equity_drawdowns(equity=_grow(daily), start=1.0).min()) + 0.0
        if daily.size
        else None,
        exposure=_find_exposure(trades, end_ms),
        days=int(daily.size),
    )


def compute_daily_shares(trades: Sequence[ClosedTrade], *, end_ms: int) -> FloatColumn:
    """Results by the UTC day of closing as shares of equity, from the first entry's day on."""
    if not trades:
        return np.empty(0)
    first = min(trade.opened_ms for trade in trades) // DAY_MS
    last = max(end_ms - 1, max(trade.closed_ms for trade in trades)) // DAY_MS
    daily = np.zeros(last - first + 1)
    for trade in trades:
        daily[trade.closed_ms // DAY_MS - first] += trade.share
    return daily


def _mean(values: FloatColumn) -> float | None:
    return float(values.mean()) if values.size else None


def _find_exposure(trades: Sequence[ClosedTrade], end_ms: int) -> float | None:
    if not trades:
        return None
    spans = sorted((trade.opened_ms, trade.closed_ms) for trade in trades)
    first, end = spans[0][0], max(end_ms, max(stop for _, stop in spans))
    held, reach = 0, first
    for start, stop in spans:
        held += max(0, stop - max(start, reach))
        reach = max(reach, stop)
    return held / (end - first) if end > first else None


def compute_survival_probability(
    shares: Sequence[float], *, trades_a_year: float, luck_a_trade: float, seed: int = 1
) -> float | None:
    """Chance that a year of such trades ends in profit and stays above -10 % of its peak.

    Each draw first resamples the whole history in blocks of n^(1/3) trades, which carries how
    little is known of it, then draws a year from that sample; ``luck_a_trade`` (a share of equity)
    is taken off every trade for the choice among variants.  None under ten trades.
    """
    history = np.asarray(shares, dtype=np.float64) - luck_a_trade
    count = history.size
    if count < SURVIVAL_TRADES_MIN or not trades_a_year > 0.0:
        return None
    year = int(np.clip(round(trades_a_year), 1, SURVIVAL_YEAR_TRADES_MAX))
    block = max(1, round(count ** (1.0 / 3.0)))
    rng = np.random.default_rng(seed)
    good = 0
    for _ in range(SURVIVAL_DRAWS):
        sample = _draw_blocks(rng, history, count, block)
        path = _grow(_draw_blocks(rng, sample, year, block))
        fall = compute_equity_drawdowns(equity=path, start=1.0).min()
        good += bool(path[-1] > 1.0 and fall > -SURVIVAL_DRAWDOWN)
    return good / SURVIVAL_DRAWS


def _draw_blocks(
    rng: np.random.Generator, values: FloatColumn, count: int, block: int
) -> FloatColumn:
    starts = rng.integers(0, values.size, -(-count // block))
    rows = (starts[:, None] + np.arange(block)).ravel()[:count] % values.size
    found: FloatColumn = values[rows]
    return found


def _grow(shares: FloatColumn) -> FloatColumn:
    """Equity from 1 after each return."""
    return np.asarray(np.cumprod(1.0 + shares), dtype=np.float64)
