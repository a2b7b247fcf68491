"""Book walls, gamma walls and modelled clusters: what makes one, and when it is known."""

from __future__ import annotations

import numpy as np
import pytest

from magnetfund.kernel.errors import InvalidInput
from trading.domain.magnets import LevelKind
from trading.domain.magnets.gamma import GammaWall, GammaWalls, build_gamma_levels
from trading.domain.magnets.liquidation_clusters import find_liquidation_clusters
from trading.domain.magnets.order_flow import (
    DepthSnapshot,
    build_wall_levels,
    find_book_walls,
)
from trading.tests.magnet_bars import HOUR_MS, make_bars, make_random_bars

SECOND = 1_000
PRICES = {"atr": 100.0, "tick_size": 0.5, "hourly_notional": 1e6}


def make_book(at, *, middle=30_000.0, wall=0.0, wall_at=30_100.0, seed=0):
    """Twenty levels a side of ordinary size; an ask wall of ``wall`` base units where asked."""
    steps = 10.0 * np.arange(1, 21)
    sizes = np.random.default_rng([seed, at]).uniform(0.5, 1.5, (2, 20))
    asks = middle + steps
    sizes[1][np.isclose(asks, wall_at)] += wall
    return DepthSnapshot(
        at=at,
        bid_prices=middle - steps,
        bid_sizes=sizes[0],
        ask_prices=asks,
        ask_sizes=sizes[1],
    )


def make_day(*, wall_from, wall=40.0, count=200, **others):
    return [
        make_book(SECOND * i, wall=wall if i >= wall_from else 0.0, **others) for i in range(count)
    ]


def find(snapshots, now):
    return find_book_walls(snapshots=snapshots, now=now, **PRICES)


def test_a_large_lasting_offer_is_a_wall_at_the_end_of_its_window_and_not_before() -> None:
    book = make_day(wall_from=100)
    assert find(book, 140 * SECOND).walls == ()  # seen in 40 of the last 60 seconds
    (wall,) = find(book, 155 * SECOND).walls
    assert (wall.price, wall.known_at) == (30_100.0, 155 * SECOND)
    assert wall.size_over_median > 20
    assert wall.age_ms == 55 * SECOND
    (level,) = build_wall_levels(walls=[wall])
    assert (level.kind, level.known_at) == (LevelKind.ASK_WALL, wall.known_at)


def test_a_wall_that_is_small_in_money_is_none() -> None:
    book = make_day(wall_from=100)
    assert (
        find_book_walls(
            snapshots=book, now=190 * SECOND, **{**PRICES, "hourly_notional": 1e9}
        ).walls
        == ()
    )


def test_an_offer_that_flees_from_price_is_a_suspect() -> None:
    book = make_day(wall_from=130, count=150)
    for second in range(150, 190):
        near = 160 <= second < 165
        book.append(
            make_book(
                SECOND * second, middle=30_090.0 if near else 30_000.0, wall=0.0 if near else 40.0
            )
        )
    found = find(book, 189 * SECOND)
    assert found.walls == ()
    (suspect,) = found.suspects
    assert suspect.spoof_score == 1.0


def test_a_book_that_is_stale_broken_or_young_says_so() -> None:
    book = make_day(wall_from=100)
    assert find(book, 230 * SECOND).reason == "stale_book"
    assert find(book[:70], 69 * SECOND).reason == "warm_up"
    gap = DepthSnapshot(
        at=200 * SECOND,
        bid_prices=book[-1].bid_prices,
        bid_sizes=book[-1].bid_sizes,
        ask_prices=book[-1].ask_prices,
        ask_sizes=book[-1].ask_sizes,
        contiguous=False,
    )
    assert find([*book, gap], 200 * SECOND).reason == "broken_book"
    with pytest.raises(InvalidInput):
        find(book[::-1], 150 * SECOND)


@pytest.mark.slow
def test_no_wall_at_any_instant_depends_on_later_snapshots() -> None:
    moves = np.random.default_rng(3).choice([-10.0, 0.0, 10.0], 360, p=[0.02, 0.96, 0.02])
    middles = 30_000.0 + np.cumsum(moves)
    book = [  # each wall larger than any before it, or the past would call it ordinary
        make_book(SECOND * i, middle=middles[i], wall=40.0 * (i // 80) * (i % 80 < 70), seed=1)
        for i in range(360)
    ]
    known = 0
    for second in np.random.default_rng(4).integers(100, 360, 60).tolist():
        full = find(book, second * SECOND)
        part = find(book[: second + 1], second * SECOND)
        assert (full.walls, full.suspects, full.reason) == (part.walls, part.suspects, part.reason)
        np.testing.assert_equal(full.imbalance, part.imbalance)
        known += len(full.walls)
    assert known > 5


def test_gamma_walls_are_known_when_published_and_end_with_the_next_or_their_expiry() -> None:
    def walls(interest: int, known: int, call: float, until: int) -> GammaWalls:
        wall = GammaWall(strike=call, expires_ms=until)
        return GammaWalls(interest_ms=interest, known_ms=known, call=wall, put=None)

    first, next_, late = walls(1, 5, 110.0, 99), walls(8, 9, 120.0, 20), walls(2, 11, 130.0, 99)
    gone = walls(12, 50, 140.0, 40)
    levels = build_gamma_levels([gone, late, next_, first])
    assert [(x.kind, x.price, x.known_at, x.dead_at) for x in levels] == [
        (LevelKind.CALL_WALL, 110.0, 5, 9),
        (LevelKind.CALL_WALL, 120.0, 9, 20),
    ]
    with pytest.raises(InvalidInput):
        walls(6, 5, 110.0, 99)


def test_one_bar_makes_a_cluster_for_each_leverage_and_a_later_bar_sweeps_it() -> None:
    first = (100.0, 100.0, 100.0, 100.0)
    alone = make_bars([first], volume=[8.0])
    found = find_liquidation_clusters(candles=alone, row_height=0.001)
    longs = sorted(round(cluster.price, 1) for cluster in found if cluster.long)
    assert longs == [90.4, 96.4, 98.4, 99.4]  # 100 (1 - 1/L) / (1 - 0.004)
    assert {round(cluster.volume, 9) for cluster in found} == {1.0}
    assert {cluster.known_at for cluster in found} == {int(alone.open_time[0]) + HOUR_MS}
    swept = make_bars([first, (100.0, 100.0, 95.0, 99.0)], volume=[8.0, 0.0])
    left = find_liquidation_clusters(candles=swept, row_height=0.001)
    assert [round(cluster.price, 1) for cluster in left if cluster.long] == [90.4]


def test_clusters_at_a_bar_come_from_the_bars_up_to_it_within_their_reach() -> None:
    bars = make_random_bars(count=900, seed=9)
    for end in np.random.default_rng(5).integers(760, 900, 20).tolist():
        given = {"row_height": 50.0, "lookback_bars": 720}
        far = find_liquidation_clusters(candles=bars.between(0, end), **given)
        near = find_liquidation_clusters(candles=bars.between(end - 720, end), **given)
        assert far == near
        assert far[0].known_at == int(bars.open_time[end - 1]) + HOUR_MS
