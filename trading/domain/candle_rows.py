"""Candles as the bytes of PostgreSQL's binary COPY, built a column at a time.

Source: PostgreSQL manual, COPY, "Binary Format": an 11-byte signature, two int32 of flags, then a
field count and (length, value) pairs a row, and -1 at the end; all numbers big-endian; a timestamp
is int64 microseconds since 2000-01-01.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from magnetfund.kernel.errors import InvalidInput

SIGNATURE = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
TRAILER = b"\xff\xff"
_MS_2000 = 946_684_800_000

#: Columns in the order of :func:`encode_candle_rows`.
COPY_COLUMNS = (
    "instrument_id",
    "timeframe",
    "open_time",
    "version",
    "open",
    "high",
    "low",
    "close",
    "volume",
    "known_at",
    "available_at",
    "source",
)


def encode_candle_rows(
    *,
    instrument_id: int,
    timeframe: str,
    timeframe_ms: int,
    source: str,
    version: int,
    available_ms: int,
    open_time: NDArray[np.int64],
    prices: NDArray[np.float64],
) -> bytes:
    """The COPY body of n candles; ``prices`` has shape (5, n): open, high, low, close, volume.

    ``available_ms`` is when they arrived; a bar is never available before it closed.
    """
    n = open_time.shape[0]
    frame, origin = timeframe.encode(), source.encode()
    fields: list[tuple[str, str]] = [("count", ">i2")]
    for name, kind in (
        ("instrument", ">i8"),
        ("timeframe", f"S{len(frame)}"),
        ("open_time", ">i8"),
        ("version", ">i2"),
        ("open", ">f8"),
        ("high", ">f8"),
        ("low", ">f8"),
        ("close", ">f8"),
        ("volume", ">f8"),
        ("known_at", ">i8"),
        ("available_at", ">i8"),
        ("source", f"S{len(origin)}"),
    ):
        fields += [(f"{name}_length", ">i4"), (name, kind)]
    rows = np.zeros(n, dtype=np.dtype(fields))
    rows["count"] = len(COPY_COLUMNS)
    for name, kind in fields:
        if name != "count" and not name.endswith("_length"):
            rows[f"{name}_length"] = np.dtype(kind).itemsize
    known = open_time + timeframe_ms
    rows["instrument"], rows["timeframe"], rows["version"] = instrument_id, frame, version
    rows["open_time"] = (open_time - _MS_2000) * 1000
    rows["known_at"] = (known - _MS_2000) * 1000
    rows["available_at"] = (np.maximum(known, available_ms) - _MS_2000) * 1000
    for name, column in zip(("open", "high", "low", "close", "volume"), prices, strict=True):
        rows[name] = column
    rows["source"] = origin
    return SIGNATURE + rows.tobytes() + TRAILER


def decode_candle_rows(body: bytes) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Open times (ms) and prices of shape (5, n) of a binary COPY of time, open .. volume.

    Every row has six values of eight bytes and no NULL.  Raises :class:`InvalidInput` for a body of
    another shape.
    """
    fields: list[tuple[str, str]] = [("count", ">i2")]
    for name, kind in (("time", ">i8"), *((f"p{k}", ">f8") for k in range(5))):
        fields += [(f"{name}_length", ">i4"), (name, kind)]
    kind_of_row = np.dtype(fields)
    inner = body[len(SIGNATURE) : -len(TRAILER)]
    if body[: len(SIGNATURE)] != SIGNATURE or len(inner) % kind_of_row.itemsize:
        raise InvalidInput("this is no binary copy of candles", code="bad_copy")
    rows = np.frombuffer(inner, dtype=kind_of_row)
    if rows.size and ((rows["count"] != 6).any() or (rows["p4_length"] != 8).any()):
        raise InvalidInput("this is no binary copy of candles", code="bad_copy")
    times = rows["time"].astype(np.int64) // 1000 + _MS_2000
    prices = np.stack([rows[f"p{k}"].astype(np.float64) for k in range(5)])
    return times, prices
