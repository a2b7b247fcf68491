"""The bytes of candles: what PostgreSQL's array_send writes is read back, anything else refused."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from magnetfund.kernel.errors import InvalidInput
from trading.domain.candle_rows import decode_number_array, decode_times_ms

FLOAT8, TIMESTAMPTZ = 701, 1184


def array_of(values: list[bytes | None], *, kind: int) -> bytes:
    head = struct.pack(">iiiii", 1, int(None in values), kind, len(values), 1)
    return head + b"".join(
        struct.pack(">i", -1) if value is None else struct.pack(">i", len(value)) + value
        for value in values
    )


def test_numbers_come_back_as_they_were():
    body = array_of([struct.pack(">d", x) for x in (1.5, -0.0, 65_432.1)], kind=FLOAT8)
    assert decode_number_array(body, kind=">f8").tolist() == [1.5, -0.0, 65_432.1]


def test_a_time_is_microseconds_after_the_year_2000():
    body = array_of([struct.pack(">q", 1_000_000)], kind=TIMESTAMPTZ)
    assert decode_times_ms(body).tolist() == [946_684_801_000]
    assert decode_times_ms(body).dtype == np.int64


@pytest.mark.parametrize(
    "body",
    [
        b"",
        array_of([], kind=FLOAT8)[:-1],
        array_of([struct.pack(">d", 1.0), None], kind=FLOAT8),
        array_of([struct.pack(">f", 1.0), struct.pack(">d", 1.0), b"abcd"], kind=FLOAT8),
        struct.pack(">iii", 0, 0, FLOAT8),
    ],
    ids=["nothing", "cut", "a null", "other lengths", "no dimension"],
)
def test_another_shape_is_refused(body: bytes):
    with pytest.raises(InvalidInput) as refused:
        decode_number_array(body, kind=">f8")
    assert refused.value.code == "bad_array"
