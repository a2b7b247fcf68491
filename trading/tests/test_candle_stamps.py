"""Stamps of candle files: every unit and ISO text, told of each stamp, as milliseconds."""

from __future__ import annotations

import numpy as np
import pytest

from trading.domain.candle_files import NO_TIME, to_milliseconds_utc

MS = 1_735_689_600_000  # 2025-01-01, from when Binance's archives of spot are in microseconds


@pytest.mark.parametrize("written", ["numbers", "text"])
@pytest.mark.parametrize("unit", [0.001, 1, 1_000, 1_000_000])
def test_every_unit_is_read(written: str, unit: float):
    wanted = [MS + k * 60_000 for k in range(3)]
    stamps = [int(stamp * unit) for stamp in wanted]
    column = np.array(stamps) if written == "numbers" else [str(stamp) for stamp in stamps]
    assert to_milliseconds_utc(column).tolist() == wanted


@pytest.mark.parametrize("written", ["numbers", "text"])
def test_archives_that_went_from_milliseconds_to_microseconds_may_be_joined(written: str):
    stamps = [MS - 3_600_000, MS * 1_000, (MS + 3_600_000) * 1_000]
    column = np.array(stamps) if written == "numbers" else [str(stamp) for stamp in stamps]
    assert to_milliseconds_utc(column).tolist() == [MS - 3_600_000, MS, MS + 3_600_000]


def test_text_of_any_kind_is_a_time_or_none():
    cells = [
        "2025-01-01T00:00:00Z",
        "2025-01-01 00:00:00 UTC",
        "2025-01-01 00:00:00+00:00",
        str(MS),
    ]
    assert to_milliseconds_utc(cells).tolist() == [MS] * 4
    none = ["", "nan", "inf", "-5", "0", "soon", "NaT"]
    assert to_milliseconds_utc(none).tolist() == [NO_TIME] * len(none)
