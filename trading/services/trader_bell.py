"""What a trader listens for between two beats and within one: a person's bell, and prices."""

from __future__ import annotations

import gc
import os
import select
import sys
import time
from collections.abc import Callable
from datetime import datetime

import psycopg
from django.db import OperationalError, connection

from magnetfund.kernel.clock import utc_now
from trading.services.closing import BELL

#: More than a pipe holds, so that one read takes every price that rang.
READ_BYTES = 1 << 17
#: Prices are stepped at most so often: one step judges all that came, and the stream that brings
#: them needs the processor too.
STEP_SECONDS = 0.005
#: A beat that is late by more than this is due at once (s).
LATE_SECONDS = 1.0
#: How long the thread of a stream goes on while the trader waits to: each statement of SQL lets the
#: interpreter go, and with Python's 5 ms a part of ten of them would wait for fifty.
SWITCH_SECONDS = 0.0005


def favour_ticks() -> None:
    """Let this process answer to a tick soon.

    What the start read of the past never becomes garbage: it is looked through once more here, and
    not again while a tick waits, which with fifty instruments takes a quarter of a second.
    """
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.collect()
    gc.freeze()


class Bell:
    """Waits on the database's notifications and, where a source pushes prices, on those."""

    def __init__(self, wake_handle: Callable[[], int | None]) -> None:
        self._wake_handle = wake_handle
        self._heard_on: object = None

    def has_price(self) -> bool:
        """Whether a price came since this was last asked or waited for; asks no database."""
        handle = self._wake_handle()
        if handle is None or not select.select([handle], [], [], 0.0)[0]:
            return False
        os.read(handle, READ_BYTES)
        return True

    def wait(self, seconds: float) -> str:
        """What came within ``seconds``: "bell", "price", or "" for neither.

        A database that is gone costs a second and is connected to again.
        """
        try:
            connection.ensure_connection()
            raw = connection.connection
            if raw is not self._heard_on:
                raw.execute(f"LISTEN {BELL}")
                self._heard_on = raw
            handle = self._wake_handle()
            if handle is not None:
                ready, _, _ = select.select([raw.fileno(), handle], [], [], seconds)
                if handle in ready and raw.fileno() not in ready:
                    os.read(handle, READ_BYTES)
                    return "price"
                seconds = 0.0
            for _ in raw.notifies(timeout=seconds, stop_after=1):
                return "bell"
        except (OperationalError, psycopg.Error):
            connection.close()
            self._heard_on = None
            time.sleep(1.0)
        return ""


class PriceWatch:
    """Steps prices as they come, between beats and within them.

    ``step`` judges the prices of an instant and says whether it did.  :attr:`now` is the instant at
    which the beat under way acts; a price that is stepped within it moves it on.
    """

    def __init__(self, bell: Bell, step: Callable[[datetime], bool]) -> None:
        self._bell = bell
        self._step = step
        self._next = 0.0
        self.now = utc_now()

    def begin_beat(self) -> datetime:
        """A beat begins; returns its instant."""
        self.now = utc_now()
        return self.now

    def heed(self) -> datetime:
        """Within a beat, where the book stands whole: step the prices that came since it began.

        Returns the instant at which the beat goes on.  Its own instant is judged by the beat alone,
        so that a history which is told again is the same.
        """
        now = utc_now()
        if now > self.now and time.monotonic() >= self._next and self._bell.has_price():
            self._next = time.monotonic() + STEP_SECONDS
            if self._step(now):
                self.now = now
        return self.now

    def wait(self, until: float, should_stop: Callable[[], bool]) -> None:
        """Step each price at once until a beat is due (monotonic seconds) or a person rings."""
        while not should_stop():
            left = until - time.monotonic()
            woken = self._bell.wait(max(0.05, left) if left > -LATE_SECONDS else 0.05)
            if woken != "price":
                return
            self._step(utc_now())
            if time.monotonic() >= until:
                return
            time.sleep(STEP_SECONDS)
