"""The port through which a trader sees a market: prices, closed hours, funding, and its doubts.

Whoever implements it states what it knows and nothing else: a price that is too old is an error
and never a value, and a candle is closed by the venue's word.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from trading.domain.market import Candles


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """A price of one instrument: the venue's time of it, and when it reached us (both ms).

    ``funding_rate`` is what the venue will charge at ``funding_at_ms``; None where it states none.
    """

    symbol: str
    price: Decimal
    venue_time_ms: int
    arrived_ms: int
    funding_rate: float | None = None
    funding_at_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargedFunding:
    """A rate that fell due at a stamp (ms), as a fraction of the notional."""

    symbol: str
    stamp_ms: int
    rate: float


class MarketData(Protocol):
    """What a trader reads of the venue whose instruments it trades."""

    label: str
    venue: str
    is_simulated: bool

    def open(self, symbols: Sequence[str], *, since_ms: int) -> None:
        """Get ready to price ``symbols``, and the minutes since ``since_ms`` that nobody watched.

        Raises :class:`Unavailable` where the venue does not answer.
        """
        ...

    def watch(self, symbols: Sequence[str]) -> None:
        """Price these from now on: the book's members changed."""
        ...

    def follow(self) -> None:
        """From here on reads come from memory, and what is missing is fetched meanwhile."""
        ...

    def close(self) -> None:
        """Stop fetching."""
        ...

    def find_doubt(self, now_ms: int, *, since_ms: int) -> str:
        """Why no price can be believed now, in words; empty where all is well.

        ``since_ms`` is the last time that the book was priced: what passed since must be known.
        """
        ...

    def price(self, symbol: str, now_ms: int) -> float:
        """Price at ``now_ms``; raises :class:`Unavailable` (``stale_price``) for one unknown."""
        ...

    def depth(self, symbol: str, now_ms: int) -> float | None:
        """Value resting within 10 bp of mid, in quote currency; None where no book is read."""
        ...

    def candles(self, symbol: str, start_ms: int, end_ms: int) -> Candles:
        """Closed hours with ``start_ms <= open time`` and end at most ``end_ms``, as known."""
        ...

    def funding(self, symbol: str, start_ms: int, end_ms: int) -> tuple[ChargedFunding, ...]:
        """Rates seen to fall due in ``[start_ms, end_ms)``; empty where the venue states none."""
        ...

    def quotes(self, now_ms: int) -> tuple[Quote, ...]:
        """The newest quote of each instrument, for display: however old it is."""
        ...
