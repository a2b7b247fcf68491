"""The simulated market repeats itself, extends without rewriting, and has the measured facts."""

import numpy as np
import pytest

from magnetfund.kernel.errors import InvalidInput
from trading.domain.simulated_market import (
    HOUR_MS,
    SimulatedInstrument,
    SimulatedMarket,
    simulate_market,
)

pytestmark = pytest.mark.slow

PAIR = (
    SimulatedInstrument(symbol="BTC/USDT:USDT", start_price=64_000.0, tick=0.1),
    SimulatedInstrument(
        symbol="ETH/USDT:USDT", start_price=3_200.0, tick=0.01, volatility_hour=0.0078
    ),
)


def run(seed: int = 7, hours: int = 17_520) -> SimulatedMarket:
    return simulate_market(seed=seed, instruments=PAIR, start_ms=0, hours=hours)


def test_a_longer_run_repeats_the_shorter_one_exactly():
    short, long = run(hours=500), run(hours=800)
    np.testing.assert_array_equal(short.candles, long.candles[:, :, :500])
    np.testing.assert_array_equal(short.minutes, long.minutes[:, : 500 * 60])


def test_candles_bound_their_minutes_and_open_where_the_last_one_closed():
    market = run(hours=300)
    opened, high, low, close, volume = (market.candles[:, k] for k in range(5))
    assert (high >= np.maximum(opened, close)).all()
    assert (low <= np.minimum(opened, close)).all()
    assert (volume > 0).all()
    np.testing.assert_array_equal(opened[:, 1:], close[:, :-1])
    assert (np.diff(market.open_time) == HOUR_MS).all()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_returns_cluster_have_fat_tails_and_move_together(seed: int):
    close = run(seed=seed).candles[:, 3]
    returns = np.diff(np.log(close), axis=1)
    size = np.abs(returns[0])
    kurtosis = ((returns[0] - returns[0].mean()) ** 4).mean() / returns[0].var() ** 2
    assert 0.004 < returns[0].std() < 0.012
    assert kurtosis > 10
    assert np.corrcoef(size[:-1], size[1:])[0, 1] > 0.1
    assert np.corrcoef(returns)[0, 1] > 0.6


def test_a_start_off_the_hour_is_refused():
    with pytest.raises(InvalidInput):
        simulate_market(seed=1, instruments=PAIR, start_ms=1, hours=10)
