"""A feed that was warmed up at once says what one says that took every hour singly."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

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
from trading.services.feeds import InstrumentFeed

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
