"""Gaps with reasons, longer timeframes from complete bars, sessions by the day rule."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from magnetfund.kernel.clock import from_milliseconds, to_milliseconds
from magnetfund.kernel.errors import InvalidInput
from trading.domain.market import (
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    Candles,
    DayRule,
    GapReason,
    Outage,
    find_gaps,
    find_restarts,
    new_york_offset_ms,
    resample,
)

MONDAY = to_milliseconds(datetime(2024, 1, 1, tzinfo=UTC))
NEW_YORK = ZoneInfo("America/New_York")


def bars(times: np.ndarray, step: int = HOUR_MS, seed: int = 1) -> Candles:
    rng = np.random.default_rng(seed)
    close = 100.0 + np.cumsum(rng.integers(-3, 4, times.size)) * 0.25
    open_ = close + 0.25 * rng.integers(-2, 3, times.size)
    return Candles(
        instrument="X",
        timeframe_ms=step,
        open_time=times.astype(np.int64),
        open=open_,
        high=np.maximum(open_, close) + 0.25,
        low=np.minimum(open_, close) - 0.25,
        close=close,
        volume=rng.integers(1, 9, times.size).astype(np.float64),
    )


def hours(*numbers: int) -> np.ndarray:
    return MONDAY + HOUR_MS * np.array(numbers, dtype=np.int64)


def test_a_hole_is_a_half_open_interval_with_its_reason() -> None:
    candles = bars(hours(0, 1, 2, 5, 6, 12, 13))
    outage = Outage(start=MONDAY + 7 * HOUR_MS, end=MONDAY + 9 * HOUR_MS)
    gaps = find_gaps(candles=candles, day_rule=DayRule.UTC_MIDNIGHT, outages=(outage,))
    found = [
        ((g.start - MONDAY) // HOUR_MS, (g.end - MONDAY) // HOUR_MS, g.bars, g.reason) for g in gaps
    ]
    assert found == [
        (3, 5, 2, GapReason.FEED_LOSS),
        (7, 9, 2, GapReason.VENUE_OUTAGE),
        (9, 12, 3, GapReason.FEED_LOSS),
    ]


def test_indicators_restart_after_a_feed_loss_of_more_than_three_bars() -> None:
    candles = bars(hours(0, 1, 2, 6, 7, 12, 13))
    gaps = find_gaps(candles=candles, day_rule=DayRule.UTC_MIDNIGHT)
    assert [g.bars for g in gaps] == [3, 4]
    assert find_restarts(candles=candles, gaps=gaps) == (0, 5)


def test_the_fx_weekend_is_a_closed_market_and_a_lost_tuesday_is_not() -> None:
    week = np.arange(0, 15 * 24)
    times = MONDAY + HOUR_MS * week
    local = [from_milliseconds(int(t)).astimezone(NEW_YORK) for t in times.tolist()]

    def trades(at: datetime) -> bool:
        return not (4, 17) <= (at.weekday(), at.hour) < (6, 17)

    present = np.array([trades(at) for at in local])
    lost = (week >= 24) & (week < 30)
    gaps = find_gaps(candles=bars(times[present & ~lost]), day_rule=DayRule.NEW_YORK_17)
    assert [(g.bars, g.reason) for g in gaps] == [
        (6, GapReason.FEED_LOSS),
        (48, GapReason.CLOSED_MARKET),
        (48, GapReason.CLOSED_MARKET),
    ]


def test_daily_share_bars_miss_only_business_days() -> None:
    days = [date(2024, 1, d) for d in (2, 3, 4, 5, 8, 10, 16)]
    times = np.array([to_milliseconds(datetime(d.year, d.month, d.day, tzinfo=UTC)) for d in days])
    gaps = find_gaps(
        candles=bars(times, DAY_MS),
        day_rule=DayRule.EXCHANGE_HOURS,
        holidays=[date(2024, 1, 15)],
    )
    assert [(g.bars, g.reason) for g in gaps] == [
        (2, GapReason.CLOSED_MARKET),
        (1, GapReason.FEED_LOSS),
        (2, GapReason.FEED_LOSS),
        (3, GapReason.CLOSED_MARKET),
    ]


def test_a_missing_child_makes_no_parent() -> None:
    candles = bars(hours(*(h for h in range(24) if h != 9)))
    fours = resample(candles=candles, timeframe_ms=4 * HOUR_MS)
    assert ((fours.open_time - MONDAY) // HOUR_MS).tolist() == [0, 4, 12, 16, 20]
    assert len(resample(candles=candles, timeframe_ms=DAY_MS)) == 0


def test_a_parent_is_made_of_its_children() -> None:
    candles = bars(hours(*range(8)))
    second = resample(candles=candles, timeframe_ms=4 * HOUR_MS).at(1)
    part = candles.between(4, 8)
    assert second.open == part.open[0]
    assert second.high == part.high.max()
    assert second.low == part.low.min()
    assert second.close == part.close[-1]
    assert second.volume == part.volume.sum()


@given(st.sets(st.integers(0, 24 * 6), max_size=8), st.integers(0, 23))
@settings(max_examples=40, deadline=None)
def test_resampling_in_two_steps_equals_resampling_at_once(lost: set[int], first: int) -> None:
    kept = [h for h in range(first, 24 * 6) if h not in lost]
    candles = bars(hours(*kept))
    direct = resample(candles=candles, timeframe_ms=DAY_MS)
    stepwise = resample(
        candles=resample(candles=candles, timeframe_ms=4 * HOUR_MS), timeframe_ms=DAY_MS
    )
    for name in ("open_time", "open", "high", "low", "close", "volume"):
        np.testing.assert_array_equal(getattr(direct, name), getattr(stepwise, name))


@given(st.integers(1, 24 * 5))
@settings(max_examples=30, deadline=None)
def test_parents_known_at_an_instant_are_those_of_the_bars_known_then(cut: int) -> None:
    candles = bars(hours(*range(24 * 5)))
    instant = MONDAY + cut * HOUR_MS
    full = resample(candles=candles, timeframe_ms=4 * HOUR_MS).known_by(instant)
    early = resample(candles=candles.known_by(instant), timeframe_ms=4 * HOUR_MS)
    np.testing.assert_array_equal(full.close, early.close)
    np.testing.assert_array_equal(full.open_time, early.open_time)


@pytest.mark.parametrize("length", [HOUR_MS // 2, 90 * MINUTE_MS, 5 * HOUR_MS, 2 * DAY_MS])
def test_a_timeframe_off_the_grid_is_refused(length: int) -> None:
    with pytest.raises(InvalidInput):
        resample(candles=bars(hours(0, 1)), timeframe_ms=length)


def test_the_offset_of_new_york_agrees_with_the_zone_database() -> None:
    times = np.arange(
        to_milliseconds(datetime(1987, 1, 1, 6, tzinfo=UTC)),
        to_milliseconds(datetime(2035, 1, 1, tzinfo=UTC)),
        5 * HOUR_MS + 7 * MINUTE_MS,
        dtype=np.int64,
    )
    offsets = [from_milliseconds(t).astimezone(NEW_YORK).utcoffset() for t in times.tolist()]
    expected = [offset // timedelta(milliseconds=1) for offset in offsets if offset is not None]
    np.testing.assert_array_equal(new_york_offset_ms(times=times), expected)


def test_days_before_the_known_rule_are_refused() -> None:
    with pytest.raises(InvalidInput):
        new_york_offset_ms(times=np.array([0], dtype=np.int64))


@pytest.mark.real_data
def test_the_real_bitcoin_file_has_28_holes(real_data: Path) -> None:
    from pyarrow import parquet

    table = parquet.read_table(real_data / "candles" / "binance-spot-BTCUSDT-1h-2017-2024.parquet")
    times = table.column("date").to_numpy().astype("datetime64[ms]").astype(np.int64)
    gaps = find_gaps(candles=bars(times), day_rule=DayRule.UTC_MIDNIGHT)
    assert len(gaps) == 28
