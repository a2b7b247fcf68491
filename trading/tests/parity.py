"""One sequence of prices through the live trader and through the replay's driver."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from itertools import zip_longest
from typing import Any

import numpy as np

from magnetfund.core.actors import Actor
from magnetfund.kernel.clock import VirtualClock, from_milliseconds, use_clock
from magnetfund.operations.people import arm_by_scenario, ensure_scenario_people
from risk.domain.fuse import FuseMove
from risk.services.limits import limits_in_force
from trading.domain.engine.book import (
    BookFill,
    CloseReason,
    Denial,
    Event,
    Funding,
    OrderIntent,
    Refusal,
)
from trading.domain.engine.step import open_book
from trading.domain.magnets import DepthSnapshot
from trading.domain.market import HOUR_MS, Candles, resample
from trading.domain.market.blackouts import Blackout
from trading.domain.market.funding import FundingRates
from trading.models import Instrument, Strategy
from trading.services.book.memory import Memory
from trading.services.book.trading_book import TradingBook
from trading.services.book_setup import active_sleeves, build_setup
from trading.services.candle_store import store_candles
from trading.services.correlations import find_correlation_groups, measure_correlations
from trading.services.history import TradingHistory
from trading.services.instruments import add_simulated_instrument
from trading.services.trader import Trader
from trading.venues.market_data import BookWish, Doubts, ForcedOrder

CASH = 100_000.0
SLEEVES = ("trend", "magnet")


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """Hours before ``start_ms`` and the shorter bars from there on, by symbol.

    ``whole`` holds the bars that the hours are made of, where those are not ``fine``.
    """

    before: dict[str, Candles]
    fine: dict[str, Candles]
    start_ms: int
    end_ms: int
    whole: dict[str, Candles] | None = None

    @property
    def hours(self) -> dict[str, Candles]:
        return {
            name: join_candles(self.before[name], resample(candles=bars, timeframe_ms=HOUR_MS))
            for name, bars in (self.whole or self.fine).items()
        }

    def flat(self) -> Market:
        """The same hours with a sequence of prices: every bar is its close and nothing else."""
        return replace(
            self,
            whole=self.whole or self.fine,
            fine={
                name: replace(bars, open=bars.close, high=bars.close, low=bars.close)
                for name, bars in self.fine.items()
            },
        )


class PriceSequence:
    """A market source that tells the open of the bar in force, and hours once they have closed.

    ``late`` holds back the candle of an hour (its open time) by so many milliseconds.
    """

    label = "SIMULATED"
    venue = "sim"
    is_simulated = True

    def __init__(self, market: Market, *, late: dict[int, int] | None = None) -> None:
        self._fine = market.fine
        self._hours = market.hours
        self._late = late or {}
        self.now_ms = market.start_ms
        self.depths: dict[str, float] = {}

    def open(self, symbols: Sequence[str], *, since_ms: int) -> None:
        assert set(symbols) <= set(self._fine)

    def watch(self, symbols: Sequence[str]) -> None:
        pass

    def follow(self) -> None:
        pass

    def settle(self, symbol: str, price: float) -> None:
        pass

    def find_doubts(self, now_ms: int, *, since_ms: int) -> Doubts:
        return Doubts()

    def wake_handle(self) -> None:
        return None

    def take_notes(self) -> tuple[()]:
        return ()

    def connection(self) -> dict[str, object]:
        return {}

    def facts(self, now_ms: int) -> dict[str, dict[str, object]]:
        return {}

    def funding(self, symbol: str, start_ms: int, end_ms: int) -> tuple[()]:
        return ()

    def quotes(self, now_ms: int) -> tuple[()]:
        return ()

    def price(self, symbol: str, now_ms: int) -> float:
        bars = self._fine[symbol]
        row = int(np.searchsorted(bars.open_time, now_ms, side="right")) - 1
        return float(bars.open[row])

    def depth(self, symbol: str, now_ms: int) -> float | None:
        return self.depths.get(symbol)

    def sample_books(self, wishes: Mapping[str, BookWish]) -> bool:
        return False

    def book_samples(self, symbol: str, start_ms: int, end_ms: int) -> tuple[DepthSnapshot, ...]:
        return ()

    def forced_orders(self, symbol: str, since_ms: int) -> tuple[ForcedOrder, ...]:
        return ()

    def candles(self, symbol: str, start_ms: int, end_ms: int) -> Candles:
        hours = self._hours[symbol]
        first = int(np.searchsorted(hours.open_time, start_ms))
        stop = int(np.searchsorted(hours.open_time, end_ms - HOUR_MS, side="right"))
        for row in range(first, stop):
            open_ms = int(hours.open_time[row])
            if self.now_ms < open_ms + HOUR_MS + self._late.get(open_ms, 0):
                return hours.between(first, row)
        return hours.between(first, stop)


def build_ground(market: Market, *, tick: str, risk: str = "0.0035") -> tuple[Instrument, ...]:
    """Instruments, sleeves and the stored past of a market."""
    instruments = []
    for symbol, candles in sorted(market.before.items()):
        row = add_simulated_instrument(
            symbol,
            tick=Decimal(tick),
            lot=Decimal("0.001"),
            minimum_notional=Decimal(5),
            maker_fee=Decimal("0.0002"),
            taker_fee=Decimal("0.0005"),
            maintenance_rate=Decimal("0.004"),
            actor=Actor.system("test"),
        )
        store_candles(
            candles,
            instrument=row,
            timeframe="1h",
            source="test",
            available_ms=int(candles.open_time[-1]) + HOUR_MS,
        )
        instruments.append(row)
    for code in SLEEVES:
        Strategy.objects.create(code=code, version=1, name=code, risk_fraction=Decimal(risk))
    return tuple(instruments)


class Recorder:
    """What a book did, in words that two drivers can be compared by."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    @contextmanager
    def listening(self, paper: TradingBook) -> Iterator[None]:
        step = paper.step

        def heard(**arguments: Any) -> tuple[Event, ...]:
            events = step(**arguments)
            self.events += events
            return events

        paper.step = heard  # type: ignore[method-assign]
        yield

    def lines(self) -> list[tuple[Any, ...]]:
        """Fills, decisions, fuse moves and refusals, each with its time and figures."""
        found: list[tuple[Any, ...]] = []
        for e in self.events:
            match e:
                case BookFill():
                    found.append(
                        ("fill", e.time_ms, e.slot, e.side, e.lots, e.price_ticks, e.close_reason)
                    )
                case OrderIntent():
                    found.append(("order", e.decided_at, e.slot, e.side, e.lots, e.close_reason))
                case FuseMove():
                    found.append(("fuse", e.time_ms, e.trigger, e.instrument, e.cut_share))
                case Refusal():
                    found.append(("refused", e.time_ms, e.slot, e.direction, e.denial))
                case Funding():
                    found.append(("funding", e.time_ms, e.slot, round(e.cash, 9)))
        return found

    def count(self, kind: type, **wanted: int) -> int:
        return sum(
            isinstance(e, kind) and all(getattr(e, k) == v for k, v in wanted.items())
            for e in self.events
        )


