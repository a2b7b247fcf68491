"""A trader that dies between any two commits: nothing lost, nothing doubled, nothing left in doubt.

A kill is a commit that does not happen, or the last one that does; what stood in memory is gone and
another trader takes the book.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

import pytest
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model

from magnetfund.core.rows import insert_rows
from magnetfund.kernel.clock import VirtualClock, from_milliseconds, to_milliseconds, use_clock
from risk.services.fuse import state_of
from trading.domain.market import HOUR_MS
from trading.domain.orders import FINAL_STATES
from trading.domain.paper_venue import Kind
from trading.models import Fill, FundingPayment, Order, PaperEvent, PaperOrder, Position, Trade
from trading.services import orders
from trading.services.engine import engine_state_of
from trading.services.paper_venue import PaperVenue
from trading.services.reconcile import find_differences
from trading.services.trader import Trader
from trading.tests.parity import CASH, PriceSequence, arm, build_ground
from trading.tests.test_trader_parity import SHORT_OF_ENTRY, STEP_MS, make_market

pytestmark = pytest.mark.usefixtures("as_gateway")


class Killed(BaseException):
    """The process is gone; nothing catches it."""


class Stage:
    """A market and a clock on which traders follow one another."""

    def __init__(self, settings: Any) -> None:
        settings.INITIAL_EQUITY = CASH
        self.market = make_market(seed=33, days=1, from_hour=SHORT_OF_ENTRY)
        build_ground(self.market, tick="0.1")
        self.source = PriceSequence(self.market)
        self.at = self.market.start_ms
        self.clock = VirtualClock(from_milliseconds(self.at))
        self.kills = 0

    def begin(self) -> None:
        self.trader = Trader(book="main", source=self.source)
        self.trader.start()

    def beat(self) -> None:
        self.clock.move_to(from_milliseconds(self.at))
        self.source.now_ms = self.at
        self.trader.beat()
        self.at += STEP_MS

    def beat_until(self, reached: Callable[[], object]) -> None:
        while not reached():
            assert self.at < self.market.end_ms, "the market ended before"
            self.beat()

    def die(self, act: Callable[[], None]) -> None:
        """``act`` is killed; the next trader starts at the same instant."""
        with pytest.raises(Killed):
            act()
        self.kills += 1
        self.begin()


@pytest.fixture
def stage(settings: Any) -> Iterator[Stage]:
    stage = Stage(settings)
    with use_clock(stage.clock):
        arm("main", stage.at)
        stage.begin()
        yield stage


@contextmanager
def killing(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, *, after: bool) -> Iterator:
    """Kill at the first call of ``owner.name``: before it does anything, or when it is done."""
    real = getattr(owner, name)

    def struck(*args: Any, **kwargs: Any) -> Any:
        if after:
            real(*args, **kwargs)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, struck)
        yield


def check(stage: Stage) -> None:
    """Rows, venue and memory agree; nothing is in doubt; every position is protected once."""
    book = stage.trader.paper
    differences, _ = find_differences(book, at=stage.clock.now())
    assert differences == []
    assert not Order.objects.filter(state__in=["SENDING", "UNKNOWN", "CANCEL_PENDING"]).exists()
    told = PaperEvent.objects.exclude(kind=Kind.FUNDING.value).order_by("number")
    booked = Fill.objects.order_by("id")
    assert [(e.quantity, e.price, e.amount) for e in told] == [
        (f.quantity, f.price, f.fee) for f in booked
    ]
    charged = PaperEvent.objects.filter(kind=Kind.FUNDING.value)
    assert sum(e.amount for e in charged) == sum(p.amount for p in FundingPayment.objects.all())
    for position in Position.objects.exclude(quantity=0):
        rest = Order.objects.filter(
            strategy=position.strategy, instrument=position.instrument, closed_at=None
        )
        (stop,) = rest.filter(purpose="stop")
        assert stop.quantity == abs(position.quantity)
        assert rest.filter(purpose="target").count() <= 1
    open_here = set(PaperOrder.objects.filter(closed_at=None).values_list("pk", flat=True))
    ours = Order.objects.exclude(state__in=[*FINAL_STATES, "INTENT"])
    assert open_here == set(ours.values_list("client_order_id", flat=True))
    assert (engine_state_of("main"), state_of("main")) == ("READY", "ARMED")


def entries() -> Any:
    return Order.objects.filter(purpose="entry")


def test_an_entry_that_the_venue_took_is_found_by_asking(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
):
    with killing(monkeypatch, type(stage.trader.paper.venue), "submit", after=True):
        stage.die(lambda: stage.beat_until(lambda: False))
    (order,) = entries()
    assert order.state == "ACKED"
    assert order.venue_order_id
    check(stage)
    stage.beat_until(lambda: Fill.objects.exists())
    assert Fill.objects.get().order_id == order.pk
    check(stage)


def test_an_entry_that_never_reached_the_venue_is_absent_and_given_up(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
):
    with killing(monkeypatch, type(stage.trader.paper.venue), "submit", after=False):
        stage.die(lambda: stage.beat_until(lambda: False))
    (order,) = entries()
    assert (order.state, order.closed_at) == ("ABSENT", stage.clock.now())
    assert not any(stage.trader.paper.book.pending)
    check(stage)
    stage.beat()
    assert not Fill.objects.exists()


@contextmanager
def killing_at_execution(monkeypatch: pytest.MonkeyPatch, stage: Stage) -> Iterator[None]:
    """Kill as soon as the venue has executed something, before anything of it is booked."""
    venue = type(stage.trader.paper.venue)
    real = venue.walk

    def walk(self: Any, *args: Any, **kwargs: Any) -> None:
        before = executed()
        real(self, *args, **kwargs)
        if executed() > before:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(venue, "walk", walk)
        yield


def executed() -> int:
    return PaperEvent.objects.exclude(kind=Kind.FUNDING.value).count()


def test_a_fill_that_was_not_booked_is_booked_once_and_protected(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
):
    with killing_at_execution(monkeypatch, stage):
        stage.die(lambda: stage.beat_until(lambda: False))
    assert (executed(), Fill.objects.count()) == (1, 1)
    assert Position.objects.exclude(quantity=0).count() == 1
    assert entries().get().state == "FILLED"
    check(stage)


def test_an_exit_that_was_filled_and_not_booked_ends_its_round_trip_once(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
):
    stage.beat_until(lambda: Fill.objects.exists())
    with killing_at_execution(monkeypatch, stage):
        stage.die(lambda: stage.beat_until(lambda: False))
    assert (executed(), Fill.objects.count()) == (2, 2)
    closed = not Position.objects.exclude(quantity=0).exists()
    assert Trade.objects.count() == closed
    check(stage)


@pytest.mark.parametrize("is_booked", [False, True], ids=["not booked", "booked"])
def test_a_stamp_whose_step_was_cut_off_charges_once(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, *, is_booked: bool
):
    """The step stood at the very instant of the stamp, as missed minutes do."""
    stage.beat_until(lambda: Position.objects.exclude(quantity=0).exists())
    held = Position.objects.exclude(quantity=0).count()
    book, charged = type(stage.trader.paper), PaperEvent.objects.filter(kind=Kind.FUNDING.value)
    real = book._book_events if is_booked else PaperVenue.walk

    def struck(*args: Any, **kwargs: Any) -> Any:
        found = real(*args, **kwargs)
        if charged.exists():
            raise Killed
        return found

    owner, name = (book, "_book_events") if is_booked else (PaperVenue, "walk")
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, struck)
        with pytest.raises(Killed):
            stage.beat_until(lambda: False)
    (stamp,) = set(charged.values_list("occurred_at", flat=True))
    assert to_milliseconds(stamp) % (8 * HOUR_MS) == 0
    stage.begin()
    stage.beat()
    stage.beat()
    check(stage)
    assert charged.count() == FundingPayment.objects.count() == held


@pytest.mark.parametrize(
    "seed", [3, *(pytest.param(seed, marks=pytest.mark.drill) for seed in (1, 2))]
)
def test_kills_at_any_commit_lose_and_double_nothing(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, seed: int
):
    """Each time that an order moves, its trader dies some commits later, before or after one."""
    rng = Random(seed)
    left = {"commits": -1}
    real = BaseDatabaseWrapper.commit

    def insert(*rows: Model, **given: Any) -> None:
        insert_rows(*rows, **given)
        if left["commits"] < 0 and stage.kills < 40:
            left["commits"] = rng.randint(0, 6)

    def commit(connection: BaseDatabaseWrapper) -> None:
        due = left["commits"] == 0
        left["commits"] -= left["commits"] >= 0
        if not due or rng.random() < 0.5:
            real(connection)
        else:
            connection.close()
        if due:
            raise Killed

    def live() -> None:
        if stage.kills:
            stage.begin()
        while stage.at < stage.market.start_ms + 8 * HOUR_MS:
            stage.beat()

    with monkeypatch.context() as patch:
        patch.setattr(BaseDatabaseWrapper, "commit", commit)
        patch.setattr(orders, "insert_rows", insert)
        for _ in range(100):
            try:
                live()
                break
            except Killed:
                stage.kills += 1
    stage.begin()
    check(stage)
    assert stage.kills >= 2
    assert Fill.objects.exists()
