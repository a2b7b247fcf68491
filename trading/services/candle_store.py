"""Closed candles in PostgreSQL: stored by COPY, read back as columns."""

from __future__ import annotations

from collections.abc import Callable

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
from trading.models import Candle, Instrument

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
        # Versions of a bar come in their order (that of the index); the last one counts.
        newest = np.append(times[1:] != times[:-1], True)
        times, prices = times[newest], prices[:, newest]
    open_, high_, low_, close, volume = prices
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
    if before_ms is not None:
        rows = rows.filter(open_time__lt=from_milliseconds(before_ms))
    times = list(rows.order_by("-open_time").values_list("open_time", flat=True)[: 2 * count])
    newest = sorted(set(times))[-count:]
    start = to_milliseconds(newest[0]) if newest else before_ms or 0
    return load_candles(instrument, timeframe, start_ms=start, end_ms=before_ms)
