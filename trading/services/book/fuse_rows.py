"""The fuse's moves in a book as rows of the fuse."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from magnetfund.core.actors import Actor
from magnetfund.core.rows import send_kept
from magnetfund.kernel.clock import from_milliseconds
from magnetfund.kernel.errors import InvariantBroken
from risk.domain.fuse import LOSS_TRIGGERS, STRATEGY_TRIGGERS, FuseMove, Trigger, lock_end
from risk.services.fuse import (
    clear_instrument,
    lock_strategy,
    reduce_instrument,
    trip_fuse,
)
from risk.services.stop_statements import FuseFacts
from trading.domain.engine.rules import EngineRules
from trading.services.book.words import finite_or_none
from trading.services.sleeves import Sleeve

Resetter = Callable[[str, datetime], None]


def write_fuse_event(
    event: FuseMove,
    *,
    book: str,
    rules: EngineRules,
    sleeves: Sequence[Sleeve],
    actor: Actor,
    reset: Resetter | None,
    latency_ms: float,
) -> None:
    """Trip, lock, reduce or clear, as the event says; ``reset`` re-arms where people may."""
    send_kept()
    trigger = Trigger(event.trigger)
    at = from_milliseconds(event.time_ms)
    facts = FuseFacts(
        trigger=trigger.code,
        severity=event.severity,
        measured={
            "value": finite_or_none(event.value),
            "threshold": finite_or_none(event.threshold),
            "cut_share": event.cut_share,
        },
        limits_version=rules.fuse.limits_version,
        positions_closed=event.positions,
        latency_ms=latency_ms,
    )
    if trigger in LOSS_TRIGGERS:
        trip_fuse(book=book, facts=facts, actor=actor, at=at)
    elif trigger in STRATEGY_TRIGGERS:
        lock_strategy(
            book=book,
            strategy=strategy_code(rules, sleeves, event.strategy),
            until=from_milliseconds(lock_end(event.time_ms)),
            facts=facts,
            actor=actor,
            at=at,
        )
    elif trigger is Trigger.RESET:
        if reset is None:
            raise InvariantBroken("a reset came without people who may reset")
        reset(book, at)
    else:
        symbol = rules.instruments[event.instrument].symbol
        writer = clear_instrument if trigger is Trigger.CLEARED else reduce_instrument
        writer(book=book, instrument=symbol, facts=facts, actor=actor, at=at)


def strategy_code(rules: EngineRules, sleeves: Sequence[Sleeve], index: int) -> str:
    """The code of the strategy with a number."""
    for slot, sleeve in zip(rules.slots, sleeves, strict=True):
        if slot.strategy == index:
            return sleeve.strategy
    raise InvariantBroken(f"no strategy has the number {index}")
