"""The studies' controls: a turn by nothing is the strategy itself, filled hours invent no price."""

from __future__ import annotations

import numpy as np
import pytest

from studies.rotations import draw_shifts, find_anchors, turn_anchors
from studies.samples import cut_rows, fill_hours
from trading.domain.market import HOUR_MS, Candles
from trading.domain.strategies.base import compute_signals
from trading.domain.strategies.trend import TrendStrategy
from trading.tests.magnet_bars import make_random_bars, without_bars


@pytest.fixture(scope="module")
def bars() -> Candles:
    return without_bars(make_random_bars(count=4800, seed=3), [700, *range(1006, 1012)])


def test_anchors_turned_by_nothing_give_the_stops_of_the_strategy(bars: Candles) -> None:
    strategy = TrendStrategy()
    signals = compute_signals(strategy=strategy, candles=bars)
    anchors = find_anchors(bars, strategy)
    rows = slice(1_500, len(bars))
    given = {"signals": signals, "candles": bars, "anchors": anchors, "rows": rows}
    own = turn_anchors(**given, shift=0)
    wanted = cut_rows(signals, rows).stop
    assert np.isfinite(wanted).sum() > 50
    assert (np.abs(anchors.distance - strategy.stop_atr) > 1e-9).any()
    np.testing.assert_allclose(own.stop, wanted, rtol=1e-12)
    other = turn_anchors(**given, shift=40).stop
    assert not np.allclose(other, wanted, equal_nan=True)
    np.testing.assert_array_equal(np.isnan(other), np.isnan(wanted))


def test_shifts_are_drawn_once_each_and_lie_a_month_from_none_at_all() -> None:
    shifts = draw_shifts(400, 100, 7, 1)
    assert shifts == draw_shifts(400, 100, 7, 1)
    assert len(set(shifts)) == 100
    assert min(shifts) >= 30
    assert max(shifts) < 370


def test_filled_hours_are_flat_and_what_was_there_stays(bars: Candles) -> None:
    filled = fill_hours(bars)
    assert (np.diff(filled.open_time) == HOUR_MS).all()
    known = np.isin(filled.open_time, bars.open_time)
    for name in ("open_time", "open", "high", "low", "close", "volume"):
        np.testing.assert_array_equal(getattr(filled, name)[known], getattr(bars, name))
    missing = np.flatnonzero(~known)
    assert missing.size == len(filled) - len(bars) == 7
    for name in ("open", "high", "low"):
        np.testing.assert_array_equal(
            getattr(filled, name)[missing], filled.close[missing - 1], err_msg=name
        )
    assert not filled.volume[missing].any()
