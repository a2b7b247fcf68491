"""ccxt.pro's client of Binance's USDT-margined streams, with every message read from its own text.

ccxt keeps the newest state and drops what a candle says of itself: whether it is closed (``x``).
So marks, best prices, candles and liquidations are read here and end here; ccxt opens the
connections and keeps the books.  What arrives wakes no watcher, since waking one costs more than
reading the message: a watcher of ccxt waits for the end of its connection alone.  Loading this
module loads ccxt.pro.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from itertools import chain, takewhile
from typing import Any, Protocol

from ccxt import NetworkError, pro
from ccxt.async_support.base.ws import order_book_side

from trading.domain.magnets.depth_minutes import sum_book
from trading.domain.magnets.order_flow import DepthSnapshot
from trading.venues.market_data import BestPrices, BookWish, ForcedOrder, StreamedCandle
from trading.venues.stream_numbers import are_levels, candle_figures, finite, positive

#: How near to the middle resting orders count as depth, as a fraction.
DEPTH_REACH = 0.001
#: How often the depth of one book is summed (seconds).
DEPTH_EVERY = 1.0
#: How often a book is sampled for its walls (ms), and how many levels of a side are kept.
SAMPLE_EVERY_MS = 5_000
BOOK_DEPTH = 5_000
#: An ask over this many times its bid is no book.
WIDEST = Decimal("1.1")


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

    def book_wish(self, symbol: str) -> BookWish | None: ...

    def take_book(self, symbol: str, sample: DepthSnapshot) -> None: ...

    def break_book(self, symbol: str) -> None: ...

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
        #: Set by each mark, the pulse of the streams; whoever listens for the next one clears it.
        self.marked = asyncio.Event()
        self._summed: dict[str, float] = {}
        self._sampled: dict[str, int] = {}
        self._symbols: dict[str, str] = {}
        self._readers: dict[str, Callable[[Any, dict[str, Any]], None]] = {
            "bookTicker": self.handle_bids_asks,
            "depthUpdate": self.handle_order_book,
            "kline": self.handle_ohlcv,
            "markPriceUpdate": self.handle_mark_prices,
        }

    def client(self, url: str) -> Any:
        """The connection to ``url``; a message that cannot be read ends nothing but itself."""
        made = super().client(url)
        if not isinstance(made.handle_text_or_binary_message, _Reader):
            made.handle_text_or_binary_message = _Reader(
                made.handle_text_or_binary_message, self.sink
            )
            made.resolve = _wake_nobody
            made.receive_loop = lambda: _begin_to_receive(made)
        return made

    def handle_message(self, client: Any, message: Any) -> None:
        """Give what streams tell all the time straight to its reader, and ccxt the rest."""
        event = message.get("e") if isinstance(message, dict) and "error" not in message else None
        read = self._readers.get(event) if isinstance(event, str) else None
        if read is not None:
            read(client, message)
        else:
            super().handle_message(client, message)

    def handle_ohlcv(self, client: Any, message: dict[str, Any]) -> None:
        bar = message.get("k") or {}
        symbol = self._symbol_of(bar.get("s"))
        figures = candle_figures([bar.get(name) for name in "ohlcv"])
        if not symbol or figures is None or not isinstance(bar.get("t"), int):
            self.sink.refuse(symbol, "kline", bar)
            return
        length = self.parse_timeframe(bar["i"]) * 1000 if bar.get("i") in self.timeframes else 0
        if bar.get("x") is True and not bar["t"] + length <= message.get("E", 0):
            self.sink.refuse(symbol, "kline before its end", bar)
            return
        self.sink.take_candle(
            StreamedCandle(
                symbol=symbol,
                timeframe=str(bar.get("i")),
                open_time=int(bar["t"]),
                figures=figures,
                is_closed=bar.get("x") is True,
            )
        )

    def handle_mark_prices(self, client: Any, message: Any) -> None:
        for row in message if isinstance(message, list) else [message]:
            symbol = self._symbol_of(row.get("s"))
            price, rate, due = positive(row.get("p")), finite(row.get("r")), row.get("T")
            if not symbol or price is None or not isinstance(row.get("E"), int):
                self.sink.refuse(symbol, "markPriceUpdate", row)
                return
            has_funding = rate is not None and isinstance(due, int)
            self.sink.take_mark(
                symbol,
                price,
                row["E"],
                float(rate) if has_funding and rate is not None else None,
                due if has_funding else None,
            )
            self.marked.set()

    def handle_bids_asks(self, client: Any, message: dict[str, Any]) -> None:
        symbol = self._symbol_of(message.get("s"))
        values = [positive(message.get(name)) for name in ("b", "B", "a", "A")]
        bid, bid_quantity, ask, ask_quantity = values
        if bid is None or bid_quantity is None or ask is None or ask_quantity is None:
            self.sink.refuse(symbol, "bookTicker", message)
            return
        if not symbol or not bid < ask <= bid * WIDEST:
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

    def handle_liquidation(self, client: Any, message: dict[str, Any]) -> None:
        order = message.get("o") or {}
        symbol = self._symbol_of(order.get("s"))
        price, quantity = positive(order.get("ap")), positive(order.get("z"))
        side, at = order.get("S"), order.get("T")
        is_known = bool(symbol) and side in ("BUY", "SELL")
        if price is None or quantity is None or not is_known or not isinstance(at, int):
            self.sink.refuse(symbol, "forceOrder", order)
            return
        self.sink.take_forced(
            ForcedOrder(
                symbol=symbol,
                side=str(side).lower(),
                price=price,
                quantity=quantity,
                at_ms=at,
            )
        )

    def handle_order_book(self, client: Any, message: dict[str, Any]) -> None:
        """An update with a level that is none is left out: the gap makes the book be read anew."""
        symbol = self._symbol_of(message.get("s"))
        levels = [*(message.get("b") or ()), *(message.get("a") or ())]
        if not symbol or not are_levels(levels):
            self.sink.refuse(symbol, "depthUpdate", {"s": message.get("s"), "u": message.get("u")})
            return
        super().handle_order_book(client, message)

    def handle_order_book_message(
        self, client: Any, message: dict[str, Any], orderbook: Any
    ) -> Any:
        """Take an update whose levels were judged and whose number ccxt found to be the next."""
        for side, name in (("asks", "a"), ("bids", "b")):
            orderbook[side].take(message.get(name) or ())
        orderbook["nonce"] = self.safe_integer(message, "u")
        orderbook["timestamp"] = message.get("E")
        symbol, now = orderbook["symbol"], time.monotonic()
        if symbol is not None and now - self._summed.get(symbol, 0.0) >= DEPTH_EVERY:
            self._summed[symbol] = now
            orderbook.limit()
            self.sink.take_depth(symbol, depth_within_reach(orderbook["bids"], orderbook["asks"]))
        if symbol is not None:
            self._sample(symbol, orderbook)
        return orderbook

    def _sample(self, symbol: str, orderbook: Any) -> None:
        """Hand on the book in buckets, where somebody asks for it and it is due."""
        wish = self.sink.book_wish(symbol)
        if wish is None:
            return
        at = self.sink.now_ms()
        if 0 <= at - self._sampled.get(symbol, 0) < SAMPLE_EVERY_MS:
            return
        self._sampled[symbol] = at
        sample = sum_book(
            bids=orderbook["bids"], asks=orderbook["asks"], at=at, bucket=wish.bucket,
            reach=wish.reach,
        )  # fmt: skip
        if sample is not None:
            self.sink.take_book(symbol, sample)

    def order_book(self, snapshot: Any = None, depth: int | None = None) -> Any:
        """A book that keeps what its updates tell beyond the levels that a request reads."""
        told, kept = snapshot or {}, max(depth or 0, BOOK_DEPTH)
        sides = {
            "bids": Bids(told.get("bids", ()), kept),
            "asks": Asks(told.get("asks", ()), kept),
        }
        return super().order_book({**told, **sides}, kept)

    def _symbol_of(self, name: Any) -> str:
        """The symbol of the venue's name; empty for one that it does not list."""
        if not isinstance(name, str):
            return ""
        known = self._symbols.get(name)
        if known is None:
            if name not in (self.markets_by_id or {}):
                return ""
            known = self._symbols[name] = str(self.safe_symbol(name, None, None, "contract"))
        return known


