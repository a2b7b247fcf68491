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
from risk.domain.fuse import open_fuse, scale_for_flow
from trading.domain.engine.book import Bar, Book, CloseReason, Event
from trading.domain.engine.closing import decide, mark, mark_at_closes
from trading.domain.engine.intrabar import find_trip, note_ambiguous, trip
from trading.domain.engine.opening import give_up_entries, turn_day
from trading.domain.engine.rules import EngineRules
from trading.domain.engine.working import Working, take
from trading.domain.paper_venue import (
    Account,
    Happening,
    Kind,
    Phase,
    RestingOrder,
    VenueBook,
    Walk,
    walk_bar,
)
from trading.domain.strategies.signals import Signal

#: Reasons to leave at any price.
URGENT = (CloseReason.FUSE, CloseReason.FUSE_CUT)


def open_book(*, rules: EngineRules, time_ms: int) -> Book:
    """The book before its first bar: opening cash, nothing held, the fuse armed."""
    cash = rules.cash_opening
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

    ``bars`` has one entry an instrument, ``signals`` one a slot, None where the instrument has no
    bar; a signal must be the one known at this bar's close.  On the ``last`` bar no order is given.
    Returns the book at the close and the events in their order.  Raises :class:`InvalidInput` for
    a bar that is not later than the book, or sequences of another length.
    """
    if len(bars) != len(rules.instruments) or len(signals) != len(rules.slots):
        raise InvalidInput("one bar an instrument, one signal a slot", code="bar_shape")
    if time_ms < book.time_ms:
        raise InvalidInput("the bar lies before the book", code="bar_order")
    working = Working(rules=rules, book=book, time_ms=time_ms, bars=bars, signals=signals)
    for walk in run_bar(working, last=last):
        for happened in _execute(working, walk):
            take(working, happened)
    return working.freeze(), tuple(working.events)


def run_bar(working: Working, *, last: bool = False) -> Iterator[Walk]:
    """Decide one bar, stopping where the venue has to execute.

    Whoever drives it places what the slots want (:func:`orders_of`), lets the venue walk that far,
    books with :func:`~trading.domain.engine.working.take` what it answers, and goes on.
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


def orders_of(working: Working, slot: int) -> list[RestingOrder]:
    """What a slot wants to have waiting at the venue: exit and entry, stop and target."""
    found = []
    held, leaving, entry = working.positions[slot], working.exits[slot], working.entries[slot]
    if held is not None:
        for kind, level in ((Kind.STOP, held.stop_ticks), (Kind.TAKE_PROFIT, held.target_ticks)):
            if level:
                found.append(
                    RestingOrder(
                        id=f"{slot}-{kind}", account=slot, side=-held.side, lots=held.lots,
                        kind=kind, reduces=True, trigger_ticks=level,
                    )
                )  # fmt: skip
    for intent in (leaving, entry):
        if intent is not None:
            found.append(
                RestingOrder(
                    id=f"{slot}-{intent.decided_at}", account=slot, side=intent.side,
                    lots=intent.lots, kind=Kind.MARKET, reduces=intent.reduces,
                    leverage=intent.leverage, urgent=intent.close_reason in URGENT,
                )
            )  # fmt: skip
    return found


def account_of(working: Working, slot: int) -> Account:
    """What the venue holds for a slot where nothing was lost on the way."""
    held = working.positions[slot]
    if held is None:
        return Account()
    return Account(
        side=held.side,
        lots=held.lots,
        entry_ticks=held.entry_ticks,
        liquidation_ticks=held.liquidation_ticks,
        leverage=held.leverage,
    )


def _execute(working: Working, walk: Walk) -> tuple[Happening, ...]:
    """The venue in memory: where nothing is lost, it knows what the slots hold and want."""
    slots = range(len(working.positions))
    book = VenueBook(
        accounts=tuple(account_of(working, slot) for slot in slots),
        orders=tuple(order for slot in slots for order in orders_of(working, slot)),
    )
    return walk_bar(book=book, walk=walk, bars=working.bars, rules=working.rules)[1]


def adjust_for_flow(*, book: Book, amount: float) -> Book:
    """The book after ``amount`` came in (or, negative, went out) at its present value.

    Day start and peak move in the same proportion as equity, so the fuse, which watches the value
    of a unit, sees nothing.  Raises :class:`InvalidInput` when nothing would remain.
    """
    after = book.equity + amount
    if not (book.equity > 0.0 and after > 0.0):
        raise InvalidInput("a flow must leave equity positive", code="flow_too_large")
    factor = after / book.equity
    return replace(
        book,
        cash=book.cash + amount,
        equity=after,
        fuse=scale_for_flow(book.fuse, factor=factor),
    )
