"""A whole run of the readable engine over the bars of a market."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from magnetfund.kernel.errors import InvalidInput
from trading.domain.backtest.market import MarketBars
from trading.domain.backtest.result import OpenPosition, RawRun
from trading.domain.engine.book import Book, Event, FuseMove, OrderIntent, Refusal, RoundTrip
from trading.domain.engine.rules import EngineRules
from trading.domain.engine.step import open_book, process_bar
from trading.domain.strategies.signals import Signals


def run_reference(*, rules: EngineRules, market: MarketBars, signals: Sequence[Signals]) -> RawRun:
    """Run the book bar by bar.  ``signals`` has one entry a slot, row for row with its instrument.

    The readable twin of :func:`trading.domain.backtest.kernel.run_kernel`: the same integers, and
    equity equal within 1e-9 of its size.
    """
    check_shapes(rules=rules, market=market, signals=signals)
    size = len(market)
    book = open_book(rules=rules, time_ms=int(market.time_ms[0]))
    equity = np.empty(size, dtype=np.float64)
    trades: list[RoundTrip] = []
    fuse_events: list[FuseMove] = []
    refusals: list[Refusal] = []
    counts = {"orders": 0}
    slot_instrument = [slot.instrument for slot in rules.slots]
    for t in range(size):
        rows = [int(row) for row in market.rows[:, t]]
        bars = [
            None if row < 0 else bars_of.bar(row)
            for row, bars_of in zip(rows, market.instruments, strict=True)
        ]
        readings = [
            None if rows[instrument] < 0 else signals[slot].at(rows[instrument])
            for slot, instrument in enumerate(slot_instrument)
        ]
        book, events = process_bar(
            rules=rules,
            book=book,
            time_ms=int(market.time_ms[t]),
            bars=bars,
            signals=readings,
            last=t == size - 1,
        )
        equity[t] = book.equity
        for event in events:
            _sort_event(event, trades, fuse_events, refusals, counts)
    return RawRun(
        equity=equity,
        trades=tuple(trades),
        fuse_events=tuple(fuse_events),
        refusals=_count_refusals(refusals),
        orders=counts["orders"],
        open_positions=_find_open(rules, book),
        cash=book.cash,
    )


def _find_open(rules: EngineRules, book: Book) -> tuple[OpenPosition, ...]:
    found = []
    for slot, position in enumerate(book.positions):
        if position is None:
            continue
        instrument = rules.slots[slot].instrument
        mark = book.marks[instrument]
        moved = (mark - position.entry_ticks) * position.side * position.lots
        found.append(
            OpenPosition(
                slot=slot,
                side=position.side,
                lots=position.lots,
                entry_ticks=position.entry_ticks,
                entry_time=position.entry_time,
                mark_ticks=mark,
                open_profit=moved * rules.instruments[instrument].tick_value,
                leverage=position.leverage,
            )
        )
    return tuple(found)


def check_shapes(*, rules: EngineRules, market: MarketBars, signals: Sequence[Signals]) -> None:
    """Raise :class:`InvalidInput` unless bars and signals fit the rules, row for row."""
    if len(market.instruments) != len(rules.instruments) or len(signals) != len(rules.slots):
        raise InvalidInput("one market an instrument, one signal column a slot", code="run_shape")
    if len(market) == 0:
        raise InvalidInput("a run needs bars", code="empty_run")
    for slot, columns in zip(rules.slots, signals, strict=True):
        bars = market.instruments[slot.instrument]
        if len(columns) != len(bars) or (columns.known_at != bars.time_ms + rules.bar_ms).any():
            raise InvalidInput("signals do not stand on the closes of their bars", code="run_shape")


def _sort_event(
    event: Event,
    trades: list[RoundTrip],
    fuse_events: list[FuseMove],
    refusals: list[Refusal],
    counts: dict[str, int],
) -> None:
    if isinstance(event, RoundTrip):
        trades.append(event)
    elif isinstance(event, FuseMove):
        fuse_events.append(event)
    elif isinstance(event, Refusal):
        refusals.append(event)
    elif isinstance(event, OrderIntent):
        counts["orders"] += 1


def _count_refusals(refusals: list[Refusal]) -> dict[int, int]:
    found: dict[int, int] = {}
    for refusal in refusals:
        found[refusal.denial] = found.get(refusal.denial, 0) + 1
    return found
