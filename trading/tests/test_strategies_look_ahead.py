"""No strategy looks ahead: truncated against full data, and a planted peek that must be caught."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from magnetfund.tests.drill_size import IS_SHORT, drilled, sampled
from trading.domain.market import Candles
from trading.domain.strategies.base import compute_signals
from trading.domain.strategies.lookahead import find_signal_differences
from trading.domain.strategies.registry import STRATEGIES, build_strategy, compute_columns
from trading.domain.strategies.signals import Signals
from trading.domain.strategies.trend import TrendStrategy
from trading.tests.magnet_bars import make_random_bars, read_candles, without_bars

pytestmark = pytest.mark.slow

BTC = "candles/binance-spot-BTCUSDT-1h-2017-2024.parquet"
ETH = "candles/binance-spot-ETHUSDT-1h-2020-2025.parquet"
POINTS = 500
WINDOW_BARS, LATER_BARS = 2_000, 200


def compute_of(name: str):
    strategy = build_strategy(name)
    return lambda candles: compute_columns(strategy=strategy, candles=candles)


@pytest.fixture(scope="module")
def bars() -> Candles:
    """Eighteen weeks with an outage over a day's end."""
    return without_bars(make_random_bars(count=3000, seed=7), [700, *range(1006, 1012)])


@pytest.mark.parametrize("name", STRATEGIES)
def test_truncation_at_random_bars_changes_nothing(name: str, bars: Candles) -> None:
    indices = np.random.default_rng(4).integers(1_400, len(bars), 4)
    found = find_signal_differences(candles=bars, indices=indices, compute=compute_of(name))
    assert found == ()


@pytest.mark.parametrize("name", STRATEGIES)
def test_the_random_bars_make_every_strategy_enter_both_sides(name: str, bars: Candles) -> None:
    direction = compute_of(name)(bars).direction
    wanted = {1} if name == "always-long" else {-1, 1}
    assert set(direction.tolist()) - {0} == wanted


@pytest.mark.parametrize("name", STRATEGIES)
def test_the_stream_says_what_the_columns_say(name: str, bars: Candles) -> None:
    part = bars.between(0, 1_300) if name == "magnet" else bars
    strategy = build_strategy(name)
    stream = compute_signals(strategy=strategy, candles=part)
    columns = compute_columns(strategy=strategy, candles=part)
    for item in fields(Signals):
        np.testing.assert_array_equal(
            getattr(stream, item.name), getattr(columns, item.name), err_msg=item.name
        )


def _stop_at_the_coming_low(candles: Candles) -> Signals:
    """A planted cheat: stops just below what the next day will trade."""
    signals = compute_signals(strategy=TrendStrategy(), candles=candles)
    low = np.array([candles.low[row : row + 24].min() for row in range(len(candles))])
    return replace(signals, stop=np.where(signals.direction > 0, low * 0.999, signals.stop))


def _target_of_the_whole_sample(candles: Candles) -> Signals:
    """A planted cheat: targets scaled by the mean range of all data."""
    signals = compute_signals(strategy=TrendStrategy(), candles=candles)
    return replace(signals, target=signals.target + (candles.high - candles.low).mean())


@pytest.mark.parametrize(
    ("cheat", "column"),
    [(_stop_at_the_coming_low, "stop"), (_target_of_the_whole_sample, "target")],
)
def test_a_planted_peek_is_caught(cheat, column: str, bars: Candles) -> None:
    longs = np.flatnonzero(compute_of("trend")(bars).direction > 0)
    found = find_signal_differences(candles=bars, indices=longs[-3:-1], compute=cheat)
    assert column in {difference.column for difference in found}


@pytest.mark.drill
@pytest.mark.real_data
@pytest.mark.parametrize("file", sampled([BTC, ETH], 1))
def test_magnet_says_of_every_bar_of_a_whole_file_what_it_said_live(file, real_data) -> None:
    # The columns of all bars at once against one candle at a time: truncation at each bar.
    candles = read_candles(real_data / file)
    if IS_SHORT:
        candles = candles.between(len(candles) - 12_000, len(candles))
    strategy = build_strategy("magnet")
    columns = compute_columns(strategy=strategy, candles=candles)
    stream = compute_signals(strategy=strategy, candles=candles)
    assert np.count_nonzero(columns.direction) > len(candles) // 60
    for item in fields(Signals):
        np.testing.assert_array_equal(
            getattr(stream, item.name), getattr(columns, item.name), err_msg=item.name
        )


@pytest.mark.drill
@pytest.mark.real_data
@pytest.mark.parametrize("file", sampled([BTC, ETH], 1))
@pytest.mark.parametrize("name", STRATEGIES)
def test_no_strategy_peeks_at_random_bars_of_real_data(name, file, real_data) -> None:
    candles = read_candles(real_data / file)
    compute = compute_of(name)
    rng = np.random.default_rng(2024)
    for end in rng.integers(WINDOW_BARS, len(candles) - LATER_BARS, drilled(POINTS)).tolist():
        window = candles.between(end - WINDOW_BARS, end + LATER_BARS)
        assert (
            find_signal_differences(candles=window, indices=[WINDOW_BARS - 1], compute=compute)
            == ()
        ), end
