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

from magnetfund.kernel.clock import VirtualClock, from_milliseconds, use_clock
from risk.services.fuse import state_of
from trading.domain.orders import FINAL_STATES
from trading.domain.paper_venue import Kind
from trading.models import Fill, FundingPayment, Order, PaperEvent, PaperOrder, Position, Trade
from trading.services.engine import engine_state_of
from trading.services.reconcile import find_differences
from trading.services.trader import Trader
from trading.tests.parity import CASH, PriceSequence, arm, build_ground
from trading.tests.test_trader_parity import STEP_MS, make_market

pytestmark = pytest.mark.usefixtures("as_gateway")


class Killed(BaseException):
    """The process is gone; nothing catches it."""


class Stage:
    """A market and a clock on which traders follow one another."""

    def __init__(self, settings: Any) -> None:
        settings.INITIAL_EQUITY = CASH
        self.market = make_market(seed=33, days=1)
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


def test_a_fill_that_was_not_booked_is_booked_once_and_protected(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
):
    stage.beat_until(lambda: entries().filter(state="ACKED").exists())
    with killing(monkeypatch, type(stage.trader.paper), "_book_events", after=False):
        stage.die(stage.beat)
    assert PaperEvent.objects.count() == 1
    assert Position.objects.exclude(quantity=0).count() == 1
    check(stage)


def test_an_exit_that_was_filled_and_not_booked_ends_its_round_trip_once(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
):
    stage.beat_until(lambda: Fill.objects.exists())
    held = Position.objects.exclude(quantity=0).get()
    settle = type(stage.trader.paper.desk).settle

    # From here on every walk that executes something is the last act of its trader.
    real = type(stage.trader.paper.venue).walk

    def walk(venue: Any, *args: Any, **kwargs: Any) -> None:
        before = PaperEvent.objects.exclude(kind=Kind.FUNDING.value).count()
        real(venue, *args, **kwargs)
        if PaperEvent.objects.exclude(kind=Kind.FUNDING.value).count() > before:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(type(stage.trader.paper.venue), "walk", walk)
        stage.die(lambda: stage.beat_until(lambda: False))
    assert settle is type(stage.trader.paper.desk).settle
    check(stage)
    if not Position.objects.get(pk=held.pk).quantity:
        assert Trade.objects.count() == 1
    assert Fill.objects.count() == 2


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_kills_at_any_commit_lose_and_double_nothing(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, seed: int
):
    """Traders that die at every few commits, before or after it, until the day is over."""
    rng = Random(seed)
    left = {"commits": 0}
    real = BaseDatabaseWrapper.commit

    def commit(connection: BaseDatabaseWrapper) -> None:
        left["commits"] -= 1
        if left["commits"] == 0:
            if rng.random() < 0.5:
                real(connection)
            else:
                connection.close()
            raise Killed
        real(connection)

    def live() -> None:
        while stage.at < stage.market.end_ms:
            stage.beat()

    with monkeypatch.context() as patch:
        patch.setattr(BaseDatabaseWrapper, "commit", commit)
        killed = True
        while killed:
            left["commits"] = rng.randint(1, 40) if stage.kills < 60 else -1
            try:
                if stage.kills:
                    stage.begin()
                live()
                killed = False
            except Killed:
                stage.kills += 1
    assert stage.kills >= 20
    stage.begin()
    check(stage)
    assert Trade.objects.count() >= 1
