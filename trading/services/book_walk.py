"""How the trader carries its book through time: missed minutes, closed hours, the present price.

What happened is written by the book itself; nothing here asks for the time or decides whether the
book may go on.
"""

from __future__ import annotations

from trading.domain.engine.book import Event
from trading.domain.market import MINUTE_MS
from trading.services.book.trading_book import TradingBook
from trading.services.hours import ClosedHour
from trading.services.market_reader import MarketReader


def walk_missed(paper: TradingBook, reader: MarketReader, *, now_ms: int) -> tuple[Event, ...]:
    """Walk the minutes that passed unwatched: resting orders execute, nothing is decided."""
    start = paper.book.time_ms // MINUTE_MS * MINUTE_MS + MINUTE_MS
    events: tuple[Event, ...] = ()
    for minute in range(start, now_ms, MINUTE_MS):
        events += step_price(paper, reader, now_ms=minute)
    return events


def decide_hours(
    paper: TradingBook,
    reader: MarketReader,
    read: dict[int, dict[int, ClosedHour]],
    *,
    now_ms: int,
) -> tuple[Event, ...]:
    """Decide on closed hours (by close time and instrument), each once, oldest first.

    An hour is decided at its close while no later price was processed; a candle that came after
    one is decided now, at the present price.
    """
    events: tuple[Event, ...] = ()
    for close_ms in sorted(read):
        hours = read[close_ms]
        in_time = paper.book.time_ms < close_ms
        for index, hour in hours.items():
            paper.decided[paper.instruments[index].symbol] = hour.candle.open_time
        events += paper.step(
            time_ms=close_ms - 1 if in_time else max(now_ms - 1, paper.book.time_ms),
            bars=reader.hour_bars(hours, now_ms, in_time=in_time),
            readings=[
                hours[index].signals_at(now_ms) if index in hours else {}
                for index in range(len(paper.instruments))
            ],
            bar_ms=1,
        )
    return events


def step_price(paper: TradingBook, reader: MarketReader, *, now_ms: int) -> tuple[Event, ...]:
    """Step the price of an instant; one before the book's own time moves nothing."""
    if now_ms < paper.book.time_ms:
        return ()
    bars = reader.price_bars(now_ms, since_ms=paper.book.time_ms)
    return paper.step(time_ms=now_ms, bars=bars, bar_ms=1)
