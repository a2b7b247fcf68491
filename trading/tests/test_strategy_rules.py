"""What each strategy says on bars made for it, and what all of them must respect."""

from __future__ import annotations

import math

import numpy as np
import pytest

from magnetfund.kernel.errors import InvalidInput
from trading.domain.magnets.parameters import MagnetParameters
from trading.domain.magnets.types import Family
from trading.domain.market import Candle, Candles
from trading.domain.strategies.magnet import MagnetForm, MagnetStrategy
from trading.domain.strategies.registry import STRATEGIES, build_strategy, compute_columns
from trading.domain.strategies.signals import Reason
from trading.domain.strategies.swing_rules import MomentumScalping, RsiReversion
from trading.domain.strategies.trend import TrendStrategy
from trading.tests.magnet_bars import HOUR_MS, MONDAY_MS, make_bars, make_random_bars


def make_flat_bars(closes, *, hours=1, volume=None) -> Candles:
    """Each close held for ``hours`` hourly bars of one percent's range."""
    close = np.repeat(np.asarray(closes, dtype=float), hours)
    rows = np.column_stack((close, close * 1.005, close * 0.995, close))
    return make_bars(rows, volume=volume)


def signals_of(name: str, candles: Candles, **parameters: object):
    return compute_columns(strategy=build_strategy(name, parameters), candles=candles)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in STRATEGIES if name != "magnet"])
def test_every_entry_has_its_stop_on_the_loss_side(name: str) -> None:
    candles = make_random_bars(count=3_000, seed=3)
    found = signals_of(name, candles)
    rows = np.flatnonzero(found.direction)
    assert rows.size
    side = found.direction[rows]
    assert ((candles.close[rows] - found.stop[rows]) * side > 0).all()
    assert (found.reason[rows] == Reason.ENTRY).all()
    quiet = np.flatnonzero(found.direction == 0)
    assert np.isnan(found.stop[quiet]).all()
    assert (found.reason[quiet] != Reason.ENTRY).all()


@pytest.mark.slow
def test_moving_averages_are_long_exactly_while_the_fast_one_lies_above() -> None:
    candles = make_random_bars(count=600, seed=2)
    found = signals_of("moving-average", candles, fast=3, slow=7, bar_hours=4)
    closes = candles.close[3::4]
    for row in range(14, closes.size):
        spread = closes[row - 2 : row + 1].mean() - closes[row - 6 : row + 1].mean()
        assert found.direction[4 * row + 3] == np.sign(spread)


def test_a_decision_falls_on_the_last_hour_of_its_bar_alone() -> None:
    found = signals_of("macd", make_random_bars(count=800, seed=5), bar_hours=8)
    assert (np.flatnonzero(found.direction) % 8 == 7).all()


@pytest.mark.slow
def test_momentum_turns_when_the_close_of_28_days_ago_is_passed() -> None:
    closes = [*np.linspace(100, 130, 40), *np.linspace(129, 70, 40)]
    found = signals_of("momentum", make_flat_bars(closes, hours=24))
    days = found.direction[23::24]
    for day in range(28, 80):
        assert days[day] == np.sign(closes[day] - closes[day - 28])


def test_donchian_enters_beyond_twenty_days_and_leaves_beyond_ten() -> None:
    closes = [100.0 + (day % 2) for day in range(25)] + [110.0, 112.0] + [105.0] * 9 + [98.0]
    found = signals_of("donchian", make_flat_bars(closes, hours=24))
    days, leaves = found.direction[23::24], found.exit_long[23::24]
    assert days[24] == 0
    assert days[25] == 1
    assert not leaves[26]
    assert leaves[36]


def test_rsi_reversion_enters_once_as_the_index_falls_below_thirty() -> None:
    closes = [100.0, 100.5] * 15 + [99 - step for step in range(8)]
    found = signals_of("rsi-reversion", make_flat_bars(closes), bar_hours=1)
    assert np.count_nonzero(found.direction == 1) == 1
    assert np.count_nonzero(found.direction == -1) == 0


def test_rsi_reversion_lets_a_long_go_above_the_middle_and_not_below() -> None:
    closes = [100.0, 100.5] * 15 + [99 - step for step in range(8)] + [99, 104, 108]
    found = signals_of("rsi-reversion", make_flat_bars(closes), bar_hours=1)
    entry = int(np.flatnonzero(found.direction)[0])
    assert not found.exit_long[entry]
    assert found.exit_long[-1]
    assert not found.exit_short[-1]


