"""The watchdog: a process of its own that needs PostgreSQL alone.

Twice a second it looks at the trader's heartbeat, equity and prices, at positions without a resting
stop, and at late jobs.  Ages are counted on its own monotonic clock from the last *change* that it
saw, so neither a stepped clock nor a heartbeat from the future reads as life.  What it cannot see
for as long counts as silence too.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal, InvalidOperation
from types import FrameType
from typing import Any

import psycopg

from magnetfund.core.logs import log_as_lines
from magnetfund.operations.schedule import ALL_PERIODS
from risk.services.stop_statements import BARRIER, STOP, FuseFacts, stop_values

_log = logging.getLogger("magnetfund.watchdog")
LOOK_SECONDS = 0.5
#: Silence of the trader, of its equity or of its prices, in seconds; all found within 15 s.
SILENCE_SECONDS = 12.0
#: How long a position may stand without a resting stop; orders are replaced within a second.
BARE_SECONDS = 8.0
#: A heartbeat whose own time is further from the server's clock than this is no sign of life.
CLOCK_SECONDS = 5.0
CONNECT_SECONDS = 3
LATE_PERIODS = 4
#: How long a trader that reconciles may take to value its book; 50 instruments take half a minute.
START_SECONDS = 90.0
#: States of the engine, as the database writes them.
RECONCILING, READY = "RECONCILING", "READY"


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What one look found; None where the database could not be asked."""

    beat_at: str | None = None
    ahead_s: float = 0.0
    price_at: str | None = None
    equity: str | None = None
    engine: str | None = None
    fuse: str = ""
    open_positions: int = 0
    bare: tuple[str, ...] = ()
    job_ages: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Look:
        beat = row["beat"] or {}
        return cls(
            beat_at=beat.get("seen_at"),
            ahead_s=float(beat.get("ahead_s") or 0.0),
            price_at=beat.get("price_at"),
            equity=beat.get("equity"),
            engine=row["engine"],
            fuse=row["fuse"],
            open_positions=int(row["open"]),
            bare=tuple(row["bare"]),
            job_ages={name: float(age) for name, age in row["jobs"].items()},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchMemory:
    """Last values seen and when they last changed, in seconds of the monotonic clock."""

    beat_at: str | None = None
    price_at: str | None = None
    beat_changed: float = 0.0
    price_changed: float = 0.0
    equity_good: float = 0.0
    reconciling_since: float | None = None
    bare_since: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def start(cls, now: float) -> WatchMemory:
        """Everything is as fresh as it can be: a start is no silence yet."""
        return cls(beat_changed=now, price_changed=now, equity_good=now)


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """What is to be done now; empty texts mean nothing."""

    stop_engine: str = ""
    trip: str = ""
    trip_reason: str = ""
    late: tuple[str, ...] = ()


def judge(memory: WatchMemory, sight: Look | None, now: float) -> tuple[WatchMemory, Orders]:
    """One look: the memory after it and what follows from it.  Pure.

    ``now`` is monotonic seconds.  A look that failed (None) changes nothing but the ages.
    """
    if sight is not None:
        memory = _remember(memory, sight, now)
    quiet = now - memory.beat_changed
    stale_price = now - memory.price_changed
    stale_equity = now - memory.equity_good
    reason = ""
    if quiet > SILENCE_SECONDS:
        reason = f"no heartbeat from the trader for {quiet:.0f} s"
    elif stale_price > SILENCE_SECONDS:
        reason = f"prices are {stale_price:.0f} s old"
    elif stale_equity > SILENCE_SECONDS:
        reason = f"equity is {stale_equity:.0f} s old"
    if sight is None:
        return memory, Orders(stop_engine=reason)
    trip = trip_reason = ""
    bare = [name for name, since in memory.bare_since.items() if now - since > BARE_SECONDS]
    if sight.fuse == "ARMED":
        if bare:
            trip, trip_reason = "unprotected", f"No resting stop: {', '.join(sorted(bare))}."
        elif sight.open_positions and quiet <= SILENCE_SECONDS and stale_equity > SILENCE_SECONDS:
            trip, trip_reason = "stale_equity", f"Equity is {stale_equity:.0f} s old."
    late = tuple(
        sorted(
            name
            for name, age in sight.job_ages.items()
            if name in ALL_PERIODS and age > LATE_PERIODS * ALL_PERIODS[name].total_seconds()
        )
    )
    return memory, Orders(
        stop_engine=reason if sight.engine == READY else "",
        trip=trip,
        trip_reason=trip_reason,
        late=late,
    )


def _remember(memory: WatchMemory, sight: Look, now: float) -> WatchMemory:
    is_beat = (
        sight.beat_at is not None
        and sight.beat_at != memory.beat_at
        and abs(sight.ahead_s) <= CLOCK_SECONDS
    )
    since = memory.reconciling_since
    if is_beat:
        if now - memory.beat_changed > SILENCE_SECONDS:
            since = None  # another trader, or one that comes back
        memory = replace(memory, beat_changed=now)
        if sight.price_at is not None and sight.price_at != memory.price_at:
            memory = replace(memory, price_changed=now)
        if _is_equity(sight.equity):
            since, memory = None, replace(memory, equity_good=now)
    if sight.engine == RECONCILING:
        # A trader that starts takes nothing new and has yet to say what it sees.  Prices matter
        # once it is ready; equity is due after a while, so that nobody hides behind this state.
        since = now if since is None else since
        memory = replace(memory, price_changed=now)
        if now - since <= START_SECONDS:
            memory = replace(memory, equity_good=now)
    return replace(
        memory,
        reconciling_since=since,
        beat_at=sight.beat_at,
        price_at=sight.price_at,
        bare_since={name: memory.bare_since.get(name, now) for name in sight.bare},
    )


def _is_equity(text: str | None) -> bool:
    try:
        value = Decimal(text or "")
    except InvalidOperation:
        return False
    return value.is_finite()


class Watchdog:
    """The loop around :func:`judge`; it opens its session again for as long as it takes."""

    def __init__(self, *, dsn: str, book: str, build: str = "") -> None:
        self.dsn = dsn
        self.book = book
        self.build = build
        self.session: psycopg.Connection[Any] | None = None
        self.memory = WatchMemory.start(time.monotonic())
        self.is_stopping = False
        self._late: tuple[str, ...] = ()

    def run(self) -> None:
        while not self.is_stopping:
            began = time.monotonic()
            self.turn()
            time.sleep(max(0.05, LOOK_SECONDS - (time.monotonic() - began)))

    def turn(self) -> Orders:
        """Look, judge, act.  A database error costs this turn and nothing else."""
        sight = self._look()
        self.memory, orders = judge(self.memory, sight, time.monotonic())
        if orders.trip:
            facts = FuseFacts(
                trigger=orders.trip, reason=orders.trip_reason, action="close all positions"
            )
            self._do(STOP, stop_values(book=self.book, facts=facts, label="watchdog"))
            self._do(BARRIER, [self.book])
            _log.error("the fuse was tripped: %s", orders.trip_reason)
        if orders.stop_engine:
            row = self._do("SELECT watchdog_stop_engine(%s, %s)", [self.book, orders.stop_engine])
            if row is not None and row[0]:
                _log.error("new entries stopped: %s", orders.stop_engine)
        ended = self._do("SELECT watchdog_unblock(%s)", [self.book])
        if ended is not None and ended[0]:
            _log.error("sessions ended that were in the way: %s", json.dumps(ended[0]))
        if orders.late != self._late:
            self._late = orders.late
            _log.warning("late jobs: %s", ", ".join(orders.late) or "none")
        self._do(
            "SELECT watchdog_beat(%s, %s, %s)",
            [
                self.book,
                self.build,
                json.dumps({"late": list(orders.late), "saw": sight is not None}),
            ],
        )
        return orders

    def _look(self) -> Look | None:
        row = self._do("SELECT watchdog_look(%s)", [self.book])
        return None if row is None else Look.of(row[0])

    def _do(self, statement: str, values: list[Any]) -> tuple[Any, ...] | None:
        try:
            if self.session is None or self.session.closed:
                self.session = psycopg.connect(
                    self.dsn,
                    autocommit=True,
                    connect_timeout=CONNECT_SECONDS,
                    application_name="magnetfund watchdog",
                    options="-c statement_timeout=2s -c lock_timeout=1s",
                )
            return self.session.execute(statement.encode(), values).fetchone()
        except psycopg.Error as error:
            _log.error("the database did not answer: %s", str(error).splitlines()[0])
            if isinstance(error, psycopg.OperationalError) and self.session is not None:
                broken = self.session.broken or self.session.closed
                if broken:
                    self.session.close()
                    self.session = None
            return None

    def close(self) -> None:
        if self.session is not None:
            self.session.close()


def main() -> int:
    log_as_lines("INFO")
    dsn = os.environ.get("DATABASE_WATCHDOG_URL", "")
    if not dsn:
        sys.exit("magnetfund: DATABASE_WATCHDOG_URL is not set")
    dog = Watchdog(
        dsn=dsn,
        book=os.environ.get("MAGNET_BOOK", "") or "main",
        build=os.environ.get("BUILD_ID", ""),
    )

    def ask(number: int, frame: FrameType | None) -> None:
        dog.is_stopping = True

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, ask)
    try:
        dog.run()
    finally:
        dog.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
