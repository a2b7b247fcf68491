"""Closed candles as columns: stored by COPY, read from PostgreSQL and, old minutes, from files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

import numpy as np
import psycopg
from django.db import connection

from magnetfund.kernel.clock import from_milliseconds, to_milliseconds
from trading.domain.candle_rows import (
    COPY_COLUMNS,
    decode_number_array,
    decode_times_ms,
    encode_candle_rows,
)
from trading.domain.market import Candles, timeframe_ms
from trading.models import Candle, CandleFile, Instrument
from trading.services.candle_archive import Columns, find_files, read_columns

#: Bars a COPY message holds; also how often progress is told.
CHUNK = 20_000


def load_candles(
    instrument: Instrument,
    timeframe: str,
    *,
    start_ms: int | None = None,
    end_ms: int | None = None,
) -> Candles:
    """Stored closed candles with ``start_ms <= open time < end_ms``, newest version of each."""
    low = from_milliseconds(start_ms) if start_ms is not None else None
    high = from_milliseconds(end_ms) if end_ms is not None else None
    statement = """
        SELECT array_agg(open_time), array_agg(open), array_agg(high), array_agg(low),
               array_agg(close), array_agg(volume)
        FROM (SELECT open_time, open, high, low, close, volume
              FROM trading_candle
              WHERE instrument_id = %s AND timeframe = %s
                AND (%s::timestamptz IS NULL OR open_time >= %s)
                AND (%s::timestamptz IS NULL OR open_time < %s)
              ORDER BY open_time, version) AS bar"""
    values = [instrument.pk, timeframe, low, low, high, high]
    connection.ensure_connection()
    with (
        connection.wrap_database_errors,
        psycopg.Cursor(connection.connection) as cursor,
    ):
        cursor.execute(statement, values, binary=True)
        result = cursor.pgresult
        columns = [result.get_value(0, k) for k in range(6)] if result is not None else [None]
    if columns[0] is None:
        times, prices = np.empty(0, dtype=np.int64), np.empty((5, 0))
    else:
        times = decode_times_ms(columns[0])
        prices = np.stack([decode_number_array(c or b"", kind=">f8") for c in columns[1:]])
    files = find_files(instrument, timeframe, start=low, end=high)
    parts = [_cut(read_columns(row), start_ms, end_ms) for row in files]
    times, (open_, high_, low_, close, volume) = _join([*parts, (times, prices)])
    return Candles(
        instrument=instrument.symbol,
        timeframe_ms=timeframe_ms(timeframe),
        open_time=times,
        open=open_,
        high=high_,
        low=low_,
        close=close,
        volume=volume,
    )


def _cut(found: Columns, start_ms: int | None, end_ms: int | None) -> Columns:
    """The bars of the span, of times in order."""
    times, prices = found
    first = 0 if start_ms is None else int(np.searchsorted(times, start_ms))
    stop = times.size if end_ms is None else int(np.searchsorted(times, end_ms))
    return times[first:stop], prices[:, first:stop]


def _join(parts: Sequence[Columns]) -> Columns:
    """The bars of all parts in order of time; of a bar that comes again, the last one counts."""
    times = np.concatenate([part[0] for part in parts])
    prices = np.concatenate([part[1] for part in parts], axis=1)
    steps = np.diff(times)
    if (steps <= 0).any():  # months in their order are the rule
        order = np.argsort(times, kind="stable")
        times, prices = times[order], prices[:, order]
        newest = np.append(np.diff(times) != 0, True)
        times, prices = times[newest], np.ascontiguousarray(prices[:, newest])
    return times, prices


def store_candles(
    candles: Candles,
    *,
    instrument: Instrument,
    timeframe: str,
    source: str,
    available_ms: int,
    on_progress: Callable[[int], None] | None = None,
) -> None:
    """COPY new candles in the caller's transaction.  None of them may be stored already."""
    columns = ", ".join(f'"{name}"' for name in COPY_COLUMNS)
    prices = np.stack([candles.open, candles.high, candles.low, candles.close, candles.volume])
    with (
        connection.wrap_database_errors,
        connection.cursor() as cursor,
    ):
        for start in range(0, len(candles), CHUNK):
            stop = min(start + CHUNK, len(candles))
            body = encode_candle_rows(
                instrument_id=instrument.pk,
                timeframe=timeframe,
                timeframe_ms=candles.timeframe_ms,
                source=source,
                version=1,
                available_ms=available_ms,
                open_time=candles.open_time[start:stop],
                prices=prices[:, start:stop],
            )
            statement = f"COPY trading_candle ({columns}) FROM STDIN (FORMAT BINARY)"
            with cursor.copy(statement) as stream:
                stream.write(body)
            if on_progress is not None:
                on_progress(stop - start)


