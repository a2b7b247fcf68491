"""The book between two bars, and the events that lead from one to the next.

Everything is frozen: :func:`trading.domain.engine.step.process_bar` takes a :class:`Book` and
returns another with the events between them, so a service can store both in one transaction.
Prices are integer ticks, quantities integer lots (> 0, the side carries the sign: +1 long, -1
short), money float64 in quote currency, times integer milliseconds UTC.

Invariant: ``cash`` plus the value of every position at its mark is the equity; cash changes only
by realised profit, fees and funding, each of which is an event.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum

from risk.domain.fuse import Condition, Episode, FuseBook, FuseMove, Trigger

__all__ = [
    "Bar",
    "Book",
    "BookFill",
    "CloseReason",
    "Denial",
    "Episode",
    "Event",
    "Funding",
    "FuseBook",
    "FuseMove",
    "OrderIntent",
    "Refusal",
    "RoundTrip",
    "SlotPosition",
    "Trigger",
]


class CloseReason(IntEnum):
    """Why lots left a position; the numbers are those of the compiled kernel."""

    TARGET = 1
    STOP = 2
    SIGNAL = 3
    TIME = 4
    FUSE = 5
    FUSE_CUT = 6
    LIQUIDATION = 7
    MANUAL = 8

    @property
    def code(self) -> str:
        """The stable word for records."""
        return self.name.lower()


class Denial(IntEnum):
    """Why an entry signal led to no order; stored with the decision."""

    NONE = 0
    FUSE_TRIPPED = 1
    INSTRUMENT_REDUCING = 2
    STRATEGY_LOCKED = 3
    POSITION_OPEN = 4
    NO_STOP = 5
    STOP_WRONG_SIDE = 6
    STOP_BEYOND_LIQUIDATION = 7
    TIER_FOUR = 8
    MARKET_TRIGGER = 9
    BELOW_MINIMUM = 10
    NO_EQUITY = 11
    BAD_INPUT = 12
    LAST_BAR = 13

    @property
    def code(self) -> str:
        """The stable word for records."""
        return self.name.lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotPosition:
    """The open position of a slot.

    ``entry_ticks`` is the fill, ``decision_ticks`` the close on which it was decided.  Leverage is
    fixed at entry; ``margin`` is the equity that the open lots commit.  ``target_ticks`` and
    ``liquidation_ticks`` are 0 where there is none.  ``zone_price`` and ``zone_strength`` record
    the target zone at entry.  Fees, funding and the realised ticks times lots of what was already
    cut stay with the position until its round trip ends.
    """

    side: int
    lots: int
    lots_opened: int
    entry_ticks: int
    decision_ticks: int
    entry_time: int
    stop_ticks: int
    target_ticks: int
    liquidation_ticks: int
    leverage: float
    margin: float
    tier: int
    zone_price: float
    zone_strength: float
    fees: float
    funding: float
    realised: float
    ticks_lots_realised: int
    conflict_bars: int
    flip_bars: int
    episode_lots: int
    cuts: int
    ambiguous: bool
    equity_at_entry: float
    binding: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderIntent:
    """A market order for the next open of its instrument.

    ``side`` is that of the order.  A reducing order (``reduces``) closes ``lots`` of the slot's
    position for ``close_reason``; an entry carries its protection and the decision behind it.
    """

    slot: int
    decided_at: int
    side: int
    lots: int
    reduces: bool
    close_reason: int
    stop_ticks: int
    target_ticks: int
    decision_ticks: int
    leverage: float
    tier: int
    zone_price: float
    zone_strength: float
    equity: float
    binding: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """The state after a closed bar: what a service stores, what the next bar starts from."""

    time_ms: int
    cash: float
    equity: float
    marks: tuple[int, ...]
    positions: tuple[SlotPosition | None, ...]
    pending: tuple[OrderIntent, ...]
    fuse: FuseBook


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One closed bar of one instrument in integer ticks, and the funding rate due at its open.

    ``gap_rate_long`` and ``gap_rate_short`` are the worst adverse hour known at this bar's close
    for a long and a short position, as fractions.  ``depth_value`` is what rests within 10 bp of
    mid in quote currency; NaN where no order book is read.
    """

    open: int
    high: int
    low: int
    close: int
    funding_rate: float = 0.0
    gap_rate_long: float = 0.25
    gap_rate_short: float = 0.25
    depth_value: float = math.nan


@dataclass(frozen=True, slots=True, kw_only=True)
class BookFill:
    """Lots that changed hands.  ``close_reason`` is 0 for an entry."""

    time_ms: int
    slot: int
    side: int
    lots: int
    price_ticks: int
    fee: float
    close_reason: int
    gapped: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Funding:
    """Cash paid (negative) or received for the position held at a stamp, on mark notional."""

    time_ms: int
    slot: int
    rate: float
    notional: float
    cash: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundTrip:
    """A closed round trip.

    ``ticks_lots`` is the gross result in ticks times lots (integer, price moves only), ``net`` the
    result after fees and funding; a liquidation costs at most the margin.  ``cuts`` counts the
    fuse's partial closings.  ``r_multiple`` is net over the loss that the stop meant at the
    decision (``decision_ticks`` to ``stop_ticks``), without costs.  ``reason`` is that of the last
    lots.
    """

    slot: int
    side: int
    lots: int
    entry_time: int
    exit_time: int
    entry_ticks: int
    exit_ticks: int
    decision_ticks: int
    stop_ticks: int
    target_ticks: int
    reason: int
    ticks_lots: int
    fees: float
    funding: float
    net: float
    r_multiple: float
    leverage: float
    tier: int
    binding: int
    ambiguous: bool
    cuts: int
    equity_at_entry: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An entry signal that led to no order, with the reason.

    ``condition`` is the market trigger that holds against it, where that is the reason.
    """

    time_ms: int
    slot: int
    direction: int
    denial: int
    condition: Condition | None = None


Event = BookFill | Funding | RoundTrip | FuseMove | OrderIntent | Refusal
