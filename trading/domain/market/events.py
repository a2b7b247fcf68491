"""What can happen to market data, as recorded and shown: one name per kind of event."""

from __future__ import annotations

from enum import StrEnum


class MarketEventKind(StrEnum):
    """A kind of event of a market source or of an instrument's series."""

    LEVEL_HELD = "level_held"  # a new price level taken: consistent candles agree on it
    LEVEL_CONFIRMED = "level_confirmed"  # a jump taken: a person or a second source vouches for it
    TERMS_CHANGED = "terms_changed"  # the venue changed tick, lot, minimum, fees or tiers
    SOURCE_DOUBTED = "source_doubted"  # no believable price or a late candle: entries stopped
    SOURCE_BACK = "source_back"  # believable again, what was missed filled in