class _Reader:
    """Reads one text of a connection; what cannot be read is told and counted.

    ccxt reads the next message only once the last one was read without an error, so that one torn
    text would leave the connection deaf.
    """

    def __init__(self, read: Callable[[Any], None], sink: StreamSink) -> None:
        self._read = read
        self._sink = sink

    def __call__(self, data: Any) -> None:
        try:
            self._read(data)
        except Exception as error:  # whatever a text can make of a parser
            self._sink.refuse("", "message", {type(error).__name__: str(data[:100])})
        finally:
            self._sink.count_message()


def depth_within_reach(bids: list[list[float]], asks: list[list[float]]) -> float | None:
    """Value resting within :data:`DEPTH_REACH` of the middle on both sides; None without one."""
    if not bids or not asks:
        return None
    middle = (bids[0][0] + asks[0][0]) / 2
    low, high = middle * (1 - DEPTH_REACH), middle * (1 + DEPTH_REACH)
    resting = chain(
        takewhile(lambda row: row[0] >= low, bids), takewhile(lambda row: row[0] <= high, asks)
    )
    return float(sum(row[0] * row[1] for row in resting))


def _wake_nobody(result: Any, message_hash: Any) -> Any:
    """What ccxt does with a message's result, for a connection whose watchers wait for its end."""
    return result


