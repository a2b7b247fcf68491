"""Incoming bars beside those that are there: stored ones, and ones refused that wait."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trading.domain.candle_files import RawCandles
from trading.domain.market import (
    CandleReason,
    Candles,
)
from trading.models import Instrument, MarketRefusal
from trading.services.candle_store import load_candles, load_last_candles

#: The columns of a bar beside its time.
PRICES = ("open", "high", "low", "close", "volume")
_HELD = (CandleReason.JUMP.value, CandleReason.SCALE.value)


def _usable_times(raw: RawCandles) -> NDArray[np.int64]:
    return raw.open_time[(raw.open_time > 0) & (raw.open_time < 4_102_444_800_000)]


def first_time(raw: RawCandles) -> int:
    times = _usable_times(raw)
    return int(times.min()) if times.size else 0


def load_stored_span(raw: RawCandles, instrument: Instrument, timeframe: str) -> Candles:
    """The stored bars between the first and the last incoming one."""
    times = _usable_times(raw)
    if not times.size:
        return load_candles(instrument, timeframe, start_ms=0, end_ms=0)
    return load_candles(
        instrument, timeframe, start_ms=int(times.min()), end_ms=int(times.max()) + 1
    )


def compare_bars(raw: RawCandles, stored: Candles) -> tuple[NDArray[np.bool_], int, int]:
    """Which incoming bars are stored already; how many of them agree, and how many do not.

    A row of garbage at a stored time is left to validation, which names what is wrong with it.
    """
    nothing = np.zeros(len(raw), dtype=np.bool_)
    if not len(stored):
        return nothing, 0, 0
    position = np.searchsorted(stored.open_time, raw.open_time)
    position = np.minimum(position, len(stored) - 1)
    known = stored.open_time[position] == raw.open_time
    same = known.copy()
    for name in PRICES:
        same &= getattr(stored, name)[position] == getattr(raw, name)
    with np.errstate(invalid="ignore"):
        sane = known & (raw.low > 0) & (raw.volume >= 0) & np.isfinite(raw.high + raw.volume)
        sane &= (raw.low <= np.minimum(raw.open, raw.close)) & (
            raw.high >= np.maximum(raw.open, raw.close)
        )
    return same | sane, int(same.sum()), int((sane & ~same).sum())


def load_held_bars(
    instrument: Instrument, timeframe: str, raw: RawCandles, stored: Candles
) -> RawCandles:
    """Bars refused for their price after the last one stored before these, which they may confirm.

    A bar that came again in this import is judged as the import gives it.
    """
    first = first_time(raw)
    before = load_last_candles(instrument, timeframe, count=1, before_ms=first)
    since = int(before.open_time[-1]) if len(before) else 0
    times = set(raw.open_time.tolist()) | set(stored.open_time.tolist())
    bars: dict[int, dict[str, float]] = {}
    found = MarketRefusal.objects.filter(
        instrument=instrument,
        reason__in=_HELD,
        raw__timeframe=timeframe,
        raw__open_time__gt=since,
        raw__open_time__lt=int(_usable_times(raw).max(initial=0)),
    ).order_by("id")
    for row in found.values_list("raw", flat=True):
        if row["open_time"] not in times:
            bars[row["open_time"]] = row
    ordered = sorted(bars)
    columns = {
        name: np.array([bars[time][name] for time in ordered], dtype=np.float64) for name in PRICES
    }
    return RawCandles(
        open_time=np.array(ordered, dtype=np.int64),
        **columns,
        line=np.zeros(len(ordered), dtype=np.int64),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class MergedBars:
    """Incoming bars first (``incoming`` of them), then those held before, then those stored."""

    raw: RawCandles
    rows: NDArray[np.int64]
    incoming: int
    stored: NDArray[np.int64]

    def confirmed(self, *, confirm_jumps: bool) -> frozenset[int]:
        times = self.raw.open_time if confirm_jumps else self.stored
        return frozenset(times.tolist())


def merge_bars(
    raw: RawCandles, wanted: NDArray[np.bool_], held: RawCandles, stored: Candles
) -> MergedBars:
    """The incoming bars among those that surround them, so that each has its neighbours."""
    rows = np.flatnonzero(wanted)
    if not rows.size:
        stored = stored.between(0, 0)
    columns = {
        name: np.concatenate((getattr(raw, name)[rows], getattr(held, name), getattr(stored, name)))
        for name in ("open_time", *PRICES)
    }
    line = np.zeros(columns["open_time"].size, dtype=np.int64)
    line[: rows.size] = raw.line[rows]
    return MergedBars(
        raw=RawCandles(**columns, line=line),
        rows=rows,
        incoming=int(rows.size),
        stored=stored.open_time,
    )


def drop_bars(candles: Candles, times: NDArray[np.int64]) -> Candles:
    keep = ~np.isin(candles.open_time, times)
    return Candles(
        instrument=candles.instrument,
        timeframe_ms=candles.timeframe_ms,
        open_time=candles.open_time[keep],
        open=candles.open[keep],
        high=candles.high[keep],
        low=candles.low[keep],
        close=candles.close[keep],
        volume=candles.volume[keep],
    )
