"""The yardstick strategy in published engines: vectorbt, backtesting.py and raptorbt.

All read the same candles, in whole ticks, and the same signals made here with numpy, apart from
the kernel's own.  Only backtesting.py has the kernel's fill rules (next open, stop before target,
protection on the entry bar), so only its trades are compared one by one.

Imported by the oracle test where backtesting.py is installed, and run by :mod:`bench.versus` in an
environment that has them.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.moving_average import MovingAverageParameters, TickCandles

FloatColumn = NDArray[np.float64]
IntColumn = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossSignals:
    """Per bar: +1 or -1 where the averages crossed on the close, and stop and target distances.

    Distances are in whole ticks, from the plain-mean ATR of that close.
    """

    side: IntColumn
    stop: IntColumn
    target: IntColumn


def make_cross_signals(candles: TickCandles, parameters: MovingAverageParameters) -> CrossSignals:
    """Both averages and the ATR by cumulative sums over the whole column."""
    p = parameters
    fast, slow = (_mean(candles.close, length) for length in (p.fast, p.slow))
    spread = np.sign(np.round(fast * (p.fast * p.slow)) - np.round(slow * (p.fast * p.slow)))
    before = np.concatenate(([np.nan], spread[:-1]))
    side = np.where((spread > 0) & (before <= 0), 1, 0)
    side = np.where((spread < 0) & (before >= 0), -1, side)
    side[-1] = 0  # no bar is left to fill on
    atr = np.nan_to_num(_mean(candles.true_range, p.atr_length))
    return CrossSignals(
        side=side.astype(np.int64),
        stop=np.rint(p.stop_atr * atr).astype(np.int64),
        target=np.rint(p.target_atr * atr).astype(np.int64),
    )


def _mean(values: IntColumn, length: int) -> FloatColumn:
    """Mean of the last ``length`` whole numbers; NaN before there are so many."""
    total = np.concatenate(([0], np.cumsum(values)))
    out = np.full(values.size, np.nan)
    out[length - 1 :] = (total[length:] - total[:-length]) / length
    return out


def run_backtesting(
    *, candles: TickCandles, parameters: MovingAverageParameters, cash: float, lot_size: float
) -> tuple[IntColumn, float]:
    """The closed trades of backtesting.py and its equity after the last of them.

    Rows hold entry bar, exit bar, side, lots, entry and exit in ticks, as the kernel's do.  Prices
    are given in ticks and cash in ticks times lots, so that its whole units are our lots.
    """
    import pandas as pd
    from backtesting import Backtest, Strategy

    signals = make_cross_signals(candles, parameters)
    sides, stops, targets = (
        column.tolist() for column in (signals.side, signals.stop, signals.target)
    )
    opens = candles.open.tolist()
    share = parameters.equity_share

    class Cross(Strategy):  # type: ignore[misc]  # the library ships no types
        def init(self) -> None:
            """The signals are made already."""

        def next(self) -> None:
            row = len(self.data) - 1
            side = sides[row]
            if side == 0 or (self.position and self.position.is_long == (side > 0)):
                return
            for trade in self.trades:  # leaving at the open comes before stop and target
                trade.sl = trade.tp = None
                trade.close()
            # Stop and target stand at fixed distances from the fill, which is the next open.
            fill = opens[row + 1]
            order = self.buy if side > 0 else self.sell
            order(size=share, sl=fill - side * stops[row], tp=fill + side * targets[row])

    frame = pd.DataFrame(
        {
            "Open": candles.open,
            "High": candles.high,
            "Low": candles.low,
            "Close": candles.close,
        },
        index=pd.to_datetime(candles.time_ms, unit="ms"),
        dtype=float,
    )
    unit = candles.tick_size * lot_size
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        engine = Backtest(frame, Cross, cash=cash / unit, commission=parameters.fee_rate)
        found = engine.run()
    table = found["_trades"]
    size = table["Size"].to_numpy()
    rows = np.column_stack(
        (
            table["EntryBar"],
            table["ExitBar"],
            np.sign(size),
            np.abs(size),
            np.rint(table["EntryPrice"]),
            np.rint(table["ExitPrice"]),
        )
    ).astype(np.int64)
    return rows[np.lexsort((rows[:, 0], rows[:, 1]))], float(found["Equity Final [$]"]) * unit


def run_vectorbt(*, candles: TickCandles, parameters: MovingAverageParameters, cash: float) -> Any:
    """vectorbt's portfolio: indicators, signals and simulation, with its own stop rules."""
    import vectorbt as vbt

    return _simulate(vbt, candles, [make_cross_signals(candles, parameters)], parameters, cash)


def run_raptorbt(*, candles: TickCandles, parameters: MovingAverageParameters, cash: float) -> Any:
    """raptorbt (Rust) on the long side alone, for it holds one direction: half of the trades.

    Signals are made here; stop and target are its own, as multiples of its ATR.
    """
    import raptorbt

    signals = make_cross_signals(candles, parameters)
    config = raptorbt.BacktestConfig(initial_capital=cash, fees=parameters.fee_rate)
    config.set_atr_stop(parameters.stop_atr, parameters.atr_length)
    config.set_atr_target(parameters.target_atr, parameters.atr_length)
    tick = candles.tick_size
    bars = (candles.open, candles.high, candles.low, candles.close)
    return raptorbt.run_single_backtest(
        candles.time_ms * 1_000_000,
        *(column * tick for column in bars),
        np.ones(len(candles)),
        signals.side > 0,
        signals.side < 0,
        direction=1,
        config=config,
    )


def sweep_vectorbt(
    *,
    candles: TickCandles,
    combinations: tuple[MovingAverageParameters, ...],
    cash: float,
    columns: int = 25,
) -> FloatColumn:
    """Final value of every combination, ``columns`` at a time so that memory stays bounded."""
    import vectorbt as vbt

    found = []
    for start in range(0, len(combinations), columns):
        part = combinations[start : start + columns]
        signals = [make_cross_signals(candles, parameters) for parameters in part]
        portfolio = _simulate(vbt, candles, signals, part[0], cash)
        found.append(np.atleast_1d(np.asarray(portfolio.final_value())))
    return np.concatenate(found)


def _simulate(
    vbt: Any,
    candles: TickCandles,
    signals: list[CrossSignals],
    parameters: MovingAverageParameters,
    cash: float,
) -> Any:
    """All columns in one call: entries one bar later at the open, stops as shares of the entry."""
    tick = candles.tick_size
    later = [np.roll(column.side, 1) for column in signals]
    side = np.column_stack(later)
    before = np.maximum(np.roll(candles.close, 1), 1)[:, None]
    stops = np.column_stack([np.roll(column.stop, 1) for column in signals]) / before
    targets = np.column_stack([np.roll(column.target, 1) for column in signals]) / before
    return vbt.Portfolio.from_signals(
        close=candles.close[:, None] * tick,
        open=candles.open[:, None] * tick,
        high=candles.high[:, None] * tick,
        low=candles.low[:, None] * tick,
        price=candles.open[:, None] * tick,
        entries=side > 0,
        short_entries=side < 0,
        sl_stop=np.where(stops > 0, stops, np.nan),
        tp_stop=np.where(targets > 0, targets, np.nan),
        size=parameters.equity_share,
        size_type="percent",
        upon_opposite_entry="closereduce",
        fees=parameters.fee_rate,
        init_cash=cash,
        freq="1h",
    )
