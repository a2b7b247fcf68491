"""Closed hours and minutes of a real venue: what was asked for, fetched and not yet read.

The trader asks for an hour and goes on; a poll fetches it, and whoever asks again gets it once.
Minutes stand in for the time in which no price was heard.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from typing import Any

import numpy as np

from magnetfund.kernel.errors import FundError
from trading.domain.market import HOUR_MS, MINUTE_MS, Candles
from trading.services.exchange_candles import fetch_candles, fetch_funding
from trading.services.live_candles import no_candles, read_raw, read_told, without_spikes
from trading.services.live_prices import LivePrices
from trading.venues.ccxt_calls import ask_once
from trading.venues.ccxt_quotes import is_charged

#: The stream has so long to tell an hour's closed candle before REST is asked for it.
STREAM_GRACE_MS = 5_000


class LiveBars:
    """Bars of one venue by symbol; ``prices`` holds what its stream told."""

    def __init__(self, client: Any, prices: LivePrices) -> None:
        self._client = client
        self._prices = prices
        self._hours: dict[str, Candles] = {}
        #: What was asked for and is not fetched: start and end, ms.
        self._wanted: dict[str, tuple[int, int]] = {}
        #: By symbol: from when on minutes were asked for (ms), and those that came.
        self._minutes: dict[str, tuple[int, Candles]] = {}
        #: When the bars of a symbol failed last (monotonic seconds), until they come.
        self._failed: dict[str, float] = {}
        self._lock = threading.Lock()

    # ---- the network ---------------------------------------------------------------------------

    def fetch(self, symbol: str, timeframe: str, step: int, start: int, end: int) -> Candles:
        """Bars whose open time lies in [start, end), straight from the venue; times in ms."""
        try:
            raw = fetch_candles(
                self._client,
                symbol=symbol,
                timeframe=timeframe,
                start_ms=start,
                end_ms=end,
                ask=ask_once,
            )
        except FundError:
            self._failed[symbol] = time.monotonic()
            raise
        self._failed.pop(symbol, None)
        return read_raw(raw, symbol, step)

    def in_turn(self, symbols: Iterable[str]) -> list[str]:
        """The symbols in order, those whose bars failed last at the end."""
        return sorted(symbols, key=lambda symbol: self._failed.get(symbol, 0.0))

    def fetch_hours(self, symbol: str, venue_ms: int, *, is_streamed: bool) -> None:
        """Fetch the hours that were asked for and have closed by the venue's clock."""
        start, end = self._wanted.get(symbol, (venue_ms, venue_ms))
        if start + HOUR_MS > venue_ms:
            return
        # The one hour wanted closed so lately that the stream may still tell it.
        is_one = start + HOUR_MS == end
        if is_one and is_streamed and venue_ms - end < STREAM_GRACE_MS:
            return
        hours = self.fetch(symbol, "1h", HOUR_MS, start, min(end, venue_ms))
        with self._lock:
            self._hours[symbol] = hours
            if len(hours) and self._wanted.get(symbol) == (start, end):
                del self._wanted[symbol]

    def fetch_minutes(self, symbol: str, start: int, venue_ms: int) -> None:
        """Fetch the minutes from ``start`` on, but for those that no price bears out."""
        minutes = self.fetch(symbol, "1m", MINUTE_MS, start, venue_ms)
        kept = without_spikes(
            minutes,
            before=self._prices.newest_by(symbol, start),
            after=self._prices.newest(symbol),
        )
        self._minutes[symbol] = (start, kept)

    def fetch_charges(self, symbol: str, start: int, venue_ms: int) -> None:
        """Fetch what the venue charged since ``start``, in time that nobody watched.

        Stamps fall on whole hours.
        """
        has_stamp = start // HOUR_MS != venue_ms // HOUR_MS and is_charged(self._client, symbol)
        if has_stamp and self._client.has.get("fetchFundingRateHistory"):
            rates = fetch_funding(
                self._client, symbol=symbol, start_ms=start, end_ms=venue_ms, ask=ask_once
            )
            self._prices.note_charges(symbol, rates)

    # ---- memory --------------------------------------------------------------------------------

    def take_hours(self, symbol: str, start: int, end: int) -> Candles:
        """The hours in [start, end) that came, each fetched one once; none yet asks for them."""
        with self._lock:
            known = self._hours.pop(symbol, None)
            if known is not None:
                first = int(np.searchsorted(known.open_time, start))
                stop = int(np.searchsorted(known.open_time, end - HOUR_MS, side="right"))
                if stop > first:
                    return known.between(first, stop)
            told = self._prices.closed_candles(symbol, "1h", start, end, HOUR_MS)
            if told is not None:
                return read_told(told, symbol, HOUR_MS)
            self._wanted[symbol] = (start, end)
        return no_candles(symbol, HOUR_MS)

    def close_before(self, symbol: str, at_ms: int) -> float | None:
        """The close of the minute that ended by then, where it ended less than one ago.

        Where the venue has a later minute and none between, nothing was traded meanwhile: the
        close before stands, and at the beginning the open after.
        """
        asked_ms, minutes = self._minutes.get(symbol, (0, None))
        if minutes is None or not len(minutes) or at_ms - MINUTE_MS < asked_ms:
            return None
        row = int(np.searchsorted(minutes.open_time, at_ms - MINUTE_MS, side="right")) - 1
        is_known = row >= 0 and at_ms - int(minutes.open_time[row]) < 2 * MINUTE_MS
        if not is_known and row + 1 == len(minutes):
            return None
        return float(minutes.close[row] if row >= 0 else minutes.open[0])
