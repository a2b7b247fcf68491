"""Candles as the bytes of PostgreSQL's binary COPY, built a column at a time.

Source: PostgreSQL manual, COPY, "Binary Format": an 11-byte signature, two int32 of flags, then a
field count and (length, value) pairs a row, and -1 at the end; all numbers big-endian; a timestamp
is int64 microseconds since 2000-01-01.  Reading goes by arrays: one value a column costs the driver
nothing, where one message a row costs it more than the database needs to find them.
"""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

from magnetfund.kernel.errors import InvalidInput

SIGNATURE = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
TRAILER = b"\xff\xff"
_MS_2000 = 946_684_800_000
_ARRAY_HEAD = 20

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


def decode_number_array(body: bytes, *, kind: str) -> NDArray[np.generic]:
    """The numbers of a one-dimensional array of eight-byte values as PostgreSQL sends it in binary.

    ``kind`` is the numpy type on the wire, ``">i8"`` or ``">f8"``.  Raises :class:`InvalidInput`
    for another shape or a NULL among the values.  Source: array_send in the PostgreSQL sources:
    int32 of dimensions, flags and element type, (count, lower bound) a dimension, then (length,
    value) pairs.
    """
    pairs = np.dtype([("length", ">i4"), ("value", kind)])
    head, inner = body[:_ARRAY_HEAD], body[_ARRAY_HEAD:]
    if len(head) < _ARRAY_HEAD or len(inner) % pairs.itemsize:
        raise InvalidInput("this is no array of numbers", code="bad_array")
    dimensions, _, _, count, _ = struct.unpack(">5i", head)
    if dimensions != 1 or len(inner) != count * pairs.itemsize:
        raise InvalidInput("this is no array of numbers", code="bad_array")
    rows = np.frombuffer(inner, dtype=pairs)
    if (rows["length"] != pairs["value"].itemsize).any():
        raise InvalidInput("this is no array of numbers", code="bad_array")
    return rows["value"].astype(np.dtype(kind).newbyteorder("="))


def to_unix_us(times: NDArray[np.generic]) -> NDArray[np.int64]:
    """Microseconds since 1970 of timestamps as PostgreSQL sends them."""
    return times.astype(np.int64) + _MS_2000 * 1000


def decode_times_ms(body: bytes) -> NDArray[np.int64]:
    """Milliseconds since 1970 of a binary array of timestamps."""
    return to_unix_us(decode_number_array(body, kind=">i8")) // 1000
