"""An hour in shorter bars: what a book executes on between two decisions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from magnetfund.kernel.errors import InvalidInput
from trading.domain.engine.book import Bar
from trading.domain.market import HOUR_MS, Candle, Candles
from trading.services.feeds import InstrumentFeed


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """Bars of all instruments that open at ``time_ms``; the ``is_end`` one closes the hour."""

    time_ms: int
    length_ms: int
    bars: tuple[Bar | None, ...]
    is_end: bool


class FineBars:
    """The shorter bars of all instruments of a run.

    Raises :class:`InvalidInput` where the lengths differ or do not divide the hour, and where an
    hour of ``hours`` has no shorter bar at all: its extremes would be lost without a word.
    """

    def __init__(self, *, hours: Sequence[Candles], fine: Mapping[str, Candles]) -> None:
        found = [fine[item.instrument] for item in hours]
        lengths = {item.timeframe_ms for item in found}
        if len(lengths) != 1 or HOUR_MS % min(lengths):
            raise InvalidInput("shorter bars must divide the hour", code="bad_resolution")
        self.length_ms = lengths.pop()
        for item, shorter in zip(hours, found, strict=True):
            covered = np.unique(shorter.open_time // HOUR_MS * HOUR_MS)
            bare = np.setdiff1d(item.open_time, covered)
            if bare.size:
                raise InvalidInput(
                    f"{item.instrument}: {bare.size} of {len(item)} hours have no shorter candles; "
                    "import them first or choose another span",
                    code="no_fine_candles",
                )
        self._candles = found
        self._rows = [
            dict(zip(item.open_time.tolist(), range(len(item)), strict=True)) for item in found
        ]

    def hour(
        self,
        time_ms: int,
        *,
        feeds: Sequence[InstrumentFeed],
        candles: Sequence[Candle | None],
        rates: Sequence[float],
    ) -> Iterator[Slice]:
        """The slices of the hour that opens at ``time_ms`` for the instruments with a candle.

        Funding of the hour falls on each instrument's first bar.  Where the bar before the close
        is missing, the close itself stands for it, a price without extent.
        """
        due = list(rates)
        end_ms = time_ms + HOUR_MS
        for at in range(time_ms, end_ms, self.length_ms):
            bars: list[Bar | None] = []
            for index, feed in enumerate(feeds):
                row = self._rows[index].get(at) if candles[index] is not None else None
                if row is None:
                    bars.append(None)
                    continue
                bars.append(feed.bar(self._candles[index].at(row), funding_rate=due[index]))
                due[index] = 0.0
            is_end = at + self.length_ms == end_ms
            is_whole = all(
                (bar is None) == (candle is None) for bar, candle in zip(bars, candles, strict=True)
            )
            if is_end and not is_whole:
                yield Slice(time_ms=at, length_ms=1, bars=tuple(bars), is_end=False)
                closes = tuple(
                    feed.tick_bar(candle.close) if candle is not None else None
                    for feed, candle in zip(feeds, candles, strict=True)
                )
                yield Slice(time_ms=end_ms - 1, length_ms=1, bars=closes, is_end=True)
                return
            yield Slice(time_ms=at, length_ms=self.length_ms, bars=tuple(bars), is_end=is_end)
