"""A thread that holds the streams of some instruments open, and opens them again when they end.

One connection's end ends them all, so that a start is the only state to get right: what a stream
missed is never in the stream again and comes by polling.  Opening waits longer after each failure.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Coroutine, Sequence
from typing import TYPE_CHECKING, Any

from trading.venues.ccxt_hosts import moved_urls

if TYPE_CHECKING:
    from trading.venues.binance_client import StreamSink

_log = logging.getLogger("magnetfund.market")
#: Marks come every second; so long without one, and the stream counts as silent.
SILENT_SECONDS = 5.0
PAUSE_SECONDS = 0.5
PAUSE_MAX_SECONDS = 15.0
#: A connection that lived so long was a good one: the next pause begins small again.
GOOD_SECONDS = 60.0
TIMEFRAMES = ("1m", "1h")
#: Levels of a side that a request for the book reads; its updates tell more.
BOOK_LEVELS = 1_000
STREAMED = ("binanceusdm",)


class BinanceStreams:
    """Keeps the streams of ``symbols`` open until closed."""

    def __init__(self, sink: StreamSink, *, host: str = "", proxy: str = "") -> None:
        self._sink = sink
        self._host, self._proxy = host, proxy
        self._symbols: tuple[str, ...] = ()
        self._markets: list[Any] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._change: asyncio.Event | None = None
        self._ending = False
        self._thread = threading.Thread(target=self._run, name="streams", daemon=True)
        #: How often the streams were opened.
        self.openings = 0

    def begin(self, symbols: Sequence[str]) -> None:
        """Open the streams of these from a thread of its own."""
        self._symbols = tuple(symbols)
        self._thread.start()

    def watch(self, symbols: Sequence[str]) -> None:
        """Stream these from now on."""
        if tuple(symbols) == self._symbols:
            return
        self._symbols = tuple(symbols)
        self._signal()

    def close(self) -> None:
        """End the thread and its connections."""
        self._ending = True
        self._signal()
        if self._thread.is_alive():
            self._thread.join(10.0)

    def _signal(self) -> None:
        if self._loop is not None and self._change is not None:
            with contextlib.suppress(RuntimeError):  # the loop has just ended
                self._loop.call_soon_threadsafe(self._change.set)

    # ---- in the thread -------------------------------------------------------------------------

    def _run(self) -> None:
        asyncio.run(self._keep_open())

    async def _keep_open(self) -> None:
        self._loop, self._change = asyncio.get_running_loop(), asyncio.Event()
        pause = PAUSE_SECONDS
        while not self._ending:
            began = self._loop.time()
            reason = await self._one_session()
            if self._ending:
                return
            if self._loop.time() - began > GOOD_SECONDS or not reason:
                pause = PAUSE_SECONDS
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._change.wait(), pause)
            pause = min(PAUSE_MAX_SECONDS, pause * 2)

    async def _one_session(self) -> str:
        """One life of the connections; returns why it ended, empty for a change of instruments."""
        from ccxt import BaseError

        assert self._change is not None
        self._change.clear()
        if not self._symbols:
            await self._change.wait()
            return ""
        client = self._make_client()
        tasks: list[asyncio.Task[None]] = []
        try:
            await self._load_markets(client)
            self.openings += 1
            tasks = [asyncio.create_task(work) for work in self._channels(client)]
            change = asyncio.create_task(self._wait_for_change())
            tasks.append(change)
            for task in tasks:
                task.add_done_callback(_take_end)
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if change in done:
                return ""
            return self._tell_end(next(iter(done)).exception())
        except (BaseError, OSError, TimeoutError) as error:
            return self._tell_end(error)
        finally:
            client.is_over = True
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks, timeout=2.0)
            with contextlib.suppress(Exception):  # what is left of a broken connection
                await asyncio.wait_for(client.close(), 5.0)

    def _tell_end(self, error: BaseException | None) -> str:
        """Say at once that the streams are down; clearing up may take seconds."""
        reason = _words(error)
        if not self._ending:
            self._sink.note_stream(is_up=False, reason=reason)
        return reason

    async def _wait_for_change(self) -> None:
        assert self._change is not None
        await self._change.wait()

    def _make_client(self) -> Any:
        from trading.venues.binance_client import BinanceStreamClient

        client = BinanceStreamClient(
            self._sink, {"enableRateLimit": True, "timeout": 10_000, "newUpdates": True}
        )
        if self._proxy:
            client.https_proxy = client.wss_proxy = self._proxy
        if self._host:
            client.urls["api"] = moved_urls(client.urls["api"], self._host)
        return client

    async def _load_markets(self, client: Any) -> None:
        known = {market["symbol"] for market in self._markets}
        if self._markets and known.issuperset(self._symbols):
            client.set_markets(self._markets)
            return
        await client.load_markets()
        self._markets = list(client.markets.values())

    def _channels(self, client: Any) -> list[Coroutine[Any, Any, None]]:
        names = list(self._symbols)
        candles = [[name, timeframe] for name in names for timeframe in TIMEFRAMES]
        return [
            client.watch_mark_prices(names),
            client.watch_bids_asks(names),
            client.watch_ohlcv_for_symbols(candles),
            client.watch_liquidations_for_symbols(names),
            self._watch_books(client, names),
            self._heed_pulse(client),
        ]

    async def _heed_pulse(self, client: Any) -> None:
        """The first mark says that the streams are up; raises TimeoutError once none comes."""
        is_first = True
        while True:
            client.marked.clear()
            await asyncio.wait_for(client.marked.wait(), SILENT_SECONDS)
            if is_first:
                is_first = False
                self._sink.note_stream(is_up=True, reason="")

    async def _watch_books(self, client: Any, names: list[str]) -> None:
        """Books by themselves: one whose sequence broke is read anew, and the rest goes on."""
        from ccxt import ChecksumError

        while not client.is_over:
            try:
                await client.watch_order_book_for_symbols(names, BOOK_LEVELS)
            except ChecksumError as error:
                for name in names:
                    self._sink.take_depth(name, None)
                    self._sink.break_book(name)
                self._sink.note_book(str(error)[:200])
                await asyncio.sleep(PAUSE_SECONDS)


def _take_end(task: asyncio.Task[None]) -> None:
    """Read how a task ended: one cut ends several, of which the session tells one."""
    if not task.cancelled():
        task.exception()


def _words(error: BaseException | None) -> str:
    if isinstance(error, TimeoutError):
        return f"no message for {SILENT_SECONDS:g} s"
    return f"{type(error).__name__}: {error}"[:200]
