"""Seen and unseen days of a sweep are those that were asked for, whatever the data lack."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from trading.domain.market.candles import DAY_MS
from trading.domain.research.figures import build_figures
from trading.domain.research.run import run_backtest
from trading.domain.research.space import SweepSpace
from trading.domain.research.sweep import compute_cut_ms, run_sweep
from trading.domain.strategies.registry import STRATEGIES
from trading.tests.magnet_bars import make_random_bars, without_bars
from trading.tests.test_research_run import ready

#: Hours of a venue that was away for fifty days, and of one that closes at weekends.
AWAY = np.arange(600, 1_800)
WEEKENDS = np.flatnonzero(np.arange(4_000) // 24 % 7 >= 5)


@pytest.mark.slow
@pytest.mark.parametrize("hidden", [AWAY[:0], AWAY, WEEKENDS], ids=["whole", "away", "weekends"])
def test_no_day_from_the_unseen_ones_on_is_seen(hidden: np.ndarray):
    bars = make_random_bars(count=4_000, seed=11)
    unseen = (int(bars.open_time[0]) // DAY_MS + 120) * DAY_MS
    prepared = ready(without_bars(bars, hidden), unseen_ms=unseen, gap_share_max=0.5)
    assert compute_cut_ms(prepared) == unseen
    sweep = run_sweep(
        prepared=prepared, builders=STRATEGIES, space=SweepSpace(values={"fast": (5,)})
    )
    told = {row["name"]: row["run"] for row in build_figures(run_backtest(prepared))["periods"]}
    assert sweep.variants[0].seen == pytest.approx(told["seen"]["sharpe"])
    assert sweep.variants[0].unseen == pytest.approx(told["unseen"]["sharpe"])


def test_a_cut_by_share_names_the_first_unseen_day():
    bars = make_random_bars(count=4_000, seed=11)
    prepared = ready(without_bars(bars, AWAY), gap_share_max=0.5)
    named = replace(prepared, request=replace(prepared.request, unseen_ms=compute_cut_ms(prepared)))
    assert compute_cut_ms(named) == compute_cut_ms(prepared) > int(bars.open_time[1_800])
