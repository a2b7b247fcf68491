"""Minutes of many instruments as rows, and years of one as files: added to, read back, moved.

Run as ``python -m bench old_minutes``.  The table holds 90 days of ``INSTRUMENTS`` (ten; fifty are
what a full home keeps as rows); ``OLD`` more (one) have ``MONTHS`` each, whose old ones become
files, one instrument after the other.  ``INSTRUMENTS=0 OLD=50 MONTHS=61`` is five years of fifty:
130 million bars, for a machine with some 10 GB of room.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from bench.ground import platform
from bench.timing import Row

MONTHS = int(os.environ.get("MONTHS", "14"))
OLD = int(os.environ.get("OLD", "1"))
INSTRUMENTS = int(os.environ.get("INSTRUMENTS", "10"))
DAYS = 90
READS = 40
DAY_MINUTES = 1_440


def run() -> list[Row]:
    """The rows of this bench."""
    with platform() as folder:
        return _measure(folder / "servers" / "log")


def _measure(log: Path) -> list[Row]:
    from django.db.models import Count, Sum

    from magnetfund.kernel.clock import to_milliseconds, utc_now
    from trading.domain.market import DAY_MS, MINUTE_MS
    from trading.models import Candle, CandleFile
    from trading.services.candle_store import load_candles

    now = utc_now()
    end = to_milliseconds(now.replace(hour=0, minute=0, second=0, microsecond=0))
    empty = _import_day(_add("NEW"), end)
    instruments = [_add(f"C{k:02d}") for k in range(INSTRUMENTS)]
    times = end + MINUTE_MS * np.arange(-DAYS * DAY_MINUTES, 0)
    minutes = _draw("", times)
    stored = [_store(minutes, item, end) for item in instruments]
    past = _draw("", end + MINUTE_MS * np.arange(-MONTHS * 30 * DAY_MINUTES, 0))
    began, moves = time.perf_counter(), []
    for number in range(OLD):
        old = _add(f"OLD{number}")
        _store(past, old, end)
        if number < OLD - 1:
            moves.append(_move())
            # Nobody backs this server up, and its log of the full load is larger than the load.
            for segment in log.iterdir():
                segment.unlink()
    loaded = (time.perf_counter() - began - sum(moves)) / OLD / len(past) * 1e6
    stored.append(_store(minutes, _add("LAST"), end))
    rows = Candle.objects.count()
    full = _import_day(_add("NEXT"), end)
    days = [_read_day(item, end - k * DAY_MS) for k in range(4) for item in instruments[:10]]
    moves.append(_move())
    files = CandleFile.objects.aggregate(files=Count("id"), rows=Sum("rows"), size=Sum("size"))
    year = end - 365 * DAY_MS
    began, used = time.perf_counter(), time.process_time()
    found = load_candles(old, "1m", start_ms=year, end_ms=end)
    read, used = time.perf_counter() - began, time.process_time() - used
    assert len(found) == min(365, MONTHS * 30) * DAY_MINUTES
    assert (np.diff(found.open_time) == MINUTE_MS).all()
    charts = [_read_day(old, end - k * 9 * DAY_MS) for k in range(READS)]
    return [
        (f"minutes: {rows:,} rows, a day of them for a chart, p95",
         float(np.percentile(days, 95)), 150.0, "ms"),
        ("minutes: speed of storing 90 days beside the full table, of that in the empty",
         stored[0] / stored[-1], 0.75, "x"),
        ("minutes: speed of importing a day beside the full table, of that in the empty",
         empty / full, 0.75, "x"),
        (f"minutes: {OLD} x {MONTHS} months of rows, a million", loaded, 0.0, "s"),
        (f"minutes: {files['rows']:,} rows into {files['files']} files,"
         f" {files['size'] / 1e9:.2f} GB, a file", sum(moves) / max(files["files"], 1), 0.0, "s"),
        ("minutes: a year of one instrument to arrays, rows and files", read, 1.0, "s"),
        ("minutes: the same, processor", used, 0.0, "s"),
        ("minutes: a day out of a file for a chart, p95",
         float(np.percentile(charts, 95)), 150.0, "ms"),
        ("minutes: speed of importing a day beside files, of that in the empty table",
         empty / _import_day(old, end), 0.75, "x"),
    ]  # fmt: skip


def _store(minutes: Any, item: Any, end: int) -> float:
    """Seconds that storing some minutes takes."""
    from trading.services.candle_store import store_candles

    began = time.perf_counter()
    store_candles(minutes, instrument=item, timeframe="1m", source="bench", available_ms=end)
    return time.perf_counter() - began


def _move() -> float:
    """Seconds that the old months take into files."""
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "manage.py", "archive_candles"], check=True, stdout=subprocess.DEVNULL,
        env={**os.environ, "MAGNET_DB_ROLE": "owner"}, cwd=Path(__file__).parents[1],
    )  # fmt: skip
    return time.perf_counter() - began


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
