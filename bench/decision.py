"""Bars a second of the whole decision of ``magnet`` in the kernel, magnets precomputed.

Run as ``python -m bench.decision``.  A run walks every bar through fills, funding, fuse and market
triggers, and every entry through leverage, its caps, tier and size in whole lots; the second row
also makes the signals from the readings and packs them.
"""

from __future__ import annotations

import numpy as np

from bench.data import BTC_FILE, data_folder, load_columns, make_columns
from bench.timing import Row, best_seconds, print_rows
from trading.domain.backtest.kernel.run import pack_market, pack_signals, run_packed
from trading.domain.backtest.market import build_instrument_bars, join_markets
from trading.domain.engine.rules import EngineRules, SlotRules, TradedInstrument
from trading.domain.magnets.history import compute_magnet_signals
from trading.domain.market.candles import HOUR_MS, Candles
from trading.domain.strategies.magnet import MagnetStrategy

TICK_SIZE = 0.01
SYNTHETIC_BARS, SEED = 58_419, 20_240_421


def load_hours() -> tuple[str, Candles]:
    """Real hours where they are present, else synthetic bars on an hourly grid."""
    folder = data_folder()
    if folder is not None:
        source = "real BTC hours"
        times, prices = load_columns(folder / "candles" / BTC_FILE)
    else:
        source = "synthetic hours"
        _, prices = make_columns(bars=SYNTHETIC_BARS, seed=SEED)
        times = 1_600_041_600_000 + HOUR_MS * np.arange(SYNTHETIC_BARS, dtype=np.int64)
    open_, high, low, close, volume = prices
    return source, Candles(
        instrument="BTC/USDT:USDT",
        timeframe_ms=HOUR_MS,
        open_time=times,
        open=open_,
        high=high,
        low=low,
        close=close,
        volume=volume,
    )


def run() -> list[Row]:
    """The rows of this bench."""
    source, candles = load_hours()
    strategy = MagnetStrategy()
    magnets = compute_magnet_signals(candles=candles)
    context = strategy.context(candles=candles)
    market = join_markets(
        [
            build_instrument_bars(
                time_ms=candles.open_time,
                open_price=candles.open,
                high=candles.high,
                low=candles.low,
                close=candles.close,
                tick_size=TICK_SIZE,
            )
        ]
    )
    rules = EngineRules(
        instruments=(TradedInstrument(symbol="BTC", tick_size=TICK_SIZE, lot_size=1e-6),),
        slots=(SlotRules(traits=strategy.traits, strategy=0, instrument=0),),
    )
    packed = pack_market(market)
    signals = pack_signals(
        rules=rules,
        market=market,
        signals=[strategy.signals(magnets=magnets, context=context)],
    )

    def decide_all() -> object:
        """From readings: signals, packing, run."""
        made = strategy.signals(magnets=magnets, context=context)
        return run_packed(
            rules=rules,
            market=packed,
            signals=pack_signals(rules=rules, market=market, signals=[made]),
        )

    count = len(candles)
    kernel = best_seconds(
        lambda: run_packed(rules=rules, market=packed, signals=signals), rounds=15
    )
    whole = best_seconds(decide_all, rounds=15)
    return [
        (f"magnet decision in the kernel, {count} {source}", count / kernel, 1e6, "bars/s"),
        ("magnet decision, signals made from readings too", count / whole, 1e6, "bars/s"),
    ]


if __name__ == "__main__":
    print_rows(run())
