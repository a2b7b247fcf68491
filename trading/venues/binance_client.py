"""ccxt.pro's client of Binance's USDT-margined streams, with every message handed on whole.

ccxt keeps the newest state and drops what a candle says of itself: whether it is closed (``x``).
So each message is read here from its own text, exactly, and then given to ccxt, which wakes its
watchers.  Loading this module loads ccxt.pro.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Protocol

from ccxt import pro

from trading.venues.market_data import BestPrices, ForcedOrder, StreamedCandle

#: How near to the middle resting orders count as depth, as a fraction.
DEPTH_REACH = 0.001
#: How often the depth of one book is summed (seconds).
DEPTH_EVERY = 1.0
#: Bounds of what can be a price or a quantity.
SMALLEST, LARGEST = Decimal("1e-12"), Decimal("1e11")


class StreamSink(Protocol):
    """Who takes what a stream tells.  Called from the thread of the stream."""

    def now_ms(self) -> int: ...

    def take_mark(
        self, symbol: str, price: Decimal, venue_ms: int, rate: float | None, due_ms: int | None
    ) -> None: ...

    def take_best(self, best: BestPrices) -> None: ...

    def take_candle(self, candle: StreamedCandle) -> None: ...

    def take_forced(self, order: ForcedOrder) -> None: ...

    def take_depth(self, symbol: str, value: float | None) -> None: ...

    def refuse(self, symbol: str, what: str, message: Mapping[str, Any]) -> None: ...

    def note_stream(self, *, is_up: bool, reason: str) -> None: ...

    def note_book(self, reason: str) -> None: ...

    def count_message(self) -> None: ...


class BinanceStreamClient(pro.binanceusdm):  # type: ignore[misc]  # ccxt is untyped
    """A public client that tells a :class:`StreamSink` what arrives."""

    def __init__(self, sink: StreamSink, options: dict[str, Any]) -> None:
        super().__init__(options)
        self.sink = sink
        #: Set when its session ended: nothing is to be watched any more.
        self.is_over = False
        self._summed: dict[str, float] = {}

    def handle_message(self, client: Any, message: Any) -> None:
        super().handle_message(client, message)
        self.sink.count_message()

    def handle_ohlcv(self, client: Any, message: dict[str, Any]) -> None:
        bar = message.get("k") or {}
        symbol = self._symbol_of(bar.get("s"))
        figures = [positive(bar.get(name)) for name in "ohlc"]
        volume = _finite(bar.get("v"))
        if None in figures or volume is None or volume < 0 or not isinstance(bar.get("t"), int):
            self.sink.refuse(symbol, "kline", bar)
            return
        o, h, low, c = (float(value) for value in figures if value is not None)
        if not low <= min(o, c) <= max(o, c) <= h:
            self.sink.refuse(symbol, "kline", bar)
            return
        self.sink.take_candle(
            StreamedCandle(
                symbol=symbol,
                timeframe=str(bar.get("i")),
                open_time=int(bar["t"]),
                figures=(o, h, low, c, float(volume)),
                is_closed=bar.get("x") is True,
            )
        )
        super().handle_ohlcv(client, message)

    def handle_mark_prices(self, client: Any, message: Any) -> None:
        for row in message if isinstance(message, list) else [message]:
            symbol = self._symbol_of(row.get("s"))
            price, rate, due = positive(row.get("p")), _finite(row.get("r")), row.get("T")
            if price is None or not isinstance(row.get("E"), int):
                self.sink.refuse(symbol, "markPriceUpdate", row)
                return
            has_funding = rate is not None and isinstance(due, int) and due > 0
            self.sink.take_mark(
                symbol,
                price,
                row["E"],
                float(rate) if has_funding and rate is not None else None,
                due if has_funding else None,
            )
        super().handle_mark_prices(client, message)

    def handle_bids_asks(self, client: Any, message: dict[str, Any]) -> None:
        symbol = self._symbol_of(message.get("s"))
        values = [positive(message.get(name)) for name in ("b", "B", "a", "A")]
        bid, bid_quantity, ask, ask_quantity = values
        if bid is None or bid_quantity is None or ask is None or ask_quantity is None or bid >= ask:
            self.sink.refuse(symbol, "bookTicker", message)
            return
        self.sink.take_best(
            BestPrices(
                symbol=symbol,
                bid=bid,
                bid_quantity=bid_quantity,
                ask=ask,
                ask_quantity=ask_quantity,
                arrived_ms=self.sink.now_ms(),
            )
        )
        super().handle_bids_asks(client, message)

    def handle_liquidation(self, client: Any, message: dict[str, Any]) -> None:
        order = message.get("o") or {}
        symbol = self._symbol_of(order.get("s"))
        price, quantity = positive(order.get("ap")), positive(order.get("z"))
        if price is None or quantity is None or order.get("S") not in ("BUY", "SELL"):
            self.sink.refuse(symbol, "forceOrder", order)
            return
        self.sink.take_forced(
            ForcedOrder(
                symbol=symbol,
                side=order["S"].lower(),
                price=price,
                quantity=quantity,
                at_ms=int(order.get("T") or message["E"]),
            )
        )
        super().handle_liquidation(client, message)

    def handle_order_book_message(
        self, client: Any, message: dict[str, Any], orderbook: Any
    ) -> Any:
        whole = super().handle_order_book_message(client, message, orderbook)
        symbol, now = orderbook["symbol"], time.monotonic()
        if symbol is not None and now - self._summed.get(symbol, 0.0) >= DEPTH_EVERY:
            self._summed[symbol] = now
            self.sink.take_depth(symbol, depth_within_reach(orderbook["bids"], orderbook["asks"]))
        return whole

    def _symbol_of(self, name: Any) -> str:
        return str(self.safe_symbol(name, None, None, "contract"))


def depth_within_reach(bids: list[list[float]], asks: list[list[float]]) -> float | None:
    """Value resting within :data:`DEPTH_REACH` of the middle on both sides; None without one."""
    if not bids or not asks:
        return None
    middle = (bids[0][0] + asks[0][0]) / 2
    low, high = middle * (1 - DEPTH_REACH), middle * (1 + DEPTH_REACH)
    resting = [row for row in bids if row[0] >= low] + [row for row in asks if row[0] <= high]
    return float(sum(row[0] * row[1] for row in resting))


def positive(text: Any) -> Decimal | None:
    """A positive finite number out of a message's text; None for anything else."""
    value = _finite(text)
    return value if value is not None and SMALLEST <= value < LARGEST else None


def _finite(text: Any) -> Decimal | None:
    if not isinstance(text, str):
        return None
    try:
        value = Decimal(text)
    except InvalidOperation:
        return None
    return value if value.is_finite() else None
