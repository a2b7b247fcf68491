"""A day of market with the streams cut every five minutes, faster than the clock of the wall.

The short form takes an hour, ``FULL=1`` the whole day.  Every hour must come once and right, every
minute have its price, and nothing be left behind by sixty or three hundred reconnections.
"""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest

from magnetfund.kernel.clock import use_clock
from simulated_exchange.faults import Fault
from trading.domain.market import HOUR_MS, MINUTE_MS
from trading.tests.stream_stage import BTC, ETH, SECOND, START, Stage, draw, set_stage
from trading.venues import binance_client, binance_streams

pytestmark = [pytest.mark.drill, pytest.mark.alone]
HOURS = 24 if os.environ.get("FULL") == "1" else 1
STEP_MS = 5 * SECOND
CUT_EVERY_S = 300
#: What memory may grow by from a quarter of the time on.
GROWTH = 1.05
#: Clients of the stream that may be alive at once; each cut makes a new one.
CLOSING_MAX = 5
NAMES = {BTC: "BTCUSDT", ETH: "ETHUSDT"}
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_BYTES


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What the process and the exchange hold at an instant."""

    memory: int
    objects: int
    clients: int
    #: Tasks and transports of both ends.
    connections: int
    files: int
    threads: int
    sockets: int


def count_waiting(found: list[object]) -> int:
    """Objects of updates that wait for the snapshot of their book; they come and go by the hundred.

    Of each a mapping, its two sides and a list for each level.
    """
    # By its own type: `isinstance` asks a weak proxy, which may have lost what it stood for.
    clients = [it for it in found if type(it) is binance_client.BinanceStreamClient]
    books = [book for client in clients for book in client.orderbooks.values()]
    return sum(3 + len(told["a"]) + len(told["b"]) for book in books for told in book.cache)


def measure(stage: Stage) -> Held:
    gc.collect()
    sockets = len(stage.exchange.streams.sockets)
    found = gc.get_objects()
    kinds = Counter(map(type, found))
    parts = (asyncio.Task, asyncio.BaseTransport)
    return Held(
        memory=resident_bytes(),
        # The suite freezes what was imported, and a process in use does not.
        objects=kinds.total() + gc.get_freeze_count() - count_waiting(found),
        clients=kinds[binance_client.BinanceStreamClient],
        connections=sum(count for kind, count in kinds.items() if issubclass(kind, parts)),
        files=open_files(),
        threads=threading.active_count(),
        sockets=sockets,
    )


class Day:
    """What was told of a day, compared with what happened in it."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.hours: dict[tuple[str, int], int] = {}
        self.unpriced = 0
        self.doubted = 0

    def look(self, since_ms: int) -> None:
        """Price each minute that ended, and take the hours that closed."""
        stage, now = self.stage, self.stage.now_ms
        with use_clock(stage.clock):
            found = stage.market.find_doubts(now, since_ms=since_ms)
        stage.market.take_notes()  # as each beat of a trader does
        self.doubted += bool(found.venue or found.instruments)
        first = since_ms // MINUTE_MS * MINUTE_MS + MINUTE_MS
        for symbol, name in NAMES.items():
            for end in range(first, now, MINUTE_MS):
                price = stage.market._price_at(symbol, end)
                true = stage.exchange.market.price_at(name, end)
                self.unpriced += price is None or abs(price / true - 1) > 0.01
            self._take_hours(symbol, name, now)

    def _take_hours(self, symbol: str, name: str, now: int) -> None:
        done = max((at for s, at in self.hours if s == symbol), default=START)
        if done + 2 * HOUR_MS > now:
            return
        with use_clock(self.stage.clock):
            told = self.stage.market.candles(symbol, done + HOUR_MS, now // HOUR_MS * HOUR_MS)
        for row in range(len(told)):
            opened = int(told.open_time[row])
            bars = self.stage.exchange.market.bars(name, "1h", opened)[0]
            assert [told.open[row], told.high[row], told.low[row], told.close[row]] == [*bars[1:5]]
            key = (symbol, opened)
            self.hours[key] = self.hours.get(key, 0) + 1


def test_a_cut_every_five_minutes_loses_nothing_and_leaves_nothing_behind(
    settings: Any, monkeypatch: pytest.MonkeyPatch, on_record: Any
):
    monkeypatch.setattr(binance_streams, "PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(binance_streams, "PAUSE_MAX_SECONDS", 0.1)
    length = (HOURS + 3) * 60
    listings = {
        "BTCUSDT": draw("BTC", 60_000.0, minutes=length),
        "ETHUSDT": draw("ETH", 3_000.0, minutes=length),
    }
    begin = START + HOUR_MS + 30 * MINUTE_MS
    with set_stage(settings, at_ms=begin, listings=listings) as stage:
        assert stage.market.streams is not None
        stage.patience = 0.3
        sockets = stage.exchange.streams.sockets
        usual = len(sockets)

        def is_up() -> bool:
            return not stage.prices.stream_reason and len(sockets) == usual

        stage.exchange.faults.append(Fault(kind="drop", path="@", every=CUT_EVERY_S))
        day, before = Day(stage), None
        end = stage.now_ms + HOURS * HOUR_MS + MINUTE_MS
        warm = stage.now_ms + (end - stage.now_ms) // 4
        while stage.now_ms < end:
            since = stage.now_ms
            stage.move(STEP_MS)
            if not is_up():
                stage.wait_for(is_up)
                with use_clock(stage.clock):
                    stage.market.poll()
            day.look(since)
            if before is None and stage.now_ms > warm:
                before = measure(stage)
        stage.wait_for(is_up)
        after, openings = measure(stage), stage.market.streams.openings
    assert before is not None
    changes = {
        name: f"{value:,} to {getattr(after, name):,}" for name, value in asdict(before).items()
    }
    with on_record():
        print(
            f"\n{HOURS} h, {openings} openings, {sum(day.hours.values())} hours told, "
            f"{day.unpriced} minutes without a price, {day.doubted} looks in doubt; {changes}"
        )
    assert openings > HOURS * 3600 // CUT_EVERY_S
    assert set(day.hours.values()) == {1}
    assert len(day.hours) == len(NAMES) * HOURS
    assert day.unpriced == 0
    assert after.objects <= before.objects * GROWTH
    # An hour is too short to fill what is kept.
    assert HOURS == 1 or after.memory <= before.memory * GROWTH
    # The sessions that were cut last may still be closing, and a connection of REST may be opening.
    assert 1 <= after.clients <= CLOSING_MAX
    assert after.connections <= before.connections + 4
    assert abs(after.files - before.files) <= 2
    assert (after.threads, after.sockets) == (before.threads, before.sockets)
