"""Rows of candle files, reduced to columns, before anybody judges whether they are sane.

Pure: takes the text, JSON value or table that a caller read, and returns :class:`RawCandles`.
A cell that is no number becomes NaN, which validation at the door refuses and records with its
line; a file whose columns cannot be understood raises :class:`InvalidInput` as a whole.

Formats: Binance klines (12 columns, with or without a header, milliseconds or microseconds),
CryptoDataDownload (a link in line 1, newest row first), freqtrade JSON (rows of lists) and
feather, and any table with a time column and open, high, low, close, volume.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from magnetfund.kernel.errors import InvalidInput
from trading.domain.market.slices import name_length

TIME_NAMES = ("open_time", "open time", "unix", "timestamp", "date", "time", "datetime", "opentime")
PRICE_NAMES = ("open", "high", "low", "close")
#: Milliseconds of 2001-09-09 and of 2286-11-20: stamps outside were given in another unit.
_MS_LOW, _MS_HIGH = 1e12, 1e13


@dataclass(frozen=True, slots=True, kw_only=True)
class RawCandles:
    """Columns as the file gives them, in file order.

    ``open_time`` is integer milliseconds UTC (the minimum int64 where the cell was no time);
    prices and volume are float64 with NaN for what was no number; ``line`` counts from 1.
    """

    open_time: NDArray[np.int64]
    open: NDArray[np.float64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]
    close: NDArray[np.float64]
    volume: NDArray[np.float64]
    line: NDArray[np.int64]

    def __len__(self) -> int:
        return int(self.open_time.shape[0])


NO_TIME = np.iinfo(np.int64).min


def columns_to_raw(
    *,
    time: Sequence[Any] | NDArray[Any],
    prices: Sequence[Sequence[Any] | NDArray[Any]],
    volume: Sequence[Any] | NDArray[Any],
    first_line: int = 1,
) -> RawCandles:
    """Raw candles from columns of anything; ``prices`` is (open, high, low, close)."""
    open_time = to_milliseconds_utc(np.asarray(time))
    n = open_time.shape[0]
    o, h, low, c = (to_floats(column) for column in prices)
    return RawCandles(
        open_time=open_time,
        open=o,
        high=h,
        low=low,
        close=c,
        volume=to_floats(volume),
        line=np.arange(first_line, first_line + n, dtype=np.int64),
    )


def parse_csv_candles(text: str) -> RawCandles:
    """Candles of a CSV text in any of the known layouts.

    Raises :class:`InvalidInput` with code ``wrong_columns`` or ``empty_file``.
    """
    lines = text.splitlines()
    skipped = 0
    while lines and (not lines[0].strip() or lines[0].lstrip().lower().startswith("http")):
        lines.pop(0)
        skipped += 1
    if not lines:
        raise InvalidInput("the file holds no rows", code="empty_file")
    rows = list(csv.reader(io.StringIO("\n".join(lines))))
    header = [cell.strip().lower() for cell in rows[0]]
    if _is_number(header[0]) and len(header) >= 6:
        width, body, first = len(header), rows, skipped + 1
        index = {"time": 0, "open": 1, "high": 2, "low": 3, "close": 4, "volume": 5}
    else:
        index = _header_index(header)
        width, body, first = len(header), rows[1:], skipped + 2
    if not body:
        raise InvalidInput("the file holds no rows", code="empty_file")
    for offset, row in enumerate(body):
        if len(row) != width:
            raise InvalidInput(
                f"line {first + offset} has {len(row)} columns instead of {width}",
                code="wrong_columns",
            )
    return columns_to_raw(
        time=[row[index["time"]] for row in body],
        prices=[[row[index[name]] for row in body] for name in PRICE_NAMES],
        volume=[row[index["volume"]] for row in body],
        first_line=first,
    )


def parse_json_candles(value: Any) -> RawCandles:
    """Candles of freqtrade's JSON: a list of [time, open, high, low, close, volume]."""
    if not isinstance(value, list) or not value:
        raise InvalidInput("the file holds no rows", code="empty_file")
    if any(not isinstance(row, list) or len(row) < 6 for row in value):
        raise InvalidInput("a row is not a list of six values", code="wrong_columns")
    return columns_to_raw(
        time=[row[0] for row in value],
        prices=[[row[i] for row in value] for i in range(1, 5)],
        volume=[row[5] for row in value],
    )


