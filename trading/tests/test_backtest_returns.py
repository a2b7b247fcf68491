"""Daily returns of a run, also of one that loses more than it has."""

from __future__ import annotations

import math

import numpy as np
import pytest

from trading.domain.backtest.result import compute_annual_sharpe, compute_returns


def test_a_loss_of_more_than_all_is_a_total_loss_and_nothing_after_it() -> None:
    equity = np.array([110.0, 55.0, -20.0, -30.0])
    assert compute_returns(equity, start=100.0).tolist() == pytest.approx([0.1, -0.5, -1.0, 0.0])


def test_the_annual_sharpe_is_unknown_for_one_day_and_for_a_flat_run() -> None:
    assert math.isnan(compute_annual_sharpe(np.array([0.01])))
    assert math.isnan(compute_annual_sharpe(np.zeros(40)))
    days = np.array([0.01, -0.01, 0.02])
    assert compute_annual_sharpe(days) == pytest.approx(
        days.mean() / days.std(ddof=1) * math.sqrt(365.0)
    )
