"""What the exchange lists and knows: symbols with filters, candles, funding, and its clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

INTERVALS = {"1m": 60_000, "5m": 300_000, "15m": 900_000, "1h": 3_600_000, "4h": 14_400_000,
             "1d": 86_400_000}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """One perpetual: its bars of ``interval`` (open time, open, high, low, close, volume), its
    funding by stamp, and the filters that ``exchangeInfo`` states."""

    symbol: str
    base: str
    interval: str
    bars: NDArray[np.float64]
    funding: Mapping[int, float] = field(default_factory=dict)
    tick: str = "0.10"
    lot: str = "0.001"
    minimum: str = "100"
    status: str = "TRADING"


@dataclass(slots=True, kw_only=True)
class Market:
    """The listings and the exchange's own clock (ms)."""

    listings: dict[str, Listing]
    clock: Callable[[], int] = lambda: int(time.time() * 1000)

    def exchange_info(self) -> dict[str, object]:
        return {
            "timezone": "UTC",
            "serverTime": self.clock(),
            "futuresType": "U_MARGINED",
            "rateLimits": [
                {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1,
                 "limit": 2400}
            ],
            "exchangeFilters": [],
            "assets": [{"asset": "USDT", "marginAvailable": True, "autoAssetExchange": "-10000"}],
            "symbols": [_symbol_info(item) for item in self.listings.values()],
        }  # fmt: skip

    def klines(
        self, symbol: str, interval: str, *, start: int | None, end: int | None, limit: int
    ) -> list[list[object]]:
        """Bars as arrays of twelve; the newest may still be forming, as at the real exchange."""
        bars = self._resampled(symbol, interval)
        now = self.clock()
        bars = bars[bars[:, 0] <= now]
        if start is not None:
            bars = bars[bars[:, 0] >= start]
        if end is not None:
            bars = bars[bars[:, 0] <= end]
        bars = bars[:limit] if start is not None else bars[-limit:]
        step = INTERVALS[interval]
        return [
            [
                int(row[0]), *(_text(value) for value in row[1:5]), _text(row[5]),
                int(row[0]) + step - 1, _text(row[5] * row[4]), 100, _text(row[5] / 2),
                _text(row[5] * row[4] / 2), "0",
            ]
            for row in bars.tolist()
        ]  # fmt: skip

    def last_price(self, symbol: str) -> float:
        """The close of the last bar that had opened by now."""
        bars = self.listings[symbol].bars
        row = int(np.searchsorted(bars[:, 0], self.clock(), side="right")) - 1
        return float(bars[max(row, 0), 4])

    def premium(self, symbol: str) -> dict[str, object]:
        """The mark price and what the next stamp will charge."""
        price, now = str(self.last_price(symbol)), self.clock()
        period = 8 * 3_600_000
        stamp = (now // period + 1) * period
        rate = self.listings[symbol].funding.get(stamp, 0.0001)
        return {
            "symbol": symbol, "markPrice": price, "indexPrice": price,
            "estimatedSettlePrice": price, "lastFundingRate": _text(rate),
            "interestRate": "0.00010000", "nextFundingTime": stamp, "time": now,
        }  # fmt: skip

    def funding_rates(
        self, symbol: str, *, start: int | None, end: int | None, limit: int
    ) -> list[dict[str, object]]:
        rates = self.listings[symbol].funding
        stamps = [
            stamp
            for stamp in sorted(rates)
            if (start is None or stamp >= start)
            and (end is None or stamp <= end)
            and stamp <= self.clock()
        ]
        chosen = stamps[:limit] if start is not None else stamps[-limit:]
        return [
            {"symbol": symbol, "fundingTime": stamp, "fundingRate": _text(rates[stamp]),
             "markPrice": _text(self.last_price(symbol))}
            for stamp in chosen
        ]  # fmt: skip

    def _resampled(self, symbol: str, interval: str) -> NDArray[np.float64]:
        listing = self.listings[symbol]
        if interval == listing.interval:
            return listing.bars
        step = INTERVALS[interval]
        groups = listing.bars[:, 0].astype(np.int64) // step * step
        starts = np.flatnonzero(np.append(True, np.diff(groups) != 0))
        last = np.append(starts[1:], len(groups)) - 1
        bars = listing.bars
        return np.column_stack(
            (
                groups[starts],
                bars[starts, 1],
                np.maximum.reduceat(bars[:, 2], starts),
                np.minimum.reduceat(bars[:, 3], starts),
                bars[last, 4],
                np.add.reduceat(bars[:, 5], starts),
            )
        )


def _text(number: float) -> str:
    return f"{Decimal(repr(float(number))):f}"


def _symbol_info(item: Listing) -> dict[str, object]:
    return {
        "symbol": item.symbol,
        "pair": item.symbol,
        "contractType": "PERPETUAL",
        "deliveryDate": 4133404800000,
        "onboardDate": 1569398400000,
        "status": item.status,
        "maintMarginPercent": "2.5000",
        "requiredMarginPercent": "5.0000",
        "baseAsset": item.base,
        "quoteAsset": "USDT",
        "marginAsset": "USDT",
        "pricePrecision": 2,
        "quantityPrecision": 3,
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": "COIN",
        "underlyingSubType": ["PoW"],
        "triggerProtect": "0.0500",
        "liquidationFee": "0.012500",
        "marketTakeBound": "0.05",
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": item.tick, "maxPrice": "4529764",
             "tickSize": item.tick},
            {"filterType": "LOT_SIZE", "minQty": item.lot, "maxQty": "1000",
             "stepSize": item.lot},
            {"filterType": "MARKET_LOT_SIZE", "minQty": item.lot, "maxQty": "120",
             "stepSize": item.lot},
            {"filterType": "MAX_NUM_ORDERS", "limit": 200},
            {"filterType": "MIN_NOTIONAL", "notional": item.minimum},
            {"filterType": "PERCENT_PRICE", "multiplierUp": "1.0500",
             "multiplierDown": "0.9500", "multiplierDecimal": "4"},
        ],
        "orderTypes": ["LIMIT", "MARKET", "STOP", "STOP_MARKET", "TAKE_PROFIT",
                       "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET"],
        "timeInForce": ["GTC", "IOC", "FOK", "GTX", "GTD"],
    }  # fmt: skip
