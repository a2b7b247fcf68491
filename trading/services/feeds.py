"""Closed hourly candles of one instrument in, the signals of every sleeve and the venue's bar out.

A feed is warmed up once from stored candles and then takes one candle at a time; it never
recomputes history.  The same feed serves a replay, the demo's past and the live trader.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from magnetfund.kernel.errors import InvalidInput
from trading.domain.engine.book import Bar
from trading.domain.magnets.depth_minutes import WallInputs
from trading.domain.magnets.external import ExternalLevel
from trading.domain.magnets.gamma import (
    WALL_KINDS,
    GammaWalls,
    build_gamma_levels,
    keep_newer,
)
from trading.domain.magnets.liquidation_clusters import (
    LiquidationCluster,
    find_liquidation_clusters,
)
from trading.domain.magnets.stream import MagnetStream
from trading.domain.magnets.types import MagnetMap
from trading.domain.magnets.vwap import compute_vwap
from trading.domain.market import HOUR_MS, Candle, Candles
from trading.domain.strategies.base import SignalStream, Strategy
from trading.domain.strategies.magnet import MagnetSignalStream
from trading.domain.strategies.signals import Signal
from trading.models import Instrument
from trading.services.research.child_stream import ChildStream

#: Hours of the past that are taken at once, a few milliseconds of work.
WARM_HOURS = 256

#: Hours whose entries the model of liquidations reads, and the height of its rows in ATR.
CLUSTER_HOURS = 720
CLUSTER_ROW = 0.25


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
        self._walls: tuple[GammaWalls, ...] = ()
        self._walls_joined = 0
        self._newest: deque[Candle] = deque(maxlen=CLUSTER_HOURS)

    @property
    def walls_known_ms(self) -> int | None:
        """When the newest walls that this feed was told of are known; None before the first."""
        return self._walls[-1].known_ms if self._walls else None

    def expect_walls(self, walls: Sequence[GammaWalls]) -> None:
        """Tell of gamma walls, all later than those told before.

        They join the levels at the first close at which they are known, and end the walls before.
        """
        self._walls = keep_newer([*self._walls, *walls])

    def warm(self, candles: Candles, *, between: Callable[[], object] = do_nothing) -> None:
        """Take all candles of the past, oldest first, without asking for signals.

        ``between`` is called after each short part of the work.
        """
        if not len(candles):
            return
        for stream in self._streams.values():
            if isinstance(stream, ChildStream):
                stream.warm(candles)  # its process takes the past as one message
        self._join_walls(int(candles.open_time[-1]) + HOUR_MS)
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

    def add_levels(self, levels: Sequence[ExternalLevel]) -> None:
        """Levels of other sources, told before the close at which they join the zones."""
        for magnets in self._magnet_streams():
            magnets.add_levels(levels)

    def end_levels(self, levels: Sequence[ExternalLevel]) -> None:
        """Levels told earlier that ended."""
        for magnets in self._magnet_streams():
            magnets.end_announced(levels)

    def wall_inputs(self) -> WallInputs | None:
        """What walls of the book are measured in at present; None before there is an ATR."""
        magnets = self.magnets()
        newest = list(self._newest)[-24:]
        notional = sum(candle.close * candle.volume for candle in newest) / max(1, len(newest))
        atr = magnets.newest_atr if magnets is not None else math.nan
        if not (math.isfinite(atr) and atr > 0.0 and notional > 0.0):
            return None
        return WallInputs(atr=atr, tick=self._tick, hourly_notional=notional)

    def liquidation_clusters(self) -> tuple[LiquidationCluster, ...]:
        """Where the model would liquidate the entries of the last 30 days, at the newest close."""
        magnets = self.magnets()
        atr = magnets.newest_atr if magnets is not None else math.nan
        if not (math.isfinite(atr) and atr > 0.0):
            return ()
        return find_liquidation_clusters(
            candles=join_hours(self._newest), row_height=CLUSTER_ROW * atr
        )

    def anchored_averages(self) -> tuple[tuple[str, int, float, float], ...]:
        """The volume-weighted price since the highest and the lowest hour of the last 30 days.

        Each with the hour's open time (ms), the mean and its deviation (price).
        """
        if not self._newest:
            return ()
        rows = join_hours(self._newest)
        found = []
        for since, anchor in (("high", int(rows.high.argmax())), ("low", int(rows.low.argmin()))):
            anchors = np.zeros(len(rows), dtype=np.bool_)
            anchors[anchor] = True
            bands = compute_vwap(
                high=rows.high, low=rows.low, close=rows.close, volume=rows.volume, anchors=anchors
            )
            mean, deviation = float(bands.mean[-1]), float(bands.deviation[-1])
            if math.isfinite(mean):
                found.append((since, int(rows.open_time[anchor]), mean, deviation))
        return tuple(found)

    def update(self, candle: Candle) -> dict[str, Signal]:
        """Take the next closed hour; returns each strategy's signal.

        Raises :class:`InvalidInput` for a candle that is not later than the newest one.
        """
        if candle.open_time <= self.newest_open_ms:
            raise InvalidInput("candles come in the order of their times", code="candle_times")
        self._join_walls(candle.open_time + HOUR_MS)
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
        return next(iter(self._magnet_streams()), None)

    def _magnet_streams(self) -> list[MagnetStream]:
        return [s.magnets for s in self._streams.values() if isinstance(s, MagnetSignalStream)]

    def _join_walls(self, close_ms: int) -> None:
        """Announce to every memory of levels what is known by the next close that it takes."""
        due = [walls for walls in self._walls[self._walls_joined :] if walls.known_ms <= close_ms]
        if not due:
            return
        self._walls_joined += len(due)
        for magnets in self._magnet_streams():
            said = magnets.last_known_at
            # What came while the hour before was read joins the next one.
            late = due if said is None else [
                replace(walls, known_ms=max(walls.known_ms, said + 1)) for walls in due
            ]  # fmt: skip
            magnets.end_levels(WALL_KINDS, at_ms=late[0].known_ms)
            magnets.add_levels(build_gamma_levels(late))

    def _note_extremes(self, candle: Candle) -> None:
        self._newest.append(candle)
        before = self._close or self.ticks(candle.open)
        self._worst_fall = max(self._worst_fall, 1.0 - self.ticks(candle.low) / before)
        self._worst_rise = max(self._worst_rise, self.ticks(candle.high) / before - 1.0)
        self._close = self.ticks(candle.close)


def join_hours(rows: Iterable[Candle]) -> Candles:
    """Hourly candles of one instrument in columns."""
    table = [(c.open_time, c.open, c.high, c.low, c.close, c.volume) for c in rows]
    columns = np.array(table, dtype=np.float64).reshape(-1, 6).T
    return Candles(
        instrument="",
        timeframe_ms=HOUR_MS,
        open_time=columns[0].astype(np.int64),
        open=columns[1],
        high=columns[2],
        low=columns[3],
        close=columns[4],
        volume=columns[5],
    )