def table_to_raw(columns: dict[str, NDArray[Any]]) -> RawCandles:
    """Candles of a columnar file (Parquet, feather) whose columns were read by name."""
    index = _header_index([name.strip().lower() for name in columns])
    values = list(columns.values())
    return columns_to_raw(
        time=values[index["time"]],
        prices=[values[index[name]] for name in PRICE_NAMES],
        volume=values[index["volume"]],
    )


def require_length(raw: RawCandles, *, length_ms: int) -> None:
    """Refuse rows that stand closer than their bars are long: minutes are no hours.

    Of each hour its first minute alone would be taken, with a range that no hour has.  Raises
    :class:`InvalidInput` (``wrong_timeframe``).
    """
    times = np.unique(raw.open_time[raw.open_time > 0])
    usual = int(np.median(np.diff(times))) if times.size > 2 else length_ms
    if usual < length_ms:
        raise InvalidInput(
            f"the rows stand {name_length(usual)} apart, which are no candles of "
            f"{name_length(length_ms)}; name their timeframe",
            code="wrong_timeframe",
        )


def _header_index(header: Sequence[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for name in TIME_NAMES:
        if name in header:
            found["time"] = header.index(name)
            break
    for name in PRICE_NAMES:
        if name in header:
            found[name] = header.index(name)
    for at, name in enumerate(header):
        if name == "volume" or (name.startswith("volume") and "volume" not in found):
            found["volume"] = at
    missing = [name for name in ("time", *PRICE_NAMES, "volume") if name not in found]
    if missing:
        raise InvalidInput(
            f"no column for {', '.join(missing)}; the file has {', '.join(header)}"[:300],
            code="wrong_columns",
        )
    return found


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def to_floats(column: Sequence[Any] | NDArray[Any]) -> NDArray[np.float64]:
    """A column of anything as float64, NaN where a cell is no number."""
    array = np.asarray(column)
    if array.dtype.kind in "fiu":
        return np.ascontiguousarray(array, dtype=np.float64)
    out = np.full(array.shape[0], np.nan)
    for i, cell in enumerate(array.tolist()):
        try:
            out[i] = float(cell)
        except (TypeError, ValueError):
            continue
    return out


def to_milliseconds_utc(column: Sequence[Any] | NDArray[Any]) -> NDArray[np.int64]:
    """Stamps in seconds, milliseconds, microseconds, nanoseconds or ISO text as milliseconds.

    The unit is told of each stamp by its size, so that a file may go from one to another, as the
    archives of an exchange that began to write microseconds do when they are joined.
    """
    array = np.asarray(column)
    if array.dtype.kind == "M":
        return array.astype("datetime64[ms]").astype(np.int64)
    if array.dtype.kind in "iuf":
        return _scale(array.astype(np.float64))
    cells = [str(cell).strip() for cell in array.tolist()]
    numbers = to_floats(cells)
    out = _scale(numbers)
    for place in np.flatnonzero(np.isnan(numbers)).tolist():
        text = cells[place].replace("Z", "").replace("+00:00", "").replace(" UTC", "")
        try:
            out[place] = np.datetime64(text, "ms").astype(np.int64)
        except ValueError:
            continue
    return out


def _scale(numbers: NDArray[np.float64]) -> NDArray[np.int64]:
    with np.errstate(invalid="ignore"):
        scaled = np.select(
            [numbers < _MS_LOW / 100, numbers < _MS_HIGH, numbers < _MS_HIGH * 100_000],
            [numbers * 1000.0, numbers, np.floor(numbers / 1e3)],
            np.floor(numbers / 1e6),
        )
        bad = ~np.isfinite(scaled) | (scaled <= 0) | (scaled > 2e14)
        return np.where(bad, float(NO_TIME), scaled).astype(np.int64)
