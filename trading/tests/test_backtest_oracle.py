"""backtesting.py as an oracle: another engine, the same trades, one by one.

The yardstick strategy on real hours: moving averages crossing both ways, stop and target in ATR
from the fill, 0.1 % commission, whole lots.  Entry bar, exit bar, side, lots and both prices must
be equal, and equity to a billionth.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bench.data import BTC_FILE, ETH_FILE, load_columns
from bench.moving_average import (
    MovingAverageParameters,
    build_tick_candles,
    run_moving_average,
)
from bench.peers import run_backtesting

pytest.importorskip(
    "backtesting", reason="backtesting.py is not installed (the optional extra named bench)"
)
HOURS = 20_000
LOT_SIZE = 1e-5
PARAMETERS = (
    MovingAverageParameters(close_at_end=False),
    MovingAverageParameters(close_at_end=False, fast=5, slow=30, stop_atr=1.5, target_atr=1.5),
)


def load_hours(folder, file, *, last=None):
    times, (open_, high, low, close, _) = load_columns(folder / "candles" / file)
    rows = slice(0 if last is None else -last, None)
    return build_tick_candles(
        time_ms=times[rows],
        open_price=open_[rows],
        high=high[rows],
        low=low[rows],
        close=close[rows],
        tick_size=0.01,
    )


def assert_equal_runs(candles, parameters) -> None:
    mine = run_moving_average(
        candles=candles, parameters=parameters, cash=10_000.0, lot_size=LOT_SIZE
    )
    rows, equity = run_backtesting(
        candles=candles, parameters=parameters, cash=10_000.0, lot_size=LOT_SIZE
    )
    np.testing.assert_array_equal(mine.trades[:, :6], rows)
    assert len(rows) > 100
    assert mine.equity_final == pytest.approx(equity, rel=1e-9)


@pytest.mark.real_data
@pytest.mark.parametrize("parameters", PARAMETERS, ids=["published", "busy"])
def test_another_engine_makes_the_same_trades_on_real_bitcoin_hours(real_data, parameters) -> None:
    assert_equal_runs(load_hours(real_data, BTC_FILE, last=HOURS), parameters)


@pytest.mark.drill
@pytest.mark.real_data
@pytest.mark.parametrize("file", [BTC_FILE, ETH_FILE])
@pytest.mark.parametrize("parameters", PARAMETERS, ids=["published", "busy"])
def test_another_engine_makes_the_same_trades_on_all_real_hours(
    real_data, file, parameters
) -> None:
    assert_equal_runs(load_hours(real_data, file), parameters)


@pytest.mark.real_data
def test_the_oracle_notices_other_costs(real_data) -> None:
    candles = load_hours(real_data, BTC_FILE, last=3_000)
    cheap = replace(PARAMETERS[0], fee_rate=0.0009)
    mine = run_moving_average(candles=candles, parameters=cheap, cash=10_000.0, lot_size=LOT_SIZE)
    rows, _ = run_backtesting(
        candles=candles, parameters=PARAMETERS[0], cash=10_000.0, lot_size=LOT_SIZE
    )
    assert not np.array_equal(mine.trades[:, 3], rows[:, 3])
