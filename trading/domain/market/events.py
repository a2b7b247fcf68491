"""What can happen to market data, as recorded and shown: one name per kind of event."""

from __future__ import annotations

from enum import StrEnum


class MarketEventKind(StrEnum):
    """A kind of event of a market source or of an instrument's series."""

    LEVEL_HELD = "level_held"
    LEVEL_CONFIRMED = "level_confirmed"
    TERMS_CHANGED = "terms_changed"

    @property
    def label(self) -> str:
        """The kind in words, as pages show it."""
        return _LABELS[self]


_LABELS = {
    MarketEventKind.LEVEL_HELD: "New price level taken after consistent candles",
    MarketEventKind.LEVEL_CONFIRMED: "Price jump confirmed by a second source",
    MarketEventKind.TERMS_CHANGED: "The venue changed the instrument's terms",
}
