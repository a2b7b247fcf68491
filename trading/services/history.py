"""The whole trading flow through past hours in virtual time: replays and the demo fund's past.

The same :class:`TradingBook`, feeds and services as live; only the clock is virtual and the prices
are stored candles.  Decisions fall on closed hours; with ``fine`` the orders execute on shorter
bars, as the live trader executes on prices.  Everything that a day brings beside trading (dealing,
NAV, people) comes from a :class:`DayKeeper`, which is called at each UTC midnight before the new
day's first bar.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import numpy as np
from django.db import connection, transaction

from magnetfund.core.bulk import is_doubled, refresh_statistics
from magnetfund.core.rows import one_trip
from magnetfund.kernel.clock import VirtualClock, from_milliseconds, to_milliseconds, use_clock
from magnetfund.kernel.errors import InvalidInput
from risk.domain.fuse import FuseMove, Trigger
from risk.domain.limits import Limits
from risk.models import FuseEvent
from trading.domain.engine.book import BookFill, CloseReason, Event, RoundTrip
from trading.domain.market import DAY_MS, HOUR_MS, Candle, Candles
from trading.domain.market.blackouts import Blackout, find_barred
from trading.domain.market.candles import list_candles
from trading.domain.market.funding import FundingRates
from trading.domain.strategies.signals import Signal
from trading.models import Fill, FundingPayment, Order, OrderEvent
from trading.services.book.follow import follow
from trading.services.book.slots import slots_on
from trading.services.book.trading_book import TradingBook
from trading.services.book_setup import BookSetup
from trading.services.fine_bars import FineBars, Slice
from trading.services.option_chains import list_walls
from trading.services.past_feeds import PastFeed
from trading.services.readings import ReadingLog
from trading.services.stream_levels import load_wall_levels
from trading.services.valuation import BookValue, take_valuations

#: Bars before the end whose whole magnet map is stored, for the pages that draw it.
MAPS_KEPT_MS = 48 * HOUR_MS
#: Days after which what is kept back for speed is stored: nobody goes on from a history's middle.
DAYS_KEPT = 30
#: New objects after which Python looks for circles among them; 700 by itself.
COLLECTED_AFTER = 50_000


class DayKeeper(Protocol):
    """What happens at a UTC midnight beside trading."""

    def open_day(self, history: TradingHistory, day: datetime) -> None:
        """Called at 00:00 of ``day`` before its first bar, the clock standing there."""
        ...


class NoKeeper:
    """Trading alone."""

    def open_day(self, history: TradingHistory, day: datetime) -> None:
        """Nothing happens beside trading."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DayLoss:
    """A UTC day that closed at or below the daily-loss limit, and why it could.

    ``change`` and ``limit`` are fractions of the day's opening unit value.  ``gap`` is the part of
    the loss beyond the limit that a price jump between two fills explains, in the same measure.
    """

    day: datetime
    change: float
    limit: float
    causes: tuple[str, ...]
    fills: tuple[str, ...]
    slippage: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitsChange:
    """A later version of the limits with what is traded under it; it acts from its own time on."""

    limits: Limits
    setup: BookSetup


@dataclass(slots=True, kw_only=True)
class _Day:
    start: datetime
    opening: float
    causes: list[str] = field(default_factory=list)
    fills: list[str] = field(default_factory=list)
    slippage: float = 0.0


