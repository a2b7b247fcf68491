"""Candles into PostgreSQL by COPY and back as columns; gaps and refusals beside them.

An import is one transaction: a full disk, a lost connection or an interrupt leaves everything as
it was.  Bars that are stored already are skipped, so an import can be repeated; a stored bar whose
content differs from the file's is reported and kept, never overwritten.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import psycopg
from django.db import connection, transaction

from magnetfund.core.actors import Actor
from magnetfund.core.services.audit import record_audit
from magnetfund.kernel.clock import from_milliseconds, to_milliseconds, utc_now
from trading.domain.candle_files import RawCandles
from trading.domain.candle_rows import (
    COPY_COLUMNS,
    decode_number_array,
    decode_times_ms,
    encode_candle_rows,
)
from trading.domain.market import (
    Candles,
    DayRule,
    check_candles,
    find_gaps,
    timeframe_ms,
)
from trading.models import CandleGap, Instrument, MarketRefusal

#: Bars a COPY message holds; also how often progress is told.
CHUNK = 20_000
#: Refused bars that are kept with their content; the rest is counted.
REFUSALS_KEPT = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportReport:
    """What an import did.  ``refused`` counts by reason; gaps are those of the stored series."""

    rows: int
    taken: int
    already_stored: int
    differing: int
    refused: dict[str, int]
    first: datetime | None
    last: datetime | None
    gaps: int
    gap_bars: int


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


def import_candles(
    raw: RawCandles,
    *,
    instrument: Instrument,
    timeframe: str,
    source: str,
    actor: Actor,
    on_progress: Callable[[int], None] | None = None,
) -> ImportReport:
    """Check, compare, store and account for the bars of one file, all or nothing."""
    step = timeframe_ms(timeframe)
    now = utc_now()
    checked = check_candles(
        instrument=instrument.symbol,
        timeframe_ms=step,
        open_time=raw.open_time,
        open=raw.open,
        high=raw.high,
        low=raw.low,
        close=raw.close,
        volume=raw.volume,
        now_ms=to_milliseconds(now),
        sort=True,
    )
    refused: dict[str, int] = {}
    for refusal in checked.refusals:
        refused[refusal.reason.value] = refused.get(refusal.reason.value, 0) + 1
    with transaction.atomic():
        stored = load_candles(instrument, timeframe)
        fresh, differing = _split_known(checked.candles, stored)
        store_candles(
            fresh,
            instrument=instrument,
            timeframe=timeframe,
            source=source,
            available_ms=to_milliseconds(now),
            on_progress=on_progress,
        )
        MarketRefusal.objects.bulk_create(
            MarketRefusal(
                instrument=instrument,
                source=source,
                reason=refusal.reason.value,
                line=int(raw.line[refusal.row]),
                raw=_plain_bar(refusal),
            )
            for refusal in checked.refusals[:REFUSALS_KEPT]
        )
        gaps = _record_gaps(instrument, timeframe, load_candles(instrument, timeframe))
        report = ImportReport(
            rows=len(raw),
            taken=len(fresh),
            already_stored=len(checked.candles) - len(fresh) - differing,
            differing=differing,
            refused=refused,
            first=from_milliseconds(int(fresh.open_time[0])) if len(fresh) else None,
            last=from_milliseconds(int(fresh.open_time[-1])) if len(fresh) else None,
            gaps=len(gaps),
            gap_bars=sum(bars for _, bars in gaps),
        )
        record_audit(
            actor=actor,
            action="market.imported",
            subject=("instrument", instrument.symbol),
            body={
                "source": source,
                "timeframe": timeframe,
                "taken": report.taken,
                "refused": refused,
            },
        )
    return report


def _split_known(candles: Candles, stored: Candles) -> tuple[Candles, int]:
    """The bars that are not stored yet, and how many stored ones the file contradicts."""
    if not len(stored):
        return candles, 0
    position = np.searchsorted(stored.open_time, candles.open_time)
    position = np.minimum(position, len(stored) - 1)
    known = stored.open_time[position] == candles.open_time
    same = known.copy()
    for name in ("open", "high", "low", "close", "volume"):
        same &= getattr(stored, name)[position] == getattr(candles, name)
    fresh = ~known
    kept = Candles(
        instrument=candles.instrument,
        timeframe_ms=candles.timeframe_ms,
        open_time=candles.open_time[fresh],
        open=candles.open[fresh],
        high=candles.high[fresh],
        low=candles.low[fresh],
        close=candles.close[fresh],
        volume=candles.volume[fresh],
    )
    return kept, int((known & ~same).sum())


def _record_gaps(
    instrument: Instrument, timeframe: str, candles: Candles
) -> list[tuple[datetime, int]]:
    """Bring the recorded holes to those of the stored series; a filled hole is closed, not lost."""
    if not len(candles):
        return []
    found = find_gaps(candles=candles, day_rule=DayRule.UTC_MIDNIGHT)
    now = utc_now()
    open_starts = {from_milliseconds(gap.start): gap for gap in found}
    for row in CandleGap.objects.filter(
        instrument=instrument, timeframe=timeframe, refilled_at=None
    ):
        gap = open_starts.get(row.start)
        if gap is None:
            row.refilled_at = now
            row.save(update_fields=["refilled_at"])
        elif row.end != from_milliseconds(gap.end):
            row.end = from_milliseconds(gap.end)
            row.save(update_fields=["end"])
    CandleGap.objects.bulk_create(
        [
            CandleGap(
                instrument=instrument,
                timeframe=timeframe,
                start=start,
                end=from_milliseconds(gap.end),
                reason=gap.reason.value,
                found_at=now,
            )
            for start, gap in open_starts.items()
        ],
        ignore_conflicts=True,
    )
    return [(start, gap.bars) for start, gap in open_starts.items()]


def _plain_bar(refusal: object) -> dict[str, object]:
    """The refused bar as JSON: what is no number is told in words."""
    names = ("open_time", "open", "high", "low", "close", "volume")
    plain: dict[str, object] = {}
    for name in names:
        value = getattr(refusal, name)
        plain[name] = value if isinstance(value, int) or np.isfinite(value) else str(value)
    return plain
