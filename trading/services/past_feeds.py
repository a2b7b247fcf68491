"""A feed over hours that are all known: its strategies read them by columns, not bar by bar.

Columns are row for row what the streams say, so a history decides as the trader did.  Magnets keep
their memory, whose levels and maps are stored, and walk a stretch of hours at once.  A strategy of
one's own answers from its process, hour by hour.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from magnetfund.kernel.errors import InvalidInput
from trading.domain.magnets.gamma import GammaWalls
from trading.domain.market import HOUR_MS, Candle, Candles
from trading.domain.market.candles import list_candles
from trading.domain.strategies.base import Strategy
from trading.domain.strategies.magnet import MagnetSignalStream, MagnetStrategy
from trading.domain.strategies.registry import compute_columns
from trading.domain.strategies.shared import SharedBars
from trading.domain.strategies.signals import Signal
from trading.models import Instrument
from trading.services.feeds import InstrumentFeed
from trading.services.research.child_stream import ChildStream

#: Hours whose magnets are walked at once.
STRETCH = 256


class PastFeed(InstrumentFeed):
    """One instrument through ``candles``, which are traded from row ``first`` on.

    :meth:`begin` takes the rows before it; after that :meth:`update` is given each row in turn.
    """

    def __init__(
        self,
        *,
        instrument: Instrument,
        strategies: Mapping[str, Strategy],
        candles: Candles,
        first: int,
        changes_ms: Sequence[int] = (),
        mapped_ms: int,
    ) -> None:
        """From each of ``changes_ms`` on :meth:`set_heavy_reach` may be called before a close, and
        :meth:`magnet_map` is that of the newest close from ``mapped_ms`` on."""
        super().__init__(instrument=instrument, strategies=strategies)
        self._strategies = dict(strategies)
        self._candles = candles
        self._first = first
        self._next = self._read_until = first
        self._cuts = list(changes_ms)
        self._mapped_ms = mapped_ms
        self._closes = candles.open_time + HOUR_MS
        self._shared = SharedBars(candles)
        self._told: dict[str, Iterator[Signal]] = {}

    def expect_walls(self, walls: Sequence[GammaWalls]) -> None:
        super().expect_walls(walls)
        self._cuts += [item.known_ms for item in walls]

    def begin(self) -> None:
        """Take the past and read what does not hang on magnets."""
        self._cuts = sorted(set(self._cuts))
        if not len(self._candles):
            return
        rows = self._candles.between(0, self._first)
        if len(rows):
            self._join_walls(int(self._closes[self._first - 1]))
            self.newest_open_ms = int(rows.open_time[-1])
        for candle in list_candles(rows):
            self._note_extremes(candle)
        for code, stream in self._streams.items():
            if isinstance(stream, MagnetSignalStream):
                stream.magnets.extend(candles=rows)
            elif self._has_columns(code):
                found = compute_columns(
                    strategy=self._strategies[code], candles=self._candles, shared=self._shared
                )
                self._told[code] = found.rows(self._first, len(found))
            elif isinstance(stream, ChildStream):
                stream.warm(rows)
            else:
                for candle in list_candles(rows):
                    stream.update(candle)

    def update(self, candle: Candle) -> dict[str, Signal]:
        row = self._next
        if row >= len(self._candles) or candle.open_time != self._candles.open_time[row]:
            raise InvalidInput("candles come in the order of their times", code="candle_times")
        if row == self._read_until:
            self._read_magnets(row)
        self._next += 1
        self.newest_open_ms = candle.open_time
        self._note_extremes(candle)
        return {
            code: next(self._told[code]) if code in self._told else stream.update(candle)
            for code, stream in self._streams.items()
        }

    def _read_magnets(self, row: int) -> None:
        """Walk the magnets on to the next close at which anything about them may change."""
        close = int(self._closes[row])
        self._join_walls(close)
        stop = row + 1
        if close < self._mapped_ms:
            until = min((cut for cut in self._cuts if cut > close), default=self._mapped_ms)
            beyond = np.searchsorted(self._closes, min(until, self._mapped_ms))
            stop = max(stop, min(row + STRETCH, int(beyond)))
        rows = self._candles.between(row, stop)
        for code, stream in self._streams.items():
            if isinstance(stream, MagnetSignalStream):
                strategy = self._strategies[code]
                assert isinstance(strategy, MagnetStrategy)
                context = strategy.context(candles=self._candles, shared=self._shared)
                found = strategy.signals(
                    magnets=stream.magnets.extend(candles=rows), context=context.between(row, stop)
                )
                self._told[code] = found.rows(0, len(found))
        self._read_until = stop

    def _has_columns(self, code: str) -> bool:
        strategy = self._strategies[code]
        return hasattr(strategy, "columns") and strategy.timeframe_ms == HOUR_MS
