"""A year and more of one instrument's minutes: moved into files, read back, and added to.

Run as ``python -m bench old_minutes``.  ``INSTRUMENTS`` in the environment widens it; fifty with
five years each are the full load.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

from bench.ground import platform
from bench.timing import Row

MONTHS = int(os.environ.get("MONTHS", "15"))
INSTRUMENTS = int(os.environ.get("INSTRUMENTS", "1"))
READS = 40
DAY_MINUTES = 1_440


def run() -> list[Row]:
    """The rows of this bench."""
    with platform():
        return _measure()


def _measure() -> list[Row]:
    from magnetfund.kernel.clock import to_milliseconds, utc_now
    from trading.domain.market import MINUTE_MS
    from trading.models import Candle, CandleFile
    from trading.services.candle_store import load_candles, store_candles

    now = utc_now()
    end = to_milliseconds(now.replace(hour=0, minute=0, second=0, microsecond=0))
    count = MONTHS * 30 * DAY_MINUTES
    times = end + MINUTE_MS * np.arange(-count, 0)
    instruments = [_add(f"C{k:02d}") for k in range(INSTRUMENTS)]
    for item in instruments:
        minutes = _draw(item.symbol, times)
        store_candles(minutes, instrument=item, timeframe="1m", source="bench", available_ms=end)
    rows, began = Candle.objects.count(), time.perf_counter()
    subprocess.run(
        [sys.executable, "manage.py", "archive_candles"], check=True, stdout=subprocess.DEVNULL,
        env={**os.environ, "MAGNET_DB_ROLE": "owner"}, cwd=Path(__file__).parents[1],
    )  # fmt: skip
    moved = time.perf_counter() - began
    files = CandleFile.objects.count()
    item, year = instruments[0], now - timedelta(days=365)
    began, used = time.perf_counter(), time.process_time()
    found = load_candles(item, "1m", start_ms=to_milliseconds(year))
    read, used = time.perf_counter() - began, time.process_time() - used
    assert len(found) >= 364 * DAY_MINUTES
    assert (np.diff(found.open_time) == MINUTE_MS).all()
    charts = [_read_day(item, end - k * 9 * DAY_MINUTES * MINUTE_MS) for k in range(READS)]
    return [
        (f"minutes: {rows - Candle.objects.count():,} rows into {files} files, a file",
         moved / max(files, 1), 0.0, "s"),
        ("minutes: a year of one instrument to arrays", read, 1.0, "s"),
        ("minutes: the same, processor", used, 0.0, "s"),
        ("minutes: a day of them for a chart, p95", float(np.percentile(charts, 95)), 150.0, "ms"),
        ("minutes: import of a day beside files over one into an empty table",
         _import_day(item, end) / _import_day(_add("NEW"), end), 1.3, "x"),
    ]  # fmt: skip


def _add(base: str) -> Any:
    from decimal import Decimal

    from magnetfund.core.actors import Actor
    from magnetfund.kernel.clock import utc_now
    from risk.domain.margin import flat_tier
    from trading.domain.market import InstrumentKind, InstrumentTerms
    from trading.services.instruments import add_instrument

    terms = InstrumentTerms(
        symbol=f"{base}/USDT:USDT", venue="binanceusdm", kind=InstrumentKind.LINEAR_PERPETUAL,
        base=base, quote="USDT", settle="USDT", tick=Decimal("0.1"), lot=Decimal("0.001"),
        minimum_notional=Decimal(5), maker_fee=Decimal("0.0002"), taker_fee=Decimal("0.0005"),
        maintenance_tiers=flat_tier(rate=0.004),
    )  # fmt: skip
    return add_instrument(
        terms, source="bench", stated_at=utc_now(), actor=Actor.system("bench"), is_active=True
    )


def _draw(symbol: str, times: np.ndarray[Any, np.dtype[np.int64]]) -> Any:
    from trading.domain.market import MINUTE_MS, Candles

    rng = np.random.default_rng(7)
    close = np.round(60_000.0 * np.exp(np.cumsum(rng.normal(0, 0.0005, times.size))), 1)
    return Candles(
        instrument=symbol, timeframe_ms=MINUTE_MS, open_time=times, open=close, high=close + 1.0,
        low=close - 1.0, close=close, volume=np.full(times.size, 3.0),
    )  # fmt: skip


def _read_day(item: Any, start: int) -> float:
    from trading.domain.market import DAY_MS
    from trading.services.candle_store import load_candles

    began = time.perf_counter()
    load_candles(item, "1m", start_ms=start - DAY_MS, end_ms=start)
    return (time.perf_counter() - began) * 1000


def _import_day(item: Any, end: int) -> float:
    """Seconds of an import of the day that begins where the stored ones end."""
    from magnetfund.core.actors import Actor
    from magnetfund.kernel.clock import VirtualClock, from_milliseconds, use_clock
    from trading.domain.candle_files import RawCandles
    from trading.domain.market import DAY_MS, MINUTE_MS
    from trading.services.candle_import import import_candles
    from trading.services.candle_store import load_last_candles

    times = end + MINUTE_MS * np.arange(DAY_MINUTES)
    day = _draw(item.symbol, times)
    last = load_last_candles(item, "1m", count=1)
    factor = float(last.close[0] / day.close[0]) if len(last) else 1.0
    names = ("open", "high", "low", "close")
    raw = RawCandles(
        open_time=times, line=np.arange(times.size), volume=day.volume,
        **{name: getattr(day, name) * factor for name in names},
    )  # fmt: skip
    with use_clock(VirtualClock(from_milliseconds(end + 2 * DAY_MS))):
        began = time.perf_counter()
        report = import_candles(
            raw, instrument=item, timeframe="1m", source="bench", actor=Actor.system("bench")
        )
        took = time.perf_counter() - began
    assert report.taken == DAY_MINUTES
    return took
