"""The book as plain JSON and back, and the moves that come from outside a bar.

A run may stop after any bar and go on from what is stored: ``load_book(dump_book(book)) == book``.
Floats travel as their shortest text, so nothing is lost; money from outside is the engine's
``adjust_for_flow``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from risk.domain.fuse import rearm, trip_from_outside
from trading.domain.engine.book import (
    Book,
    CloseReason,
    Episode,
    FuseBook,
    OrderIntent,
    SlotPosition,
)
from trading.domain.engine.rules import SlotRules


def dump_book(book: Book) -> dict[str, Any]:
    """A JSON-serialisable mapping of the whole book; NaN, which JSON lacks, is told as null."""
    return {name: _without_nan(value) for name, value in asdict(book).items()}


def _without_nan(value: Any) -> Any:
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, dict):
        return {name: _without_nan(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return value


def _with_nan(value: dict[str, Any]) -> dict[str, Any]:
    return {name: math.nan if item is None else item for name, item in value.items()}


def load_book(value: dict[str, Any]) -> Book:
    """The book of :func:`dump_book`; an unknown or missing field raises ``TypeError``."""
    fuse = dict(value["fuse"])
    strategies = len(fuse["lock_until"])
    for name in ("lock_until", "losses_in_a_row", "result_closed", "result_day_start"):
        fuse[name] = tuple(fuse.get(name, (0.0,) * strategies))
    fuse["episodes"] = tuple(Episode(**episode) for episode in fuse["episodes"])
    rest = {k: v for k, v in value.items() if k not in ("fuse", "marks", "positions", "pending")}
    return Book(
        fuse=FuseBook(**fuse),
        marks=tuple(value["marks"]),
        positions=tuple(
            None if p is None else SlotPosition(**_with_nan(p)) for p in value["positions"]
        ),
        pending=tuple(OrderIntent(**_with_nan(intent)) for intent in value["pending"]),
        **rest,
    )


def drop_pending(*, book: Book, index: int) -> Book:
    """The book without one order that was refused after the decision."""
    return replace(book, pending=book.pending[:index] + book.pending[index + 1 :])


def trip_book(*, book: Book, slots: Sequence[SlotRules]) -> Book:
    """The book after somebody outside stopped it: no waiting entry, everything leaves next.

    ``slots`` are the rules of the book's slots, which name the instrument of each.
    """
    waiting = {intent.slot: intent for intent in book.pending if intent.reduces}
    exits = []
    for slot, position in enumerate(book.positions):
        if position is not None:
            known = waiting.get(slot)
            is_whole = known is not None and known.lots == position.lots
            exits.append(
                known
                if known is not None and is_whole
                else exit_intent(
                    book, slot, position, CloseReason.FUSE, instrument=slots[slot].instrument
                )
            )
    return replace(
        book, pending=tuple(exits), fuse=trip_from_outside(book.fuse, time_ms=book.time_ms)
    )


def exit_intent(
    book: Book, slot: int, position: SlotPosition, reason: CloseReason, *, instrument: int
) -> OrderIntent:
    """The intent to close all of a slot, given from outside a bar.

    It is decided at the last mark of the slot's ``instrument`` (its number in the book), which is
    what its fill is measured against; before the first mark, at the entry.
    """
    return OrderIntent(
        slot=slot,
        decided_at=book.time_ms,
        side=-position.side,
        lots=position.lots,
        reduces=True,
        close_reason=int(reason),
        stop_ticks=0,
        target_ticks=0,
        decision_ticks=book.marks[instrument] or position.entry_ticks,
        leverage=position.leverage,
        tier=position.tier,
        zone_price=math.nan,
        zone_strength=math.nan,
        equity=book.equity,
        binding=0,
    )


def rearm_book(*, book: Book) -> Book:
    """The book after two people re-armed it; a drawdown's peak starts again at today's equity."""
    return replace(book, fuse=rearm(book.fuse, equity=book.equity))
