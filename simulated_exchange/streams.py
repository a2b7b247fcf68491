"""The websocket side: SUBSCRIBE on ``/public/ws/N`` and ``/market/ws/N``, then Binance's messages.

:meth:`Streams.pump` sends what became due since it was last called; a server calls it by the
clock, a test when it has moved the clock.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSMsgType, web

from simulated_exchange.faults import MESSAGES, Fault, find_fault
from simulated_exchange.market import INTERVALS, Market, text_of

#: How often a stream of the newest state speaks (ms): the others speak at each pump.
EVERY_MS = {"markPrice@1s": 1_000, "markPrice": 3_000}
Message = dict[str, Any]


@dataclass(slots=True, eq=False)
class Socket:
    """One connection: what it subscribed to, and up to when each stream was told (ms)."""

    web: web.WebSocketResponse
    path: str
    told: dict[str, int] = field(default_factory=dict)
    held: dict[str, Message] = field(default_factory=dict)
    levels: dict[str, set[str]] = field(default_factory=dict)


class Streams:
    """All connections of one exchange."""

    def __init__(
        self, market: Market, faults: list[Fault], since_start: Callable[[], float]
    ) -> None:
        self.market = market
        self.faults = faults
        self.sockets: list[Socket] = []
        self.opened = 0
        self.sent = 0
        self._since_start = since_start
        self._sending = asyncio.Lock()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """One connection until it ends."""
        answer = web.WebSocketResponse(autoping=True)
        await answer.prepare(request)
        socket = Socket(answer, request.path)
        self.sockets.append(socket)
        self.opened += 1
        try:
            async for message in answer:
                if message.type == WSMsgType.TEXT:
                    await self._obey(socket, json.loads(message.data))
        finally:
            self._forget(socket)
        return answer

    async def _obey(self, socket: Socket, asked: Message) -> None:
        names = [str(name) for name in asked.get("params", [])]
        known = [name for name in names if self._symbol(name) in self.market.listings]
        if asked.get("method") == "SUBSCRIBE":
            now = self.market.clock()
            socket.told.update({name: now for name in known if name not in socket.told})
        elif asked.get("method") == "UNSUBSCRIBE":
            for name in names:
                socket.told.pop(name, None)
        else:
            await self._send(socket, {"id": asked.get("id"), "error": {"code": 2, "msg": "?"}})
            return
        await self._send(socket, {"result": None, "id": asked.get("id")})

    async def drop_all(self) -> None:
        """Cut every connection without a close frame."""
        for socket in list(self.sockets):
            self._cut(socket)

    def _cut(self, socket: Socket) -> None:
        self._forget(socket)
        transport = socket.web._req.transport if socket.web._req is not None else None
        if transport is not None:
            transport.abort()

    def _forget(self, socket: Socket) -> None:
        if socket in self.sockets:
            self.sockets.remove(socket)

    # ---- what is due ---------------------------------------------------------------------------

    async def pump(self) -> None:
        """Send what became due on every connection."""
        async with self._sending:
            now = self.market.clock()
            for socket in list(self.sockets):
                for name, since in list(socket.told.items()):
                    if socket in self.sockets and self._symbol(name) in self.market.listings:
                        await self._tell(socket, name, since, now)

    async def _tell(self, socket: Socket, name: str, since: int, now: int) -> None:
        channel = name.split("@", 1)[1]
        every = EVERY_MS.get(channel)
        if every is not None and now // every == since // every:
            return
        messages = list(self._due(socket, name, channel, since, now))
        socket.told[name] = now
        for message in messages:
            if socket not in self.sockets:
                return
            await self._deliver(socket, name, message)

    def _due(
        self, socket: Socket, name: str, channel: str, since: int, now: int
    ) -> Iterator[Message]:
        symbol = self._symbol(name)
        if channel.startswith("kline_"):
            yield from self._klines(symbol, channel.removeprefix("kline_"), since, now)
        elif channel.startswith("markPrice"):
            yield self._mark(symbol)
        elif channel == "bookTicker":
            yield self._best(symbol, now)
        elif channel.startswith("depth"):
            yield self._book(socket, symbol, since, now)
        elif channel in ("aggTrade", "trade"):
            yield self._trade(symbol, channel, now)
        elif channel == "forceOrder":
            yield from self._liquidations(symbol, since, now)

    async def _deliver(self, socket: Socket, name: str, message: Message) -> None:
        """Send one message, or what a fault makes of it."""
        kinds = [k for k in MESSAGES if k != "revise" or message.get("k", {}).get("x")]
        kinds = [k for k in kinds if k != "gap" or message["e"] == "depthUpdate"]
        fault = find_fault(self.faults, kinds, name, self._since_start())
        if fault is None:
            await self._send(socket, message)
            if name in socket.held:
                await self._send(socket, socket.held.pop(name))
            return
        fault.spend()
        if fault.kind == "drop":
            self._cut(socket)
        elif fault.kind == "reorder":
            socket.held[name] = message
        elif fault.kind == "repeat":
            await self._send(socket, message)
            await self._send(socket, message)
        elif fault.kind == "revise":
            await self._send(socket, message)
            close = float(message["k"]["c"])
            revised = {**message["k"], "c": text_of(close * 1.001)}
            revised["h"] = text_of(max(float(revised["h"]), close * 1.001))
            await self._send(socket, {**message, "k": revised})
        elif fault.kind in ("spike", "garbage"):
            await self._send(socket, _spoiled(message, fault))

    async def _send(self, socket: Socket, message: Message) -> None:
        self.sent += 1
        with contextlib.suppress(ConnectionError, RuntimeError):
            await socket.web.send_str(json.dumps(message, separators=(",", ":")))

    # ---- messages ------------------------------------------------------------------------------

    def _klines(self, symbol: str, interval: str, since: int, now: int) -> Iterator[Message]:
        step, late = INTERVALS[interval], self.market.late_ms
        bars = self.market.bars(symbol, interval, (since - late) // step * step - step)
        for row in bars.tolist():
            told_at = row[0] + step + late
            is_closed = row[0] + step <= now
            if is_closed and not since < told_at <= now:
                continue
            yield {
                "e": "kline", "E": self.market.now(), "s": symbol,
                "k": {
                    "t": int(row[0]), "T": int(row[0]) + step - 1, "s": symbol, "i": interval,
                    "f": 100, "L": 200, "o": text_of(row[1]), "c": text_of(row[4]),
                    "h": text_of(row[2]), "l": text_of(row[3]), "v": text_of(row[5]), "n": 100,
                    "x": is_closed, "q": text_of(row[5] * row[4]), "V": text_of(row[5] / 2),
                    "Q": text_of(row[5] * row[4] / 2), "B": "0",
                },
            }  # fmt: skip

    def _mark(self, symbol: str) -> Message:
        known = self.market.premium(symbol)
        return {
            "e": "markPriceUpdate", "E": known["time"], "s": symbol, "p": known["markPrice"],
            "i": known["indexPrice"], "P": known["estimatedSettlePrice"],
            "r": known["lastFundingRate"], "T": known["nextFundingTime"],
        }  # fmt: skip

    def _best(self, symbol: str, now: int) -> Message:
        bids, asks = self.market.levels(symbol, 1)
        at = self.market.now()
        return {
            "e": "bookTicker", "u": now, "E": at, "T": at, "s": symbol, "b": bids[0][0],
            "B": bids[0][1], "a": asks[0][0], "A": asks[0][1],
        }  # fmt: skip

    def _book(self, socket: Socket, symbol: str, before: int, now: int) -> Message:
        """All levels anew; those of the last update that are gone have a quantity of 0."""
        bids, asks = self.market.levels(symbol, 20)
        current = {row[0] for row in bids + asks}
        known = current | socket.levels.get(symbol, set()) | self.market.snapshot_prices(symbol)
        socket.levels[symbol] = current
        for side in (bids, asks):
            side += [[price, "0"] for price in sorted(known - {row[0] for row in side})]
        return {
            "e": "depthUpdate", "E": self.market.now(), "T": self.market.now(), "s": symbol,
            "U": before + 1, "u": now, "pu": before, "b": bids, "a": asks,
        }  # fmt: skip

    def _trade(self, symbol: str, channel: str, now: int) -> Message:
        price, at = text_of(self.market.last_price(symbol)), self.market.now()
        message: Message = {"e": channel, "E": at, "s": symbol, "p": price, "q": "0.010",
                            "T": at, "m": now // 1000 % 2 == 0}  # fmt: skip
        ids = {"a": now, "f": now, "l": now} if channel == "aggTrade" else {"t": now, "X": "MARKET"}
        return message | ids

    def _liquidations(self, symbol: str, since: int, now: int) -> Iterator[Message]:
        for at, side, price, quantity in self.market.listings[symbol].liquidations:
            if since < at <= now:
                yield {
                    "e": "forceOrder", "E": at,
                    "o": {
                        "s": symbol, "S": side, "o": "LIMIT", "f": "IOC", "q": text_of(quantity),
                        "p": text_of(price), "ap": text_of(price), "X": "FILLED",
                        "l": text_of(quantity), "z": text_of(quantity), "T": at,
                    },
                }  # fmt: skip

    @staticmethod
    def _symbol(name: str) -> str:
        return name.split("@", 1)[0].upper()


def _spoiled(message: Message, fault: Fault) -> Message:
    """The message with other prices: times a factor, or a text that is no price."""

    def spoil(value: str) -> str:
        return fault.text if fault.kind == "garbage" else text_of(float(value) * fault.factor)

    if "k" in message:
        return {**message, "k": {**message["k"], **{n: spoil(message["k"][n]) for n in "ohlc"}}}
    return {**message, **{n: spoil(message[n]) for n in ("p", "b", "a") if isinstance(
        message.get(n), str)}}  # fmt: skip
