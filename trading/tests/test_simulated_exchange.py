"""The exchange on loopback by itself: started by hand, and its streams read by the real client."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from ccxt import pro
from pyarrow import parquet

from simulated_exchange.faults import Fault
from simulated_exchange.market import Listing, Market
from simulated_exchange.server import Exchange
from trading.venues.ccxt_hosts import moved_urls

MINUTE = 60_000
START = 1_735_689_600_000
SYMBOL = "BTC/USDT:USDT"


def draw_bars(minutes: int = 300) -> np.ndarray:
    rng = np.random.default_rng(5)
    close = np.round(60_000 * np.exp(np.cumsum(rng.normal(0, 0.001, minutes))), 1)
    before = np.append(60_000.0, close[:-1])
    high, low = np.maximum(before, close) + 7, np.minimum(before, close) - 7
    times = START + MINUTE * np.arange(minutes)
    return np.column_stack((times, before, high, low, close, np.full(minutes, 3.0)))


class Clock:
    now_ms = START + 100 * MINUTE + 15_000


def serve(work: Callable[[Exchange, Any, Clock], Awaitable[None]], *faults: Fault) -> None:
    """Run ``work`` with an exchange and the real client of its streams."""

    async def run() -> None:
        clock = Clock()
        listing = Listing(
            symbol="BTCUSDT", base="BTC", interval="1m", bars=draw_bars(),
            liquidations=((clock.now_ms + 500, "SELL", 59_000.0, 1.5),),
        )  # fmt: skip
        market = Market(listings={"BTCUSDT": listing}, clock=lambda: clock.now_ms)
        exchange = Exchange(market, faults=faults)
        port = await exchange.start()
        client = pro.binanceusdm({"enableRateLimit": False, "newUpdates": True})
        client.urls["api"] = moved_urls(client.urls["api"], f"http://127.0.0.1:{port}")
        try:
            await work(exchange, client, clock)
        finally:
            await client.close()
            await exchange.stop()

    asyncio.run(asyncio.wait_for(run(), 30))


async def told(asking: Awaitable[Any], exchange: Exchange, clock: Clock) -> Any:
    """What a watcher is told once the exchange speaks, which waits for his subscription.

    The clock stands until then: what is told once is told to nobody before.
    """
    waiting = asyncio.ensure_future(asking)
    while not waiting.done():
        await asyncio.sleep(0.02)
        if any(socket.told for socket in exchange.streams.sockets):
            clock.now_ms += 1_000
            await exchange.pump()
    return waiting.result()


def test_the_real_client_reads_every_stream():
    async def work(exchange: Exchange, client: Any, clock: Clock) -> None:
        marks = await told(client.watch_mark_prices([SYMBOL]), exchange, clock)
        mark = marks[SYMBOL]
        assert mark["info"]["T"] % (8 * 3_600_000) == 0
        best = await told(client.watch_bids_asks([SYMBOL]), exchange, clock)
        assert best[SYMBOL]["bid"] < best[SYMBOL]["ask"]
        trades = await told(client.watch_trades_for_symbols([SYMBOL]), exchange, clock)
        assert trades[-1]["amount"] == 0.01
        book = await told(client.watch_order_book_for_symbols([SYMBOL], 20), exchange, clock)
        for _ in range(3):
            book = await told(client.watch_order_book_for_symbols([SYMBOL], 20), exchange, clock)
        assert 10 <= len(book["bids"]) <= 20
        assert book["bids"][0][0] < book["asks"][0][0]
        candles = await told(client.watch_ohlcv_for_symbols([[SYMBOL, "1m"]]), exchange, clock)
        assert candles[SYMBOL]["1m"][-1][0] % MINUTE == 0

    serve(work)


def test_a_forced_order_is_told_once():
    async def work(exchange: Exchange, client: Any, clock: Clock) -> None:
        forced = await told(client.watch_liquidations_for_symbols([SYMBOL]), exchange, clock)
        assert forced[0]["price"] == 59_000.0

    serve(work)


def read_klines(*faults: Fault, minutes: int = 3) -> list[dict[str, Any]]:
    """The raw candle messages of some minutes, as the client hands them on."""
    messages: list[dict[str, Any]] = []

    async def work(exchange: Exchange, client: Any, clock: Clock) -> None:
        whole = client.handle_ohlcv

        def keep(connection: Any, message: dict[str, Any]) -> None:
            messages.append(message["k"])
            whole(connection, message)

        client.handle_ohlcv = keep
        waiting = asyncio.ensure_future(client.watch_ohlcv_for_symbols([[SYMBOL, "1m"]]))
        while not any(socket.told for socket in exchange.streams.sockets):
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        for _ in range(minutes * 4):
            clock.now_ms += 15_000
            sent, known = exchange.streams.sent, len(messages)
            await exchange.pump()
            while len(messages) - known < exchange.streams.sent - sent:
                await asyncio.sleep(0.01)
        await waiting

    serve(work, *faults)
    return messages


def test_a_candle_is_closed_by_the_exchange_s_flag_once_and_whole():
    closed = [item for item in read_klines() if item["x"]]
    bars = {int(row[0]): row for row in draw_bars()}
    assert [item["t"] for item in closed] == [START + k * MINUTE for k in (100, 101, 102)]
    for item in closed:
        assert float(item["c"]) == bars[item["t"]][4]
        assert float(item["h"]) == bars[item["t"]][2]


def test_a_forming_candle_never_knows_its_end():
    bars = {int(row[0]): row for row in draw_bars()}
    forming = [item for item in read_klines() if not item["x"]]
    assert forming
    assert any(float(item["c"]) != bars[item["t"]][4] for item in forming)
    assert all(float(item["h"]) <= bars[item["t"]][2] for item in forming)


def test_hours_alone_give_minutes_that_join_and_stay_within_them():
    hour = 3_600_000
    bars = np.array([[START, 100.0, 110.0, 90.0, 105.0, 1.0], [START + hour, 105, 120, 95, 99, 1]])
    listing = Listing(symbol="BTCUSDT", base="BTC", interval="1h", bars=bars)
    market = Market(listings={"BTCUSDT": listing}, clock=lambda: START + 2 * hour - 1)
    rows = market.klines("BTCUSDT", "1m", start=START, end=None, limit=500)
    assert len(rows) == 120
    minutes = np.array([[float(value) for value in row[1:5]] for row in rows])
    assert np.allclose(minutes[1:, 0], minutes[:-1, 3])
    assert (minutes[:60, 1].max(), minutes[:60, 2].min()) == (110.0, 90.0)


@pytest.mark.parametrize(
    ("fault", "times"),
    [
        (Fault(kind="repeat", path="@kline", times=99), [100, 100, 101, 101, 102, 102]),
        (Fault(kind="revise", path="@kline", times=99), [100, 100, 101, 101, 102, 102]),
        (Fault(kind="late", seconds=30), [99, 100, 101]),
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
def test_scripted_faults_of_candles(fault: Fault, times: list[int]):
    closed = [item for item in read_klines(fault) if item["x"]]
    assert [(item["t"] - START) // MINUTE for item in closed][: len(times)] == times


def test_a_dropped_socket_is_an_error_of_the_client():
    async def work(exchange: Exchange, client: Any, clock: Clock) -> None:
        with pytest.raises(Exception, match=r"losing|losed|eset"):
            await told(client.watch_mark_prices([SYMBOL]), exchange, clock)
        assert not exchange.streams.sockets

    serve(work, Fault(kind="drop", path="@markPrice"))


def test_a_fault_comes_by_the_clock_and_again():
    fault = Fault(kind="drop", path="@", times=1, after=10, every=300)
    assert not fault.is_on(9)
    assert fault.is_on(10)
    assert not fault.is_spent
    fault.spend()
    assert fault.is_on(200)
    assert fault.is_spent
    assert fault.is_on(311)
    assert not fault.is_spent
    with pytest.raises(ValueError, match="unknown fault"):
        Fault(kind="typo")


class TestByHand:
    """``python -m simulated_exchange``, as a person starts it."""

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "simulated_exchange", "--port", "0", *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            cwd=Path(__file__).parents[2],
        )  # fmt: skip

    def write_bars(self, folder: Path) -> Path:
        bars = draw_bars(10 * 24 * 60)
        names = ("open", "high", "low", "close", "volume")
        columns: dict[str, Any] = {"date": bars[:, 0].astype("datetime64[ms]")}
        columns |= {name: bars[:, k] for k, name in enumerate(names, start=1)}
        parquet.write_table(pa.table(columns), folder / "bars.parquet")
        return folder / "bars.parquet"

    def test_it_prints_its_address_and_serves_a_present_and_a_future(self, tmp_path: Path):
        script = tmp_path / "faults.json"
        script.write_text(json.dumps([{"kind": "html", "path": "ping"}]))
        process = self.start(
            "--data", f"BTC={self.write_bars(tmp_path)}", "--script", str(script), "--ahead", "24"
        )
        try:
            assert process.stdout is not None
            line = process.stdout.readline().strip()
            assert line.startswith("EXCHANGE_HOST=http://127.0.0.1:")
            host = line.partition("=")[2]
            path = "/fapi/v1/klines?symbol=BTCUSDT&interval=1h&limit=1000"
            with urllib.request.urlopen(host + path, timeout=5) as answer:
                hours = json.load(answer)
            with urllib.request.urlopen(f"{host}/fapi/v1/time", timeout=5) as answer:
                now = json.load(answer)["serverTime"]
            assert hours[-1][0] <= now < hours[-1][0] + 3_600_000
            assert 9 * 24 - 3 <= len(hours) <= 9 * 24 + 1
            with pytest.raises(urllib.error.HTTPError, match="502"):
                urllib.request.urlopen(f"{host}/fapi/v1/ping", timeout=5)
        finally:
            process.terminate()
            process.communicate(timeout=10)

    def test_a_file_without_bars_is_one_line(self, tmp_path: Path):
        parquet.write_table(pa.table({"date": [1]}), tmp_path / "other.parquet")
        process = self.start("--data", str(tmp_path / "other.parquet"))
        _, said = process.communicate(timeout=30)
        assert process.returncode == 1
        assert said.startswith("simulated_exchange: other.parquet holds no bars")
        assert said.count("\n") == 1
