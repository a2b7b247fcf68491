"""What the exchange lists and knows: symbols with filters, candles, funding, and its clock.

Within a bar the price walks on straight lines from the open to the nearer extreme, to the other
one, and to the close; so the newest bar forms as time passes and nothing knows its end before.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

INTERVALS = {"1m": 60_000, "5m": 300_000, "15m": 900_000, "1h": 3_600_000, "4h": 14_400_000,
             "1d": 86_400_000}  # fmt: skip

#: Bars shorter than those of the data that are told at most.
FINE_MAX = 3_000
#: Levels of a side that rest in a book, beside its walls.
BOOK_LEVELS = 20


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
    funding_hours: int = 8
    #: Forced orders: time (ms), side (BUY or SELL), price, quantity.
    liquidations: Sequence[tuple[int, str, float, float]] = ()
    #: Orders that rest beyond those levels: from and to (ms), side (BUY or SELL), price, quantity.
    walls: Sequence[tuple[int, int, str, float, float]] = ()
    #: Value of one unit that rests on each of twenty levels of the book.
    level_quantity: float = 5.0
    #: The price stands at the bar's close from its open on, instead of walking within the bar.
    stands: bool = False


@dataclass(slots=True, kw_only=True)
class Market:
    """The listings and the exchange's own clock (ms), which may be off by ``skew_ms``.

    A bar that closed less than ``late_ms`` ago is not told yet.
    """

    listings: dict[str, Listing]
    clock: Callable[[], int] = lambda: int(time.time() * 1000)
    skew_ms: int = 0
    late_ms: int = 0
    _snapshots: dict[str, deque[set[str]]] = field(default_factory=dict)

    def now(self) -> int:
        return self.clock() + self.skew_ms

    def exchange_info(self) -> dict[str, object]:
        return {
            "timezone": "UTC",
            "serverTime": self.now(),
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
        """Bars as arrays of twelve; the newest one is still forming."""
        step = INTERVALS[interval]
        first = start if start is not None else self.clock() - (limit + 1) * step
        bars = self.bars(symbol, interval, first // step * step)
        if self.late_ms:
            closes = bars[:, 0] + step
            now = self.clock()
            bars = bars[(closes <= now - self.late_ms) | (closes > now)]
        if start is not None:
            bars = bars[bars[:, 0] >= start]
        if end is not None:
            bars = bars[bars[:, 0] <= end]
        bars = bars[:limit] if start is not None else bars[-limit:]
        return [
            [
                int(row[0]), *(text_of(value) for value in row[1:5]), text_of(row[5]),
                int(row[0]) + step - 1, text_of(row[5] * row[4]), 100, text_of(row[5] / 2),
                text_of(row[5] * row[4] / 2), "0",
            ]
            for row in bars.tolist()
        ]  # fmt: skip

    def bars(self, symbol: str, interval: str, start: int) -> NDArray[np.float64]:
        """Bars that opened in ``[start, now]``, the last one as far as it has formed."""
        listing = self.listings[symbol]
        now, own = self.clock(), INTERVALS[listing.interval]
        if INTERVALS[interval] < own:
            return self._finer_bars(symbol, INTERVALS[interval], start)
        first = int(np.searchsorted(listing.bars[:, 0], start))
        stop = int(np.searchsorted(listing.bars[:, 0], now, side="right"))
        known = listing.bars[first:stop]
        if len(known) and known[-1, 0] + own > now:
            formed = _formed(known[-1], (now - known[-1, 0]) / own)
            known = np.vstack((known[:-1], formed))
        return known if interval == listing.interval else _resampled(known, INTERVALS[interval])

    def _finer_bars(self, symbol: str, step: int, start: int) -> NDArray[np.float64]:
        """Bars shorter than those of the data, cut out of the path within them."""
        listing, now = self.listings[symbol], self.clock()
        own = INTERVALS[listing.interval]
        first = max(start, int(listing.bars[0, 0]), now - FINE_MAX * step) // step * step
        rows = []
        for opened in range(first, now + 1, step):
            end = min(opened + step, now)
            turns = [opened // own * own + own * k // 3 for k in (1, 2)]
            times = [opened, *(turn for turn in turns if opened < turn < end), end]
            prices = [self.price_at(symbol, at) for at in times]
            rows.append((opened, prices[0], max(prices), min(prices), prices[-1], 1.0))
        return np.array(rows).reshape(-1, 6)

    def price_at(self, symbol: str, at_ms: int) -> float:
        """The traded price at an instant, on the tick."""
        listing = self.listings[symbol]
        row = max(int(np.searchsorted(listing.bars[:, 0], at_ms, side="right")) - 1, 0)
        tick = float(listing.tick)
        if listing.stands:
            return round(round(listing.bars[row, 4] / tick) * tick, 10)
        bar = listing.bars[row]
        share = min(1.0, max(0.0, (at_ms - bar[0]) / INTERVALS[listing.interval]))
        return round(round(_path_price(bar, share) / tick) * tick, 10)

    def last_price(self, symbol: str) -> float:
        """The price of now."""
        return self.price_at(symbol, self.clock())

    def levels(self, symbol: str, count: int) -> tuple[list[list[str]], list[list[str]]]:
        """Bids and asks around the price, a tick apart, best first."""
        listing = self.listings[symbol]
        price, tick = self.last_price(symbol), float(listing.tick)
        digits = len(listing.tick.partition(".")[2])
        quantity = f"{listing.level_quantity:.3f}"
        bids = [[f"{price - k * tick:.{digits}f}", quantity] for k in range(1, count + 1)]
        asks = [[f"{price + k * tick:.{digits}f}", quantity] for k in range(1, count + 1)]
        for start, end, side, wall_price, wall_quantity in listing.walls:
            row = [f"{wall_price:.{digits}f}", f"{wall_quantity:.3f}"]
            if start <= self.clock() < end:
                if side == "BUY" and wall_price < float(bids[-1][0]):
                    bids.append(row)
                elif side == "SELL" and wall_price > float(asks[-1][0]):
                    asks.append(row)
        return bids, asks

    def snapshot(self, symbol: str, count: int) -> tuple[list[list[str]], list[list[str]]]:
        """The book as a request reads it, remembered so that updates can take its levels away."""
        bids, asks = self.levels(symbol, min(count, BOOK_LEVELS))
        kept = self._snapshots.setdefault(symbol, deque(maxlen=8))
        kept.append({row[0] for row in bids + asks})
        return bids, asks

    def snapshot_prices(self, symbol: str) -> set[str]:
        """Prices of the last snapshots."""
        return set().union(*self._snapshots.get(symbol, ()))

    def premium(self, symbol: str) -> dict[str, object]:
        """The mark price and what the next stamp will charge."""
        price, now = str(self.last_price(symbol)), self.now()
        period = self.listings[symbol].funding_hours * 3_600_000
        stamp = (now // period + 1) * period
        rate = self.listings[symbol].funding.get(stamp, 0.0001)
        return {
            "symbol": symbol, "markPrice": price, "indexPrice": price,
            "estimatedSettlePrice": price, "lastFundingRate": text_of(rate),
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
            {"symbol": symbol, "fundingTime": stamp, "fundingRate": text_of(rates[stamp]),
             "markPrice": text_of(self.last_price(symbol))}
            for stamp in chosen
        ]  # fmt: skip


def _path(bar: NDArray[np.float64]) -> NDArray[np.float64]:
    """The four prices that a bar walks through: its open, the nearer extreme first, its close."""
    rises = bar[4] >= bar[1]
    turns = (bar[3], bar[2]) if rises else (bar[2], bar[3])
    return np.array([bar[1], *turns, bar[4]])


def _path_price(bar: NDArray[np.float64], share: float) -> float:
    return float(np.interp(share * 3.0, [0.0, 1.0, 2.0, 3.0], _path(bar)))


def _formed(bar: NDArray[np.float64], share: float) -> NDArray[np.float64]:
    """A bar after ``share`` of its time."""
    price = _path_price(bar, share)
    walked = [*_path(bar)[: int(share * 3.0) + 1], price]
    return np.array([bar[0], bar[1], max(walked), min(walked), price, bar[5] * share])


def _resampled(bars: NDArray[np.float64], step: int) -> NDArray[np.float64]:
    if not len(bars):
        return bars
    groups = bars[:, 0].astype(np.int64) // step * step
    starts = np.flatnonzero(np.append(True, np.diff(groups) != 0))
    last = np.append(starts[1:], len(groups)) - 1
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


def text_of(number: float) -> str:
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
