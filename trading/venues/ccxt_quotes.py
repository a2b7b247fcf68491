"""Mark prices with the venue's time and the funding announced, from any ccxt client."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from magnetfund.kernel.errors import Unavailable
from trading.venues.ccxt_calls import ask_exchange
from trading.venues.market_data import BestPrices

#: Symbol, price, venue time (ms), announced funding rate and its stamp (ms).
Found = tuple[str, Decimal, int, float | None, int | None]


def quotes_of(client: Any, symbols: Sequence[str]) -> list[Found]:
    """One quote a symbol: the mark of a contract, else the last price; a symbol without a positive
    price or a time has none."""
    charged = [symbol for symbol in symbols if is_charged(client, symbol)]
    rows = _funding_rows(client, charged) if charged else []
    marked = [row for row in rows if row.get("markPrice") is not None]
    others = [row["symbol"] for row in rows if row.get("markPrice") is None]
    others += [symbol for symbol in symbols if symbol not in charged]
    found = [_of_funding(row) for row in marked]
    found += [_of_ticker(client.fetch_ticker(symbol)) for symbol in others]
    return [quote for quote in found if quote is not None]


def is_charged(client: Any, symbol: str) -> bool:
    """Whether the venue states funding of a symbol; one that lists spot as well has none of it."""
    listed = (client.markets or {}).get(symbol, {})
    return bool(client.has.get("fetchFundingRate")) and bool(listed.get("contract", True))


def best_of(book: Any, *, symbol: str, arrived_ms: int) -> BestPrices | None:
    """Best bid and ask of a book as ccxt tells it; None where a side is empty or they cross."""
    sides = [book.get(side) or [] for side in ("bids", "asks")]
    if not all(sides):
        return None
    bid, bid_quantity, ask, ask_quantity = (
        _positive(value) for rows in sides for value in rows[0][:2]
    )
    if bid is None or bid_quantity is None or ask is None or ask_quantity is None or bid >= ask:
        return None
    return BestPrices(
        symbol=symbol, bid=bid, bid_quantity=bid_quantity, ask=ask, ask_quantity=ask_quantity,
        arrived_ms=arrived_ms,
    )  # fmt: skip


def _funding_rows(client: Any, symbols: Sequence[str]) -> list[dict[str, Any]]:
    if len(symbols) == 1 or not client.has.get("fetchFundingRates"):
        return [client.fetch_funding_rate(symbol) for symbol in symbols]
    return list(client.fetch_funding_rates(list(symbols)).values())


def _of_funding(row: dict[str, Any]) -> Found | None:
    price = _positive(row["markPrice"])
    if price is None or not row.get("timestamp"):
        return None
    rate, due = row.get("fundingRate"), row.get("fundingTimestamp")
    symbol, time_ms = str(row["symbol"]), int(row["timestamp"])
    if rate is None or due is None or not math.isfinite(float(rate)):
        return symbol, price, time_ms, None, None
    return symbol, price, time_ms, float(rate), int(due)


def _of_ticker(row: dict[str, Any]) -> Found | None:
    price = _positive(row.get("last"))
    if price is None or not row.get("timestamp"):
        return None
    return str(row["symbol"]), price, int(row["timestamp"]), None, None


def _positive(value: Any) -> Decimal | None:
    if value is None or not math.isfinite(float(value)) or float(value) <= 0.0:
        return None
    return Decimal(repr(float(value)))


def read_middle(client: Any, symbol: str) -> Decimal:
    """The middle of best bid and ask, in the symbol's quote currency, as its book stands now.

    Raises :class:`Unavailable`: ``no_book`` where a side is empty or they cross, and
    ``exchange_away``; :class:`InvalidInput` (``unknown_instrument``).
    """
    book = ask_exchange(client, lambda: client.fetch_order_book(symbol, 5), symbol=symbol)
    best = best_of(book, symbol=symbol, arrived_ms=0)
    if best is None:
        raise Unavailable(f"{client.id} shows no bid and ask of {symbol}", code="no_book")
    return best.middle
