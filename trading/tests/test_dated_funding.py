"""Funding of bars from a dated series: each 8-hour stamp takes its day's row, nothing between."""

from __future__ import annotations

import numpy as np

from trading.domain.backtest.market import dated_funding
from trading.domain.market import HOUR_MS

DAY_MS = 24 * HOUR_MS


def test_stamps_take_their_days_rate_and_the_default_before_the_first_row():
    time_ms = np.arange(0, 4 * DAY_MS, HOUR_MS)
    day_ms = np.array([DAY_MS, 2 * DAY_MS])
    rates = dated_funding(
        time_ms=time_ms, day_ms=day_ms, rate_8h=np.array([0.0003, -0.0002]), rate_before=0.0001
    )
    expected = [0.0001] * 3 + [0.0003] * 3 + [-0.0002] * 6
    assert rates[::8].tolist() == expected
    assert np.count_nonzero(rates) == len(expected)
