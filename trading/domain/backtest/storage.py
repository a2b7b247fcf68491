"""The book as plain JSON and back, and the two moves that come from outside a bar.

A run may stop after any bar and go on from what is stored: ``load_book(dump_book(book)) == book``.
Floats travel as their shortest text, so nothing is lost.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from magnetfund.kernel.errors import InvalidInput
from trading.domain.backtest.book import Book, Episode, FuseBook, OrderIntent, Position
from trading.domain.backtest.rules import NEVER_MS


def dump_book(book: Book) -> dict[str, Any]:
    """A JSON-serialisable mapping of the whole book."""
    return asdict(book)


def load_book(value: dict[str, Any]) -> Book:
    """The book of :func:`dump_book`; an unknown or missing field raises ``TypeError``."""
    fuse = dict(value["fuse"])
    fuse["lock_until"] = tuple(fuse["lock_until"])
    fuse["losses_in_a_row"] = tuple(fuse["losses_in_a_row"])
    fuse["episodes"] = tuple(Episode(**episode) for episode in fuse["episodes"])
    rest = {k: v for k, v in value.items() if k not in ("fuse", "marks", "positions", "pending")}
    return Book(
        fuse=FuseBook(**fuse),
        marks=tuple(value["marks"]),
        positions=tuple(None if p is None else Position(**p) for p in value["positions"]),
        pending=tuple(OrderIntent(**intent) for intent in value["pending"]),
        **rest,
    )


def apply_cash_flow(*, book: Book, amount: float) -> Book:
    """Money in (> 0) or out (< 0) that is no result: subscription, redemption, fee paid.

    Day start and peaks move in proportion, so the fuse measures unit value and a flow can neither
    trip nor heal it.  Raises :class:`InvalidInput` when the flow would leave nothing.
    """
    after = book.equity + amount
    if not after > 0.0:
        raise InvalidInput("the flow would leave no equity", code="flow_too_large")
    share = after / book.equity
    return replace(
        book,
        cash=book.cash + amount,
        equity=after,
        fuse=replace(
            book.fuse,
            day_start_equity=book.fuse.day_start_equity * share,
            peak_equity=book.fuse.peak_equity * share,
            peak_equity_unreset=book.fuse.peak_equity_unreset * share,
        ),
    )


def drop_pending(*, book: Book, index: int) -> Book:
    """The book without one order that was refused after the decision."""
    return replace(book, pending=book.pending[:index] + book.pending[index + 1 :])


def rearm_book(*, book: Book, rebase_peak: bool) -> Book:
    """The book after two people re-armed it; a drawdown's peak starts again at today's equity."""
    fuse = replace(book.fuse, tripped_by=0, tripped_at=0, rearm_at=NEVER_MS)
    if rebase_peak:
        fuse = replace(fuse, peak_equity=book.equity)
    return replace(book, fuse=fuse)
