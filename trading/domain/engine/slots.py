"""The same book over other slots: what is held follows its strategy and instrument, not its place.

A book names its parts by position in tuples; a :class:`Layout` says who stands where.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from magnetfund.kernel.errors import Conflict
from trading.domain.engine.book import Book, Episode

Number = TypeVar("Number", int, float)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Names of a book's strategies, instruments and slots, each in its order."""

    strategies: tuple[str, ...]
    instruments: tuple[str, ...]
    slots: tuple[tuple[str, str], ...]


def carry_book(*, book: Book, before: Layout, after: Layout) -> Book:
    """``book`` laid out as ``after``.

    Strategies, instruments and slots that are new begin empty: no price yet, nothing held, no lock.
    Raises :class:`Conflict` (``slot_held``) when a slot that is dropped holds a position or has an
    order waiting: closing comes first.
    """
    positions = dict(zip(before.slots, book.positions, strict=True))
    pending = {before.slots[intent.slot] for intent in book.pending}
    for slot in before.slots:
        if slot not in after.slots and (positions[slot] is not None or slot in pending):
            raise Conflict(
                f"{slot[0]} on {slot[1]} still holds a position or an order", code="slot_held"
            )
    fuse = book.fuse
    marks = dict(zip(before.instruments, book.marks, strict=True))
    episodes = dict(zip(before.instruments, fuse.episodes, strict=True))
    return replace(
        book,
        marks=tuple(marks.get(name, 0) for name in after.instruments),
        positions=tuple(positions.get(slot) for slot in after.slots),
        pending=tuple(
            replace(intent, slot=after.slots.index(before.slots[intent.slot]))
            for intent in book.pending
        ),
        fuse=replace(
            fuse,
            lock_until=_carried(fuse.lock_until, 0, before.strategies, after.strategies),
            losses_in_a_row=_carried(fuse.losses_in_a_row, 0, before.strategies, after.strategies),
            result_closed=_carried(fuse.result_closed, 0.0, before.strategies, after.strategies),
            result_day_start=_carried(
                fuse.result_day_start, 0.0, before.strategies, after.strategies
            ),
            episodes=tuple(episodes.get(name, Episode()) for name in after.instruments),
        ),
    )


def _carried(
    values: tuple[Number, ...], new: Number, before: Sequence[str], after: Sequence[str]
) -> tuple[Number, ...]:
    """Values named by ``before`` in the order of ``after``; ``new`` where a name is new."""
    known = dict(zip(before, values, strict=True))
    return tuple(known.get(name, new) for name in after)
