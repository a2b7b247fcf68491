"""The spans of real hourly candles that the studies measure on, and how they are cut.

Signals are always made over a whole file and cut afterwards, so a sample begins warmed up.  Where
the files are absent a study says so and ends; nothing is invented in their place.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from bench.data import BTC_FILE, ETH_FILE, load_columns
from trading.domain.market.candles import DAY_MS, HOUR_MS, Candles

ROOT = Path(__file__).resolve().parent.parent
FILES = {"BTC": BTC_FILE, "ETH": ETH_FILE}
Columns = TypeVar("Columns")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Instruments traded together from ``start`` to ``end`` (UTC days, the end exclusive)."""

    name: str
    instruments: tuple[str, ...]
    start: str
    end: str

    def bounds_ms(self) -> tuple[int, int]:
        """The span in milliseconds."""
        first, last = (
            int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp() * 1000)
            for day in (self.start, self.end)
        )
        return first, last


BTC_EARLY = Sample(
    name="BTC 2017-10..2021-12", instruments=("BTC",), start="2017-10-01", end="2022-01-01"
)
BTC_LATE = Sample(
    name="BTC 2022-01..2024-04", instruments=("BTC",), start="2022-01-01", end="2024-04-22"
)
ETH_SHARED = Sample(
    name="ETH 2020-09..2024-04", instruments=("ETH",), start="2020-09-20", end="2024-04-22"
)
ETH_WHOLE = Sample(
    name="ETH 2020-11..2025-09", instruments=("ETH",), start="2020-11-16", end="2025-09-20"
)
ETH_UNSEEN = Sample(
    name="ETH 2024-05..2025-09", instruments=("ETH",), start="2024-05-01", end="2025-09-20"
)
PAIR = Sample(
    name="Pair 2020-12..2024-04", instruments=("BTC", "ETH"), start="2020-12-01", end="2024-04-22"
)


def find_folder(given: str | None) -> Path | None:
    """The folder of real data: ``given``, ``MAGNET_DATA`` or ``../shared/data``; None if absent."""
    folder = Path(given or os.environ.get("MAGNET_DATA") or ROOT.parent / "shared" / "data")
    return folder if (folder / "candles").is_dir() else None


def load_candles(folder: Path, instrument: str) -> Candles:
    """All hourly candles of "BTC" or "ETH"."""
    times, (open_, high, low, close, volume) = load_columns(folder / "candles" / FILES[instrument])
    return Candles(
        instrument=instrument,
        timeframe_ms=HOUR_MS,
        open_time=times,
        open=open_,
        high=high,
        low=low,
        close=close,
        volume=volume,
    )


def find_rows(candles: Candles, sample: Sample) -> slice:
    """The rows of a file that lie in a sample."""
    first, last = sample.bounds_ms()
    start, stop = np.searchsorted(candles.open_time, (first, last))
    return slice(int(start), int(stop))


def fill_hours(candles: Candles) -> Candles:
    """The same candles with every missing hour of their days written as a flat bar.

    The product never does this: a missing hour is missing knowledge.  The published figures count
    every hour of the calendar, so this is the variant that tells how much of a difference it makes.
    """
    first = candles.open_time[0] // DAY_MS * DAY_MS
    times = np.arange(first, candles.open_time[-1] + HOUR_MS, HOUR_MS, dtype=np.int64)
    before = np.searchsorted(candles.open_time, times, side="right") - 1
    row = np.maximum(before, 0)
    known = candles.open_time[row] == times
    flat = np.where(before < 0, candles.open[0], candles.close[row])
    prices = {
        name: np.where(known, getattr(candles, name)[row], flat)
        for name in ("open", "high", "low", "close")
    }
    volume = np.where(known, candles.volume[row], 0.0)
    return replace(candles, open_time=times, volume=volume, **prices)


def cut_rows(columns: Columns, rows: slice) -> Columns:
    """The given rows of a frozen dataclass of columns, other fields kept."""
    changed: dict[str, Any] = {}
    for item in fields(columns):  # type: ignore[arg-type]  # any dataclass of columns
        value = getattr(columns, item.name)
        if isinstance(value, np.ndarray):
            changed[item.name] = value[rows]
    return replace(columns, **changed)  # type: ignore[type-var]  # as above