def load_last_candles(
    instrument: Instrument, timeframe: str, *, count: int, before_ms: int | None = None
) -> Candles:
    """The last ``count`` stored bars, of those that open before an instant if one is given."""
    rows = Candle.objects.filter(instrument=instrument, timeframe=timeframe)
    before = from_milliseconds(before_ms) if before_ms is not None else None
    if before is not None:
        rows = rows.filter(open_time__lt=before)
    times = list(rows.order_by("-open_time").values_list("open_time", flat=True)[: 2 * count])
    newest = sorted(set(times))[-count:]
    files = find_files(instrument, timeframe, start=None, end=before)
    if len(newest) == count:
        files = [row for row in files if row.ends_at > newest[0]]
    starts = [*_starts_holding(files, 2 * count, before), *newest[:1]]
    start = to_milliseconds(min(starts)) if starts else before_ms or 0
    found = load_candles(instrument, timeframe, start_ms=start, end_ms=before_ms)
    return found.between(max(0, len(found) - count), len(found))


def _starts_holding(
    files: Sequence[CandleFile], count: int, before: datetime | None
) -> list[datetime]:
    """Starts of the newest files that hold so many bars before an instant; all where fewer do."""
    starts, held = [], 0
    for row in sorted(files, key=lambda row: row.starts_at, reverse=True):
        starts.append(row.starts_at)
        # Of a month that the instant cuts, nobody knows how many lie before it.
        held += row.rows if before is None or row.ends_at <= before else 0
        if held >= count:
            break
    return starts


def first_open_after(instrument: Instrument, timeframe: str, after_ms: int) -> int | None:
    """Open time (ms) of the first stored bar that opens after an instant; None where none does."""
    after = from_milliseconds(after_ms)
    rows = Candle.objects.filter(instrument=instrument, timeframe=timeframe, open_time__gt=after)
    first = rows.order_by("open_time").values_list("open_time", flat=True).first()
    found = [to_milliseconds(first)] if first is not None else []
    files = find_files(instrument, timeframe, start=after, end=first)
    for row in sorted(files, key=lambda row: row.starts_at):
        if found and to_milliseconds(row.starts_at) > min(found):
            break
        times = read_columns(row)[0]
        found += times[times > after_ms][:1].tolist()
    return min(found, default=None)


def stored_spans(timeframes: Sequence[str]) -> dict[tuple[int, str], tuple[datetime, datetime]]:
    """First and last stored open time by instrument (key) and timeframe; of files, their months."""
    statement = """
        SELECT i.id, t.name, first.open_time, last.open_time
        FROM trading_instrument i CROSS JOIN unnest(%s::text[]) AS t(name)
        CROSS JOIN LATERAL (SELECT open_time FROM trading_candle c WHERE c.instrument_id = i.id
          AND c.timeframe = t.name ORDER BY open_time LIMIT 1) first
        CROSS JOIN LATERAL (SELECT open_time FROM trading_candle c WHERE c.instrument_id = i.id
          AND c.timeframe = t.name ORDER BY open_time DESC LIMIT 1) last
        UNION ALL
        SELECT instrument_id, timeframe, min(starts_at),
               max(ends_at) - interval '1 minute' FROM trading_candlefile
        WHERE timeframe = ANY(%s) GROUP BY 1, 2"""
    spans: dict[tuple[int, str], tuple[datetime, datetime]] = {}
    with connection.cursor() as cursor:
        cursor.execute(statement, [list(timeframes), list(timeframes)])
        for pk, name, first, last in cursor.fetchall():
            known = spans.get((pk, name), (first, last))
            spans[pk, name] = (min(known[0], first), max(known[1], last))
    return spans
