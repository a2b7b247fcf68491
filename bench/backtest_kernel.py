"""Bars a second of the moving-average/ATR kernel with fees, stops, fuse and liquidation.

Run as ``python -m bench.backtest_kernel``.  The published comparison (58,419 hourly BTC bars, from
10,000: 775 trades, 4403.69) is recomputed here with ticks fine enough not to round it.
"""

from __future__ import annotations

from dataclasses import replace

from bench.data import BTC_FILE, load_tick_candles, make_tick_candles
from bench.moving_average import (
    MovingAverageParameters,
    TickCandles,
    run_moving_average,
)
from bench.timing import Row, best_seconds, print_rows

SEED = 20_240_421
PUBLISHED = MovingAverageParameters()
GUARDED = replace(PUBLISHED, fuse=True, leverage=3.0, slippage_rate=0.0002, fee_rate=0.0005)


def bars_a_second(candles: TickCandles, parameters: MovingAverageParameters) -> float:
    """Speed of a whole run, indicators and result columns included."""
    seconds = best_seconds(
        lambda: run_moving_average(candles=candles, parameters=parameters, lot_size=1e-5)
    )
    return len(candles) / seconds


def run() -> list[Row]:
    """The rows of this bench."""
    synthetic = make_tick_candles(bars=1_000_000, seed=SEED)
    rows: list[Row] = [
        ("MA/ATR kernel, 1 M synthetic bars", bars_a_second(synthetic, PUBLISHED), 1e7, "bars/s"),
        (
            "MA/ATR kernel, 1 M synthetic bars, 3x with fuse and liquidation",
            bars_a_second(synthetic, GUARDED),
            1e7,
            "bars/s",
        ),
    ]
    real = load_tick_candles(BTC_FILE, tick_size=1e-6)
    if real is not None:
        published = run_moving_average(candles=real, parameters=PUBLISHED)
        rows += [
            (
                f"MA/ATR kernel, {len(real)} real BTC hours",
                bars_a_second(real, PUBLISHED),
                1e7,
                "bars/s",
            ),
            (
                "MA/ATR kernel, real BTC hours, 3x with fuse and liquidation",
                bars_a_second(real, GUARDED),
                1e7,
                "bars/s",
            ),
            ("  trades (published 775)", float(len(published.trades)), 775, "trades"),
            ("  final equity (published 4403.69)", published.equity_final, 4403.69, "USD"),
        ]
    return rows


if __name__ == "__main__":
    print_rows(run())
