"""MAG-3: nothing that is said of bar t uses a bar after t, for every kind of level."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from magnetfund.kernel.errors import InvalidInput
from magnetfund.tests.drill_size import IS_SHORT, sampled
from trading.domain.magnets import (
    ExternalLevel,
    LevelKind,
    MagnetSignals,
    MagnetStream,
    compute_magnet_history,
    compute_magnet_signals,
)
from trading.tests.magnet_bars import HOUR_MS, make_random_bars, read_candles, without_bars
from trading.tests.magnet_lookahead import find_lookahead_differences

pytestmark = pytest.mark.slow

BTC = "candles/binance-spot-BTCUSDT-1h-2017-2024.parquet"
ETH = "candles/binance-spot-ETHUSDT-1h-2020-2025.parquet"
FOUND_IN_RANDOM_BARS = {
    LevelKind.SWING_HIGH,
    LevelKind.SWING_LOW,
    LevelKind.EQUAL_HIGHS,
    LevelKind.EQUAL_LOWS,
    LevelKind.POC,
    LevelKind.VAH,
    LevelKind.VAL,
    LevelKind.PRIOR_HIGH,
    LevelKind.PRIOR_LOW,
    LevelKind.PRIOR_CLOSE,
    LevelKind.PERIOD_OPEN,
    LevelKind.GAP_BULLISH,
    LevelKind.GAP_BEARISH,
    LevelKind.HVN,
}


def assert_same_signals(mine: MagnetSignals, theirs: MagnetSignals) -> None:
    for field in fields(MagnetSignals):
        left, right = getattr(mine, field.name), getattr(theirs, field.name)
        if isinstance(left, np.ndarray):
            np.testing.assert_array_equal(left, right, err_msg=field.name)


@pytest.fixture(scope="module")
def bars():
    """Ten weeks with two outages, one of them over a day's end."""
    candles = make_random_bars(count=1700, seed=11)
    return without_bars(candles, [400, 401, *range(1006, 1012)])