class TradingHistory:
    """One run through ``[start, end)``; call :meth:`run` once."""

    def __init__(
        self,
        *,
        paper: TradingBook,
        setup: BookSetup,
        candles: Mapping[str, Candles],
        start_ms: int,
        end_ms: int,
        keeper: DayKeeper | None = None,
        funding: Mapping[str, FundingRates] | None = None,
        fine: Mapping[str, Candles] | None = None,
        blackouts: Sequence[Blackout] = (),
        changes: Sequence[LimitsChange] = (),
        valuation_hours: int = 24,
        on_bar: Callable[[], None] | None = None,
    ) -> None:
        if start_ms % DAY_MS or end_ms % HOUR_MS or end_ms <= start_ms:
            raise InvalidInput(
                "a run must start at 00:00 UTC and end on a full hour", code="bad_span"
            )
        self.paper = paper
        self.setup = setup
        self.start_ms = start_ms
        self.end_ms = end_ms
        self.clock = VirtualClock(from_milliseconds(start_ms))
        self.losses: list[DayLoss] = []
        self.round_trips: list[RoundTrip] = []
        self.values: list[BookValue] = []
        self._keeper = keeper or NoKeeper()
        rates = funding or {}
        self._funding = [rates.get(item.symbol, FundingRates.none()) for item in setup.instruments]
        self._blackouts = blackouts
        self._changes = list(changes)
        self._valuation_ms = valuation_hours * HOUR_MS
        self._on_bar = on_bar
        self._unsaved: list[BookValue] = []
        self._unsaved_days = self._saved = 0
        self._ahead = [
            _within(candles[item.symbol], start_ms, end_ms) for item in setup.instruments
        ]
        self.feeds = [
            PastFeed(
                instrument=item,
                strategies=setup.strategies,
                candles=candles[item.symbol].known_by(end_ms),
                first=len(candles[item.symbol].known_by(start_ms)),
                changes_ms=[
                    to_milliseconds(change.limits.effective_from) + late
                    for change in changes
                    for late in (0, 1)  # of an instant between two milliseconds, the later one
                ],
                mapped_ms=end_ms - MAPS_KEPT_MS + 1,
            )
            for item in setup.instruments
        ]
        self.readings = [ReadingLog(feed=feed) for feed in self.feeds]
        if not any(len(item) for item in self._ahead):
            raise InvalidInput(
                "there are no stored candles in this span; import them first", code="no_candles"
            )
        self._fine = FineBars(hours=self._ahead, fine=fine) if fine is not None else None

    @property
    def bars(self) -> int:
        """Hours in which any instrument has a bar."""
        return int(np.unique(np.concatenate([c.open_time for c in self._ahead])).size)

    def run(self) -> None:
        """Trade every hour; orders and fills are committed as they come, the rest by the month."""
        for feed in self.feeds:
            feed.expect_walls(list_walls(feed.instrument, until_ms=self.end_ms))
            feed.add_levels(load_wall_levels(feed.instrument))
            feed.begin()
        rows = [{candle.open_time: candle for candle in list_candles(c)} for c in self._ahead]
        grid = np.unique(np.concatenate([c.open_time for c in self._ahead])).tolist()
        day: _Day | None = None
        with use_clock(self.clock), fast_commits(), rare_collections():
            for time_ms in grid:
                midnight = time_ms // DAY_MS * DAY_MS
                if day is None or midnight > _ms(day.start):
                    self._close_day(day)
                    day = self._open_day(midnight)
                self._hour(time_ms, rows, day, last=time_ms == grid[-1])
                if self._on_bar is not None:
                    self._on_bar()
            self._close_day(day)
            self.save()

    # ---- days ----------------------------------------------------------------------------------

    def _open_day(self, midnight: int) -> _Day:
        start = from_milliseconds(midnight)
        self.clock.move_to(max(start, self.clock.now()))
        self._keeper.open_day(self, start)
        follow(self.paper, instant=self.clock.now)
        return _Day(start=start, opening=self.paper.book.equity / self.paper.shares)

    def _close_day(self, day: _Day | None) -> None:
        if day is None:
            return
        self._unsaved_days += 1
        if self._unsaved_days >= DAYS_KEPT:
            self.save()
        fuse = self.setup.rules.fuse
        limit = fuse.daily_loss_share
        change = self.paper.book.equity / self.paper.shares / day.opening - 1.0
        if fuse.acting and change <= -limit:
            self.losses.append(
                DayLoss(
                    day=day.start,
                    change=change,
                    limit=limit,
                    causes=tuple(dict.fromkeys(day.causes)),
                    fills=tuple(day.fills),
                    slippage=day.slippage,
                )
            )

    def save(self) -> None:
        """Store what was kept back for speed: snapshots, readings, the venue's memory."""
        with transaction.atomic():
            take_valuations(book=self.paper.code, values=self._unsaved, source="history")
            self._unsaved, self._unsaved_days = [], 0
            for log in self.readings:
                log.save()
                while log.store_levels():
                    pass
            self.paper.save()
        self._saved += 1
        if is_doubled(self._saved):
            refresh_statistics(Order, OrderEvent, Fill, FundingPayment, FuseEvent)

    # ---- hours ---------------------------------------------------------------------------------

    def _hour(
        self, time_ms: int, rows: Sequence[Mapping[int, Candle]], day: _Day, *, last: bool
    ) -> None:
        close_ms = time_ms + HOUR_MS
        self.clock.move_to(from_milliseconds(close_ms))
        self._follow_limits()
        candles: list[Candle | None] = []
        readings: list[Mapping[str, Signal]] = []
        for index, feed in enumerate(self.feeds):
            candle = rows[index].get(time_ms)
            candles.append(candle)
            readings.append({} if candle is None else feed.update(candle))
            if candle is not None:
                self.paper.decided[feed.instrument.symbol] = time_ms
                self.readings[index].note(
                    close_ms,
                    candle.close,
                    readings[index],
                    full=close_ms > self.end_ms - MAPS_KEPT_MS,
                )
        self._close_slots(close_ms)
        events: list[Event] = []
        for part in self._slices(time_ms, candles):
            # No answer is lost in a story: what a bar brings is one commit between two questions.
            with one_trip():
                events += self.paper.step(
                    time_ms=part.time_ms,
                    bars=part.bars,
                    bar_ms=part.length_ms,
                    readings=readings if part.is_end else None,
                    last=last and part.is_end,
                )
        self.round_trips += [event for event in events if isinstance(event, RoundTrip)]
        self._account(day, events)
        if close_ms % self._valuation_ms == 0 or last:
            value = self.paper.value(from_milliseconds(close_ms))
            self.values.append(value)
            self._unsaved.append(value)

    def _follow_limits(self) -> None:
        """Act under the version in force at the close, where the decisions of the hour are made."""
        while self._changes and self._changes[0].limits.effective_from <= self.clock.now():
            change = self._changes.pop(0)
            self.setup = change.setup
            self.paper.take_rules(change.setup.rules, change.limits)
            for feed in self.feeds:
                feed.set_heavy_reach(float(change.limits.opposite_distance_atr))

    def _close_slots(self, decided_ms: int) -> None:
        """Open nothing near a dated event, as the live trader does."""
        symbols = [item.symbol for item in self.setup.instruments]
        barred = find_barred(self._blackouts, symbols=symbols, at_ms=decided_ms)
        self.paper.closed_slots = slots_on(self.setup.sleeves, barred)

    def _slices(self, time_ms: int, candles: Sequence[Candle | None]) -> Iterator[Slice]:
        """The hour in the bars on which the book executes."""
        rates = [item.due(time_ms, time_ms + HOUR_MS) for item in self._funding]
        if self._fine is not None:
            yield from self._fine.hour(time_ms, feeds=self.feeds, candles=candles, rates=rates)
            return
        bars = tuple(
            feed.bar(candle, funding_rate=rate) if candle is not None else None
            for feed, candle, rate in zip(self.feeds, candles, rates, strict=True)
        )
        yield Slice(time_ms=time_ms, length_ms=HOUR_MS, bars=bars, is_end=True)

    def _account(self, day: _Day, events: Sequence[Event]) -> None:
        """Remember what a losing day was made of."""
        for event in events:
            if isinstance(event, FuseMove):
                day.causes.append(f"fuse {Trigger(event.trigger).code}")
            elif isinstance(event, BookFill) and event.close_reason:
                reason = CloseReason(event.close_reason).code
                slot = self.setup.rules.slots[event.slot]
                instrument = self.setup.rules.instruments[slot.instrument]
                day.causes.append(f"{reason}{' at a gap' if event.gapped else ''}")
                day.fills.append(
                    f"{instrument.symbol} {reason} at "
                    f"{event.price_ticks * instrument.tick_size:,.2f}"
                )
                rate = (
                    instrument.fuse_slippage_rate
                    if event.close_reason in (CloseReason.FUSE, CloseReason.FUSE_CUT)
                    else instrument.slippage_rate
                )
                notional = event.price_ticks * event.lots * instrument.tick_value
                day.slippage += notional * rate / self.paper.book.equity


class fast_commits:  # noqa: N801 - reads as a statement
    """History can be made again from its candles, so its commits need not wait for the disk."""

    def __enter__(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET synchronous_commit = off")

    def __exit__(self, *_error: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute("RESET synchronous_commit")


@contextmanager
def rare_collections() -> Iterator[None]:
    """A history makes rows by the hundred thousand and next to no circle of references, so it is
    looked through for those rarely, and what its start read never again."""
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECTED_AFTER, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def _within(candles: Candles, start_ms: int, end_ms: int) -> Candles:
    first = int(np.searchsorted(candles.open_time, start_ms))
    stop = int(np.searchsorted(candles.open_time, end_ms))
    return candles.between(first, stop)


def _ms(instant: datetime) -> int:
    return int((instant - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(milliseconds=1))
