"""The one wall clock.

Every instant is an aware UTC ``datetime``.  Code that needs *now* asks :func:`utc_now`; nothing
else calls ``datetime.now``.  A replay or a test installs a :class:`VirtualClock` for its context
with :func:`use_clock`, so the same services run on virtual time without knowing it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from typing import Protocol

from magnetfund.kernel.errors import InvalidInput


class Clock(Protocol):
    """A source of the current UTC time."""

    def now(self) -> datetime: ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class VirtualClock:
    """A clock that advances only when set, and never backwards."""

    def __init__(self, start: datetime) -> None:
        self._now = require_utc(start)

    def now(self) -> datetime:
        return self._now

    def move_to(self, instant: datetime) -> None:
        """Set the clock to ``instant``; raises :class:`InvalidInput` if that lies in the past."""
        instant = require_utc(instant)
        if instant < self._now:
            raise InvalidInput("the clock cannot run backwards", code="clock_backwards")
        self._now = instant

    def advance(self, step: timedelta) -> None:
        self.move_to(self._now + step)


_SYSTEM_CLOCK = SystemClock()
_clock: ContextVar[Clock] = ContextVar("magnetfund_clock", default=_SYSTEM_CLOCK)


def utc_now() -> datetime:
    """The present instant of the context's clock, aware and in UTC."""
    return _clock.get().now()


@contextmanager
def use_clock(clock: Clock) -> Iterator[Clock]:
    """Run a block on another clock (replay, tests); the former one is back afterwards."""
    token = _clock.set(clock)
    try:
        yield clock
    finally:
        _clock.reset(token)


def require_utc(instant: datetime) -> datetime:
    """Return ``instant`` in UTC; a naive datetime raises :class:`InvalidInput`."""
    if instant.tzinfo is None:
        raise InvalidInput("a time without a zone was given", code="naive_datetime")
    return instant.astimezone(UTC)


def to_milliseconds(instant: datetime) -> int:
    """Integer milliseconds since 1970-01-01 UTC, the unit of time at every array edge."""
    delta = require_utc(instant) - datetime(1970, 1, 1, tzinfo=UTC)
    return delta // timedelta(milliseconds=1)


def from_milliseconds(milliseconds: int) -> datetime:
    """The aware UTC instant of integer milliseconds since 1970-01-01."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)


def isoformat_z(instant: datetime) -> str:
    """ISO 8601 in UTC with ``Z``, microseconds only when they are not zero."""
    return require_utc(instant).isoformat().replace("+00:00", "Z")


def utc_midnight(instant: datetime) -> datetime:
    """00:00 UTC of the day that holds ``instant``."""
    return require_utc(instant).replace(hour=0, minute=0, second=0, microsecond=0)