def run_trader(
    market: Market,
    *,
    book: str,
    beat_ms: int,
    late: dict[int, int] | None = None,
    offset_ms: int = 0,
) -> tuple[Recorder, Trader]:
    """Drive ``Trader.beat`` through the market on a clock of its own."""
    source = PriceSequence(market, late=late)
    clock = VirtualClock(from_milliseconds(market.start_ms))
    recorder = Recorder()
    with use_clock(clock):
        arm(book, market.start_ms)
        trader = Trader(book=book, source=source)
        trader.start()
        with recorder.listening(trader.paper):
            for at in range(market.start_ms, market.end_ms, beat_ms):
                clock.move_to(from_milliseconds(at + offset_ms))
                source.now_ms = at + offset_ms
                trader.beat()
        trader.stop()
    return recorder, trader


def run_history(
    market: Market,
    instruments: Sequence[Instrument],
    *,
    book: str,
    fine: bool,
    funding: Mapping[str, FundingRates] | None = None,
    blackouts: Sequence[Blackout] = (),
) -> tuple[Recorder, TradingBook]:
    """Drive the replay's driver through the same market, on its shorter bars or on hours."""
    limits = limits_in_force(book, at=from_milliseconds(market.start_ms))
    start = from_milliseconds(market.start_ms)
    measure_correlations(book=book, instruments=instruments, at=start)
    symbols = [item.symbol for item in instruments]
    setup = build_setup(
        instruments=instruments,
        sleeves=active_sleeves(),
        limits=limits,
        cash=CASH,
        groups=find_correlation_groups(book=book, symbols=symbols, limits=limits, at=start),
    )
    paper = TradingBook(
        code=book,
        rules=setup.rules,
        instruments=setup.instruments,
        sleeves=setup.sleeves,
        memory=Memory(book=open_book(rules=setup.rules, time_ms=market.start_ms), shares=0.0),
        is_history=True,
        actor=Actor.system("test"),
        limits=limits,
    )
    history = TradingHistory(
        paper=paper,
        setup=setup,
        candles=market.hours,
        fine=market.fine if fine else None,
        funding=funding,
        blackouts=blackouts,
        start_ms=market.start_ms,
        end_ms=market.end_ms,
    )
    recorder = Recorder()
    with use_clock(history.clock):
        arm(book, market.start_ms)
    with recorder.listening(paper):
        history.run()
    return recorder, paper


