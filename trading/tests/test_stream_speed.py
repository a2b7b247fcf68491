"""How fast a price of the stream is known: 50 instruments, an exchange in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from magnetfund.kernel.clock import to_milliseconds, utc_now
from trading.services.live_prices import LivePrices
from trading.tests.stream_stage import draw
from trading.venues.binance_streams import BinanceStreams
from trading.venues.market_data import Quote

pytestmark = pytest.mark.drill
INSTRUMENTS = 50
SECONDS = 20.0
KNOWN_P99_MS = 500.0


class TimedPrices(LivePrices):
    """Remembers how long after the exchange's stamp each mark was known."""

    def __init__(self) -> None:
        super().__init__(lambda: to_milliseconds(utc_now()))
        self.delays: list[int] = []

    def take_quote(self, quote: Quote) -> bool:
        self.delays.append(quote.arrived_ms - quote.venue_time_ms)
        return super().take_quote(quote)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[str]:
    bars = draw("BTC", 60_000.0).bars
    columns: dict[str, Any] = {"date": bars[:, 0].astype("datetime64[ms]")}
    columns |= {n: bars[:, k] for k, n in enumerate(("open", "high", "low", "close", "volume"), 1)}
    parquet.write_table(pa.table(columns), tmp_path / "bars.parquet")
    data = [f"--data=C{k:02d}={tmp_path / 'bars.parquet'}" for k in range(INSTRUMENTS)]
    process = subprocess.Popen(
        [sys.executable, "-m", "simulated_exchange", "--ahead", "2", *data],
        stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert process.stdout is not None
    yield process.stdout.readline().strip().partition("=")[2]
    process.terminate()
    process.communicate(timeout=10)


def test_marks_of_fifty_instruments_are_known_in_time(
    host: str, capsys: pytest.CaptureFixture[str]
):
    prices = TimedPrices()
    streams = BinanceStreams(prices, host=host)
    streams.begin([f"C{k:02d}/USDT:USDT" for k in range(INSTRUMENTS)])
    deadline = time.monotonic() + 60
    while prices.stream_reason and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not prices.stream_reason
    prices.delays.clear()
    before = prices.counts["messages"]
    time.sleep(SECONDS)
    rate = (prices.counts["messages"] - before) / SECONDS
    delays = np.array(prices.delays)
    streams.close()
    p50, p99 = np.percentile(delays, [50, 99])
    with capsys.disabled():
        print(
            f"\n{INSTRUMENTS} instruments, {rate:,.0f} messages/s: a mark is known after "
            f"{p50:.0f} ms (median), {p99:.0f} ms (p99); {streams.openings} opening"
        )
    assert len({quote.symbol for s in prices._seen.values() for quote in s}) == INSTRUMENTS
    assert p99 < KNOWN_P99_MS
    assert streams.openings == 1
