"""The distribution of readings: measured on the calibration's hours, and the alarm."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from bench.data import BTC_FILE
from magnetfund.kernel.errors import InvalidInput
from trading.domain.evidence import find_band_alarms, grade_readings, measure_bands
from trading.domain.magnets import compute_magnet_signals
from trading.services.research.file_series import load_file_series
from trading.tests.magnet_bars import make_random_bars

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def signals():
    return compute_magnet_signals(candles=make_random_bars(count=3000, seed=2))


def test_a_bar_without_a_usable_reading_is_tier_four_at_one(signals):
    graded = grade_readings(signals=signals)
    unusable = np.asarray(signals.reason) != 0
    assert unusable.any()
    assert (graded.tier[unusable] == 4).all()
    assert (graded.leverage[unusable] == 1.0).all()
    assert ((graded.leverage >= 1.0) & (graded.leverage <= 3.0)).all()


def test_shares_of_a_stretch_sum_to_one(signals):
    last = int(signals.known_at[-1])
    bands = measure_bands(signals=signals, first_at=0, last_at=last)
    for shares in (bands.better, bands.long, bands.short):
        assert sum(shares.tiers) == pytest.approx(1.0)
        assert sum(shares.leverage_bins) == pytest.approx(1.0)
    with pytest.raises(InvalidInput):
        measure_bands(signals=signals, first_at=last, last_at=last)


@pytest.mark.real_data
def test_the_calibration_sample_shows_the_published_distribution(real_data):
    series = load_file_series(
        real_data / "candles" / BTC_FILE, instrument="BTC", timeframe="1h", tick=0.01
    )
    found = compute_magnet_signals(candles=series.candles)
    first, last = (
        round(datetime(year, month, 1, tzinfo=UTC).timestamp() * 1000)
        for year, month in ((2017, 10), (2022, 1))
    )
    bands = measure_bands(signals=found, first_at=first, last_at=last)
    better = bands.better
    # Published shares of the better direction: tiers 1.7 / 9.8 / 24.5 / 64.0 %, L > 1 in 29.5 %.
    assert better.tiers == pytest.approx((0.017, 0.098, 0.245, 0.640), abs=0.015)
    assert better.leverage_above_one == pytest.approx(0.295, abs=0.02)
    assert better.high_tension == pytest.approx(0.019, abs=0.004)
    assert bands.volatility_ratio == pytest.approx((0.36, 0.56, 0.78, 1.07, 1.81), abs=0.03)
    assert find_band_alarms(bands=bands) == ()
    crowded = replace(bands, better=replace(better, high_tension=0.051))
    assert find_band_alarms(bands=crowded) == ("high_tension",)
