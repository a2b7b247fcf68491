"""An hour in shorter bars: what a book executes on between two decisions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from trading.domain.engine.book import Bar
from trading.domain.market import Candle, Candles
from trading.domain.market.slices import AT_CLOSE, plan_slices
from trading.services.feeds import InstrumentFeed


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """Bars of all instruments that open at ``time_ms``; the ``is_end`` one closes the hour."""

    time_ms: int
    length_ms: int
    bars: tuple[Bar | None, ...]
    is_end: bool


class FineBars:
    """The shorter bars of all instruments of a run, cut by :func:`plan_slices`."""

    def __init__(self, *, hours: Sequence[Candles], fine: Mapping[str, Candles]) -> None:
        self._candles = [fine[item.instrument] for item in hours]
        self._plan = plan_slices(candles=hours, shorter=self._candles)
        grid = np.unique(np.concatenate([item.open_time for item in hours]))
        first = np.searchsorted(self._plan.span, np.arange(grid.size + 1))
        self._rows = {
            int(time): (int(first[span]), int(first[span + 1])) for span, time in enumerate(grid)
        }

    def hour(
        self,
        time_ms: int,
        *,
        feeds: Sequence[InstrumentFeed],
        candles: Sequence[Candle | None],
        rates: Sequence[float],
    ) -> Iterator[Slice]:
        """The slices of the hour that opens at ``time_ms`` for the instruments with a candle.

        Funding of the hour falls on each instrument's first bar.
        """
        plan, due = self._plan, list(rates)
        for number in range(*self._rows[time_ms]):
            bars: list[Bar | None] = []
            for index, (feed, candle) in enumerate(zip(feeds, candles, strict=True)):
                row = int(plan.rows[index, number])
                if row >= 0:
                    shorter = self._candles[index].at(row)
                    bars.append(feed.bar(shorter, funding_rate=due[index]))
                    due[index] = 0.0
                elif row == AT_CLOSE and candle is not None:
                    bars.append(feed.tick_bar(candle.close))
                else:
                    bars.append(None)
            yield Slice(
                time_ms=int(plan.time_ms[number]),
                length_ms=int(plan.length_ms[number]),
                bars=tuple(bars),
                is_end=bool(plan.is_end[number]),
            )
