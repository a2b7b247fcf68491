"""Controls of a backtest: a turn by nothing is the strategy itself, and what they say of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trading.domain.market import Candles
from trading.domain.research.controls import draw_shifts, shuffle_days, turn_sides
from trading.domain.research.controls_levels import find_swings
from trading.domain.research.run import cut_rows
from trading.domain.strategies.base import compute_signals
from trading.domain.strategies.trend import TrendStrategy
from trading.models import Trial
from trading.tests.magnet_bars import make_random_bars, without_bars
from trading.tests.test_research_backtests import NAME, store
from trading.tests.test_research_studies import BTC, call


@pytest.fixture(scope="module")
def bars() -> Candles:
    return without_bars(make_random_bars(count=4800, seed=3), [700, *range(1006, 1012)])


def test_stops_turned_by_nothing_are_those_of_the_strategy(bars: Candles) -> None:
    strategy = TrendStrategy()
    rows = slice(1_500, len(bars))
    own = cut_rows(compute_signals(strategy=strategy, candles=bars), rows)
    swings = find_swings(strategy, bars, rows)
    assert np.isfinite(own.stop).sum() > 50
    assert (np.abs(swings.distance - strategy.stop_atr) > 1e-9).any()
    np.testing.assert_allclose(swings.turned(own, 0).stop, own.stop, rtol=1e-12)
    other = swings.turned(own, 40).stop
    assert not np.allclose(other, own.stop, equal_nan=True)
    np.testing.assert_array_equal(np.isnan(other), np.isnan(own.stop))


def test_shifts_are_drawn_once_each_and_lie_a_month_from_none_at_all() -> None:
    shifts = draw_shifts(400, 100, 7)
    assert shifts == draw_shifts(400, 100, 7)
    assert len(set(shifts)) == 100
    assert min(shifts) >= 30
    assert max(shifts) < 370
    assert draw_shifts(59, 100, 7) == []


def test_turned_sides_keep_their_distances_and_shuffled_days_their_hours(bars: Candles) -> None:
    signals = compute_signals(strategy=TrendStrategy(), candles=bars)
    turned = turn_sides(signals, bars, np.random.default_rng(1))
    flipped = turned.direction != signals.direction
    assert 20 < flipped.sum() < (signals.direction != 0).sum()
    np.testing.assert_array_equal(np.abs(turned.direction), np.abs(signals.direction))
    np.testing.assert_allclose(
        np.abs(turned.stop - bars.close), np.abs(signals.stop - bars.close), rtol=1e-9
    )
    mixed = shuffle_days(bars, np.random.default_rng(1))
    assert not len(mixed) % 24
    assert mixed.close[-1] == pytest.approx(bars.close[0]), "the drift is taken out"
    assert (mixed.low <= np.minimum(mixed.open, mixed.close)).all()
    step = np.log(mixed.close[1:] / mixed.close[:-1])
    own = np.log(bars.close[1:] / bars.close[:-1])
    assert step.std() == pytest.approx(own.std(), rel=0.02)


@pytest.mark.django_db
def test_controls_stand_beside_a_run_and_are_no_trials() -> None:
    store(make_random_bars(count=3_600, seed=31))
    plain = call("backtest", "--strategy", "trend", "--instrument", NAME)
    found = call("backtest", "--strategy", "trend", "--instrument", NAME, "--controls", "5")
    assert found["id"] != plain["id"]
    assert found["metrics"] == plain["metrics"], "the run is the same"
    assert Trial.objects.count() == 1
    assert [(row["name"], row["draws"]) for row in found["controls"]] == [
        ("costs_times_three", 1), ("random_sides", 5), ("shuffled_days", 5),
        ("levels_of_other_times", 5),
    ]  # fmt: skip
    assert found["controls"][0]["cagr"] < found["metrics"]["cagr"]
    again = call("backtest", "--strategy", "trend", "--instrument", NAME, "--controls", "5")
    assert again["id"] == found["id"]


def _measure(real_data: Path, strategy: str, start: str, end: str, *more: str) -> dict[str, Any]:
    return call(
        "backtest", "--strategy", strategy, "--instrument", NAME, "--file", str(real_data / BTC),
        "--tick", "0.01", "--lot", "0.000001", "--from", start, "--to", end, "--rules", "bare",
        *more,
    )  # fmt: skip


@pytest.mark.django_db
@pytest.mark.real_data
@pytest.mark.parametrize(
    ("strategy", "start", "end", "sharpe", "cagr", "fall", "trades"),
    [
        ("trend", "2017-10-01", "2022-01-01", 1.72, 0.0387, -0.034, 16.0),
        ("trend", "2022-01-01", "2024-04-22", 1.51, 0.0352, -0.015, 15.2),
        ("moving-average", "2017-10-01", "2022-01-01", 1.64, None, None, None),
        ("macd", "2022-01-01", "2024-04-22", 0.18, None, None, None),
        ("momentum-scalping", "2022-01-01", "2024-04-22", -3.97, None, None, None),
    ],
)
def test_the_command_gives_the_figures_of_the_strategies_page(
    real_data: Path,
    strategy: str,
    start: str,
    end: str,
    sharpe: float,
    cagr: float | None,
    fall: float | None,
    trades: float | None,
) -> None:
    m = _measure(real_data, strategy, start, end, "--funding", "default")["metrics"]
    assert m["sharpe"] == pytest.approx(sharpe, abs=0.02)
    if cagr is not None:
        assert m["cagr"] == pytest.approx(cagr, abs=0.0005)
        assert m["drawdown_max"] == pytest.approx(fall, abs=0.001)
        assert m["trades_a_year"] == pytest.approx(trades, abs=0.2)


@pytest.mark.django_db
@pytest.mark.real_data
@pytest.mark.parametrize(
    ("until", "controls", "average_r", "win_rate", "trades"),
    [
        ("2018-10-01", "5", -0.001, 0.439, 157),
        pytest.param("2022-01-01", "20", -0.106, 0.402, 151, marks=pytest.mark.drill),
    ],
)
def test_magnet_is_no_better_than_the_zones_of_other_times(
    real_data: Path, until: str, controls: str, average_r: float, win_rate: float, trades: float
) -> None:
    found = _measure(
        real_data, "magnet", "2017-10-01", until, "--funding", "none", "--controls", controls
    )
    m, rows = found["metrics"], {row["name"]: row for row in found["controls"]}
    assert m["average_r"] == pytest.approx(average_r, abs=0.005)
    assert m["win_rate"] == pytest.approx(win_rate, abs=0.005)
    assert m["trades_a_year"] == pytest.approx(trades, abs=1)
    assert rows["levels_of_other_times"]["as_good_r"] > 0.5
