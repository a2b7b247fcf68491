"""Spot on a venue that has contracts as well: no funding is asked for, and nothing waits for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

import ccxt
import pytest

from simulated_exchange.server import Exchange
from trading.domain.market import HOUR_MS
from trading.services.engine import engine_state_of
from trading.tests.exchange_ground import BOOK, SYMBOL, Dial, Ground, serve_exchange
from trading.venues.ccxt_quotes import quotes_of

SPOT, SILENT = "BTC/USDT", "ETH/USDT:USDT"


class BothKinds:
    """A client as ccxt's of a venue that lists spot and contracts; it refuses what has no rate."""

    has = {"fetchFundingRate": True, "fetchFundingRates": True}
    markets = {
        SPOT: {"contract": False},
        SYMBOL: {"contract": True},
        SILENT: {"contract": True},
    }

    def fetch_funding_rates(self, symbols: Sequence[str]) -> dict[str, dict[str, Any]]:
        return {symbol: self.fetch_funding_rate(symbol) for symbol in symbols}

    def fetch_funding_rate(self, symbol: str) -> dict[str, Any]:
        if symbol == SPOT:
            raise ccxt.NotSupported("funding rates of spot")
        mark = None if symbol == SILENT else 101.0
        return {"symbol": symbol, "markPrice": mark, "timestamp": 5, "fundingRate": 0.0002,
                "fundingTimestamp": HOUR_MS}  # fmt: skip

    def fetch_ticker(self, symbol: str) -> dict[str, Any]:
        return {"symbol": symbol, "last": 100.0, "timestamp": 6}


@pytest.mark.parametrize("symbols", [[SPOT], [SYMBOL, SPOT], [SYMBOL, SILENT, SPOT]])
def test_each_has_the_price_that_its_kind_has(symbols: list[str]):
    found = {symbol: (price, rate) for symbol, price, _, rate, _ in quotes_of(BothKinds(), symbols)}
    known = {
        SPOT: (Decimal("100.0"), None),
        SYMBOL: (Decimal("101.0"), 0.0002),
        SILENT: (Decimal("100.0"), None),
    }
    assert found == {symbol: known[symbol] for symbol in symbols}


@pytest.fixture
def dial() -> Dial:
    return Dial()


@pytest.fixture
def exchange(settings: Any, dial: Dial) -> Iterator[Exchange]:
    with serve_exchange(settings, dial) as served:
        yield served


@pytest.mark.usefixtures("as_gateway", "exchange")
def test_missed_minutes_come_where_there_is_no_funding(dial: Dial):
    ground = Ground(dial)
    ground.start()
    ground.beat(2)
    client = ground.source._client
    client.markets[SYMBOL]["contract"] = False
    price = ground.source.prices.newest(SYMBOL)
    assert price is not None

    def refuse(symbol: str, **asked: Any) -> Any:
        raise ccxt.NotSupported("funding rates of spot")

    client.fetch_funding_rate = client.fetch_funding_rate_history = refuse
    client.fetch_ticker = lambda symbol: {
        "symbol": symbol, "last": float(price.price), "timestamp": dial.now_ms,
    }  # fmt: skip
    ground.beat(1, step_ms=2 * HOUR_MS)
    ground.beat(3, step_ms=2_000)
    assert engine_state_of(BOOK) == "READY"
