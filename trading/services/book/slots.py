"""Which slot of a book a reading or an event of the venue belongs to."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from magnetfund.kernel.errors import InvariantBroken
from trading.domain.engine.rules import EngineRules
from trading.domain.strategies.signals import Signal
from trading.services.sleeves import Sleeve
from trading.venues.execution import VenueEvent


def signals_by_slot(
    readings: Sequence[Mapping[str, Signal]] | None,
    *,
    rules: EngineRules,
    sleeves: Sequence[Sleeve],
    closed: Collection[int],
) -> list[Signal | None]:
    """Each slot's signal of its strategy on its instrument; one of a ``closed`` slot only closes.

    ``readings`` holds the signals of each instrument by strategy; None where no bar closed.
    """
    if readings is None:
        return [None] * len(sleeves)
    found = [
        readings[slot.instrument].get(sleeve.strategy)
        for slot, sleeve in zip(rules.slots, sleeves, strict=True)
    ]
    return [
        replace(signal, direction=0) if signal is not None and slot in closed else signal
        for slot, signal in enumerate(found)
    ]


def slots_on(sleeves: Sequence[Sleeve], symbols: Collection[str]) -> frozenset[int]:
    """The slots of a book that trade any of some instruments."""
    return frozenset(
        slot for slot, sleeve in enumerate(sleeves) if sleeve.instrument.symbol in symbols
    )


def slot_of(event: VenueEvent, sleeves: Sequence[Sleeve]) -> int:
    """The slot that an event of the venue moves.

    Raises :class:`InvariantBroken` where the book has none.
    """
    for slot, sleeve in enumerate(sleeves):
        if (sleeve.strategy, sleeve.instrument.symbol) == (event.account, event.symbol):
            return slot
    raise InvariantBroken(f"the venue told of {event.account} on {event.symbol}: no such slot")
