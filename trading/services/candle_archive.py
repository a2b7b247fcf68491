"""Old minutes as Parquet files of the home, a month of one instrument each, with its hash.

Minutes are by far the most rows, and old ones are read by research alone.  A complete month that
ended long enough ago moves into a file, in one transaction: the file is on disk before its row says
so, and the rows go in the commit that tells of it.  Files are written once.  Reading goes through
:mod:`trading.services.candle_store`, which puts rows and files together.
"""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import psycopg
from django.conf import settings
from django.db import connection, transaction
from numpy.typing import NDArray

from magnetfund.core.actors import Actor
from magnetfund.core.locks import AdvisoryLock, take_lock
from magnetfund.core.services.audit import record_audit
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import InvalidInput, InvariantBroken
from trading.domain.candle_rows import decode_number_array, to_unix_us
from trading.models import CandleFile, Instrument

if TYPE_CHECKING:
    from pyarrow import Table

#: The timeframes whose old candles become files.
ARCHIVED = ("1m",)
KEEP_DAYS = 90
#: A month that ended later may still be filled, compared and charted; the database refuses it too.
KEEP_DAYS_MIN = 30
PRICES = ("open", "high", "low", "close", "volume")
SHOWN = 40
SOURCES = """
SELECT DISTINCT source FROM trading_candle
WHERE instrument_id = %s AND timeframe = %s AND open_time >= %s AND open_time < %s"""
#: One value a column: a row a message would cost the driver more than the database.
COLUMNS = """
SELECT array_agg(open_time), array_agg(available_at), array_agg(version::bigint),
       array_agg(array_position(%s::text[], source::text)::bigint), array_agg(open),
       array_agg(high), array_agg(low), array_agg(close), array_agg(volume)
FROM (SELECT * FROM trading_candle
      WHERE instrument_id = %s AND timeframe = %s AND open_time >= %s AND open_time < %s
      ORDER BY open_time, version) AS bar"""
Columns = tuple[NDArray[np.int64], NDArray[np.float64]]


def find_files(
    instrument: Instrument, timeframe: str, *, start: datetime | None, end: datetime | None
) -> list[CandleFile]:
    """The files that hold candles of ``[start, end)``, in the order in which they were written."""
    if timeframe not in ARCHIVED:
        return []
    rows = CandleFile.objects.filter(instrument=instrument, timeframe=timeframe)
    if start is not None:
        rows = rows.filter(ends_at__gt=start)
    if end is not None:
        rows = rows.filter(starts_at__lt=end)
    return list(rows.order_by("id"))


def read_columns(row: CandleFile) -> Columns:
    """Open times (ms) and prices of shape (5, n), the newest version of each bar.

    Raises :class:`InvariantBroken` (``candle_file``) for a file that is missing or was altered.
    """
    from pyarrow import parquet

    problem, content = _read(row)
    if problem:
        raise InvariantBroken(problem, code="candle_file")
    # Handed over as they lie in memory: `read_table` and `to_numpy` load pandas, a second's work.
    found = parquet.ParquetFile(io.BytesIO(content)).read(columns=["open_time", *PRICES])
    times = np.from_dlpack(found.column("open_time").combine_chunks().cast("int64"))
    prices = np.stack([np.from_dlpack(found.column(name).combine_chunks()) for name in PRICES])
    newest = np.append(times[1:] != times[:-1], True)
    return times[newest], prices[:, newest]


def find_file_differences() -> list[str]:
    """Every file of old candles is there and unaltered."""
    problems = (_read(row)[0] for row in CandleFile.objects.order_by("id").iterator())
    return [problem for problem in problems if problem][:SHOWN]


def find_missing_files() -> list[str]:
    """Files of old candles that are gone or have another size; their content is not read."""
    found = []
    for row in CandleFile.objects.order_by("id").iterator():
        path = _path_of(row)
        if not path.is_file():
            found.append(f"{row.path} is missing")
        elif path.stat().st_size != row.size:
            found.append(f"{row.path} has another size than when it was written")
    return found


def archive_months(
    *,
    keep_days: int = KEEP_DAYS,
    actor: Actor,
    months_max: int | None = None,
    on_month: Callable[[CandleFile], None] | None = None,
) -> list[CandleFile]:
    """Move each complete month of minutes that ended over ``keep_days`` ago into a file.

    Needs the owner's role, since no other may delete a candle.  Each month is a commit of its own:
    whatever ends it leaves whole months only.  Raises :class:`InvalidInput` (``keep_days``).
    """
    if keep_days < KEEP_DAYS_MIN:
        raise InvalidInput(
            f"keep at least {KEEP_DAYS_MIN} days of minutes as rows", code="keep_days"
        )
    before = utc_now() - timedelta(days=keep_days)
    made: list[CandleFile] = []
    for instrument in Instrument.objects.order_by("symbol", "venue"):
        for timeframe in ARCHIVED:
            for start, end in _months(instrument, timeframe, before):
                if months_max is not None and len(made) >= months_max:
                    return made
                row = _archive(instrument, timeframe, start, end, actor)
                if row is not None:
                    made.append(row)
                    if on_month is not None:
                        on_month(row)
    return made


