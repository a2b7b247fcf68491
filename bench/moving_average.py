"""The moving-average cross with ATR stop and target, as one pass over integer ticks.

The smallest complete backtest: two simple averages crossing both ways, a stop and a target in
plain-mean ATR, fills at the next open, fees, slippage, liquidation and the loss fuse.  It is the
yardstick of speed and of agreement with other engines; the whole decision of the fund lives in
``engine`` and ``kernel``.  Averages are compared as integer sums, so a cross is exact and a result
does not depend on where the data begin.

The loop itself (``moving_average_walk.walk_bars``) is written once: Python runs it on lists, numba
compiles it.
Money is in units of one tick of one lot until it leaves this module.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.moving_average_walk import walk_bars
from magnetfund.kernel.errors import InvalidInput
from risk.domain.fuse import ResetPolicy

IntColumn = NDArray[np.int64]
FloatColumn = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class TickCandles:
    """Candles of one instrument in integer ticks with their true range, oldest first.

    ``time_ms`` is the open time.  ``true_range[0]`` is high - low of the first bar.
    """

    time_ms: IntColumn
    open: IntColumn
    high: IntColumn
    low: IntColumn
    close: IntColumn
    true_range: IntColumn
    tick_size: float

    def __len__(self) -> int:
        return int(self.close.shape[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class MovingAverageParameters:
    """Parameters of the yardstick strategy; the defaults are those of the published comparison.

    ``equity_share`` of the cash is spent on each entry, its fee included.  ``fuse`` switches the
    loss fuse (daily loss and drawdown); ``close_at_end`` closes an open position at the last close.
    """

    fast: int = 20
    slow: int = 100
    atr_length: int = 14
    stop_atr: float = 2.0
    target_atr: float = 4.0
    fee_rate: float = 0.001
    slippage_rate: float = 0.0
    fuse_slippage_rate: float = 0.001
    maintenance_rate: float = 0.004
    equity_share: float = 0.95
    leverage: float = 1.0
    fuse: bool = False
    daily_loss_share: float = 0.025
    drawdown_share: float = 0.05
    reset_policy: ResetPolicy = ResetPolicy.COOLDOWN_7D
    close_at_end: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.fast < self.slow or self.atr_length < 1:
            raise InvalidInput("windows must satisfy 1 <= fast < slow", code="bad_window")
        numbers = (self.stop_atr, self.target_atr, self.equity_share, self.leverage)
        if not all(math.isfinite(number) and number > 0 for number in numbers):
            raise InvalidInput("distances and shares must be positive", code="bad_parameter")


@dataclass(frozen=True, slots=True, kw_only=True)
class MovingAverageRun:
    """What a run gave, in quote currency.

    ``trades`` has one row a round trip: entry bar, exit bar, side, lots, entry ticks, exit ticks,
    reason (:class:`CloseReason`, 0 = closed by the end of the data).  ``equity`` is marked at each
    close.  ``drawdown_max`` is a fraction <= 0 on those marks, the start included.
    """

    trades: IntColumn
    equity: FloatColumn
    equity_final: float
    drawdown_max: float
    ambiguous_bars: int
    fuse_trips: int
    liquidations: int


def build_tick_candles(
    *,
    time_ms: IntColumn,
    open_price: FloatColumn,
    high: FloatColumn,
    low: FloatColumn,
    close: FloatColumn,
    tick_size: float,
) -> TickCandles:
    """Candles as whole ticks of ``tick_size``; raises :class:`InvalidInput` for bad prices."""
    if not (math.isfinite(tick_size) and tick_size > 0):
        raise InvalidInput("the tick must be positive", code="bad_tick")
    columns = []
    for name, prices in (("open", open_price), ("high", high), ("low", low), ("close", close)):
        if prices.shape != time_ms.shape:
            raise InvalidInput(f"column {name} has another length", code="column_length")
        if prices.size and not (np.isfinite(prices).all() and prices.min() > 0):
            raise InvalidInput(f"column {name} holds a bad price", code="bad_price")
        columns.append(np.rint(prices / tick_size).astype(np.int64))
    o, h, lo, c = columns
    true_range = h - lo
    if c.size > 1:
        np.maximum(true_range[1:], np.abs(h[1:] - c[:-1]), out=true_range[1:])
        np.maximum(true_range[1:], np.abs(lo[1:] - c[:-1]), out=true_range[1:])
    return TickCandles(
        time_ms=np.ascontiguousarray(time_ms, dtype=np.int64),
        open=o,
        high=h,
        low=lo,
        close=c,
        true_range=true_range,
        tick_size=tick_size,
    )


def run_moving_average(
    *,
    candles: TickCandles,
    parameters: MovingAverageParameters,
    cash: float = 10_000.0,
    lot_size: float = 1e-8,
    compiled: bool = True,
) -> MovingAverageRun:
    """Run the strategy over one instrument; ``compiled`` False walks the same source in Python."""
    n = len(candles)
    unit = candles.tick_size * lot_size
    trades = np.zeros((n // 2 + 2, 7), dtype=np.int64)
    equity = np.zeros(n, dtype=np.float64)
    if compiled:
        outcome = _compiled_walk()(
            *_columns(candles), trades, equity, cash / unit, *_scalars(parameters)
        )
    else:
        rows: list[list[int]] = [[0] * 7 for _ in range(trades.shape[0])]
        marks = [0.0] * n
        walk: Any = walk_bars
        lists = [column.tolist() for column in _columns(candles)]
        outcome = walk(*lists, rows, marks, cash / unit, *_scalars(parameters))
        trades[:] = rows
        equity[:] = marks
    count, final, drawdown, ambiguous, trips, liquidations = outcome
    return MovingAverageRun(
        trades=trades[:count].copy(),
        equity=equity * unit,
        equity_final=float(final) * unit,
        drawdown_max=float(drawdown),
        ambiguous_bars=int(ambiguous),
        fuse_trips=int(trips),
        liquidations=int(liquidations),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepRow:
    """One combination of a sweep and what it gave."""

    parameters: MovingAverageParameters
    trades: int
    equity_final: float
    drawdown_max: float


def sweep_moving_average(
    *,
    candles: TickCandles,
    combinations: Sequence[MovingAverageParameters],
    cash: float = 10_000.0,
    lot_size: float = 1e-8,
    workers: int = 2,
) -> tuple[SweepRow, ...]:
    """Run every combination, in its order, on ``workers`` threads (the kernel frees the lock)."""
    walk = _compiled_walk()
    unit = candles.tick_size * lot_size
    columns = _columns(candles)
    no_trades = np.zeros((0, 7), dtype=np.int64)
    no_equity = np.zeros(0, dtype=np.float64)

    def run_one(parameters: MovingAverageParameters) -> SweepRow:
        count, final, drawdown, *_ = walk(
            *columns, no_trades, no_equity, cash / unit, *_scalars(parameters)
        )
        return SweepRow(
            parameters=parameters,
            trades=int(count),
            equity_final=float(final) * unit,
            drawdown_max=float(drawdown),
        )

    with ThreadPoolExecutor(max_workers=max(1, workers)) as pool:
        return tuple(pool.map(run_one, combinations, chunksize=8))


def vary_parameters(
    base: MovingAverageParameters, *, fast: Sequence[int], slow: Sequence[int]
) -> tuple[MovingAverageParameters, ...]:
    """Every pair of windows with fast < slow, slow varying quickest."""
    return tuple(replace(base, fast=f, slow=s) for f in fast for s in slow if f < s)


def _columns(candles: TickCandles) -> tuple[IntColumn, ...]:
    return (
        candles.time_ms,
        candles.open,
        candles.high,
        candles.low,
        candles.close,
        candles.true_range,
    )


def _scalars(parameters: MovingAverageParameters) -> tuple[float | int | bool, ...]:
    p = parameters
    return (
        p.fast,
        p.slow,
        p.atr_length,
        float(p.stop_atr),
        float(p.target_atr),
        float(p.fee_rate),
        float(p.slippage_rate),
        float(p.fuse_slippage_rate),
        float(p.maintenance_rate),
        float(p.equity_share),
        float(p.leverage),
        bool(p.fuse),
        float(p.daily_loss_share),
        float(p.drawdown_share),
        int(p.reset_policy),
        bool(p.close_at_end),
    )


def _compiled_walk() -> Any:
    from trading.domain.backtest.compiled import compile_pure

    return compile_pure(walk_bars)