def test_no_kind_peeks_on_random_bars_at_session_ends_and_inside_sessions(bars):
    hours = bars.open_time // HOUR_MS
    ends = np.flatnonzero((bars.open_time + HOUR_MS) % (24 * HOUR_MS) == 0)
    month_ends = [i for i in ends if (bars.open_time[i] + HOUR_MS) in _month_starts()]
    week_ends = [i for i in ends if (hours[i] + 1) // 24 % 7 == 4]
    assert len(month_ends) >= 2
    assert len(week_ends) >= 8
    inside = np.random.default_rng(5).integers(0, bars.close.size, 12)
    gaps = np.flatnonzero(np.diff(bars.open_time) > HOUR_MS)
    indices = [*month_ends, *week_ends[:3], *ends[3:6], *inside, *gaps, *(gaps + 1)]
    assert find_lookahead_differences(candles=bars, indices=indices) == ()


def _month_starts():
    months = np.arange("2024-01", "2024-06", dtype="datetime64[M]")
    return set(months.astype("datetime64[ms]").astype(np.int64).tolist())


def test_the_random_bars_hold_every_kind_that_bars_alone_can_make(bars):
    kinds = set(compute_magnet_history(candles=bars).levels.kind.tolist())
    assert kinds >= FOUND_IN_RANDOM_BARS


def _centred_swing_high(candles):
    """A planted cheat: yesterday's swing is stamped as known on its own bar."""
    history = compute_magnet_history(candles=candles)
    levels = history.levels
    early = np.where(levels.kind == "swing_high", levels.created_at, levels.known_at)
    return replace(history, levels=replace(levels, known_at=early))


def _repainted_low(candles):
    """A planted cheat: the newest prior low is moved to the lowest low of the whole data."""
    history = compute_magnet_history(candles=candles)
    price = history.levels.price.copy()
    price[np.flatnonzero(history.levels.kind == "prior_low")[-1:]] = candles.low.min()
    return replace(history, levels=replace(history.levels, price=price))


def _whole_sample_strength(candles):
    """A planted cheat: strengths are divided by their mean over the whole sample."""
    history = compute_magnet_history(candles=candles)
    strength = history.signals.target_strength
    mean = max(1.0, float(strength.mean()))
    return replace(history, signals=replace(history.signals, target_strength=strength / mean))


@pytest.mark.parametrize(
    ("cheat", "subject"),
    [
        (_centred_swing_high, "swing_high"),
        (_repainted_low, "prior_low"),
        (_whole_sample_strength, "signals"),
    ],
)
def test_the_detector_catches_a_planted_peek(bars, cheat, subject):
    indices = np.random.default_rng(6).integers(200, 1500, 12)
    found = find_lookahead_differences(candles=bars, indices=indices, compute=cheat)
    assert subject in {difference.subject for difference in found}


def test_the_detector_refuses_a_bar_that_does_not_exist(bars):
    with pytest.raises(InvalidInput):
        find_lookahead_differences(candles=bars, indices=[bars.close.size])


def test_one_bar_at_a_time_equals_the_batch_bit_for_bit(bars):
    batch = compute_magnet_signals(candles=bars)
    stream = MagnetStream()
    first = stream.extend(candles=bars.between(0, 900))
    assert_same_signals(first, compute_magnet_signals(candles=bars.between(0, 900)))
    for i in range(900, 1100):
        found = stream.update(candle=bars.at(i))
        for column, reading in enumerate((found.long, found.short)):
            assert reading.target_pull == batch.target_pull[i, column]
            assert reading.strength == batch.target_strength[i, column]
            assert reading.opposite_pull == batch.opposite_pull[i, column]
            np.testing.assert_equal(reading.conflict, batch.conflict[i, column])
            price = reading.target.price if reading.target else float("nan")
            np.testing.assert_equal(price, batch.target_price[i, column])
        assert len(found.zones) == batch.zone_count[i]
    assert found == compute_magnet_history(candles=bars.between(0, 1100)).last


def test_walls_join_when_known_and_leave_when_their_source_drops_them(bars):
    middle = int(bars.open_time[600])
    wall = ExternalLevel(
        kind=LevelKind.ASK_WALL,
        price=float(bars.close[600] * 1.01),
        created_at=middle,
        known_at=middle + 60_000,
        dead_at=middle + 5 * HOUR_MS,
        volume_rank=1.0,
    )
    history = compute_magnet_history(candles=bars, external=[wall])
    row = int(np.flatnonzero(history.levels.kind == "ask_wall")[0])
    assert history.levels.known_at[row] == wall.known_at
    assert history.levels.dead_at[row] == wall.dead_at
    bare = compute_magnet_signals(candles=bars)
    np.testing.assert_array_equal(bare.zone_count[:600], history.signals.zone_count[:600])
    np.testing.assert_array_equal(bare.zone_count[605:], history.signals.zone_count[605:])
    found = find_lookahead_differences(
        candles=bars,
        indices=[599, 600, 601, 604, 605, 700],
        compute=lambda columns: compute_magnet_history(candles=columns, external=[wall]),
    )
    assert found == ()


def test_a_stream_takes_walls_as_the_batch_does_and_refuses_late_ones(bars):
    half = bars.between(0, 700)
    walls = [
        ExternalLevel(
            kind=kind,
            price=float(half.close[-1] * factor),
            created_at=int(half.open_time[-1]),
            known_at=int(half.open_time[-1]) + HOUR_MS + 1,
        )
        for kind, factor in ((LevelKind.BID_WALL, 0.98), (LevelKind.CALL_WALL, 1.02))
    ]
    batch = compute_magnet_signals(candles=bars, external=walls)
    stream = MagnetStream()
    stream.extend(candles=half)
    stream.add_levels(walls)
    later = stream.extend(candles=bars.between(700, len(bars)))
    np.testing.assert_array_equal(later.target_price, batch.target_price[700:])
    np.testing.assert_array_equal(later.zone_count, batch.zone_count[700:])
    with pytest.raises(InvalidInput):
        stream.add_levels(walls)


def sow_walls(candles):
    """Walls of all four kinds near real prices, one every two days, each dropped a day later."""
    kinds = (LevelKind.BID_WALL, LevelKind.ASK_WALL, LevelKind.CALL_WALL, LevelKind.PUT_WALL)
    return [
        ExternalLevel(
            kind=kinds[number % 4],
            price=float(candles.close[row] * (0.99 + 0.02 * (number % 2))),
            created_at=int(candles.open_time[row]),
            known_at=int(candles.open_time[row]) + HOUR_MS // 2,
            dead_at=int(candles.open_time[row]) + 25 * HOUR_MS,
            volume_rank=0.9,
        )
        for number, row in enumerate(range(30, candles.close.size, 48))
    ]


def assert_no_peek(candles, indices):
    """The law for every kind that bars make, with walls of other sources among them."""
    walls = sow_walls(candles)

    def compute(columns):
        return compute_magnet_history(candles=columns, external=walls)

    kinds = set(compute(candles).levels.kind.tolist())
    assert kinds >= FOUND_IN_RANDOM_BARS | {
        LevelKind.LVN,
        LevelKind.BID_WALL,
        LevelKind.ASK_WALL,
        LevelKind.CALL_WALL,
        LevelKind.PUT_WALL,
    }
    assert find_lookahead_differences(candles=candles, indices=indices, compute=compute) == ()


@pytest.mark.real_data
@pytest.mark.parametrize("name", [BTC, ETH])
def test_no_kind_peeks_on_real_bars(real_data, name):
    candles = read_candles(real_data / name, start="2021-01-01", end="2021-09-01")
    assert_no_peek(candles, np.random.default_rng(40).choice(candles.close.size, 40, replace=False))


@pytest.mark.drill
@pytest.mark.real_data
@pytest.mark.parametrize("name", sampled([BTC, ETH], 1))
def test_no_kind_peeks_at_bars_of_the_whole_real_history(real_data, name):
    candles = read_candles(real_data / name)
    count = 16 if IS_SHORT else 500  # each costs a second or two: all of history up to its bar
    assert_no_peek(
        candles, np.random.default_rng(500).choice(candles.close.size, count, replace=False)
    )