def _months(
    instrument: Instrument, timeframe: str, before: datetime
) -> Iterator[tuple[datetime, datetime]]:
    """Complete months, ended by then, of which there are rows; oldest first."""
    rows = instrument.candles.filter(timeframe=timeframe).order_by("open_time")
    start = rows.values_list("open_time", flat=True).first()
    while start is not None:
        start = start.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        end = (start + timedelta(days=32)).replace(day=1)
        if end > before:
            return
        yield start, end
        start = rows.filter(open_time__gte=end).values_list("open_time", flat=True).first()


def _archive(
    instrument: Instrument, timeframe: str, start: datetime, end: datetime, actor: Actor
) -> CandleFile | None:
    """One month: file, row, audit line and deletion, all or none of them."""
    path: Path | None = None
    with transaction.atomic():
        # Who imports into this series waits, and then finds these bars in their file.
        take_lock(AdvisoryLock.CANDLE_SERIES, f"{instrument.pk}/{timeframe}")
        try:
            table = _read_rows(instrument, timeframe, start, end)
            if not table.num_rows:
                return None
            content = _encode(table)
            digest = hashlib.sha256(content).hexdigest()
            name = f"{instrument.pk}/{timeframe}/{start:%Y-%m}-{digest[:12]}.parquet"
            path = settings.CANDLE_FOLDER / name
            _write(path, content)
            row = CandleFile.objects.create(
                instrument=instrument, timeframe=timeframe, starts_at=start, ends_at=end,
                rows=table.num_rows, size=len(content), sha256=digest, path=name,
                archived_at=utc_now(),
            )  # fmt: skip
            with connection.cursor() as cursor:
                cursor.execute(
                    "DELETE FROM trading_candle WHERE instrument_id = %s AND timeframe = %s"
                    " AND open_time >= %s AND open_time < %s",
                    [instrument.pk, timeframe, start, end],
                )
                if cursor.rowcount != table.num_rows:
                    raise InvariantBroken(
                        f"{cursor.rowcount} candles for the {table.num_rows} of {name}",
                        code="candle_file",
                    )
            record_audit(
                actor=actor,
                action="market.archived",
                subject=("instrument", f"{instrument.venue}:{instrument.symbol}"),
                body={
                    "timeframe": timeframe, "month": f"{start:%Y-%m}", "rows": row.rows,
                    "path": name, "sha256": digest,
                },
            )  # fmt: skip
        except BaseException:
            # Before the commit alone: one whose answer is lost may have deleted the rows, and a
            # file that no row names is written again by the next run.
            if path is not None:
                path.unlink(missing_ok=True)
            raise
    return row


def _read_rows(instrument: Instrument, timeframe: str, start: datetime, end: datetime) -> Table:
    """All versions of all bars with where they came from and when."""
    import pyarrow as pa

    span = [instrument.pk, timeframe, start, end]
    connection.ensure_connection()
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
        cursor.execute(SOURCES, span)
        sources = sorted(source for (source,) in cursor.fetchall())
        cursor.execute(COLUMNS, [sources, *span], binary=True)
        result = cursor.pgresult
        bodies = [result.get_value(0, k) if result is not None else None for k in range(9)]
    whole = [decode_number_array(body, kind=">i8") for body in bodies[:4] if body is not None]
    prices = [decode_number_array(body, kind=">f8") for body in bodies[4:] if body is not None]
    if not whole:
        return pa.table({})
    times, available, version, origin = whole
    return pa.table(
        {
            "open_time": pa.array(to_unix_us(times) // 1000, type=pa.timestamp("ms", tz="UTC")),
            **dict(zip(PRICES, map(pa.array, prices), strict=True)),
            "version": pa.array(version, type=pa.int16()),
            "available_at": pa.array(to_unix_us(available), type=pa.timestamp("us", tz="UTC")),
            "source": pa.DictionaryArray.from_arrays(origin - 1, sources).cast(pa.string()),
        }
    )


def _encode(table: Table) -> bytes:
    from pyarrow import parquet

    body = io.BytesIO()
    parquet.write_table(table, body, compression="zstd")
    return body.getvalue()


def _write(path: Path, content: bytes) -> None:
    """The file under its name, complete and on disk, or not at all."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, draft = tempfile.mkstemp(dir=path.parent, suffix=".partial")
    try:
        with os.fdopen(descriptor, "wb") as handle:
            handle.write(content)
            handle.flush()
            os.fsync(handle.fileno())
        Path(draft).rename(path)
    finally:
        Path(draft).unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _path_of(row: CandleFile) -> Path:
    return Path(settings.CANDLE_FOLDER / row.path)


def _read(row: CandleFile) -> tuple[str, bytes]:
    """What is wrong with a file ("" for nothing), and its content."""
    try:
        content = _path_of(row).read_bytes()
    except OSError as error:
        return f"the candles of {row.path} cannot be read: {error.strerror}", b""
    if hashlib.sha256(content).hexdigest() != row.sha256:
        return f"the candles of {row.path} are not those that were written", b""
    return "", content
