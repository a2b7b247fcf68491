"""How the paper venue executes: its accounts, its resting orders, and the fills of one bar.

An *account* is one slot: a sleeve on an instrument, with isolated margin.  A bar is walked in
phases, because whoever trades here answers to the fills of one before the next begins: what waited
fills at the open, protection is placed, then targets and stops execute inside the bar.  A price
without extent is the same walk with four times the same price.

Everything is a pure function on integer ticks and lots.  Stop before target where a bar reached
both; a liquidation only where it lies nearer than the stop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum, StrEnum

from trading.domain.engine.book import Bar
from trading.domain.engine.rules import EngineRules, TradedInstrument
from trading.domain.engine.scalars import (
    compute_exit_share,
    compute_liquidation_ticks,
    find_trip_ticks,
    is_beyond,
    is_reached,
    slipped_ticks,
)


class Kind(StrEnum):
    """What an execution came from; the first three are the types of an order."""

    MARKET = "market"
    STOP = "stop"
    TAKE_PROFIT = "take_profit"
    LIQUIDATION = "liquidation"
    FUNDING = "funding"


class Phase(IntEnum):
    """How far into its bar the venue walks."""

    OPEN = 1  # what the open jumped, market orders that waited, funding
    TARGETS = 2
    STOPS = 3  # stops and liquidations, up to a share of the way
    POINT = 4  # market orders given at that share of the way
    CLOSE = 5  # market orders given at the close


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """Walk one phase.  ``share`` is how far from the open to the adverse extremes; 2 is all."""

    phase: Phase
    share: float = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RestingOrder:
    """An order that waits here.

    ``side`` is +1 buy, -1 sell; a reducing order closes ``lots`` at most and never turns the
    account round.  ``urgent`` fills worse: what leaves in a hurry, leaves with the crowd.
    """

    id: str
    account: int
    side: int
    lots: int
    kind: Kind
    reduces: bool
    trigger_ticks: int = 0
    leverage: float = 1.0
    urgent: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueAccount:
    """What a slot holds: side +1 long, -1 short, 0 flat, with the fill that opened it."""

    side: int = 0
    lots: int = 0
    entry_ticks: int = 0
    liquidation_ticks: int = 0
    leverage: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueBook:
    """The venue between two walks: its accounts and what waits, in order of arrival."""

    accounts: tuple[VenueAccount, ...]
    orders: tuple[RestingOrder, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """Lots that changed hands; ``order_id`` is empty for a liquidation.

    ``gapped``: the price had jumped the level before it could execute there.
    """

    account: int
    order_id: str
    kind: Kind
    side: int
    lots: int
    price_ticks: int
    gapped: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """Funding at one stamp, on ``lots`` at ``price_ticks``: a long pays a positive rate."""

    account: int
    side: int
    lots: int
    price_ticks: int
    rate: float


Happening = Execution | Charge


def walk_bar(
    *, book: VenueBook, walk: Walk, bars: Sequence[Bar | None], rules: EngineRules
) -> tuple[VenueBook, tuple[Happening, ...]]:
    """Execute what one phase of a bar reaches; ``bars`` has one entry per instrument."""
    if not book.orders and not any(held.side for held in book.accounts):
        return book, ()
    working = _Walking(book, bars, rules)
    match walk.phase:
        case Phase.OPEN:
            working.each_held(working.open_held)
            working.open_flat()
            working.charge()
        case Phase.TARGETS:
            working.each_held(working.reach_target)
        case Phase.STOPS:
            working.each_held(lambda k, bar: working.reach_stop(k, bar, walk.share))
        case Phase.POINT:
            working.each_held(lambda k, bar: working.leave_at_point(k, bar, walk.share))
        case Phase.CLOSE:
            working.each_held(lambda k, bar: working.leave_at(k, bar.close))
    return working.freeze(), tuple(working.happened)


def find_level(
    *, side: int, stop: int, target: int, liquidation: int, bar: Bar
) -> tuple[int, Kind | None]:
    """Where a held account leaves inside the bar, or its adverse extreme and None.

    Levels are ticks, 0 is none.
    """
    worst, best = extremes_of(side, bar)
    nearer = liquidation > 0 and (liquidation - stop) * side > 0
    if nearer and is_beyond(worst, liquidation, side):
        return liquidation, Kind.LIQUIDATION
    if not nearer and is_beyond(worst, stop, side):
        return stop, Kind.STOP
    if is_reached(best, target, side):
        return target, Kind.TAKE_PROFIT
    return worst, None


def extremes_of(side: int, bar: Bar) -> tuple[int, int]:
    """The worst and the best price of a bar for a side, in ticks."""
    return (bar.low, bar.high) if side > 0 else (bar.high, bar.low)


class _Walking:
    """One phase at work."""

    def __init__(self, book: VenueBook, bars: Sequence[Bar | None], rules: EngineRules) -> None:
        self.accounts = list(book.accounts)
        self.orders = list(book.orders)
        self.bars = bars
        self.rules = rules
        self.happened: list[Happening] = []

    def freeze(self) -> VenueBook:
        return VenueBook(accounts=tuple(self.accounts), orders=tuple(self.orders))

    def bar_of(self, account: int) -> Bar | None:
        return self.bars[self.rules.slots[account].instrument]

    def terms(self, account: int) -> TradedInstrument:
        return self.rules.instruments[self.rules.slots[account].instrument]

    def waiting(self, account: int, kind: Kind, *, reduces: bool = True) -> RestingOrder | None:
        """The first order of a kind that waits for an account."""
        for order in self.orders:
            if (order.account, order.kind, order.reduces) == (account, kind, reduces):
                return order
        return None

    def each_held(self, act: Callable[[int, Bar], None]) -> None:
        for account, held in enumerate(self.accounts):
            bar = self.bar_of(account)
            if held.side and bar is not None:
                act(account, bar)

    # ---- open ----------------------------------------------------------------------------------

    def open_held(self, account: int, bar: Bar) -> None:
        """What the open jumped; else the closing orders that waited."""
        held = self.accounts[account]
        stop, target = self.waiting(account, Kind.STOP), self.waiting(account, Kind.TAKE_PROFIT)
        if is_beyond(bar.open, held.liquidation_ticks, held.side):
            self.leave(account, None, Kind.LIQUIDATION, bar.open, gapped=True)
        elif stop is not None and is_beyond(bar.open, stop.trigger_ticks, held.side):
            self.leave(account, stop, Kind.STOP, self.slipped(stop, bar.open), gapped=True)
        elif target is not None and is_reached(bar.open, target.trigger_ticks, held.side):
            self.leave(account, target, Kind.TAKE_PROFIT, bar.open, gapped=True)
        else:
            self.leave_at(account, bar.open)

    def open_flat(self) -> None:
        for account, held in enumerate(self.accounts):
            bar = self.bar_of(account)
            order = self.waiting(account, Kind.MARKET, reduces=False)
            if held.side or order is None or bar is None:
                continue
            filled = self.slipped(order, bar.open)
            self.accounts[account] = VenueAccount(
                side=order.side,
                lots=order.lots,
                entry_ticks=filled,
                leverage=order.leverage,
                liquidation_ticks=compute_liquidation_ticks(
                    filled, order.side, order.leverage, self.terms(account).maintenance_rate
                ),
            )
            self.execute(order, order.kind, account, order.side, order.lots, filled)

    def charge(self) -> None:
        for account, held in enumerate(self.accounts):
            bar = self.bar_of(account)
            if held.side and bar is not None and bar.funding_rate != 0.0:
                self.happened.append(
                    Charge(
                        account=account,
                        side=held.side,
                        lots=held.lots,
                        price_ticks=bar.open,
                        rate=bar.funding_rate,
                    )
                )

    # ---- inside --------------------------------------------------------------------------------

    def level(self, account: int, bar: Bar) -> tuple[int, Kind | None]:
        held = self.accounts[account]
        stop, target = self.waiting(account, Kind.STOP), self.waiting(account, Kind.TAKE_PROFIT)
        return find_level(
            side=held.side,
            stop=0 if stop is None else stop.trigger_ticks,
            target=0 if target is None else target.trigger_ticks,
            liquidation=held.liquidation_ticks,
            bar=bar,
        )

    def reach_target(self, account: int, bar: Bar) -> None:
        price, kind = self.level(account, bar)
        if kind is Kind.TAKE_PROFIT:
            self.leave(account, self.waiting(account, kind), kind, price)

    def reach_stop(self, account: int, bar: Bar, share: float) -> None:
        price, kind = self.level(account, bar)
        if kind is None or kind is Kind.TAKE_PROFIT:
            return
        worst = extremes_of(self.accounts[account].side, bar)[0]
        if share <= 1.0 and compute_exit_share(bar.open, price, worst) > share:
            return
        if kind is Kind.LIQUIDATION:
            self.leave(account, None, kind, price)
            return
        stop = self.waiting(account, Kind.STOP)
        assert stop is not None  # the level is its trigger
        self.leave(account, stop, kind, self.slipped(stop, price))

    def leave_at_point(self, account: int, bar: Bar, share: float) -> None:
        side = self.accounts[account].side
        worst = extremes_of(side, bar)[0]
        at = find_trip_ticks(bar.open, worst, share, side)
        self.leave_at(account, at, gapped=share <= 0.0)

    def leave_at(self, account: int, price_ticks: int, *, gapped: bool = False) -> None:
        """Fill the closing market orders that wait at a price, worse by their slippage."""
        while (order := self.waiting(account, Kind.MARKET)) is not None:
            filled = self.slipped(order, price_ticks)
            if self.accounts[account].side:
                self.leave(account, order, order.kind, filled, gapped=gapped)
            else:
                self.orders.remove(order)  # nothing is left to reduce

    # ---- fills ---------------------------------------------------------------------------------

    def slipped(self, order: RestingOrder, price_ticks: int) -> int:
        terms = self.terms(order.account)
        rate = terms.fuse_slippage_rate if order.urgent else terms.slippage_rate
        return slipped_ticks(price_ticks, order.side, rate)

    def leave(
        self,
        account: int,
        order: RestingOrder | None,
        kind: Kind,
        price_ticks: int,
        *,
        gapped: bool = False,
    ) -> None:
        held = self.accounts[account]
        lots = held.lots if order is None else min(order.lots, held.lots)
        kept = held.lots - lots
        self.accounts[account] = replace(held, lots=kept) if kept else VenueAccount()
        self.execute(order, kind, account, -held.side, lots, price_ticks, gapped=gapped)

    def execute(
        self,
        order: RestingOrder | None,
        kind: Kind,
        account: int,
        side: int,
        lots: int,
        price_ticks: int,
        *,
        gapped: bool = False,
    ) -> None:
        if order is not None:
            self.orders.remove(order)
        self.happened.append(
            Execution(
                account=account,
                order_id="" if order is None else order.id,
                kind=kind,
                side=side,
                lots=lots,
                price_ticks=price_ticks,
                gapped=gapped,
            )
        )
