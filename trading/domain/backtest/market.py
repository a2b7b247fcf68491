"""The bars of a run: every instrument in integer ticks on one grid of open times.

An instrument may lack bars that others have (outages, a later listing); ``rows`` then holds -1 and
nothing of it is traded, marked anew or decided at that time.  Nothing is filled forward.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from magnetfund.kernel.errors import InvalidInput
from trading.domain.engine.book import Bar
from trading.domain.market.funding import FUNDING_PERIOD_MS, FUNDING_RATE_DEFAULT

IntColumn = NDArray[np.int64]
FloatColumn = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class InstrumentBars:
    """Closed bars of one instrument: open times, prices in ticks, funding due at each open.

    ``gap_rate_long`` and ``gap_rate_short`` are the worst adverse hour known at each close.
    """

    time_ms: IntColumn
    open: IntColumn
    high: IntColumn
    low: IntColumn
    close: IntColumn
    funding_rate: FloatColumn
    gap_rate_long: FloatColumn
    gap_rate_short: FloatColumn

    def __len__(self) -> int:
        return int(self.time_ms.shape[0])

    def bar(self, row: int) -> Bar:
        """One bar as plain Python values."""
        return Bar(
            open=int(self.open[row]),
            high=int(self.high[row]),
            low=int(self.low[row]),
            close=int(self.close[row]),
            funding_rate=float(self.funding_rate[row]),
            gap_rate_long=float(self.gap_rate_long[row]),
            gap_rate_short=float(self.gap_rate_short[row]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketBars:
    """Instruments side by side: ``rows[m, t]`` is the row of instrument m at ``time_ms[t]``."""

    time_ms: IntColumn
    rows: IntColumn
    instruments: tuple[InstrumentBars, ...]

    def __len__(self) -> int:
        return int(self.time_ms.shape[0])

    def data_hash(self) -> str:
        """sha256 of every number that a run can see, for its record."""
        digest = hashlib.sha256(self.time_ms.tobytes())
        for bars in self.instruments:
            for name in ("time_ms", "open", "high", "low", "close", "funding_rate"):
                digest.update(np.ascontiguousarray(getattr(bars, name)).tobytes())
        return digest.hexdigest()


def build_instrument_bars(
    *,
    time_ms: IntColumn,
    open_price: FloatColumn,
    high: FloatColumn,
    low: FloatColumn,
    close: FloatColumn,
    tick_size: float,
    funding_rate: FloatColumn | None = None,
    gap_history: tuple[float, float] = (0.0, 0.0),
) -> InstrumentBars:
    """Whole ticks of the given prices; funding falls on the 8-hour stamps at the default rate.

    ``funding_rate``, if given, is per bar and charged at the bar's open (0 = no stamp).
    ``gap_history`` is the worst adverse hour for long and short known before the first bar.
    Raises :class:`InvalidInput` for unordered times, bad prices or a bar outside its range.
    """
    if time_ms.size == 0 or (np.diff(time_ms) <= 0).any():
        raise InvalidInput("open times must rise strictly", code="bar_order")
    columns = []
    for name, prices in (("open", open_price), ("high", high), ("low", low), ("close", close)):
        if prices.shape != time_ms.shape:
            raise InvalidInput(f"column {name} has another length", code="column_length")
        if not (np.isfinite(prices).all() and prices.min() > 0):
            raise InvalidInput(f"column {name} holds a bad price", code="bad_price")
        columns.append(np.maximum(np.rint(prices / tick_size).astype(np.int64), 1))
    o, h, lo, c = columns
    if (lo > np.minimum(o, c)).any() or (h < np.maximum(o, c)).any():
        raise InvalidInput("a bar's high or low lies inside its body", code="bar_range")
    if funding_rate is None:
        stamped = time_ms % FUNDING_PERIOD_MS == 0
        funding_rate = np.where(stamped, FUNDING_RATE_DEFAULT, 0.0)
    gap_long, gap_short = compute_gap_rates(open_=o, high=h, low=lo, close=c, history=gap_history)
    return InstrumentBars(
        time_ms=np.ascontiguousarray(time_ms, dtype=np.int64),
        open=o,
        high=h,
        low=lo,
        close=c,
        funding_rate=np.ascontiguousarray(funding_rate, dtype=np.float64),
        gap_rate_long=gap_long,
        gap_rate_short=gap_short,
    )


def compute_gap_rates(
    *,
    open_: IntColumn,
    high: IntColumn,
    low: IntColumn,
    close: IntColumn,
    history: tuple[float, float] = (0.0, 0.0),
) -> tuple[FloatColumn, FloatColumn]:
    """Worst adverse bar known at each close, for a long and for a short, as fractions >= 0.

    A bar's adverse move runs from the previous close (the open for the first) to its low or high.
    """
    before = np.concatenate((open_[:1], close[:-1])).astype(np.float64)
    fall = np.maximum.accumulate(np.maximum(1.0 - low / before, history[0]))
    rise = np.maximum.accumulate(np.maximum(high / before - 1.0, history[1]))
    return np.maximum(fall, 0.0), np.maximum(rise, 0.0)


def join_markets(instruments: Sequence[InstrumentBars]) -> MarketBars:
    """All instruments on the union of their open times."""
    if not instruments:
        raise InvalidInput("a market needs an instrument", code="empty_run")
    grid = instruments[0].time_ms
    if all(np.array_equal(bars.time_ms, grid) for bars in instruments):
        rows = np.tile(np.arange(grid.size, dtype=np.int64), (len(instruments), 1))
        return MarketBars(time_ms=grid, rows=rows, instruments=tuple(instruments))
    grid = np.unique(np.concatenate([bars.time_ms for bars in instruments]))
    rows = np.full((len(instruments), grid.size), -1, dtype=np.int64)
    for index, bars in enumerate(instruments):
        rows[index, np.searchsorted(grid, bars.time_ms)] = np.arange(len(bars))
    return MarketBars(time_ms=grid, rows=rows, instruments=tuple(instruments))
