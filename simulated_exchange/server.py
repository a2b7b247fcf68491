"""The HTTP side: Binance's paths under ``/fapi/v1``, and scripted faults before each answer.

:class:`Exchange` serves it together with the streams of :mod:`simulated_exchange.streams`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from aiohttp import web

from simulated_exchange.faults import ANSWERS, Fault, find_fault
from simulated_exchange.market import INTERVALS, Market
from simulated_exchange.streams import Streams

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Exchange:
    """One server of a market on a port of loopback."""

    def __init__(self, market: Market, *, faults: Sequence[Fault] = ()) -> None:
        self.market = market
        self.faults = list(faults)
        self.requests: list[str] = []
        self.streams = Streams(market, self.faults, self.seconds_open)
        self._began = market.clock()
        self._runner: web.AppRunner | None = None
        self._pumping: asyncio.Task[None] | None = None

    def seconds_open(self) -> float:
        """Seconds of the exchange's own time since it was made."""
        return (self.market.clock() - self._began) / 1000

    async def start(self, port: int = 0, *, pump_seconds: float | None = None) -> int:
        """Listen on 127.0.0.1; returns the port.

        With ``pump_seconds`` the streams speak so often by themselves, else when they are pumped.
        """
        application = web.Application(middlewares=[self._faulty])
        application.router.add_get("/fapi/v1/ping", self._ping)
        application.router.add_get("/fapi/v1/time", self._time)
        application.router.add_get("/fapi/v1/exchangeInfo", self._info)
        application.router.add_get("/fapi/v1/klines", self._klines)
        application.router.add_get("/fapi/v1/fundingRate", self._funding)
        application.router.add_get("/fapi/v1/premiumIndex", self._premium)
        application.router.add_get("/fapi/v1/ticker/bookTicker", self._book_ticker)
        application.router.add_get("/fapi/v1/depth", self._depth)
        application.router.add_get("/fapi/v1/fundingInfo", self._funding_info)
        application.router.add_get("/sapi/v1/system/status", self._status)
        for group in ("public", "market"):
            application.router.add_get(f"/{group}/ws/{{number}}", self.streams.serve)
        self._runner = web.AppRunner(application, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port)
        await site.start()
        if pump_seconds is not None:
            self._pumping = asyncio.create_task(self._pump_often(pump_seconds))
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        if self._pumping is not None:
            self._pumping.cancel()
        await self.streams.drop_all()
        if self._runner is not None:
            await self._runner.cleanup()

    async def pump(self) -> None:
        """Bring the exchange to its clock and let the streams speak."""
        self.apply_states()
        await self.streams.pump()

    async def _pump_often(self, seconds: float) -> None:
        due = time.monotonic()
        while True:
            await self.pump()
            due = max(due + seconds, time.monotonic())
            await asyncio.sleep(due - time.monotonic())

    def apply_states(self) -> None:
        """What lasts at present: late candles, a clock that is off, halted symbols."""
        passed = self.seconds_open()
        on = [fault for fault in self.faults if not fault.is_spent and fault.is_on(passed)]
        self.market.late_ms = int(1000 * sum(f.seconds for f in on if f.kind == "late"))
        self.market.skew_ms = int(1000 * sum(f.seconds for f in on if f.kind == "skew"))
        halted = {fault.path for fault in on if fault.kind == "halt"}
        for symbol, listing in self.market.listings.items():
            if listing.status in ("TRADING", "BREAK"):
                status = "BREAK" if symbol in halted else "TRADING"
                self.market.listings[symbol] = replace(listing, status=status)

    # ---- faults --------------------------------------------------------------------------------

    @web.middleware
    async def _faulty(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if "/ws/" in request.path:
            return await handler(request)
        self.requests.append(request.path)
        self.apply_states()
        fault = find_fault(self.faults, ANSWERS, request.path, self.seconds_open())
        if fault is None or fault.kind == "spike":
            response = await handler(request)
            return _spiked(response, fault) if fault is not None else response
        fault.spend()
        if fault.kind == "silent":
            await asyncio.sleep(fault.seconds)
            return await handler(request)
        if fault.kind == "cut":
            if request.transport is not None:
                request.transport.close()
            return web.Response(status=500)
        if fault.kind == "html":
            return web.Response(
                status=fault.status,
                text="<html><head><title>502 Bad Gateway</title></head><body></body></html>",
                content_type="text/html",
            )
        if fault.kind == "truncated":
            whole = await handler(request)
            body = whole.body if isinstance(whole, web.Response) else b""
            half = bytes(body)[: len(bytes(body)) // 2] if isinstance(body, bytes) else b""
            return web.Response(body=half, content_type="application/json")
        return web.json_response(
            {"code": -1003, "msg": "Too many requests; current limit is 2400 per minute."},
            status=fault.status,
            headers={"Retry-After": "1"},
        )

    # ---- answers -------------------------------------------------------------------------------

    async def _ping(self, _request: web.Request) -> web.StreamResponse:
        return web.json_response({})

    async def _time(self, _request: web.Request) -> web.StreamResponse:
        return web.json_response({"serverTime": self.market.now()})

    async def _info(self, _request: web.Request) -> web.StreamResponse:
        return web.json_response(self.market.exchange_info())

    async def _klines(self, request: web.Request) -> web.StreamResponse:
        symbol, refused = self._symbol(request)
        if refused is not None:
            return refused
        interval = request.query.get("interval", "")
        if interval not in INTERVALS:
            return _refusal(-1120, "Invalid interval.")
        return web.json_response(
            self.market.klines(
                symbol,
                interval,
                start=_whole(request, "startTime"),
                end=_whole(request, "endTime"),
                limit=min(_whole(request, "limit") or 500, 1500),
            )
        )

    async def _funding(self, request: web.Request) -> web.StreamResponse:
        symbol, refused = self._symbol(request)
        if refused is not None:
            return refused
        return web.json_response(
            self.market.funding_rates(
                symbol,
                start=_whole(request, "startTime"),
                end=_whole(request, "endTime"),
                limit=min(_whole(request, "limit") or 100, 1000),
            )
        )

    async def _premium(self, request: web.Request) -> web.StreamResponse:
        """One symbol's mark price and next funding, or those of all."""
        if "symbol" not in request.query:
            return web.json_response([self.market.premium(name) for name in self.market.listings])
        symbol, refused = self._symbol(request)
        return refused if refused is not None else web.json_response(self.market.premium(symbol))

    async def _book_ticker(self, request: web.Request) -> web.StreamResponse:
        symbol, refused = self._symbol(request)
        if refused is not None:
            return refused
        bids, asks = self.market.levels(symbol, 1)
        return web.json_response(
            {"symbol": symbol, "bidPrice": bids[0][0], "bidQty": bids[0][1],
             "askPrice": asks[0][0], "askQty": asks[0][1], "time": self.market.now()}
        )  # fmt: skip

    async def _depth(self, request: web.Request) -> web.StreamResponse:
        symbol, refused = self._symbol(request)
        if refused is not None:
            return refused
        bids, asks = self.market.snapshot(symbol, min(_whole(request, "limit") or 20, 20))
        now = self.market.clock()
        return web.json_response({"lastUpdateId": now, "E": now, "T": now, "bids": bids,
                                  "asks": asks})  # fmt: skip

    async def _funding_info(self, _request: web.Request) -> web.StreamResponse:
        return web.json_response(
            [
                {"symbol": item.symbol, "adjustedFundingRateCap": "0.02000000",
                 "adjustedFundingRateFloor": "-0.02000000",
                 "fundingIntervalHours": item.funding_hours, "disclaimer": False}
                for item in self.market.listings.values()
                if item.funding_hours != 8
            ]
        )  # fmt: skip

    async def _status(self, _request: web.Request) -> web.StreamResponse:
        return web.json_response({"status": 0, "msg": "normal"})

    def _symbol(self, request: web.Request) -> tuple[str, web.StreamResponse | None]:
        symbol = request.query.get("symbol", "")
        if symbol not in self.market.listings:
            return symbol, _refusal(-1121, "Invalid symbol.")
        return symbol, None


def _refusal(code: int, message: str) -> web.StreamResponse:
    return web.json_response({"code": code, "msg": message}, status=400)


def _whole(request: web.Request, name: str) -> int | None:
    value = request.query.get(name)
    return int(value) if value is not None and value.lstrip("-").isdigit() else None


def _spiked(response: web.StreamResponse, fault: Fault) -> web.StreamResponse:
    """The last bar of a list of bars with its prices multiplied, once."""
    import json

    body = response.body if isinstance(response, web.Response) else None
    rows = json.loads(bytes(body)) if isinstance(body, bytes) else None
    if not isinstance(rows, list) or not rows or not isinstance(rows[0], list):
        return response
    fault.spend()
    rows[-1][1:5] = [str(float(value) * fault.factor) for value in rows[-1][1:5]]
    return web.json_response(rows)
