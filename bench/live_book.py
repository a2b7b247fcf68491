"""A live book of 50 instruments: its start, a tick to the fuse's decision, and a trip seen.

Run as ``python -m bench live_book``.  The exchange of the test tree streams over loopback from a
process of its own, ten times a second, and shares the machine with the trader, PostgreSQL and the
message server.  Each instrument has 400 days of stored hours and two sleeves.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from bench.ground import platform
from bench.timing import Row

INSTRUMENTS, DAYS = 50, 400
SECONDS = 60.0
PUMP_SECONDS = 0.1
TRIPS = 20
AHEAD_HOURS = 2.0
BOOK = "main"
SYMBOLS = [f"C{k:02d}/USDT:USDT" for k in range(INSTRUMENTS)]


def run() -> list[Row]:
    """The rows of this bench."""
    with tempfile.TemporaryDirectory() as folder, _exchange(Path(folder)) as (file, host):
        os.environ.update(EXCHANGE_HOST=host, INITIAL_EQUITY="1000000", MARKET="binanceusdm")
        with platform(with_valkey=True):
            _store_ground(file)
            return _measure()


@contextmanager
def _exchange(folder: Path) -> Iterator[tuple[Path, str]]:
    """The file of drawn hours and the address of an exchange that streams what follows them."""
    import pyarrow as pa
    from pyarrow import parquet

    hours = DAYS * 24 + int(AHEAD_HOURS)
    rng = np.random.default_rng(7)
    close = np.round(60_000.0 * np.exp(np.cumsum(rng.normal(0, 0.004, hours))), 1)
    before = np.append(60_000.0, close[:-1])
    file = folder / "bars.parquet"
    columns = {
        "date": (1_700_006_400_000 + 3_600_000 * np.arange(hours)).astype("datetime64[ms]"),
        "open": before,
        "high": np.maximum(before, close),
        "low": np.minimum(before, close),
        "close": close,
        "volume": rng.lognormal(3, 0.5, hours),
    }
    parquet.write_table(pa.table(columns), file)
    process = subprocess.Popen(
        [sys.executable, "-m", "simulated_exchange", "--ahead", str(AHEAD_HOURS),
         "--pump", str(PUMP_SECONDS), *(f"--data=C{k:02d}={file}" for k in range(INSTRUMENTS))],
        stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1],
    )  # fmt: skip
    try:
        assert process.stdout is not None
        yield file, process.stdout.readline().strip().partition("=")[2]
    finally:
        process.terminate()
        process.communicate(timeout=10)


def _store_ground(file: Path) -> None:
    """Instruments with their stored hours, two sleeves, and an armed fuse."""
    from django.db import transaction

    from magnetfund.core.actors import Actor
    from magnetfund.kernel.clock import to_milliseconds, utc_now
    from magnetfund.operations.people import arm_by_scenario, ensure_scenario_people
    from risk.domain.margin import flat_tier
    from simulated_exchange.__main__ import read_listing
    from trading.domain.market import HOUR_MS, Candles, InstrumentKind, InstrumentTerms
    from trading.models import Strategy
    from trading.services.candle_store import store_candles
    from trading.services.instruments import add_instrument

    listing = read_listing(file, base="C00", tick="0.10", lot="0.001", ahead_hours=AHEAD_HOURS)
    bars = listing.bars[listing.bars[:, 0] + HOUR_MS <= to_milliseconds(utc_now())]
    actor = Actor.system("bench")
    for symbol in SYMBOLS:
        terms = InstrumentTerms(
            symbol=symbol, venue="binanceusdm", kind=InstrumentKind.LINEAR_PERPETUAL,
            base=symbol[:3], quote="USDT", settle="USDT", tick=Decimal("0.1"),
            lot=Decimal("0.001"), minimum_notional=Decimal(5), maker_fee=Decimal("0.0002"),
            taker_fee=Decimal("0.0005"), maintenance_tiers=flat_tier(rate=0.004),
        )  # fmt: skip
        row = add_instrument(
            terms, source="bench", stated_at=utc_now(), actor=actor, is_active=True
        )
        columns = dict(zip(("open", "high", "low", "close", "volume"), bars[:, 1:].T, strict=True))
        hours = Candles(
            instrument=symbol,
            timeframe_ms=HOUR_MS,
            open_time=bars[:, 0].astype(np.int64),
            **columns,
        )
        with transaction.atomic():
            store_candles(
                hours, instrument=row, timeframe="1h", source="bench",
                available_ms=int(bars[-1, 0]) + HOUR_MS,
            )  # fmt: skip
    for code in ("trend", "magnet"):
        Strategy.objects.create(code=code, version=1, name=code, risk_fraction=Decimal("0.0035"))
    people = ensure_scenario_people()
    arm_by_scenario(book=BOOK, people=people, at=utc_now(), reason="bench")


def _measure() -> list[Row]:
    from trading.services.engine import engine_state_of
    from trading.services.live_market import LiveMarket
    from trading.services.market_choice import choose_market
    from trading.services.trader import Trader

    began = time.monotonic()
    source = choose_market()
    assert isinstance(source, LiveMarket)
    trader = Trader(book=BOOK, source=source)
    trader.start()
    source.begin()
    try:
        trader.beat()
        while engine_state_of(BOOK) != "READY":
            time.sleep(0.1)
            trader.beat()
        ready = time.monotonic() - began
        while source.prices.stream_reason:
            trader.beat()
            time.sleep(0.2)
        used, reading, told = _processor_seconds(), _reader_seconds(source), _messages(source)
        read, stamped, rate, pauses = _listen(trader, source)
        used = (_processor_seconds() - used) / SECONDS
        reading = (_reader_seconds(source) - reading) / (_messages(source) - told)
        trips = _trip(trader, source)
        beats = [_timed(trader.beat) for _ in range(20)]
    finally:
        source.close()
        trader.stop()
    count = f"{INSTRUMENTS} instruments"
    return [
        (f"live book: cold start, {count}, {DAYS} days of hours", ready, 60.0, "s"),
        (f"live book: messages of {count}", rate, 2_000.0, "1/s"),
        ("live book: tick read to the fuse's decision, p50", float(np.median(read)), 0.0, "ms"),
        ("live book: tick read to the fuse's decision, p99", _p99(read), 50.0, "ms"),
        ("live book: exchange's stamp to the fuse's decision, p99", _p99(stamped), 0.0, "ms"),
        ("live book: longest pause between two steps", max(pauses), 0.0, "ms"),
        (
            f"live book: {len(trips)} trips, mark read to visible elsewhere, p99",
            _p99(trips),
            500.0,
            "ms",
        ),
        ("live book: a whole beat, p99", _p99(beats), 0.0, "ms"),
        ("live book: processors used by the trader and its stream", used, 0.0, "of 2"),
        ("live book: processor of the stream's thread per message", reading * 1e6, 0.0, "us"),
    ]


def _listen(trader: Any, source: Any) -> tuple[list[float], list[float], float, list[float]]:
    """Delays (ms) from a mark read, and from its stamp, to the end of the step that judged it.

    Then the messages a second, and the times between two steps (ms).
    """
    from trading.services import trader as trader_room

    waiting: list[tuple[float, int]] = []
    read: list[float] = []
    stamped: list[float] = []
    ends: list[float] = []
    take, step = source.prices.take_quote, trader.paper.step

    def take_timed(quote: Any) -> bool:
        taken = bool(take(quote))
        waiting.append((time.monotonic(), quote.venue_time_ms))
        return taken

    def step_timed(**given: Any) -> Any:
        seen = list(waiting)
        del waiting[: len(seen)]
        events = step(**given)
        done, wall = time.monotonic(), time.time() * 1000
        ends.append(done * 1000)
        read.extend((done - at) * 1000 for at, _ in seen)
        stamped.extend(wall - at for _, at in seen)
        return events

    source.prices.take_quote = take_timed
    trader.paper.step = step_timed
    before, began = _messages(source), time.monotonic()
    # The marks of all instruments come together each second: beats that are a little slower than
    # that meet them at each of their points once.
    usual, trader_room.BEAT_SECONDS = trader_room.BEAT_SECONDS, 1.0 + 1.0 / SECONDS
    trader.run(should_stop=lambda: time.monotonic() - began > SECONDS)
    trader_room.BEAT_SECONDS = usual
    rate = (_messages(source) - before) / (time.monotonic() - began)
    source.prices.take_quote, trader.paper.step = take, step
    return read, stamped, rate, np.diff(ends).tolist()


def _trip(trader: Any, source: Any) -> list[float]:
    """Delays (ms) from the mark that trips the fuse, read, until another connection sees the trip.

    The marks of fifty instruments go on; the loss is the book's, as a peak put beyond its equity,
    at a random time of a beat.  Two people re-arm it each time.
    """
    fall = _Fall()
    take, step = source.prices.take_quote, trader.paper.step

    def take_timed(quote: Any) -> bool:
        taken = bool(take(quote))
        fall.note_read()
        return taken

    def step_falling(**given: Any) -> Any:
        fall.strike(trader.paper)
        return step(**given)

    source.prices.take_quote = take_timed
    trader.paper.step = step_falling
    judge = threading.Thread(target=fall.judge, daemon=True)
    judge.start()
    trader.run(should_stop=lambda: not judge.is_alive())
    source.prices.take_quote, trader.paper.step = take, step
    return fall.delays


class _Fall:
    """A loss that comes with a mark, again and again, and what another connection sees of it."""

    def __init__(self) -> None:
        self.delays: list[float] = []
        self._is_due = False
        self._oldest = 0.0
        self._read_at = 0.0

    def note_read(self) -> None:
        """A mark was read that no step has judged."""
        self._oldest = self._oldest or time.monotonic()

    def strike(self, paper: Any) -> None:
        """A step judges what was read since the last one, and with it the loss where one is due."""
        from dataclasses import replace

        oldest, self._oldest = self._oldest, 0.0
        if self._is_due and oldest:
            self._is_due, self._read_at = False, oldest
            fuse = replace(paper.book.fuse, peak_equity=paper.book.equity * 100.0)
            paper.book = replace(paper.book, fuse=fuse)

    def judge(self) -> None:
        """Let it fall at random times, and see it from a connection of its own."""
        from django.db import connections

        from magnetfund.kernel.clock import utc_now
        from magnetfund.operations.people import arm_by_scenario, ensure_scenario_people
        from risk.services.fuse import state_of
        from trading.services.engine import engine_state_of

        people, random = ensure_scenario_people(), np.random.default_rng(3)
        try:
            for _ in range(TRIPS):
                while state_of(BOOK) != "ARMED" or engine_state_of(BOOK) != "READY":
                    time.sleep(0.01)
                time.sleep(1.5 + float(random.uniform(0.0, 1.0)))
                self._read_at, self._is_due = 0.0, True
                while state_of(BOOK) == "ARMED":
                    time.sleep(0.002)
                self.delays.append((time.monotonic() - self._read_at) * 1000)
                arm_by_scenario(book=BOOK, people=people, at=utc_now(), reason="bench")
        finally:
            connections.close_all()


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _messages(source: Any) -> int:
    return int(source.prices.counts["messages"])


def _reader_seconds(source: Any) -> float:
    """Processor time of the thread that reads the streams: sockets, event loop, messages."""
    return time.clock_gettime(time.pthread_getcpuclockid(source.streams._thread.ident))


def _timed(work: Any) -> float:
    began = time.monotonic()
    work()
    return (time.monotonic() - began) * 1000


def _p99(values: list[float]) -> float:
    return float(np.percentile(values, 99))
