"""Dated events around which nothing is opened: a rate decision, a listing, an unlock.

A span runs from so long before an event to so long after it, in milliseconds UTC, the end not
included.  It bars entries alone: what is held keeps its stop, its target and its exits.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from magnetfund.kernel.errors import InvalidInput

MINUTE_MS = 60_000
SPAN_MINUTES_MAX = 7 * 24 * 60
"""Longer than a week on one side is no event but a pause of the sleeve."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blackout:
    """One event with its span; ``symbol`` None bars every instrument of the book."""

    title: str
    event_ms: int
    before_minutes: int
    after_minutes: int
    symbol: str | None = None

    def __post_init__(self) -> None:
        if not self.title.strip():
            raise InvalidInput("an event needs a title", code="blackout_title")
        for minutes in (self.before_minutes, self.after_minutes):
            if not 0 <= minutes <= SPAN_MINUTES_MAX:
                raise InvalidInput(
                    f"a span lies between 0 and {SPAN_MINUTES_MAX:,} minutes on each side",
                    code="blackout_span",
                )
        if self.before_minutes + self.after_minutes == 0:
            raise InvalidInput("the span bars no minute", code="blackout_span")

    @property
    def start_ms(self) -> int:
        """When entries are barred from."""
        return self.event_ms - self.before_minutes * MINUTE_MS

    @property
    def end_ms(self) -> int:
        """When entries are allowed again."""
        return self.event_ms + self.after_minutes * MINUTE_MS

    def bars(self, symbol: str, at_ms: int) -> bool:
        """Whether it bars an entry in an instrument at an instant."""
        return self.symbol in (None, symbol) and self.start_ms <= at_ms < self.end_ms


def find_blackout(events: Sequence[Blackout], *, symbol: str, at_ms: int) -> Blackout | None:
    """The event that bars an entry and ends last; None where none does."""
    found = [item for item in events if item.bars(symbol, at_ms)]
    return max(found, key=lambda item: item.end_ms, default=None)


def find_barred(
    events: Sequence[Blackout], *, symbols: Collection[str], at_ms: int
) -> frozenset[str]:
    """Of some instruments those in which nothing may be opened at an instant."""
    return frozenset(
        symbol
        for symbol in symbols
        if find_blackout(events, symbol=symbol, at_ms=at_ms) is not None
    )


def mark_barred(
    events: Sequence[Blackout], *, symbol: str, known_at: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Of each decision, by the instant at which it is known, whether its entry is barred."""
    barred = np.zeros(known_at.shape, dtype=np.bool_)
    for item in events:
        if item.symbol in (None, symbol):
            barred |= (known_at >= item.start_ms) & (known_at < item.end_ms)
    return barred
