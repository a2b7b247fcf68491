"""The moving-average yardstick: published figures, both walks alike, the bar rules it shows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.moving_average import (
    MovingAverageParameters,
    TickCandles,
    build_tick_candles,
    run_moving_average,
    sweep_moving_average,
    vary_parameters,
)
from magnetfund.kernel.errors import InvalidInput
from risk.domain.fuse import ResetPolicy
from trading.domain.engine.book import CloseReason

pytestmark = pytest.mark.slow

HOUR_MS = 3_600_000
SMALL = MovingAverageParameters(fast=2, slow=4, atr_length=3, fee_rate=0.0, equity_share=1.0)


def make_candles(rows: list[tuple[float, float, float, float]], tick: float = 1.0) -> TickCandles:
    columns = np.array(rows, dtype=float).T
    return build_tick_candles(
        time_ms=np.arange(len(rows), dtype=np.int64) * HOUR_MS,
        open_price=columns[0],
        high=columns[1],
        low=columns[2],
        close=columns[3],
        tick_size=tick,
    )


def random_candles(seed: int, bars: int, jump: float = 0.0) -> TickCandles:
    rng = np.random.default_rng(seed)
    close = 1000.0 * np.exp(np.cumsum(rng.standard_t(3, bars) * 0.01))
    open_ = np.concatenate((close[:1], close[:-1])) * (1 + jump * rng.normal(0, 1, bars))
    open_ = np.maximum(open_, 1.0)
    high = np.maximum(open_, close) * (1 + np.abs(rng.normal(0, 0.004, bars)))
    low = np.minimum(open_, close) * (1 - np.abs(rng.normal(0, 0.004, bars)))
    return make_candles(list(zip(open_, high, low, close, strict=True)), tick=0.1)


#: Closes 10, 9, 8, 7 keep the fast average below; 9 and 14 then cross it up on the close of bar 5.
RISING = [(10, 10, 10, 10), (9, 9, 9, 9), (8, 8, 8, 8), (7, 7, 7, 7), (7, 9, 7, 8), (8, 14, 8, 14)]


@pytest.mark.real_data
def test_published_run_on_btc_hours_gives_775_trades_and_4403_69(real_data: Path) -> None:
    from bench.data import BTC_FILE, load_tick_candles

    candles = load_tick_candles(BTC_FILE, tick_size=1e-6)
    assert candles is not None
    assert len(candles) == 58_419
    run = run_moving_average(candles=candles, parameters=MovingAverageParameters())
    assert len(run.trades) == 775
    assert run.equity_final == pytest.approx(4403.69, abs=0.005)


@pytest.mark.real_data
def test_python_and_compiled_walk_agree_to_the_last_bit_on_real_hours(real_data: Path) -> None:
    from bench.data import BTC_FILE, load_tick_candles

    candles = load_tick_candles(BTC_FILE, tick_size=0.01)
    assert candles is not None
    parameters = MovingAverageParameters(fuse=True, leverage=3.0, slippage_rate=0.0002)
    plain = run_moving_average(candles=candles, parameters=parameters, compiled=False)
    fast = run_moving_average(candles=candles, parameters=parameters)
    np.testing.assert_array_equal(plain.trades, fast.trades)
    np.testing.assert_array_equal(plain.equity, fast.equity)
    assert fast.fuse_trips > 100


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    leverage=st.sampled_from([1.0, 2.5, 10.0]),
    fuse=st.booleans(),
    policy=st.sampled_from(list(ResetPolicy)),
    jump=st.sampled_from([0.0, 0.02]),
)
def test_both_walks_give_the_same_trades(
    seed: int, leverage: float, fuse: bool, policy: ResetPolicy, jump: float
) -> None:
    candles = random_candles(seed, 400, jump)
    parameters = MovingAverageParameters(
        fast=3, slow=8, atr_length=5, leverage=leverage, fuse=fuse, reset_policy=policy
    )
    plain = run_moving_average(candles=candles, parameters=parameters, compiled=False)
    fast = run_moving_average(candles=candles, parameters=parameters)
    np.testing.assert_array_equal(plain.trades, fast.trades)
    np.testing.assert_array_equal(plain.equity, fast.equity)
    assert (plain.liquidations, plain.fuse_trips) == (fast.liquidations, fast.fuse_trips)


def test_signal_on_the_close_fills_at_the_next_open() -> None:
    candles = make_candles([*RISING, (20, 20, 20, 20), (20, 20, 20, 20)])
    run = run_moving_average(candles=candles, parameters=SMALL, lot_size=1.0)
    entry_bar, exit_bar, side, lots, entry, out, reason = run.trades[0]
    assert (entry_bar, side, entry) == (6, 1, 20)
    assert lots == 500
    assert (exit_bar, out, reason) == (7, 20, 0)


def test_an_order_is_not_given_on_the_last_bar() -> None:
    run = run_moving_average(candles=make_candles(RISING), parameters=SMALL, lot_size=1.0)
    assert len(run.trades) == 0


def test_stop_comes_before_target_in_a_bar_that_holds_both_and_is_counted() -> None:
    candles = make_candles([*RISING, (20, 90, 1, 20), (20, 20, 20, 20)])
    run = run_moving_average(candles=candles, parameters=SMALL, lot_size=1.0)
    assert run.trades[0][6] == CloseReason.STOP
    assert run.ambiguous_bars == 1


def test_a_stop_jumped_by_the_open_fills_at_the_open() -> None:
    candles = make_candles([*RISING, (20, 20, 20, 20), (3, 4, 2, 3), (3, 3, 3, 3)])
    run = run_moving_average(candles=candles, parameters=SMALL, lot_size=1.0)
    assert (run.trades[0][5], run.trades[0][6]) == (3, CloseReason.STOP)


def test_a_target_jumped_by_the_open_fills_at_the_better_open() -> None:
    candles = make_candles([*RISING, (20, 20, 20, 20), (80, 80, 80, 80), (80, 80, 80, 80)])
    run = run_moving_average(candles=candles, parameters=SMALL, lot_size=1.0)
    assert (run.trades[0][5], run.trades[0][6]) == (80, CloseReason.TARGET)


def test_liquidation_costs_the_margin_and_no_more() -> None:
    parameters = replace(SMALL, leverage=5.0, stop_atr=4.0)
    candles = make_candles([*RISING, (20, 20, 20, 20), (2, 2, 2, 2), (2, 2, 2, 2)])
    run = run_moving_average(candles=candles, parameters=parameters, lot_size=1.0)
    assert run.trades[0][6] == CloseReason.LIQUIDATION
    assert run.equity_final == pytest.approx(0.0, abs=1e-9)


def test_the_fuse_stops_the_loss_of_a_day_at_its_threshold() -> None:
    parameters = replace(SMALL, fuse=True, stop_atr=40.0, fuse_slippage_rate=0.0)
    rows = [*RISING, (2000, 2000, 2000, 2000), (2000, 2000, 1000, 1500), (1500, 1500, 1500, 1500)]
    run = run_moving_average(candles=make_candles(rows), parameters=parameters, lot_size=1.0)
    assert run.trades[0][6] == CloseReason.FUSE
    assert run.equity_final == pytest.approx(10_000 * 0.975, abs=5)


def test_three_times_the_costs_leave_less() -> None:
    candles = random_candles(3, 3_000)
    cheap = run_moving_average(candles=candles, parameters=MovingAverageParameters())
    dear = run_moving_average(candles=candles, parameters=MovingAverageParameters(fee_rate=0.003))
    assert dear.equity_final < cheap.equity_final


def test_a_sweep_gives_what_single_runs_give_in_order() -> None:
    candles = random_candles(5, 2_000)
    sets = vary_parameters(MovingAverageParameters(), fast=(5, 10, 20), slow=(30, 60))
    rows = sweep_moving_average(candles=candles, combinations=sets)
    assert [row.parameters for row in rows] == list(sets)
    for row in rows:
        single = run_moving_average(candles=candles, parameters=row.parameters)
        assert row.trades == len(single.trades)
        assert row.equity_final == single.equity_final


def test_a_start_a_hundred_bars_later_changes_no_later_trade() -> None:
    candles = random_candles(11, 2_500)
    later = TickCandles(
        **{
            name: getattr(candles, name)[100:]
            for name in ("time_ms", "open", "high", "low", "close", "true_range")
        },
        tick_size=candles.tick_size,
    )
    full = run_moving_average(candles=candles, parameters=MovingAverageParameters())
    part = run_moving_average(candles=later, parameters=MovingAverageParameters())
    warm = 100 + 101
    entries = full.trades[full.trades[:, 0] > warm][:, [0, 1, 2, 4, 5, 6]]
    shifted = part.trades[:, [0, 1, 2, 4, 5, 6]] + np.array([100, 100, 0, 0, 0, 0])
    np.testing.assert_array_equal(shifted[shifted[:, 0] > warm], entries)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 0.0, -1.0])
def test_a_bad_price_is_refused(bad: float) -> None:
    with pytest.raises(InvalidInput) as caught:
        make_candles([(1, 1, 1, bad)])
    assert caught.value.code == "bad_price"
