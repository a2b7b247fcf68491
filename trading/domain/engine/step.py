"""The readable engine: one bar of the whole book, step by step, in plain Python.

It is what a replay and the paper venue run, and the reference of the compiled kernel.  The order of
the steps is that of the package's contract; all arithmetic is that of ``scalars`` and
``decision``, which the kernel compiles from the same source.  Everything is a pure function of its
arguments: the same book, bar and signals give the same events for ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from magnetfund.kernel.errors import InvalidInput
from risk.domain.fuse import open_fuse, scale_for_flow
from trading.domain.engine.book import Bar, Book, Event
from trading.domain.engine.closing import mark_and_decide
from trading.domain.engine.intrabar import trade_bar
from trading.domain.engine.opening import open_bar, turn_day
from trading.domain.engine.rules import EngineRules
from trading.domain.engine.working import Working
from trading.domain.strategies.signals import Signal


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
    turn_day(working)
    open_bar(working)
    trade_bar(working)
    mark_and_decide(working, last=last)
    return working.freeze(), tuple(working.events)


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
