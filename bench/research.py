"""Backtests and sweeps as a person starts them: the library over the real hours.

Run as ``python -m bench.research``.  Compilation is not counted, reading the file is told apart.
"""

from __future__ import annotations

import os
import time
from functools import partial

import numpy as np

from bench.data import BTC_FILE, data_folder, make_columns
from bench.own_rules import CrossByBar, CrossInColumns
from bench.timing import Row, Skip, best_seconds, print_rows
from magnetfund import research
from trading.domain.backtest.kernel.run import pack_market, pack_signals, run_packed
from trading.domain.engine.rules import TradedInstrument
from trading.domain.market.candles import Candles
from trading.domain.research.coverage import InstrumentSeries
from trading.domain.research.run import compute_slot_signals
from trading.domain.research.sweep import open_bench
from trading.domain.strategies.registry import STRATEGIES
from trading.domain.strategies.rules import RuleStrategy

GRID = {"fast": "2:101:1", "slow": "102:201:1"}
MAGNET_GRID = {"hold_hours": "24:118:1", "stop_atr_min": "0.5,0.6,0.7,0.8,0.9"}
MAGNETS = 500
SPARSE = {"fast": 20, "slow": 100, "bar_hours": 24}
MINUTES = 526_000
INSTRUMENTS, HOURS = 20, 43_800


def run() -> list[Row]:
    """The rows of this bench."""
    folder = data_folder()
    if folder is None:
        raise Skip("the real hours are not here")
    began = time.perf_counter()
    market = research.load(folder / "candles" / BTC_FILE, instrument="BTC/USDT:USDT")
    loading = time.perf_counter() - began
    first = research.backtest("moving-average", market)
    prepared = first.backtest.prepared
    packed = pack_market(prepared.market)
    signals = pack_signals(
        rules=prepared.rules, market=prepared.market, signals=compute_slot_signals(prepared)
    )
    research.sweep("moving-average", market, {"fast": "10,20"})
    cores = os.cpu_count() or 1
    return [
        ("reading and checking the file", loading, 0, "s"),
        (
            "backtest, moving average, warm: signals, run, figures",
            best_seconds(lambda: research.backtest("moving-average", market), rounds=5),
            0.6,
            "s",
        ),
        (
            "  the run itself",
            best_seconds(
                lambda: run_packed(rules=prepared.rules, market=packed, signals=signals), rounds=5
            ),
            0.1,
            "s",
        ),
        (
            f"sweep, 10,000 moving averages, {len(market.candles)} hours, {cores} cores",
            best_seconds(lambda: research.sweep("moving-average", market, GRID), rounds=2),
            3.0,
            "s",
        ),
        (
            f"sweep, {MAGNETS} of the magnet strategy, {cores} cores",
            best_seconds(
                lambda: research.sweep("magnet", market, MAGNET_GRID, count=MAGNETS), rounds=1
            ),
            20.0,
            "s",
        ),
        *time_sparse(market),
        *time_own(market),
        *time_wide(),
    ]


def time_sparse(market: research.Market) -> list[Row]:
    """The loop of sweeps alone on a rule of days that seldom trades, without and with the fuse."""
    rows: list[Row] = []
    for kind, bar in (("bare", 5e8), ("fund", 0.0)):
        run = research.backtest("moving-average", market, parameters=SPARSE, rules=kind)
        prepared = run.backtest.prepared
        bench = open_bench(prepared, STRATEGIES, threads=1)
        strategy = prepared.strategies[0]
        assert isinstance(strategy, RuleStrategy)
        decisions, outlook = bench.decide(strategy, prepared.rules)
        walk = partial(bench.runner().walk, variants=[(prepared.rules, decisions)], outlook=outlook)
        trades = walk()[0][0]
        name = f"event to event, {trades} trades of a rule of days, rules {kind}, one core"
        rows.append((name, len(market.candles) / best_seconds(walk, rounds=300), bar, "bars/s"))
    return rows


def time_own(market: research.Market) -> list[Row]:
    """A user's own rule, signals included, in columns and bar by bar."""
    bars = len(market.candles)
    columns, stream = (
        best_seconds(partial(research.backtest, rule, market), rounds=3)
        for rule in (CrossInColumns, CrossByBar)
    )
    signals = best_seconds(lambda: research.signals(CrossByBar, market), rounds=3)
    return [
        ("own rule in columns, whole backtest", bars / columns, 1e6, "bars/s"),
        ("own rule bar by bar, whole backtest", bars / stream, 1e5, "bars/s"),
        ("  its signals alone", bars / signals, 1e5, "bars/s"),
    ]


def time_wide() -> list[Row]:
    """A year of minutes under a rule of hours, and many instruments in one book."""
    minutes = _make_market(bars=MINUTES, seed=3, step_ms=60_000, symbol="BTC/USDT:USDT")
    many = [
        _make_market(bars=HOURS, seed=seed, step_ms=3_600_000, symbol=f"C{seed}/USDT:USDT")
        for seed in range(INSTRUMENTS)
    ]
    fine = best_seconds(
        lambda: research.backtest("moving-average", minutes, timeframe="1h", resolution="1m"),
        rounds=2,
    )
    wide = best_seconds(lambda: research.backtest("moving-average", many), rounds=2)
    return [
        (f"hours that execute on {MINUTES:,} minutes, signals and figures", fine, 2.0, "s"),
        (f"{INSTRUMENTS} instruments, {HOURS:,} hours each, one book", wide, 5.0, "s"),
    ]


def _make_market(*, bars: int, seed: int, step_ms: int, symbol: str) -> research.Market:
    """Synthetic bars of the shape of minutes, at any distance, in ticks of a cent."""
    times, columns = make_columns(bars=bars, seed=seed)
    names = ("open", "high", "low", "close", "volume")
    rounded = [np.round(column, 2) for column in columns]
    empty = np.empty(0, dtype=np.int64)
    candles = Candles(
        instrument=symbol,
        timeframe_ms=step_ms,
        open_time=times[0] + np.arange(bars, dtype=np.int64) * step_ms,
        **dict(zip(names, rounded, strict=True)),
    )
    return research.Market(
        series=InstrumentSeries(
            rules=TradedInstrument(symbol=symbol, tick_size=0.01, lot_size=0.001),
            candles=candles,
            funding_ms=empty,
            funding_rate=empty.astype(np.float64),
        )
    )


if __name__ == "__main__":
    print_rows(run())
