"""A sweep of 200 parameter sets of the moving-average/ATR strategy on two cores.

Run as ``python -m bench.sweep``.
"""

from __future__ import annotations

from bench.data import BTC_FILE, load_tick_candles, make_tick_candles
from bench.moving_average import (
    MovingAverageParameters,
    TickCandles,
    sweep_moving_average,
    vary_parameters,
)
from bench.timing import Row, best_seconds, print_rows

COMBINATIONS = vary_parameters(
    MovingAverageParameters(), fast=range(5, 45, 2), slow=range(50, 250, 20)
)


def sweep_seconds(candles: TickCandles) -> float:
    """Seconds of the whole sweep."""
    return best_seconds(
        lambda: sweep_moving_average(
            candles=candles, combinations=COMBINATIONS, lot_size=1e-5, workers=2
        ),
        rounds=3,
    )


def run() -> list[Row]:
    """The rows of this bench."""
    count = len(COMBINATIONS)
    real = load_tick_candles(BTC_FILE, tick_size=0.01)
    if real is not None:
        return [(f"sweep, {count} sets, {len(real)} real hours", sweep_seconds(real), 1.0, "s")]
    synthetic = make_tick_candles(bars=58_419, seed=7)
    return [(f"sweep, {count} sets, 58,419 synthetic bars", sweep_seconds(synthetic), 1.0, "s")]


if __name__ == "__main__":
    print_rows(run())
