"""How long after the exchange's stamp a mark of the stream is known, with 50 instruments.

Run as ``python -m bench price_stream``.  The exchange of the test tree serves Binance's wire
format over loopback from a process of its own and shares the machine with the reader.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from bench.timing import Row
from magnetfund.kernel.clock import to_milliseconds, utc_now
from trading.services.live_prices import LivePrices
from trading.venues.binance_streams import BinanceStreams
from trading.venues.market_data import Quote

INSTRUMENTS = 50
SECONDS = 20.0
OPEN_SECONDS = 60.0
START_MS = 1_767_225_600_000


def run() -> list[Row]:
    """The rows of this bench."""
    delays: list[int] = []

    class TimedPrices(LivePrices):
        """Remembers how long after the exchange's stamp each mark was known."""

        def take_quote(self, quote: Quote) -> bool:
            delays.append(quote.arrived_ms - quote.venue_time_ms)
            return super().take_quote(quote)

    prices = TimedPrices(lambda: to_milliseconds(utc_now()))
    with _exchange() as host:
        streams = BinanceStreams(prices, host=host)
        streams.begin([f"C{k:02d}/USDT:USDT" for k in range(INSTRUMENTS)])
        deadline = time.monotonic() + OPEN_SECONDS
        while prices.stream_reason:
            if time.monotonic() > deadline:
                raise RuntimeError(prices.stream_reason)
            time.sleep(0.1)
        delays.clear()
        before = prices.counts["messages"]
        time.sleep(SECONDS)
        rate = (prices.counts["messages"] - before) / SECONDS
        p50, p99 = np.percentile(delays, [50, 99])
        openings = streams.openings
        streams.close()
    return [
        (f"price stream: messages of {INSTRUMENTS} instruments", rate, 0.0, "1/s"),
        ("price stream: mark known after the exchange's stamp, median", float(p50), 0.0, "ms"),
        ("price stream: mark known after the exchange's stamp, p99", float(p99), 500.0, "ms"),
        ("price stream: openings", float(openings), 0.0, ""),
    ]


@contextmanager
def _exchange() -> Iterator[str]:
    """The address of an exchange that streams six hours of drawn minutes."""
    rng = np.random.default_rng(7)
    close = np.round(60_000.0 * np.exp(np.cumsum(rng.normal(0, 0.0004, 360))), 1)
    before = np.append(60_000.0, close[:-1])
    columns: dict[str, Any] = {
        "date": (START_MS + 60_000 * np.arange(360)).astype("datetime64[ms]"),
        "open": before,
        "high": np.maximum(before, close),
        "low": np.minimum(before, close),
        "close": close,
        "volume": np.full(360, 5.0),
    }
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "bars.parquet"
        parquet.write_table(pa.table(columns), file)
        data = [f"--data=C{k:02d}={file}" for k in range(INSTRUMENTS)]
        process = subprocess.Popen(
            [sys.executable, "-m", "simulated_exchange", "--ahead", "2", *data],
            stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1],
        )  # fmt: skip
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip().partition("=")[2]
        finally:
            process.terminate()
            process.communicate(timeout=10)