@dataclass(slots=True, kw_only=True)
class RoundTrip:
    """One entry with the fills that closed it: hour, lots, price in ticks and reason of each."""

    side: int
    lots: int
    entry_ticks: int
    equity: float
    opened_ms: int
    exits: list[tuple[int, int, int, CloseReason]] = field(default_factory=list)
    closed_ms: int = 2**62


INSIDE = (CloseReason.STOP, CloseReason.TARGET, CloseReason.LIQUIDATION)


def name_differences(coarse: Sequence[Event], fine: Sequence[Event]) -> dict[str, int]:
    """Round trips of two runs on the same signals, counted by what made them differ.

    Times count by their hour.  A cause that is the consequence of an earlier difference (another
    equity, a slot still held, another episode) is believed only behind one; what nothing explains
    is "unexplained".
    """
    counts: Counter[str] = Counter()
    ours, theirs = _round_trips(coarse), _round_trips(fine)
    for key in sorted(ours.keys() | theirs.keys(), key=lambda key: (key[1], key[0])):
        one, two = ours.get(key), theirs.get(key)
        if one is None or two is None:
            cause = (
                _why_missing(key, coarse, ours) if one is None else _why_missing(key, fine, theirs)
            )
        else:
            cause = _why_other(one, two)
        is_first = not set(counts) - {"identical"}
        if is_first and cause.startswith(("equity", "slot", "refused", "episode")):
            cause = "unexplained"
        counts[cause] += 1
    return dict(counts)


def _round_trips(events: Sequence[Event]) -> dict[tuple[int, int], RoundTrip]:
    found: dict[tuple[int, int], RoundTrip] = {}
    ordered: dict[int, OrderIntent] = {}
    held: dict[int, RoundTrip] = {}
    for event in events:
        if isinstance(event, OrderIntent) and not event.reduces:
            ordered[event.slot] = event
        elif isinstance(event, BookFill) and not event.close_reason:
            order = ordered[event.slot]
            held[event.slot] = found[event.slot, order.decided_at] = RoundTrip(
                side=event.side,
                lots=event.lots,
                entry_ticks=event.price_ticks,
                equity=order.equity,
                opened_ms=event.time_ms,
            )
        elif isinstance(event, BookFill):
            trip = held[event.slot]
            reason = CloseReason(event.close_reason)
            trip.exits.append((event.time_ms // HOUR_MS, event.lots, event.price_ticks, reason))
            if sum(lots for _, lots, _, _ in trip.exits) == trip.lots:
                trip.closed_ms = event.time_ms
    return found


def _why_missing(
    key: tuple[int, int],
    events: Sequence[Event],
    trips: dict[tuple[int, int], RoundTrip],
) -> str:
    slot, decided = key
    for event in events:
        if isinstance(event, Refusal) and (event.slot, event.time_ms) == (slot, decided):
            return f"refused in one run: {Denial(event.denial).code}"
    if any(
        at == slot and trip.opened_ms <= decided <= trip.closed_ms
        for (at, _), trip in trips.items()
    ):
        return "slot held in one run"
    return "unexplained"


def _why_other(one: RoundTrip, two: RoundTrip) -> str:
    if one.side != two.side:
        return "unexplained"
    if one.lots != two.lots:
        return "equity at the decision" if one.equity != two.equity else "unexplained"
    if one.entry_ticks != two.entry_ticks:
        return "entry at the price seen, not at the open"
    for a, b in zip_longest(one.exits, two.exits):
        if a == b:
            continue
        if a is None or b is None:
            return "episode met another position"
        if a[3] is b[3] and a[3] in INSIDE and a[:2] == b[:2]:
            return "fill at the price seen, not at the level crossed"
        if a[0] == b[0] and a[3] in INSIDE and b[3] in INSIDE:
            return "order of stop and target inside the hour"
        if CloseReason.FUSE in (a[3], b[3]):
            return "loss fuse met inside the hour at another price"
        if CloseReason.FUSE_CUT in (a[3], b[3]):
            return "episode met another position"
        return "unexplained"
    return "identical"


def arm(book: str, at_ms: int) -> None:
    arm_by_scenario(
        book=book, people=ensure_scenario_people(), at=from_milliseconds(at_ms), reason="test"
    )


def join_candles(first: Candles, second: Candles) -> Candles:
    """The second bars after the first."""
    columns = ("open_time", "open", "high", "low", "close", "volume")
    return replace(
        first,
        **{n: np.concatenate((getattr(first, n), getattr(second, n))) for n in columns},
    )
