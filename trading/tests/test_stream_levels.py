"""Walls of a streamed book as levels: when they are known, after a restart and in a replay."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from ccxt.async_support.base.ws import order_book_side
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from magnetfund.core.roles import Role
from magnetfund.kernel.clock import (
    VirtualClock,
    from_milliseconds,
    to_milliseconds,
    use_clock,
    utc_now,
)
from magnetfund.kernel.errors import InvalidInput
from magnetfund.tests.test_desk_market import sign_in
from magnetfund.tests.walls_support import make_instrument
from trading.domain.magnets import (
    ExternalLevel,
    LevelKind,
    MagnetSignals,
    MagnetStream,
    compute_magnet_history,
    compute_magnet_signals,
)
from trading.domain.magnets.depth_minutes import (
    MINUTE_MS,
    JudgedMinute,
    StandingWall,
    WallInputs,
    follow_walls,
    judge_minute,
    level_of,
    pack_profile,
    read_profile,
    sum_book,
)
from trading.domain.magnets.order_flow import ASK, BID, BookWall, DepthSnapshot
from trading.domain.market import HOUR_MS
from trading.models import DepthMinute, Instrument, Magnet, Signal
from trading.services.candle_store import load_candles
from trading.services.readings import ADD_READINGS
from trading.services.stream_levels import load_wall_levels
from trading.services.trader import Trader
from trading.tests.magnet_bars import make_random_bars
from trading.tests.parity import CASH, Market, PriceSequence, arm, build_ground, run_history
from trading.tests.test_trader_parity import START_MS, SYMBOL, make_market
from trading.venues import binance_client, stream_numbers
from trading.venues.market_data import BookWish, ForcedOrder

INPUTS = WallInputs(atr=400.0, tick=0.1, hourly_notional=6e6)


def wall(side: int, price: float, *, at: int, age_ms: int = 55_000) -> BookWall:
    return BookWall(
        side=side, price=price, size=50.0, notional=50.0 * price, size_over_median=9.0,
        distance=1.0, age_ms=age_ms, refill_rate=0.0, cancel_ratio=0.0, spoof_score=0.0,
        known_at=at,
    )  # fmt: skip


def minute(number: int, *walls: tuple[int, float], bucket: float = 10.0) -> JudgedMinute:
    end = number * MINUTE_MS
    return JudgedMinute(
        end_ms=end, bucket=bucket, profile=None,
        walls=tuple(wall(side, price, at=end) for side, price in walls),
    )  # fmt: skip


def build_wall_history(minutes: Sequence[JudgedMinute]) -> tuple[ExternalLevel, ...]:
    """Every wall that some minutes show, in the order in which they became known.

    A wall that the last minute still shows has no end.
    """
    standing: tuple[StandingWall, ...] = ()
    levels: dict[StandingWall, ExternalLevel] = {}
    newest_ms = minutes[0].end_ms - MINUTE_MS if minutes else 0
    for minute in minutes:
        step = follow_walls(standing, newest_ms=newest_ms, minute=minute)
        levels.update({wall: level_of(wall) for wall, _ in step.opened})
        for wall, dead_at in step.ended:
            levels[wall] = replace(levels[wall], dead_at=dead_at)
        standing, newest_ms = step.standing, minute.end_ms
    return tuple(levels.values())


def read_minutes(instrument: Instrument) -> list[JudgedMinute]:
    """The minutes that are kept, oldest first."""
    return [
        JudgedMinute(
            end_ms=to_milliseconds(row.at),
            bucket=row.bucket,
            profile=None,
            walls=tuple(_read_wall(wall) for wall in row.walls),
            reason=row.reason,
        )
        for row in DepthMinute.objects.filter(instrument=instrument).order_by("at")
    ]


def _read_wall(plain: dict[str, Any]) -> BookWall:
    times = plain["size_over_median"]
    return BookWall(**{**plain, "size_over_median": math.inf if times is None else times})


def test_a_wall_stands_while_each_minute_shows_one_near_it():
    levels = build_wall_history(
        [
            minute(1, (ASK, 100.0)),
            minute(2, (ASK, 109.0), (BID, 101.0)),  # a bucket away it is the same one
            minute(3, (ASK, 130.0), (BID, 101.0)),
            minute(6, (BID, 101.0)),  # two minutes that nobody watched
        ]
    )
    assert [(x.kind, x.price, x.known_at // MINUTE_MS, (x.dead_at or 0) // MINUTE_MS)
            for x in levels] == [
        (LevelKind.ASK_WALL, 100.0, 1, 3), (LevelKind.BID_WALL, 101.0, 2, 4),
        (LevelKind.ASK_WALL, 130.0, 3, 4), (LevelKind.BID_WALL, 101.0, 6, 0),
    ]  # fmt: skip
    assert levels[0].created_at == MINUTE_MS - 55_000


def known_by(levels: tuple[ExternalLevel, ...], at: int) -> list[ExternalLevel]:
    """What of some levels was known at a time: no end that came later."""
    return [
        replace(level, dead_at=level.dead_at if (level.dead_at or at + 1) <= at else None)
        for level in levels
        if level.known_at <= at
    ]


@given(
    shown=st.lists(
        st.lists(
            st.tuples(st.sampled_from([BID, ASK]), st.integers(95, 105).map(lambda k: 10.0 * k)),
            max_size=4, unique=True,
        ),
        min_size=1, max_size=12,
    ),
    missing=st.sets(st.integers(0, 11), max_size=4),
)  # fmt: skip
def test_walls_of_the_minutes_up_to_a_time_are_those_of_all_known_then(
    shown: list[list[tuple[int, float]]], missing: set[int]
):
    minutes = [minute(k, *walls) for k, walls in enumerate(shown, 1) if k not in missing]
    full = build_wall_history(minutes)
    for count, item in enumerate(minutes, 1):
        assert list(build_wall_history(minutes[:count])) == known_by(full, item.end_ms)


def make_sample(at: int, *, middle: float = 60_000.0, walls: dict[float, float] | None = None):
    """Twenty levels a side with a size of one, and walls."""
    bids = [[middle - 1.0 * k, 1.0] for k in range(1, 21)]
    asks = [[middle + 1.0 * k, 1.0] for k in range(1, 21)]
    for price, size in (walls or {}).items():
        (bids if price < middle else asks).append([price, size])
    found = sum_book(bids=bids, asks=asks, at=at, bucket=INPUTS.bucket, reach=INPUTS.reach)
    assert found is not None
    return found


def test_a_profile_is_the_same_after_it_was_stored():
    sample = make_sample(MINUTE_MS, walls={60_400.0: 12.5, 59_000.0: 3.25})
    back = read_profile(pack_profile(sample, INPUTS.bucket), at=sample.at, bucket=INPUTS.bucket)
    for name in ("bid_prices", "bid_sizes", "ask_prices", "ask_sizes"):
        np.testing.assert_allclose(getattr(back, name), getattr(sample, name), rtol=1e-7)
    with pytest.raises(InvalidInput):
        read_profile(b"no profile", at=0, bucket=1.0)


def test_a_minute_names_the_wall_that_stood_in_it():
    earlier = [make_sample(k * MINUTE_MS) for k in range(1, 41)]
    end = 42 * MINUTE_MS
    samples = [make_sample(end - 5_000 * k, walls={60_400.0: 20.0}) for k in range(11, -1, -1)]
    found = judge_minute(samples=samples, earlier=earlier, end_ms=end, inputs=INPUTS)
    assert [(w.side, w.price, w.known_at) for w in found.walls] == [(ASK, 60_400.0, end)]
    few = judge_minute(samples=samples, earlier=earlier[:20], end_ms=end, inputs=INPUTS)
    assert (few.walls, few.reason) == ((), "warm_up")
    none = judge_minute(samples=[], earlier=earlier, end_ms=end, inputs=INPUTS)
    assert (none.walls, none.reason, none.profile) == ((), "stale_book", None)
    broken = [*samples[:-1], replace(samples[-1], contiguous=False)]
    torn = judge_minute(samples=broken, earlier=earlier, end_ms=end, inputs=INPUTS)
    assert (torn.reason, torn.profile) == ("broken_book", None)


def test_zones_told_of_walls_as_they_come_are_those_of_all_walls_at_once():
    bars = make_random_bars(count=500, seed=21)
    rng = np.random.default_rng(8)
    levels = []
    for _ in range(80):
        bar = int(rng.integers(100, 495))
        known = int(bars.open_time[bar] + HOUR_MS + rng.integers(-59, 61) * MINUTE_MS)
        lives = int(rng.integers(1, 600)) * MINUTE_MS
        levels.append(
            ExternalLevel(
                kind=LevelKind.ASK_WALL if rng.random() < 0.5 else LevelKind.BID_WALL,
                price=float(bars.close[bar] * (1 + rng.normal(0, 0.01))),
                created_at=known - MINUTE_MS, known_at=known,
                dead_at=known + lives if rng.random() < 0.9 else None, volume_rank=1.0,
            )
        )  # fmt: skip
    whole = compute_magnet_signals(candles=bars, external=levels)
    bare = compute_magnet_signals(candles=bars)
    assert (whole.conflict[100:] != bare.conflict[100:]).sum() > 50
    stream = MagnetStream()
    found: list[MagnetSignals] = []
    told: set[int] = set()
    over: set[int] = set()
    closes = (bars.open_time + HOUR_MS).tolist()
    for row, close in enumerate(closes):
        new = [k for k, level in enumerate(levels) if k not in told and level.known_at <= close]
        stream.add_levels([replace(levels[k], dead_at=None) for k in new])
        told.update(new)
        ended = [k for k in told - over if (levels[k].dead_at or close + 1) <= close]
        stream.end_announced([levels[k] for k in ended])
        over.update(ended)
        found.append(stream.extend(candles=bars.between(row, row + 1)))
    for item in fields(MagnetSignals):
        columns = [getattr(part, item.name) for part in found]
        if isinstance(columns[0], np.ndarray):
            np.testing.assert_array_equal(np.concatenate(columns), getattr(whole, item.name))
    for row in rng.integers(120, 500, 12).tolist():
        known = known_by(tuple(levels), closes[row])
        early = compute_magnet_history(candles=bars.between(0, row + 1), external=known).last
        assert early is not None
        np.testing.assert_equal(early.long.conflict, whole.conflict[row, 0])
        np.testing.assert_equal(early.short.target_pull, whole.target_pull[row, 1])
    last = ExternalLevel(kind=LevelKind.ASK_WALL, price=1.0, created_at=0, known_at=closes[-1] + 1)
    with pytest.raises(InvalidInput):
        stream.end_announced([replace(last, dead_at=closes[-1] + 2)])  # never told
    stream.add_levels([last])
    with pytest.raises(InvalidInput):
        stream.end_announced([last])  # has not ended


ODD_NUMBERS = (
    "0.1", "60000.10", "0", "00", "1e5", "1e400", "-0", "1_0", "\u0661", "1/2", "NaN", "Infinity",
    "99999999999.9", "100000000000", "0.0000000000001", "",
)  # fmt: skip


A_TEXT = st.one_of(
    st.decimals(-1, 10**12, allow_nan=False).map(str),
    st.decimals(0, 10**11, places=4).map(str),
    st.sampled_from(ODD_NUMBERS),
    st.none(),
    st.floats(),
)


@given(levels=st.lists(st.lists(A_TEXT, min_size=2, max_size=2), max_size=3))
def test_levels_judged_at_once_are_the_levels_judged_in_decimals(levels: list[list[Any]]):
    def is_one(price: Decimal | None, size: Decimal | None) -> bool:
        return price is not None and size is not None and 0 <= size < stream_numbers.LARGEST

    judged = [
        is_one(stream_numbers.positive(price), stream_numbers.finite(size))
        for price, size in levels
    ]
    assert stream_numbers.are_levels(levels) is all(judged)


@pytest.mark.parametrize("levels", ["12", ["12"], [["1"]], [["1", "2", "3"], ["1"]], [("1", "2")]])
def test_what_is_no_list_of_pairs_is_no_level(levels: Any):
    assert not stream_numbers.are_levels(list(levels))


@given(texts=st.lists(A_TEXT, min_size=5, max_size=5))
def test_a_candle_judged_at_once_is_the_candle_judged_in_decimals(texts: list[Any]):
    prices = [stream_numbers.positive(text) for text in texts[:4]]
    volume = stream_numbers.finite(texts[4])
    told = stream_numbers.candle_figures(texts)
    if None in prices or volume is None or volume < 0:
        assert told is None
    else:
        o, h, low, c, v = (float(value) for value in (*prices, volume) if value is not None)
        assert told == ((o, h, low, c, v) if low <= min(o, c) <= max(o, c) <= h else None)


UPDATES = st.lists(st.lists(st.tuples(st.integers(1, 12), st.integers(0, 2)), max_size=8))


@given(updates=UPDATES, kept=st.integers(1, 6), is_bids=st.booleans())
def test_a_side_of_the_book_is_the_side_that_ccxt_keeps(
    updates: list[list[tuple[int, int]]], kept: int, is_bids: bool
):
    ours = (binance_client.Bids if is_bids else binance_client.Asks)([], kept)
    theirs = (order_book_side.Bids if is_bids else order_book_side.Asks)([], kept)
    for number, update in enumerate(updates):
        ours.take([[str(price), str(size)] for price, size in update])
        for price, size in update:
            theirs.storeArray([float(price), float(size)])
        if number % 3 == 2:
            ours.limit()
            theirs.limit()
        if number % 7 == 6:
            for side in (ours, theirs):
                side._index.clear()
                side.clear()
        assert list(ours) == list(theirs)
        assert ours._index == theirs._index


class Books(PriceSequence):
    """Prices with a book: twenty levels a side, and walls while they stand."""

    def __init__(self, market: Market) -> None:
        super().__init__(market)
        self.market = market
        self.wishes: dict[str, BookWish] = {}
        #: From and to (ms), price, size.
        self.walls: list[tuple[int, int, float, float]] = []
        self.is_silent = False

    def sample_books(self, wishes: Any) -> bool:
        self.wishes = dict(wishes)
        return True

    def book_samples(self, symbol: str, start_ms: int, end_ms: int) -> tuple[DepthSnapshot, ...]:
        wish = self.wishes[symbol]
        times = range(start_ms + 5_000, end_ms + 1, 5_000)
        return () if self.is_silent else tuple(self._sample(symbol, at, wish) for at in times)

    def _sample(self, symbol: str, at: int, wish: BookWish) -> DepthSnapshot:
        middle = self.price(symbol, at)
        bids = [[middle - 0.1 * k, 0.01] for k in range(1, 21)]
        asks = [[middle + 0.1 * k, 0.01] for k in range(1, 21)]
        for start, end, price, size in self.walls:
            if start <= at < end:
                (bids if price < middle else asks).append([price, size])
        found = sum_book(bids=bids, asks=asks, at=at, bucket=wish.bucket, reach=wish.reach)
        assert found is not None
        return found

    def forced_orders(self, symbol: str, since_ms: int) -> tuple[ForcedOrder, ...]:
        at = START_MS + 90 * MINUTE_MS
        order = ForcedOrder(symbol=symbol, side="sell", price=Decimal(59_000), quantity=Decimal(2),
                            at_ms=at)  # fmt: skip
        return (order,) if since_ms <= at <= self.now_ms else ()


@pytest.mark.usefixtures("as_gateway")
class TestTrader:
    """Two hours and a half of the trader, beat by beat, over a book with walls."""

    @pytest.fixture(autouse=True)
    def cash(self, settings: Any) -> None:
        settings.INITIAL_EQUITY = CASH

    def run(self, source: Books, *, restart_at: int = 0, minutes: int = 150) -> Trader:
        clock = VirtualClock(from_milliseconds(START_MS))
        with use_clock(clock):
            arm("live", START_MS)
            trader = Trader(book="live", source=source)
            trader.start()
            for at in range(START_MS, START_MS + minutes * MINUTE_MS, MINUTE_MS):
                clock.move_to(from_milliseconds(at + 200))
                source.now_ms = at + 200
                if restart_at and at == START_MS + restart_at * MINUTE_MS:
                    trader.stop()
                    trader = Trader(book="live", source=source)
                    trader.start()
                trader.beat()
            trader.stop()
        return trader

    def stage(self) -> tuple[Books, tuple[Instrument, ...]]:
        market = make_market(seed=33, days=1)
        instruments = build_ground(market, tick="0.1")
        source = Books(market)
        price = source.price(SYMBOL, START_MS)
        from_ms = START_MS + 40 * MINUTE_MS
        source.walls = [
            (from_ms, START_MS + 135 * MINUTE_MS, price * 1.01, 400.0),
            (from_ms, START_MS + 80 * MINUTE_MS, price * 0.985, 300.0),
        ]
        return source, instruments

    def maps(self) -> dict[int, Any]:
        rows = Signal.objects.order_by("known_at")
        return {to_milliseconds(row.known_at): row.reading["map"] for row in rows}

    def test_walls_join_the_zones_at_the_close_that_knows_them_and_in_a_replay_too(self):
        source, (row,) = self.stage()
        self.run(source, restart_at=100)
        ask, bid = Magnet.objects.filter(kind__endswith="_wall").order_by("-price")
        minutes = [(at.timestamp() * 1000 - START_MS) / MINUTE_MS
                   for at in (ask.known_at, bid.dead_at, ask.dead_at)]  # fmt: skip
        assert minutes == [41.0, 80.0, 135.0]
        assert ask.detail["notional"] == pytest.approx(400.0 * ask.price)
        told = DepthMinute.objects.exclude(forced=[]).get().forced
        assert told == [[START_MS + 90 * MINUTE_MS, "sell", 59_000.0, 2.0]]
        levels = load_wall_levels(row)
        assert build_wall_history(read_minutes(row)) == tuple(
            sorted(levels, key=lambda level: (level.known_at, -level.price))
        )
        live, candles = self.maps(), load_candles(row, "1h")
        closes = {}
        for close, found in live.items():
            kinds = {m["kind"] for zone in found["zones"] for m in zone["members"]}
            closes[(close - START_MS) // HOUR_MS] = kinds & {"ask_wall", "bid_wall"}
            again = compute_magnet_history(
                candles=candles.known_by(close), external=known_by(levels, close)
            ).last
            assert again is not None
            assert [(z["price"], z["strength"]) for z in found["zones"]] == [
                (z.price, round(z.strength, 2)) for z in again.zones
            ]
            assert found["clusters"]
        assert closes == {1: {"ask_wall", "bid_wall"}, 2: {"ask_wall"}}

        said: dict[int, Any] = {}

        def listen(execute: Any, sql: str, params: Any, *rest: Any) -> Any:
            if sql == ADD_READINGS:  # those hours have their readings, so these would be left out
                for row in json.loads(params["rows"]):
                    close = to_milliseconds(datetime.fromisoformat(row["known_at"]))
                    said[close] = row["reading"]["map"]
            return execute(sql, params, *rest)

        with connection.execute_wrapper(listen):
            run_history(
                replace(source.market, end_ms=START_MS + 2 * HOUR_MS), (row,), book="told",
                fine=True,
            )  # fmt: skip
        assert said == live

    def test_a_wall_ends_where_the_book_falls_silent_or_nobody_watches(self):
        source, _ = self.stage()
        source.walls = source.walls[:1]
        self.run(source, minutes=50)
        standing = Magnet.objects.get(kind="ask_wall")
        assert standing.dead_at is None
        clock = VirtualClock(from_milliseconds(START_MS + 70 * MINUTE_MS))
        source.now_ms = START_MS + 70 * MINUTE_MS
        with use_clock(clock):
            trader = Trader(book="live", source=source)
            trader.start()
            trader.stop()
        standing.refresh_from_db()
        assert standing.dead_at == from_milliseconds(START_MS + 50 * MINUTE_MS)


@pytest.mark.usefixtures("fresh_database")
def test_signals_show_walls_that_stand_and_liquidations_or_why_there_are_none(
    monkeypatch: pytest.MonkeyPatch,
):
    row = make_instrument()
    at = utc_now().replace(second=0, microsecond=0)
    context = {
        "clusters": [{"price": 58_000.0, "share": 0.031, "long": True}],
        "averages": [{"since": "high", "at": 1_767_254_400_000, "price": 61_000.5,
                      "deviation": 210.0}],
    }  # fmt: skip
    Signal.objects.create(
        instrument=row, timeframe="1h", known_at=at, close=60_000.0, atr=400.0,
        reading={"map": {"zones": [], **context}},
    )  # fmt: skip
    client = sign_in(Role.AUDITOR)

    def page() -> str:
        return " ".join(client.get("/desk/signals/").content.decode().split())

    assert "Simulated prices have no order book" in page()
    Instrument.objects.update(is_active=False)
    row = make_instrument("ETH/USDT:USDT", venue="binanceusdm")
    Signal.objects.create(
        instrument=row, timeframe="1h", known_at=at, close=60_000.0, atr=400.0,
        reading={"map": {"zones": [], **context}},
    )  # fmt: skip
    assert "No stream has told the order book yet" in page()
    assert "VWAP since the high of 1 Jan, 08:00: 61,000.5 ± 210.0" in page()
    minutes = DepthMinute.objects.using("gateway")
    minutes.create(
        instrument=row, at=at - timedelta(minutes=1), bucket=8.0, reason="warm_up",
        forced=[[1, "sell", 58_020.0, 2.0], [2, "buy", 58_020.0, 1.0]],
    )  # fmt: skip
    assert "Walls are named once 30 minutes" in page()
    minutes.create(instrument=row, at=at, bucket=8.0)
    assert "unusually large and lasting" in page()
    Magnet.objects.create(
        instrument=row, kind="ask_wall", timeframe="1h", price=60_400.0, created_at=at,
        known_at=at, detail={"size": 50.0, "notional": 3_020_000.0, "size_over_median": 11.4},
    )  # fmt: skip
    text = page()
    for words in ("60,400.0<small>Ask wall", "3,020,000", "11.40x", "longs", "3.1 %", "116,040",
                  "of shorts worth 58,020 USD"):  # fmt: skip
        assert words in text, words
    later = utc_now() + timedelta(minutes=9)
    monkeypatch.setattr("magnetfund.web.desk.stream_page.utc_now", lambda: later)
    assert "has not been told since then" in page()
