"""Backtests and sweeps as a person starts them: the library over the real hours.

Run as ``python -m bench.research``.  Compilation is not counted, reading the file is told apart.
"""

from __future__ import annotations

import os
import time

from bench.data import BTC_FILE, data_folder
from bench.timing import Row, Skip, best_seconds, print_rows
from magnetfund import research
from trading.domain.backtest.kernel.run import pack_market, pack_signals, run_packed
from trading.domain.research.run import compute_slot_signals

GRID = {"fast": "2:101:1", "slow": "102:201:1"}
MAGNET_GRID = {"hold_hours": "24:118:1", "stop_atr_min": "0.5,0.6,0.7,0.8,0.9"}
MAGNETS = 500


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
    ]


if __name__ == "__main__":
    print_rows(run())
