"""A whole run of the readable engine over the bars of a market."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, replace

import numpy as np

from magnetfund.kernel.errors import InvalidInput
from trading.domain.backtest.fine import FineMarket
from trading.domain.backtest.market import MarketBars
from trading.domain.backtest.result import OpenPosition, RawRun
from trading.domain.engine.book import Bar, Book, Event, FuseMove, OrderIntent, Refusal, RoundTrip
from trading.domain.engine.rules import EngineRules
from trading.domain.engine.step import open_book, process_bar
from trading.domain.strategies.signals import Signal, Signals


def run_reference(
    *,
    rules: EngineRules,
    market: MarketBars,
    signals: Sequence[Signals],
    fine: FineMarket | None = None,
) -> RawRun:
    """Run the book bar by bar.  ``signals`` has one entry per slot, in rows like its instrument.

    With ``fine`` it decides on the bars of ``market`` and executes on slices.  The readable twin of
    :func:`trading.domain.backtest.kernel.run.run_kernel`: the same integers, and equity equal
    within 1e-9 of its size.
    """
    check_shapes(rules=rules, market=market, signals=signals)
    book = open_book(rules=rules, time_ms=int(market.time_ms[0]))
    equity = np.empty(len(market), dtype=np.float64)
    trades: list[RoundTrip] = []
    fuse_events: list[FuseMove] = []
    refusals: list[Refusal] = []
    counts = {"orders": 0}
    bars_of = market if fine is None else fine.bars
    size = len(bars_of)
    for t in range(size):
        decision = t if fine is None else int(fine.decision[t])
        time_ms = int(bars_of.time_ms[t])
        bar_ms = rules.bar_ms if fine is None else int(fine.close_ms[t]) - time_ms
        book, events = process_bar(
            rules=rules if fine is None else replace(rules, bar_ms=bar_ms),
            book=book,
            time_ms=time_ms,
            bars=_bars_at(bars_of, t),
            signals=_signals_at(rules, market, signals, decision),
            last=t == size - 1,
        )
        if decision >= 0:
            equity[decision] = book.equity
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


def _bars_at(market: MarketBars, t: int) -> list[Bar | None]:
    return [
        None if row < 0 else bars.bar(int(row))
        for row, bars in zip(market.rows[:, t], market.instruments, strict=True)
    ]


def _signals_at(
    rules: EngineRules, market: MarketBars, signals: Sequence[Signals], decision: int
) -> list[Signal | None]:
    """What every slot knows at the close of a bar; nothing between two closes."""
    if decision < 0:
        return [None] * len(rules.slots)
    rows = [int(market.rows[slot.instrument, decision]) for slot in rules.slots]
    return [
        None if row < 0 else columns.at(row) for row, columns in zip(rows, signals, strict=True)
    ]


def find_difference(ours: RawRun, theirs: RawRun) -> str:
    """The first difference between two engines' runs in words; empty where there is none."""
    difference = find_trade_difference(ours.trades, theirs.trades)
    if difference:
        return difference
    if dict(ours.refusals) != dict(theirs.refusals) or ours.orders != theirs.orders:
        return "orders or refusals differ"
    if len(ours.fuse_events) != len(theirs.fuse_events):
        return f"{len(ours.fuse_events)} events of the fuse and {len(theirs.fuse_events)}"
    if not np.allclose(ours.equity, theirs.equity, rtol=1e-9, atol=0.0):
        return "equity differs"
    return ""


def find_trade_difference(ours: Sequence[RoundTrip], theirs: Sequence[RoundTrip]) -> str:
    """The first difference between two runs' trades in words; empty where there is none.

    Whole numbers (ticks, lots, times) must be the same, money within a billionth of its size.
    """
    for number, pair in enumerate(zip(ours, theirs, strict=False)):
        first, second = (asdict(trade) for trade in pair)
        for name, value in first.items():
            other = second[name]
            is_real = isinstance(value, float)
            if (
                (not math.isclose(value, other, rel_tol=1e-9, abs_tol=1e-6))
                if is_real
                else (value != other)
            ):
                return f"trade {number}, {name}: {value} and {other}"
    return "" if len(ours) == len(theirs) else f"{len(ours)} trades and {len(theirs)}"


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
        raise InvalidInput(
            "one market per instrument, one signal column per slot", code="run_shape"
        )
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
