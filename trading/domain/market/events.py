"""What can happen to market data, as recorded and shown: one name per kind of event."""

from __future__ import annotations

from enum import StrEnum


class MarketEventKind(StrEnum):
    """A kind of event of a market source or of an instrument's series."""

    LEVEL_HELD = "level_held"  # a new price level taken: consistent candles agree on it
    LEVEL_CONFIRMED = "level_confirmed"  # a jump taken: a person or a second source vouches for it
    TERMS_CHANGED = "terms_changed"  # the venue changed tick, lot, minimum, fees or tiers
    TERMS_REFUSED = "terms_refused"  # the venue states terms that were not taken over
    SOURCE_DOUBTED = "source_doubted"  # no believable price or a late candle: entries stopped
    SOURCE_BACK = "source_back"  # believable again, what was missed filled in
    STREAM_LOST = "stream_lost"  # the stream was cut or silent; prices are polled meanwhile
    STREAM_BACK = "stream_back"  # the stream speaks again
    PRICE_HELD = "price_held"  # a jump that no second source confirms; the price is not used
    PRICE_REFUSED = "price_refused"  # a message without a price that can be one
    CANDLE_REVISED = "candle_revised"  # a closed candle told again with other figures
    CANDLE_REPEATED = "candle_repeated"  # closed candles told again as they were
    BOOK_BROKEN = "book_broken"  # an update of the book is missing; it is read anew
    SOURCES_DIFFER = "sources_differ"  # stream and REST tell different prices or candles
    CANDLES_FILLED = "candles_filled"  # polling brought candles that the trader had not stored
    SYMBOL_ENDED = "symbol_ended"  # the venue no longer trades the instrument
