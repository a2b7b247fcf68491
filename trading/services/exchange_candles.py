"""Closed candles of an exchange by ccxt, page by page; every failure is one clear line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from magnetfund.kernel.errors import InvalidInput, Unavailable
from trading.domain.candle_files import RawCandles
from trading.domain.market import timeframe_ms

PAGE = 1_000
TIMEOUT_MS = 15_000


def open_exchange(name: str) -> Any:
    """A public ccxt client; raises :class:`InvalidInput` for a name that ccxt does not know."""
    import ccxt

    if name not in ccxt.exchanges:
        raise InvalidInput(f"unknown exchange {name!r}", code="unknown_exchange")
    return getattr(ccxt, name)({"enableRateLimit": True, "timeout": TIMEOUT_MS})


def fetch_candles(
    client: Any,
    *,
    symbol: str,
    timeframe: str,
    start_ms: int,
    end_ms: int,
    on_progress: Callable[[int], None] | None = None,
) -> RawCandles:
    """Closed bars with ``start_ms <= open time`` and end at most ``end_ms``.

    Raises :class:`Unavailable` when the exchange cannot be reached or refuses, with nothing stored.
    """
    import ccxt

    step = timeframe_ms(timeframe)
    rows: list[list[float]] = []
    cursor = start_ms
    while cursor + step <= end_ms:
        try:
            page = client.fetch_ohlcv(symbol, timeframe, since=cursor, limit=PAGE)
        except ccxt.BadSymbol:
            raise InvalidInput(
                f"{client.id} does not list {symbol}", code="unknown_instrument"
            ) from None
        except ccxt.BaseError as error:
            raise Unavailable(
                f"{client.id} cannot be reached: {type(error).__name__}", code="exchange_away"
            ) from None
        fresh = [row for row in page if cursor <= row[0] and row[0] + step <= end_ms]
        if not fresh:
            break
        rows += fresh
        cursor = int(fresh[-1][0]) + step
        if on_progress is not None:
            on_progress(len(fresh))
    columns = np.array(rows, dtype=np.float64).reshape(-1, 6).T
    return RawCandles(
        open_time=columns[0].astype(np.int64),
        open=columns[1].copy(),
        high=columns[2].copy(),
        low=columns[3].copy(),
        close=columns[4].copy(),
        volume=columns[5].copy(),
        line=np.arange(1, columns.shape[1] + 1),
    )