def test_a_bollinger_breakout_enters_on_the_first_close_outside_alone() -> None:
    closes = [100.0, 101.0] * 15 + [106.0, 109.0, 112.0, 100.0]
    found = signals_of("bollinger-breakout", make_flat_bars(closes), bar_hours=1)
    assert np.flatnonzero(found.direction == 1).tolist() == [30]
    assert found.exit_long[33]


def _rising_then_resting():
    """A staircase upward whose last step comes with or without volume."""
    steps = np.where(np.arange(120) % 3 == 2, -0.004, 0.006)
    return 100.0 * np.exp(np.cumsum(steps))


def test_scalping_wants_volume_among_its_six_conditions() -> None:
    closes = _rising_then_resting()
    loud = np.where(np.arange(closes.size) % 3 == 1, 3.0, 1.0)
    entering = signals_of(
        "momentum-scalping", make_flat_bars(closes, volume=loud), rsi_high=90.0
    ).direction
    resting = signals_of("momentum-scalping", make_flat_bars(closes), rsi_high=90.0)
    assert set(np.unique(entering).tolist()) == {0, 1}
    assert not resting.direction.any()
    assert resting.reason[-1] == Reason.NOT_CONFIRMED


def test_scalping_refuses_targets_that_costs_would_eat() -> None:
    closes = _rising_then_resting()
    loud = np.where(np.arange(closes.size) % 3 == 1, 3.0, 1.0)
    found = signals_of(
        "momentum-scalping",
        make_flat_bars(closes, volume=loud),
        rsi_high=90.0,
        target_share_min=0.5,
    )
    assert not found.direction.any()


def test_scalping_leaves_by_time_after_twelve_bars() -> None:
    assert MomentumScalping().traits.hold_ms_max == 12 * HOUR_MS


def test_trend_opens_long_when_all_three_horizons_agree() -> None:
    closes = np.linspace(100, 160, 70)
    found = compute_columns(strategy=TrendStrategy(), candles=make_flat_bars(closes, hours=24))
    first = int(np.flatnonzero(found.direction)[0])
    assert first == 57 * 24 - 1
    assert found.direction[first] == 1
    assert (found.target[first] - closes[56]) == pytest.approx(8 * found.atr[first])


def test_a_stop_that_would_not_be_a_price_is_none() -> None:
    candle = Candle(open_time=MONDAY_MS, open=1.0, high=2.0, low=0.1, close=1.0, volume=1.0)
    stream = build_strategy("always-long", {"bar_hours": 1, "atr_length": 1}).stream()
    signal = stream.update(candle)
    assert signal.direction == 1
    assert math.isnan(signal.stop)


def test_parameters_from_json_become_members_and_tuples() -> None:
    magnet = build_strategy("magnet", {"form": "A"})
    assert isinstance(magnet, MagnetStrategy)
    assert magnet.form is MagnetForm.PLAIN
    assert build_strategy("trend", {"horizons_days": [7, 14]}) == TrendStrategy(
        horizons_days=(7, 14)
    )


def test_a_strategy_is_written_out_the_same_in_every_process() -> None:
    # A set is told in the order of its hashes, which differ from process to process.
    text = repr(MagnetStrategy())
    assert str(sorted(Family)) in text
    assert "frozenset" not in text
    fewer = MagnetParameters(families=frozenset({Family.ROUND}))
    assert repr(fewer) != repr(MagnetParameters())


def test_the_registry_names_a_strategy_as_the_strategy_does() -> None:
    for name in STRATEGIES:
        assert build_strategy(name).traits.strategy_id == name


@pytest.mark.parametrize(
    ("name", "parameters", "code"),
    [
        ("unheard-of", {}, "unknown_strategy"),
        ("trend", {"speed": 3}, "bad_parameter"),
        ("trend", {"stop_atr": "wide"}, "bad_parameter"),
        ("magnet", {"form": "C"}, "bad_parameter"),
        ("moving-average", {"fast": 200, "slow": 20}, "bad_parameter"),
        ("moving-average", {"bar_hours": 5}, "bad_parameter"),
        ("macd", {"fast": 30}, "bad_window"),
        ("rsi-reversion", {"oversold": 60.0}, "bad_parameter"),
        ("donchian", {"leave_bars": 30}, "bad_parameter"),
        ("momentum-scalping", {"stop_atr": float("nan")}, "bad_parameter"),
    ],
)
def test_bad_parameters_are_refused_with_a_code(name, parameters, code) -> None:
    with pytest.raises(InvalidInput) as caught:
        build_strategy(name, parameters)
    assert caught.value.code == code


def test_levels_of_the_index_must_rise() -> None:
    with pytest.raises(InvalidInput):
        RsiReversion(middle=80.0)
