"""Symbols and venues in their one spelling.

A linear perpetual is ``BASE/QUOTE:SETTLE`` with settle = quote ("BTC/USDT:USDT"); an instrument is
the pair of a venue and a symbol, and simulated prices live on the venue :data:`SIMULATED` alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from magnetfund.kernel.errors import InvalidInput

SIMULATED = "sim"
"""The venue of simulated prices; no real price ever carries it."""

_SYMBOL = re.compile(r"([A-Z0-9]{1,20})/([A-Z0-9]{1,20}):([A-Z0-9]{1,20})")
_VENUE = re.compile(r"[a-z][a-z0-9_]{0,29}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PerpetualSymbol:
    """The parts of a linear perpetual's symbol."""

    base: str
    quote: str
    settle: str

    def __str__(self) -> str:
        return f"{self.base}/{self.quote}:{self.settle}"


def parse_symbol(text: str) -> PerpetualSymbol:
    """The parts of a symbol however it was typed ("btc/usdt:usdt"); ``bad_symbol`` for another."""
    found = _SYMBOL.fullmatch(text.strip().upper())
    if found is None:
        raise InvalidInput(
            f"{text[:60]} is not a perpetual; write it as BTC/USDT:USDT", code="bad_symbol"
        )
    base, quote, settle = found.groups()
    if settle != quote:
        raise InvalidInput(f"{text[:60]} is not a linear perpetual", code="bad_symbol")
    return PerpetualSymbol(base=base, quote=quote, settle=settle)


def normalise_symbol(text: str) -> str:
    """The one spelling of a perpetual's symbol; raises :class:`InvalidInput` (``bad_symbol``)."""
    return str(parse_symbol(text))


def normalise_venue(text: str) -> str:
    """The one spelling of a venue's name; raises :class:`InvalidInput` (``bad_venue``)."""
    venue = text.strip().lower()
    if not _VENUE.fullmatch(venue):
        raise InvalidInput(f"{text[:40]} is not the name of a venue", code="bad_venue")
    return venue
