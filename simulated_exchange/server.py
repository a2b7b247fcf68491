"""The HTTP side: Binance's paths under ``/fapi/v1``, and scripted faults before each answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from aiohttp import web

from simulated_exchange.market import INTERVALS, Market

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(slots=True, kw_only=True)
class Fault:
    """What goes wrong: on paths that contain ``path``, for the next ``times`` requests.

    Kinds: ``status`` (with ``status``, and Retry-After where it is 429 or 418), ``html`` (a page
    of a gateway with ``status``), ``truncated`` (half of the JSON), ``silent`` (no answer for
    ``seconds``), ``cut`` (the connection is dropped), ``spike`` (prices times ``factor``).
    """

    kind: str
    path: str = "/"
    times: int = 1
    status: int = 502
    seconds: float = 60.0
    factor: float = 10.0


class Exchange:
    """One server of a market on a port of loopback."""

    def __init__(self, market: Market, *, faults: Sequence[Fault] = ()) -> None:
        self.market = market
        self.faults = list(faults)
        self.requests: list[str] = []
        self._runner: web.AppRunner | None = None

    async def start(self, port: int = 0) -> int:
        """Listen on 127.0.0.1; returns the port."""
        application = web.Application(middlewares=[self._faulty])
        application.router.add_get("/fapi/v1/ping", self._ping)
        application.router.add_get("/fapi/v1/time", self._time)
        application.router.add_get("/fapi/v1/exchangeInfo", self._info)
        application.router.add_get("/fapi/v1/klines", self._klines)
        application.router.add_get("/fapi/v1/fundingRate", self._funding)
        application.router.add_get("/fapi/v1/premiumIndex", self._premium)
        application.router.add_get("/fapi/v1/ticker/bookTicker", self._book_ticker)
        application.router.add_get("/fapi/v1/depth", self._depth)
        self._runner = web.AppRunner(application)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port)
        await site.start()
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    # ---- faults --------------------------------------------------------------------------------

    @web.middleware
    async def _faulty(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self.requests.append(request.path)
        fault = next((f for f in self.faults if f.times > 0 and f.path in request.path), None)
        if fault is None or fault.kind == "spike":
            response = await handler(request)
            return _spiked(response, fault) if fault is not None else response
        fault.times -= 1
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
        return web.json_response({"serverTime": self.market.clock()})

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
        bid, ask = self._quotes(symbol)
        return web.json_response(
            {"symbol": symbol, "bidPrice": bid, "bidQty": "5.000", "askPrice": ask,
             "askQty": "5.000", "time": self.market.clock()}
        )  # fmt: skip

    async def _depth(self, request: web.Request) -> web.StreamResponse:
        symbol, refused = self._symbol(request)
        if refused is not None:
            return refused
        bid, ask = self._quotes(symbol)
        now = self.market.clock()
        return web.json_response(
            {"lastUpdateId": now, "E": now, "T": now, "bids": [[bid, "5.000"]],
             "asks": [[ask, "5.000"]]}
        )  # fmt: skip

    def _quotes(self, symbol: str) -> tuple[str, str]:
        price, tick = self.market.last_price(symbol), float(self.market.listings[symbol].tick)
        return f"{price - tick:.8f}", f"{price + tick:.8f}"

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
    fault.times -= 1
    rows[-1][1:5] = [str(float(value) * fault.factor) for value in rows[-1][1:5]]
    return web.json_response(rows)
