"""A price never waits for slow work: stepped within a beat, levels written in parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from magnetfund.kernel.clock import VirtualClock, from_milliseconds, use_clock
from magnetfund.tests.walls_support import make_instrument
from risk.services.fuse import state_of
from trading.domain.market import HOUR_MS, Candles
from trading.domain.strategies.magnet import MagnetStrategy
from trading.models import Magnet
from trading.services import readings
from trading.services.feeds import WARM_HOURS, InstrumentFeed
from trading.services.readings import ReadingLog
from trading.services.trader_bell import STEP_SECONDS, Bell, PriceWatch
from trading.tests.exchange_ground import BOOK, Dial, Ground, serve_exchange

START = datetime(2026, 1, 5, tzinfo=UTC)


class Rung(Bell):
    """A bell that rings while it is told to."""

    rings = True

    def __init__(self) -> None:
        super().__init__(lambda: None)

    def has_price(self) -> bool:
        return self.rings


def test_only_prices_after_a_beats_instant_are_stepped_in_it_and_they_move_it_on(
    monkeypatch: pytest.MonkeyPatch,
):
    clock, bell, steps, seconds = VirtualClock(START), Rung(), [], [0.0]
    monkeypatch.setattr("trading.services.trader_bell.time.monotonic", lambda: seconds[0])
    watch = PriceWatch(bell, lambda at: not steps.append(at))
    with use_clock(clock):
        assert watch.begin_beat() == watch.heed() == START
        assert not steps
        clock.move_to(START + timedelta(seconds=1))
        assert watch.heed() == START + timedelta(seconds=1)
        clock.move_to(START + timedelta(seconds=2))
        watch.heed()  # too soon after the last step
        assert len(steps) == 1
        seconds[0] += STEP_SECONDS
        assert watch.heed() == START + timedelta(seconds=2)
        bell.rings = False
        clock.move_to(START + timedelta(seconds=3))
        seconds[0] += STEP_SECONDS
        assert watch.heed() == START + timedelta(seconds=2)


@pytest.fixture
def ground(settings: Any, as_gateway: None) -> Iterator[Ground]:
    dial = Dial()
    with serve_exchange(settings, dial):
        made = Ground(dial)
        made.start()
        yield made


def test_the_fuse_trips_while_the_hours_of_a_beat_are_being_read(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
):
    trader = ground.trader
    ground.beat()
    read, seen = trader.reader.closed_hours, []

    def read_slowly(now_ms: int, *, between: Callable[[], object]) -> Any:
        fuse = replace(trader.paper.book.fuse, peak_equity=trader.paper.book.equity * 100.0)
        trader.paper.book = replace(trader.paper.book, fuse=fuse)
        ground.source._wake()
        between()  # the beat's own instant is judged by the beat alone
        seen.append(state_of(BOOK))
        ground.dial.now_ms += 2_000
        ground.clock.move_to(from_milliseconds(ground.dial.now_ms))
        ground.source.poll()
        between()
        seen.append(state_of(BOOK))
        return read(now_ms, between=between)

    monkeypatch.setattr(trader.reader, "closed_hours", read_slowly)
    ground.beat()
    assert seen == ["ARMED", "TRIPPED"]
    assert trader.paper.book.time_ms >= ground.dial.now_ms


def test_a_quiet_beat_gives_way_to_prices_after_a_few_statements(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
):
    ground.beat()
    watch, asked = ground.trader.prices, CaptureQueriesContext(connection)
    heed, counts = watch.heed, [0]

    def count() -> None:
        frame = ("BEGIN", "COMMIT", "SET ", "SAVEPOINT", "RELEASE")
        told = [query["sql"] for query in asked.captured_queries]
        counts.append(sum(not sql.startswith(frame) for sql in told))

    def heed_counted() -> datetime:
        count()
        return heed()

    monkeypatch.setattr(watch, "heed", heed_counted)
    with asked:
        ground.beat()
        count()
    assert counts[-1] > 5
    assert max(np.diff(counts)) <= 4  # the reconciliation of a minute


def draw_hours(count: int) -> Candles:
    rng = np.random.default_rng(4)
    close = np.round(60_000.0 * np.exp(np.cumsum(rng.normal(0, 0.006, count))), 1)
    before = np.append(close[0], close[:-1])
    return Candles(
        instrument="BTC/USDT:USDT", timeframe_ms=HOUR_MS,
        open_time=1_767_225_600_000 + HOUR_MS * np.arange(count),
        open=before, high=np.maximum(before, close) + 40.0,
        low=np.minimum(before, close) - 40.0, close=close, volume=np.full(count, 9.0),
    )  # fmt: skip


def stored_levels() -> set[tuple[Any, ...]]:
    return set(Magnet.objects.values_list("kind", "timeframe", "price", "known_at", "dead_at"))


def known_levels(feed: InstrumentFeed) -> set[tuple[Any, ...]]:
    magnets = feed.magnets()
    assert magnets is not None
    found = magnets.levels()
    columns = (found.kind, found.timeframe, found.price, found.known_at, found.dead_at)
    return {
        (
            kind,
            timeframe,
            price,
            from_milliseconds(known),
            from_milliseconds(dead) if dead >= 0 else None,
        )
        for kind, timeframe, price, known, dead in zip(*(c.tolist() for c in columns), strict=True)
    }


@pytest.mark.django_db
def test_levels_are_written_in_parts_and_a_torn_writing_loses_none(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(readings, "LEVELS_AT_ONCE", 20)
    hours, parts = draw_hours(WARM_HOURS + 60), []
    feed = InstrumentFeed(instrument=make_instrument(), strategies={"magnet": MagnetStrategy()})
    feed.warm(hours.between(0, WARM_HOURS + 10), between=lambda: parts.append(1))
    assert len(parts) == 2
    log = ReadingLog(feed=feed)
    log.save()
    assert not Magnet.objects.exists()
    assert log.store_levels()
    assert log.store_levels()
    torn = Magnet.objects.count()
    assert 0 < torn < len(known_levels(feed))
    log = ReadingLog(feed=feed)  # the process ended and began again
    for index in range(WARM_HOURS + 10, len(hours)):
        feed.update(hours.at(index))
        if index % 7 == 0:
            log.save()
    log.save()
    while log.store_levels():
        pass
    assert stored_levels() == known_levels(feed)
    assert any(row[-1] is not None for row in stored_levels())
