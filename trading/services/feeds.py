"""Closed hourly candles of one instrument in, the signals of every sleeve and the venue's bar out.

A feed is warmed up once from stored candles and then takes one candle at a time; it never
recomputes history.  The same feed serves a replay, the demo's past and the live trader.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from magnetfund.kernel.errors import InvalidInput
from trading.domain.engine.book import Bar
from trading.domain.magnets.stream import MagnetStream
from trading.domain.magnets.types import MagnetMap
from trading.domain.market import Candle, Candles
from trading.domain.strategies.base import SignalStream, Strategy
from trading.domain.strategies.magnet import MagnetSignalStream
from trading.domain.strategies.signals import Signal
from trading.models import Instrument
from trading.services.research.child_stream import ChildStream

#: Hours of the past that are taken at once, a few milliseconds of work.
WARM_HOURS = 256


def do_nothing() -> None:
    """What is done between two parts of a piece of work for which nobody waits."""


class InstrumentFeed:
    """The memories of all strategies on one instrument, and the worst adverse hours so far."""

    def __init__(self, *, instrument: Instrument, strategies: Mapping[str, Strategy]) -> None:
        self.instrument = instrument
        self._tick = float(instrument.tick)
        self._streams: dict[str, SignalStream] = {
            code: strategy.stream() for code, strategy in strategies.items()
        }
        self._close = 0
        self._worst_fall = 0.0
        self._worst_rise = 0.0
        self.newest_open_ms = -1

    def warm(self, candles: Candles, *, between: Callable[[], object] = do_nothing) -> None:
        """Take all candles of the past, oldest first, without asking for signals.

        ``between`` is called after each short part of the work.
        """
        if not len(candles):
            return
        for stream in self._streams.values():
            if isinstance(stream, ChildStream):
                stream.warm(candles)  # its process takes the past as one message
        for start in range(0, len(candles), WARM_HOURS):
            between()
            self._warm(candles.between(start, min(len(candles), start + WARM_HOURS)))
        self.newest_open_ms = int(candles.open_time[-1])

    def _warm(self, candles: Candles) -> None:
        rows = [candles.at(index) for index in range(len(candles))]
        for stream in self._streams.values():
            if isinstance(stream, MagnetSignalStream):
                stream.warm(candles)
            elif not isinstance(stream, ChildStream):
                for candle in rows:
                    stream.update(candle)
        for candle in rows:
            self._note_extremes(candle)

    def set_heavy_reach(self, reach: float) -> None:
        """How far, in ATR, an opposing zone counts from the next close on."""
        for stream in self._streams.values():
            if isinstance(stream, MagnetSignalStream):
                stream.set_heavy_reach(reach)

    def update(self, candle: Candle) -> dict[str, Signal]:
        """Take the next closed hour; returns each strategy's signal.

        Raises :class:`InvalidInput` for a candle that is not later than the newest one.
        """
        if candle.open_time <= self.newest_open_ms:
            raise InvalidInput("candles come in the order of their times", code="candle_times")
        self.newest_open_ms = candle.open_time
        self._note_extremes(candle)
        return {code: stream.update(candle) for code, stream in self._streams.items()}

    def find_failures(self) -> dict[str, str]:
        """Why strategies of one's own say nothing any more, by strategy."""
        found = {
            code: stream.find_problem()
            for code, stream in self._streams.items()
            if isinstance(stream, ChildStream)
        }
        return {code: why for code, why in found.items() if why}

    def bar(self, candle: Candle, *, funding_rate: float = 0.0) -> Bar:
        """The candle as the venue trades it: whole ticks, funding due at its open."""
        return Bar(
            open=self.ticks(candle.open),
            high=self.ticks(candle.high),
            low=self.ticks(candle.low),
            close=self.ticks(candle.close),
            funding_rate=funding_rate,
            gap_rate_long=self._worst_fall,
            gap_rate_short=self._worst_rise,
        )

    def tick_bar(
        self, price: float, *, funding_rate: float = 0.0, depth_value: float | None = None
    ) -> Bar:
        """One live price as a bar without extent; ``depth_value`` None where no book is read."""
        ticks = self.ticks(price)
        return Bar(
            open=ticks,
            high=ticks,
            low=ticks,
            close=ticks,
            funding_rate=funding_rate,
            gap_rate_long=self._worst_fall,
            gap_rate_short=self._worst_rise,
            depth_value=math.nan if depth_value is None else depth_value,
        )

    def ticks(self, price: float) -> int:
        """A positive price in whole ticks, to the nearest, at least one."""
        return max(1, round(price / self._tick))

    def magnet_map(self) -> MagnetMap | None:
        """The map of magnets at the newest close; None where no sleeve reads magnets."""
        magnets = self.magnets()
        return magnets.newest_map() if magnets is not None else None

    def magnets(self) -> MagnetStream | None:
        """The memory of levels, where a sleeve reads magnets."""
        for stream in self._streams.values():
            if isinstance(stream, MagnetSignalStream):
                return stream.magnets
        return None

    def _note_extremes(self, candle: Candle) -> None:
        before = self._close or self.ticks(candle.open)
        self._worst_fall = max(self._worst_fall, 1.0 - self.ticks(candle.low) / before)
        self._worst_rise = max(self._worst_rise, self.ticks(candle.high) / before - 1.0)
        self._close = self.ticks(candle.close)
