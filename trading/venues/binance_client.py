"""ccxt.pro's client of Binance's USDT-margined streams, with every message handed on whole.

ccxt keeps the newest state and drops what a candle says of itself: whether it is closed (``x``).
So each message is read here from its own text, exactly, and then given to ccxt, which wakes its
watchers.  Loading this module loads ccxt.pro.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from itertools import chain, takewhile
from typing import Any, Protocol

from ccxt import pro

from trading.domain.magnets.depth_minutes import sum_book
from trading.domain.magnets.order_flow import DepthSnapshot
from trading.venues.market_data import BestPrices, BookWish, ForcedOrder, StreamedCandle

#: How near to the middle resting orders count as depth, as a fraction.
DEPTH_REACH = 0.001
#: How often the depth of one book is summed (seconds).
DEPTH_EVERY = 1.0
#: How often a book is sampled for its walls (ms), and how many levels of a side are kept.
SAMPLE_EVERY_MS = 5_000
BOOK_DEPTH = 5_000
#: A number as the venue writes it; Python's own readers take underscores and other digits.
_NUMBER = re.compile(r"-?[0-9]{1,32}(\.[0-9]{1,32})?([eE][+-]?[0-9]{1,3})?")
#: A price and a size below the upper bound as a book writes them, each without sign or exponent.
_PLAIN = re.compile(r"[0-9]{1,11}(?:\.[0-9]{1,20})?/[0-9]{1,11}(?:\.[0-9]{1,20})?")
#: Bounds of what can be a price or a quantity.
SMALLEST, LARGEST = Decimal("1e-12"), Decimal("1e11")
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
        self._summed: dict[str, float] = {}
        self._sampled: dict[str, int] = {}

    def client(self, url: str) -> Any:
        """The connection to ``url``; a message that cannot be read ends nothing but itself."""
        made = super().client(url)
        if not isinstance(made.handle_text_or_binary_message, _Reader):
            made.handle_text_or_binary_message = _Reader(
                made.handle_text_or_binary_message, self.sink
            )
        return made

    def handle_ohlcv(self, client: Any, message: dict[str, Any]) -> None:
        bar = message.get("k") or {}
        symbol = self._symbol_of(bar.get("s"))
        figures = [positive(bar.get(name)) for name in "ohlc"]
        volume = _finite(bar.get("v"))
        is_whole = symbol and None not in figures and volume is not None and volume >= 0
        if not is_whole or volume is None or not isinstance(bar.get("t"), int):
            self.sink.refuse(symbol, "kline", bar)
            return
        o, h, low, c = (float(value) for value in figures if value is not None)
        if not low <= min(o, c) <= max(o, c) <= h:
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
                figures=(o, h, low, c, float(volume)),
                is_closed=bar.get("x") is True,
            )
        )
        super().handle_ohlcv(client, message)

    def handle_mark_prices(self, client: Any, message: Any) -> None:
        for row in message if isinstance(message, list) else [message]:
            symbol = self._symbol_of(row.get("s"))
            price, rate, due = positive(row.get("p")), _finite(row.get("r")), row.get("T")
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
        super().handle_mark_prices(client, message)

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
        super().handle_bids_asks(client, message)

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
        super().handle_liquidation(client, message)

    def handle_order_book(self, client: Any, message: dict[str, Any]) -> None:
        """An update with a level that is none is left out: the gap makes the book be read anew."""
        symbol = self._symbol_of(message.get("s"))
        levels = [*(message.get("b") or ()), *(message.get("a") or ())]
        if not symbol or not all(_is_level(level) for level in levels):
            self.sink.refuse(symbol, "depthUpdate", {"s": message.get("s"), "u": message.get("u")})
            return
        super().handle_order_book(client, message)

    def handle_order_book_message(
        self, client: Any, message: dict[str, Any], orderbook: Any
    ) -> Any:
        whole = super().handle_order_book_message(client, message, orderbook)
        symbol, now = orderbook["symbol"], time.monotonic()
        if symbol is not None and now - self._summed.get(symbol, 0.0) >= DEPTH_EVERY:
            self._summed[symbol] = now
            self.sink.take_depth(symbol, depth_within_reach(orderbook["bids"], orderbook["asks"]))
        if symbol is not None:
            self._sample(symbol, orderbook)
        return whole

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
        return super().order_book(snapshot or {}, max(depth or 0, BOOK_DEPTH))

    def _symbol_of(self, name: Any) -> str:
        """The symbol of the venue's name; empty for one that it does not list."""
        if not isinstance(name, str) or name not in (self.markets_by_id or {}):
            return ""
        return str(self.safe_symbol(name, None, None, "contract"))


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


def _is_level(level: Any) -> bool:
    """Whether a level of the book has a price and a quantity, which may be none.

    Books are most of what a stream tells, so plain numbers are judged without making Decimals.
    """
    if not isinstance(level, list) or len(level) < 2:
        return False
    price, size = level[0], level[1]
    if isinstance(price, str) and isinstance(size, str) and _PLAIN.fullmatch(f"{price}/{size}"):
        return float(price) >= 1e-12
    quantity = _finite(size)
    return positive(level[0]) is not None and quantity is not None and 0 <= quantity < LARGEST


def positive(text: Any) -> Decimal | None:
    """A positive finite number out of a message's text; None for anything else."""
    value = _finite(text)
    return value if value is not None and SMALLEST <= value < LARGEST else None


def _finite(text: Any) -> Decimal | None:
    if not isinstance(text, str) or _NUMBER.fullmatch(text) is None:
        return None
    try:
        value = Decimal(text)
    except InvalidOperation:
        return None
    return value if value.is_finite() else None
