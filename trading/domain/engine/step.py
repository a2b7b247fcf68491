"""The readable engine: one bar of the whole book, step by step, in plain Python.

It decides and never executes: :func:`run_bar` stops wherever the venue has to act, and what the
venue answers is booked before it goes on.  :func:`process_bar` drives it over the paper venue's
transitions in memory, which is the reference of the compiled kernel; the trader drives it over a
venue that commits.  All arithmetic is that of ``scalars`` and ``decision``, which the kernel
compiles from the same source.  The same book, bar and signals give the same events for ever.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from magnetfund.kernel.errors import InvalidInput
from risk.domain.fuse import begin_capital, open_fuse, scale_for_flow
from trading.domain.engine.book import Bar, Book, Event
from trading.domain.engine.closing import decide, mark, mark_at_closes
from trading.domain.engine.intrabar import find_trip, note_ambiguous, trip
from trading.domain.engine.opening import give_up_entries, turn_day
from trading.domain.engine.rules import EngineRules
from trading.domain.engine.wants import account_of, orders_of
from trading.domain.engine.working import Working, take
from trading.domain.paper_venue import (
    Phase,
    VenueBook,
    Walk,
    walk_bar,
)
from trading.domain.strategies.signals import Signal


def open_book(*, rules: EngineRules, time_ms: int, cash: float | None = None) -> Book:
    """The book before its first bar: opening cash, nothing held, the fuse armed.

    ``cash`` is in quote currency, by default that of the rules; a book without any waits for its
    first flow and enters nothing.
    """
    cash = rules.cash_opening if cash is None else cash
    return Book(
        time_ms=time_ms,
        cash=cash,
        equity=cash,
        marks=(0,) * len(rules.instruments),
        positions=(None,) * len(rules.slots),
        pending=(),
        fuse=open_fuse(
            time_ms=time_ms,
            equity=cash,
            strategies=rules.strategy_count,
            instruments=len(rules.instruments),
        ),
    )


def process_bar(
    *,
    rules: EngineRules,
    book: Book,
    time_ms: int,
    bars: Sequence[Bar | None],
    signals: Sequence[Signal | None],
    last: bool = False,
) -> tuple[Book, tuple[Event, ...]]:
    """Carry ``book`` through the bar that opens at ``time_ms``.

    ``bars`` has one entry per instrument, ``signals`` one per slot, None where the instrument has
    no bar; a signal must be the one known at this bar's close. On the ``last`` bar no order is
    given. Returns the book at the close and the events in their order. Raises :class:`InvalidInput`
    for a bar that is not later than the book, or sequences of another length.
    """
    if len(bars) != len(rules.instruments) or len(signals) != len(rules.slots):
        raise InvalidInput("one bar per instrument, one signal per slot", code="bar_shape")
    if time_ms < book.time_ms:
        raise InvalidInput("the bar lies before the book", code="bar_order")
    working = Working(rules=rules, book=book, time_ms=time_ms, bars=bars, signals=signals)
    slots = range(len(rules.slots))
    for walk in run_bar(working, last=last):
        # Nothing is lost in memory: the venue knows what the slots hold and want.
        venue = VenueBook(
            accounts=tuple(account_of(held) for held in working.positions),
            orders=tuple(
                order
                for slot in slots
                for order in orders_of(
                    slot,
                    held=working.positions[slot],
                    leaving=working.exits[slot],
                    entry=working.entries[slot],
                )
            ),
        )
        for happened in walk_bar(book=venue, walk=walk, bars=bars, rules=rules)[1]:
            take(working, happened)
    return working.freeze(), tuple(working.events)


def run_bar(working: Working, *, last: bool = False) -> Iterator[Walk]:
    """Decide one bar, stopping where the venue has to execute.

    Whoever drives it places what the slots want, lets the venue walk that far, books with
    :func:`~trading.domain.engine.working.take` what it answers, and goes on.
    """
    turn_day(working)
    yield Walk(phase=Phase.OPEN)
    give_up_entries(working)
    if working.held():
        yield Walk(phase=Phase.TARGETS)
        note_ambiguous(working)
        share, equity, closed = find_trip(working)
        yield Walk(phase=Phase.STOPS, share=share)
        if share <= 1.0:
            trip(working, equity=equity, closed=closed)
            yield Walk(phase=Phase.POINT, share=share)
    met = mark_at_closes(working)
    if met is not None:
        trip(working, equity=met[0], closed=met[1])
        yield Walk(phase=Phase.CLOSE)
        mark(working)
    decide(working, last=last)


def adjust_for_flow(*, book: Book, amount: float) -> Book:
    """The book after ``amount`` came in (or, negative, went out) at its present value.

    Day start and peak move in the same proportion as equity, so the fuse, which watches the value
    of a unit, sees nothing.  A book that holds nothing may get its first capital and lose its last.
    Raises :class:`InvalidInput` (``flow_too_large``) when less than nothing would remain, or
    nothing while something is held.
    """
    after = book.equity + amount
    is_idle = not any(book.positions) and not book.pending
    if is_idle and after >= 0.0 and (book.equity == 0.0 or after == 0.0):
        fuse = begin_capital(book.fuse, equity=after)
        return replace(book, cash=after, equity=after, fuse=fuse)
    if not (book.equity > 0.0 and after > 0.0):
        raise InvalidInput("a flow must leave equity positive", code="flow_too_large")
    factor = after / book.equity
    return replace(
        book,
        cash=book.cash + amount,
        equity=after,
        fuse=scale_for_flow(book.fuse, factor=factor),
    )
