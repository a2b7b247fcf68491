"""The port through which a trader sees a market: prices, closed hours, funding, and its doubts.

Whoever implements it states what it knows and nothing else: a price that is too old is an error
and never a value, and a candle is closed by the venue's word.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Protocol

from trading.domain.magnets.order_flow import DepthSnapshot
from trading.domain.market import Candles
from trading.domain.market.events import MarketEventKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """A price of one instrument: the venue's time of it, and when it reached us (both ms).

    ``funding_rate`` is what the venue will charge at ``funding_at_ms``; None where it states none.
    ``source`` is how it came ("stream", "REST"); empty where there is one way only.
    """

    symbol: str
    price: Decimal
    venue_time_ms: int
    arrived_ms: int
    funding_rate: float | None = None
    funding_at_ms: int | None = None
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BestPrices:
    """Best bid and ask of one instrument with their quantities, and when they reached us (ms)."""

    symbol: str
    bid: Decimal
    bid_quantity: Decimal
    ask: Decimal
    ask_quantity: Decimal
    arrived_ms: int

    @property
    def middle(self) -> Decimal:
        return (self.bid + self.ask) / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamedCandle:
    """A candle as a stream told it: open time (ms), the five figures, whether it is closed."""

    symbol: str
    timeframe: str
    open_time: int
    figures: tuple[float, float, float, float, float]
    is_closed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ForcedOrder:
    """A liquidation that the venue told: the side of the order, its price and quantity."""

    symbol: str
    side: str
    price: Decimal
    quantity: Decimal
    at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BookWish:
    """How samples of an instrument's book are summed: bucket and reach, both in price."""

    bucket: float
    reach: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceNote:
    """Something that happened to the source, to be recorded by whoever may write."""

    kind: MarketEventKind
    at_ms: int
    symbol: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubts:
    """Why prices cannot be believed: of the whole venue, or of single instruments, in words."""

    venue: str = ""
    instruments: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargedFunding:
    """A rate that fell due at a stamp (ms), as a fraction of the notional."""

    symbol: str
    stamp_ms: int
    rate: float


class MarketData(Protocol):
    """What a trader reads of the venue whose instruments it trades."""

    venue: str
    is_simulated: bool

    @property
    def label(self) -> str:
        """What it is called beside its prices."""
        ...

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

    def settle(self, symbol: str, price: float) -> None:
        """The venue ended this instrument: where it tells no price any more its last one stands,
        or ``price`` where none was heard."""
        ...

    def find_doubts(self, now_ms: int, *, since_ms: int) -> Doubts:
        """Why which prices cannot be believed now; empty where all is well.

        ``since_ms`` is the last time that the book was priced: what passed since must be known.
        """
        ...

    def wake_handle(self) -> int | None:
        """A file descriptor that can be read once a price came; None where none is pushed."""
        ...

    def take_notes(self) -> tuple[SourceNote, ...]:
        """What happened to the source since this was last asked."""
        ...

    def facts(self, now_ms: int) -> Mapping[str, Mapping[str, Any]]:
        """By instrument, what a page shows of its data: source, spread, depth, funding, gaps."""
        ...

    def price(self, symbol: str, now_ms: int) -> float:
        """Price at ``now_ms``; raises :class:`Unavailable` (``stale_price``) for one unknown."""
        ...

    def depth(self, symbol: str, now_ms: int) -> float | None:
        """Value resting within 10 bp of mid, in quote currency; None where no book is read."""
        ...

    def sample_books(self, wishes: Mapping[str, BookWish]) -> bool:
        """Sample the books of these from now on; False where no stream tells a book."""
        ...

    def book_samples(self, symbol: str, start_ms: int, end_ms: int) -> tuple[DepthSnapshot, ...]:
        """Samples taken in ``(start_ms, end_ms]``, oldest first."""
        ...

    def forced_orders(self, symbol: str, since_ms: int) -> tuple[ForcedOrder, ...]:
        """Liquidations that the venue told, from that time of theirs on."""
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

    def connection(self) -> Mapping[str, Any]:
        """What a page shows of the venue itself: its clock, the stream, the request budget."""
        ...