def _begin_to_receive(connection: Any) -> None:
    """Read a connection in one task; ccxt makes a task and three turns of the loop per message."""
    connection.receiving = asyncio.ensure_future(_receive(connection))


async def _receive(connection: Any) -> None:
    try:
        while not connection.closed():
            connection.handle_message(await connection.receive())
    except Exception as error:  # whatever ends a connection ends its watchers
        connection.reject(NetworkError(str(error)))
    else:
        connection.on_close(1006)


class _BookSide(order_book_side.OrderBookSide):  # type: ignore[misc]  # ccxt is untyped
    """A side of ccxt's book that finds a price it holds at once.

    Most of an update changes the size at a price that stands, or ends one that was never read.
    """

    def __init__(self, deltas: Iterable[Sequence[float]] = (), depth: int | None = None) -> None:
        self._rows: dict[float, list[float]] = {}
        super().__init__(deltas, depth)

    def take(self, levels: Iterable[Sequence[str]]) -> None:
        """Take the levels of an update, each a price and the size that rests there now."""
        rows = self._rows
        for level in levels:
            price, size = float(level[0]), float(level[1])
            row = rows.get(price)
            if row is None:
                if size:
                    self.storeArray([price, size])
            elif size:
                row[1] = size
            else:
                self.storeArray([price, size])

    def storeArray(self, delta: list[float]) -> None:  # the name is ccxt's
        super().storeArray(delta)
        price, size = delta[0], delta[1]
        if not size:
            self._rows.pop(price, None)
        elif price not in self._rows:
            self._rows[price] = delta

    def clear(self) -> None:
        self._rows.clear()
        super().clear()

    def remove_index(self, order: list[float]) -> None:
        """ccxt let go of this row, the furthest from the middle."""
        self._rows.pop(order[0], None)


class Bids(_BookSide, order_book_side.Bids):  # type: ignore[misc]
    """Buyers, the highest price first."""


class Asks(_BookSide, order_book_side.Asks):  # type: ignore[misc]
    """Sellers, the lowest price first."""
