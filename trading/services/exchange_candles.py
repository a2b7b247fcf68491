"""Closed candles and terms of an exchange by ccxt; every failure is one clear line."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from django.conf import settings

from magnetfund.kernel.errors import InvalidInput
from trading.domain.candle_files import RawCandles
from trading.domain.market import InstrumentTerms, timeframe_ms
from trading.domain.market.funding import FundingRates
from trading.services.instrument_files import shipped_terms
from trading.venues.ccxt_calls import ask_exchange, refuse_torn_answers
from trading.venues.ccxt_hosts import moved_urls
from trading.venues.ccxt_terms import terms_from_market

PAGE = 1_000
TIMEOUT_MS = 15_000


def open_exchange(name: str) -> Any:
    """A public ccxt client; raises :class:`InvalidInput` for a name that ccxt does not know."""
    import ccxt

    if name not in ccxt.exchanges:
        raise InvalidInput(f"unknown exchange {name!r}", code="unknown_exchange")
    client = getattr(ccxt, name)({"enableRateLimit": True, "timeout": TIMEOUT_MS})
    refuse_torn_answers(client)
    if settings.EXCHANGE_PROXY:
        client.https_proxy = settings.EXCHANGE_PROXY
    if settings.EXCHANGE_HOST:
        client.urls["api"] = moved_urls(client.urls["api"], settings.EXCHANGE_HOST)
    return client


def fetch_candles(
    client: Any,
    *,
    symbol: str,
    timeframe: str,
    start_ms: int,
    end_ms: int,
    on_progress: Callable[[int], None] | None = None,
    ask: Callable[..., Any] = ask_exchange,
) -> RawCandles:
    """Closed bars with ``start_ms <= open time`` and end at most ``end_ms``.

    ``ask`` is how a call is made: with its retries, or once.  Raises :class:`Unavailable` when the
    exchange cannot be reached or refuses, with nothing stored.
    """
    step = timeframe_ms(timeframe)
    rows: list[list[float]] = []
    cursor = start_ms
    while cursor + step <= end_ms:
        page = ask(
            client,
            partial(_read_page, client, symbol, timeframe, cursor),
            symbol=symbol,
        )
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


def _read_page(client: Any, symbol: str, timeframe: str, since: int) -> list[list[float]]:
    """One page of bars, oldest first; raises :class:`ValueError` for one that holds others."""
    page = client.fetch_ohlcv(symbol, timeframe, since=since, limit=PAGE)
    rows = [[float(value) for value in row] for row in page]
    times = [row[0] for row in rows]
    if any(len(row) != 6 or not math.isfinite(row[0]) for row in rows):
        raise ValueError("a bar is not whole")
    if any(time % timeframe_ms(timeframe) for time in times):
        raise ValueError("a bar lies off the grid")
    if any(later <= before for before, later in pairwise(times)):
        raise ValueError("the bars are out of order")
    return rows


def fetch_funding(
    client: Any,
    *,
    symbol: str,
    start_ms: int,
    end_ms: int,
    ask: Callable[..., Any] = ask_exchange,
) -> FundingRates:
    """Funding rates with ``start_ms <= stamp < end_ms``, as the venue charged them; ``ask`` as for
    :func:`fetch_candles`."""
    rows: dict[int, float] = {}
    cursor = start_ms
    while cursor < end_ms:
        page = ask(
            client,
            partial(client.fetch_funding_rate_history, symbol, since=cursor, limit=PAGE),
            symbol=symbol,
        )
        fresh = {
            int(row["timestamp"]): float(row["fundingRate"])
            for row in page
            if cursor <= int(row["timestamp"]) < end_ms
        }
        if not fresh:
            break
        rows |= fresh
        cursor = max(fresh) + 1
    stamps = sorted(rows)
    return FundingRates(
        stamp_ms=np.array(stamps, dtype=np.int64),
        rate=np.array([rows[stamp] for stamp in stamps], dtype=np.float64),
    )


def fetch_time_ms(client: Any) -> int:
    """The venue's clock: a candle is closed by its word, not by ours."""
    return int(ask_exchange(client, client.fetch_time))


def fetch_terms(client: Any, *, venue: str, symbol: str) -> tuple[InstrumentTerms, str]:
    """What a venue's public metadata states of an instrument, and the source in words.

    Fees and maintenance tiers that the venue signs (Binance) come from the shipped file.  Raises
    :class:`InvalidInput` (``unknown_instrument``) and :class:`Unavailable` (``exchange_away``).
    """
    markets = ask_exchange(client, lambda: client.load_markets())
    market = markets.get(symbol)
    if market is None:
        raise InvalidInput(f"{venue} does not list {symbol}", code="unknown_instrument")
    shipped = shipped_terms(venue)
    known = shipped.terms.get(symbol) if shipped is not None else None
    terms, notes = terms_from_market(
        market,
        venue=venue,
        precision_mode=client.precisionMode,
        tiers=known.maintenance_tiers if known else (),
        fees=(known.maker_fee, known.taker_fee) if known else None,
    )
    if shipped is not None and known is not None:
        notes = (f"fees and maintenance: {shipped.source}",)
    return terms, "; ".join([f"{venue} public metadata", *notes])
