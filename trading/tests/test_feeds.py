"""A feed says the same whether it takes its hours one by one, at once, or by columns."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from magnetfund.kernel.errors import InvalidInput
from trading.domain.magnets import (
    GammaWall,
    GammaWalls,
    build_gamma_levels,
    compute_magnet_history,
)
from trading.domain.market import HOUR_MS, Candles
from trading.domain.simulated_market import SimulatedInstrument, simulate_market
from trading.domain.strategies.magnet import MagnetStrategy
from trading.domain.strategies.trend import TrendStrategy
from trading.domain.strategies.trend_rules import MovingAverageCross
from trading.services.feeds import InstrumentFeed
from trading.services.past_feeds import PastFeed

START = 1_767_225_600_000


def make_feed() -> InstrumentFeed:
    instrument = SimpleNamespace(symbol="BTC/USDT:USDT", tick=0.1)
    return InstrumentFeed(
        instrument=instrument,  # type: ignore[arg-type]  # only its tick is read
        strategies={"trend": TrendStrategy(), "magnet": MagnetStrategy()},
    )


def simulate(hours: int) -> Candles:
    market = simulate_market(
        seed=3,
        instruments=(SimulatedInstrument(symbol="BTC/USDT:USDT", start_price=60_000.0, tick=0.1),),
        start_ms=START,
        hours=hours,
    )
    open_, high, low, close, volume = (np.ascontiguousarray(c) for c in market.candles[0])
    return Candles(
        instrument="BTC/USDT:USDT", timeframe_ms=HOUR_MS, open_time=market.open_time, open=open_,
        high=high, low=low, close=close, volume=volume,
    )  # fmt: skip


def test_warming_up_at_once_changes_nothing():
    candles = simulate(1_900)
    quick, slow = make_feed(), make_feed()
    quick.warm(candles.between(0, 1_700))
    for index in range(1_700):
        slow.update(candles.at(index))
    for index in range(1_700, 1_900):
        candle = candles.at(index)
        assert str(quick.update(candle)) == str(slow.update(candle))
        assert quick.bar(candle) == slow.bar(candle)


def test_walls_told_as_they_come_give_the_levels_of_one_walk_with_all_of_them():
    """Two chains in one hour, one that a newer one had overtaken, one of the past of warming up."""
    candles = simulate(900)
    closes = candles.open_time + HOUR_MS
    price = float(candles.close[600])
    told = [(500, 0, 1.01), (650, 10, 1.02), (700, 20, 1.03), (700, 30, 1.015), (800, -40, 1.05)]
    walls = [
        GammaWalls(
            interest_ms=int(closes[row]) + (minutes * 60_000 if row < 800 else -400 * HOUR_MS),
            known_ms=int(closes[row]) + abs(minutes) * 60_000,
            call=GammaWall(strike=price * factor, expires_ms=int(closes[-1])),
            put=GammaWall(
                strike=price * (2.0 - factor), expires_ms=int(closes[row]) + 60 * HOUR_MS
            ),
        )
        for row, minutes, factor in told
    ]
    whole = compute_magnet_history(candles=candles, external=build_gamma_levels(walls))
    feed = make_feed()
    feed.expect_walls([item for item in walls if item.known_ms <= closes[619]])
    feed.warm(candles.between(0, 620))
    for index in range(620, 900):
        close = int(closes[index])
        after = feed.walls_known_ms or 0
        feed.expect_walls([item for item in walls if after < item.known_ms <= close])
        feed.update(candles.at(index))
    stream = feed.magnets()
    assert stream is not None
    found = stream.levels()
    for name in ("kind", "price", "known_at", "dead_at"):
        np.testing.assert_array_equal(getattr(found, name), getattr(whole.levels, name))
    kinds = found.kind[np.isin(found.kind, ["call_wall", "put_wall"])]
    assert sorted(kinds) == ["call_wall"] * 4 + ["put_wall"] * 4
    newest = stream.newest_map()
    assert newest is not None
    assert whole.last is not None
    assert newest.zones == whole.last.zones


def test_walls_that_come_while_an_hour_is_read_join_the_next():
    candles = simulate(60)
    feed = make_feed()
    feed.warm(candles.between(0, 50))
    said = int(candles.open_time[49]) + HOUR_MS
    wall = GammaWall(strike=float(candles.close[49]) * 1.01, expires_ms=said + 90 * HOUR_MS)
    feed.expect_walls([GammaWalls(interest_ms=said - 9, known_ms=said - 5, call=wall, put=None)])
    feed.update(candles.at(50))
    stream = feed.magnets()
    assert stream is not None
    levels = stream.levels()
    assert levels.known_at[levels.kind == "call_wall"].tolist() == [said + 1]


def test_hours_that_are_all_known_say_what_they_said_one_by_one():
    """Through walls, a change of limits within a stretch, and closes whose map is asked for."""
    candles = simulate(1_900)
    closes = candles.open_time + HOUR_MS
    first, mapped = 800, int(closes[1_850])
    changes = [int(closes[1_000]), int(closes[1_300]) - 7]
    price = float(candles.close[900])
    walls = [
        GammaWalls(
            interest_ms=int(closes[row]) - 9,
            known_ms=int(closes[row]) + late,
            call=GammaWall(strike=price * 1.01, expires_ms=int(closes[row + 300])),
            put=GammaWall(strike=price * 0.98, expires_ms=int(closes[row + 90])),
        )
        for row, late in ((500, 0), (900, 10), (1_500, 0))
    ]
    slow = make_feed()
    quick = PastFeed(
        instrument=slow.instrument,
        strategies={
            "trend": TrendStrategy(),
            "magnet": MagnetStrategy(),
            "moving-average": MovingAverageCross(),
        },
        candles=candles,
        first=first,
        changes_ms=changes,
        mapped_ms=mapped,
    )
    slow._streams["moving-average"] = MovingAverageCross().stream()
    for feed in (slow, quick):
        feed.expect_walls(walls)
    quick.begin()
    slow.warm(candles.between(0, first))
    entries = 0
    for row in range(first, len(candles)):
        candle = candles.at(row)
        for reach, change in enumerate(changes, start=1):
            if int(closes[row - 1]) < change <= int(closes[row]):
                slow.set_heavy_reach(2.0 * reach)
                quick.set_heavy_reach(2.0 * reach)
        told = slow.update(candle)
        assert str(quick.update(candle)) == str(told), row
        assert quick.bar(candle) == slow.bar(candle)
        entries += any(signal.direction for signal in told.values())
        if int(closes[row]) >= mapped:
            assert str(quick.magnet_map()) == str(slow.magnet_map())
            assert quick.anchored_averages() == slow.anchored_averages()
    assert entries > 20
    found, expected = quick.magnets(), slow.magnets()
    assert found is not None
    assert expected is not None
    for name in ("kind", "price", "known_at", "dead_at"):
        np.testing.assert_array_equal(
            getattr(found.levels(), name), getattr(expected.levels(), name)
        )
    with pytest.raises(InvalidInput, match="order"):
        quick.update(candles.at(len(candles) - 1))
