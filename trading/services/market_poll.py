"""The second pair of eyes on prices: beat polls the exchange, fills what is missing and compares.

It never prices anything that trades: the trader reads its own source.  What it stores passes the
validation of every import, and an hour is left to the trader until it closed two minutes ago.
"""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings

from magnetfund.core.actors import Actor
from magnetfund.core.models import Heartbeat
from magnetfund.kernel.clock import from_milliseconds, to_milliseconds, utc_now
from magnetfund.kernel.counting import count_of
from magnetfund.kernel.errors import FundError
from trading.domain.market import HOUR_MS, MINUTE_MS
from trading.domain.market.events import MarketEventKind
from trading.models import Candle, CandleGap, Instrument
from trading.services.candle_import import import_candles
from trading.services.exchange_candles import fetch_candles, open_exchange
from trading.services.instrument_refresh import end_instrument, say_ending
from trading.services.market_choice import followed_exchange
from trading.services.market_events import NewMarketEvent, record_market_events
from trading.venues.ccxt_calls import ask_exchange, ask_once
from trading.venues.ccxt_quotes import quotes_of

#: The trader has so long to store an hour that closed.
LEAVE_MS = 2 * MINUTE_MS
#: Hours looked back for one that is missing.
LOOK_BACK = 48
#: Hours compared anew after each close.
COMPARED = 3
#: A hole that is known for so long is asked for twice an hour; before that, each minute.
LACKED_AFTER = timedelta(hours=1)
#: Of a market that told nothing for so long, the next hour is asked for twice in ten minutes.
SILENT_MS = 2 * HOUR_MS
#: How far the trader's price and the polled one may lie apart, as a fraction.
APART_MAX = 0.01
REPORT_AGE_MAX = timedelta(seconds=15)


def poll_market(*, slot: datetime) -> str:
    """Poll every active instrument of this home's exchange once; says what it found."""
    venue = followed_exchange()
    if not venue:
        return "no exchange is followed"
    instruments = list(Instrument.objects.filter(is_active=True, venue=venue))
    if not instruments:
        return f"no instrument of {venue} is traded"
    client = open_exchange(venue)
    try:
        ended = _end_what_is_over(client, instruments)
    except FundError as error:
        return error.message
    instruments = [item for item in instruments if item.symbol not in ended]
    end = (to_milliseconds(utc_now()) - LEAVE_MS) // HOUR_MS * HOUR_MS
    filled = differing = 0
    problems = []
    for instrument in instruments:
        start = _first_wanted(instrument, end, slot)
        if start is None:
            continue
        try:
            raw = fetch_candles(
                client, symbol=instrument.symbol, timeframe="1h", start_ms=start, end_ms=end
            )
        except FundError as error:
            problems.append(error.message)
            continue
        report = import_candles(
            raw, instrument=instrument, timeframe="1h", source=f"{venue} poll",
            actor=Actor.system("market poll"),
        )  # fmt: skip
        filled, differing = filled + report.taken, differing + report.differing
        if report.taken:
            _tell(MarketEventKind.CANDLES_FILLED, instrument, {"hours": report.taken})
        if report.differing:
            _tell(MarketEventKind.SOURCES_DIFFER, instrument, {"hours": report.differing})
    apart = [] if problems else _compare_prices(client, instruments)
    hours = count_of(filled, "hour")
    words = f"{count_of(len(instruments), 'instrument')}, {hours} filled, {differing} differ"
    gone = [f"{symbol}: {why}" for symbol, why in ended.items()]
    return "; ".join([words, *gone, *apart, *dict.fromkeys(problems)])


def _end_what_is_over(client: Any, instruments: list[Instrument]) -> dict[str, str]:
    """Let what the venue has ended leave the book; returns why, by symbol."""
    markets = ask_exchange(client, lambda: client.load_markets())
    ended = {
        item.symbol: why for item in instruments if (why := say_ending(markets.get(item.symbol)))
    }
    for item in instruments:
        if item.symbol in ended:
            end_instrument(
                item, why=ended[item.symbol], book=settings.MAGNET_BOOK,
                actor=Actor.system("market poll"),
            )  # fmt: skip
    return ended


def _first_wanted(instrument: Instrument, end: int, slot: datetime) -> int | None:
    """Open time of the first hour to ask for: one that is missing, or those that just closed.

    A venue can lack an hour for good, so the older a hole is the less often it is asked for.
    """
    since = from_milliseconds(end - LOOK_BACK * HOUR_MS)
    stored = {
        to_milliseconds(at)
        for at in Candle.objects.filter(
            instrument=instrument, timeframe="1h", open_time__gte=since
        ).values_list("open_time", flat=True)
    }
    wanted = range(end - LOOK_BACK * HOUR_MS, end, HOUR_MS)
    first = min(stored, default=end - COMPARED * HOUR_MS)
    missing = [hour for hour in wanted if hour > first and hour not in stored]
    has_just_closed = slot.minute in (2, 3)
    if missing and not has_just_closed:
        lacking = _lacking_hours(instrument, since)
        missing = [hour for hour in missing if hour not in lacking]
        if end - max(stored, default=end) > SILENT_MS and slot.minute % 10 not in (2, 3):
            missing = []
    if missing:
        return missing[0]
    return end - COMPARED * HOUR_MS if has_just_closed else None


def _lacking_hours(instrument: Instrument, since: datetime) -> set[int]:
    """Hours of recorded holes that were asked for long enough."""
    holes = CandleGap.objects.filter(
        instrument=instrument, timeframe="1h", refilled_at=None, end__gt=since,
        found_at__lte=utc_now() - LACKED_AFTER,
    )  # fmt: skip
    return {
        hour
        for start, end in holes.values_list("start", "end")
        for hour in range(to_milliseconds(start), to_milliseconds(end), HOUR_MS)
    }


def _compare_prices(client: object, instruments: list[Instrument]) -> list[str]:
    """Instruments whose polled price lies apart from the trader's, in words."""
    beat = Heartbeat.objects.filter(part="trader", instance=settings.MAGNET_BOOK).first()
    if beat is None or utc_now() - beat.seen_at > REPORT_AGE_MAX:
        return ["the trader does not report"]
    told = beat.detail.get("prices", {})
    symbols = [item.symbol for item in instruments]
    try:
        quotes = ask_once(client, lambda: quotes_of(client, symbols))
    except FundError as error:
        return [error.message]
    by_symbol = {item.symbol: item for item in instruments}
    apart = []
    for symbol, price, *_ in quotes:
        if symbol not in told or symbol not in by_symbol:
            continue
        change = math.log(float(price) / float(Decimal(told[symbol])))
        if abs(change) > APART_MAX:
            apart.append(f"{symbol} {change:+.1%} from the trader's price")
            _tell(
                MarketEventKind.SOURCES_DIFFER,
                by_symbol[symbol],
                {"trader": told[symbol], "poll": f"{price:f}"},
            )
    return apart


def _tell(kind: MarketEventKind, instrument: Instrument, detail: dict[str, object]) -> None:
    record_market_events(
        [
            NewMarketEvent(
                kind=kind, occurred_at=utc_now(), source=f"{instrument.venue} poll",
                instrument=instrument, detail=detail,
            )
        ]
    )  # fmt: skip
