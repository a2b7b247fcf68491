"""What a book begins with: the money that its ledger sent, once, and nothing beside it."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from magnetfund.kernel.clock import VirtualClock, from_milliseconds, use_clock
from magnetfund.kernel.errors import InvalidInput
from risk.models import FuseEvent
from trading.domain.engine.step import adjust_for_flow
from trading.models import Order, Valuation
from trading.services.book.memory import load_memory
from trading.services.trader import Trader
from trading.tests.parity import PriceSequence, arm, build_ground
from trading.tests.test_trader_parity import STEP_MS, make_market

pytestmark = pytest.mark.usefixtures("as_gateway")
BOOK = "live"


@pytest.fixture(autouse=True)
def cash(settings: Any) -> None:
    settings.INITIAL_EQUITY = 430_000.0


def send(cluster: Any, amount: str, number: int) -> None:
    """A flow as dealing writes it: the trader's role may not."""
    with psycopg.connect(cluster.dsn("postgres", "fresh"), autocommit=True) as session:
        session.execute(
            "INSERT INTO trading_bookflow (book, amount, source_ref, text, occurred_at, "
            "recorded_at) VALUES (%s, %s, %s, 'Dealing day', now(), now())",
            [BOOK, Decimal(amount), f"dealing:{number}"],
        )


def trade(cluster: Any, amounts: list[str], later: Sequence[str] = ()) -> Trader:
    """A fresh trader after these flows, a few beats, and perhaps more flows, one a beat."""
    market = make_market(seed=5, days=1)
    build_ground(market, tick="0.1")
    source = PriceSequence(market)
    clock = VirtualClock(from_milliseconds(market.start_ms))
    with use_clock(clock):
        arm(BOOK, market.start_ms)
        for number, amount in enumerate(amounts):
            send(cluster, amount, number)
        trader = Trader(book=BOOK, source=source)
        trader.start()
        for beat in range(4):
            at = market.start_ms + beat * STEP_MS
            clock.move_to(from_milliseconds(at))
            source.now_ms = at
            if 0 < beat <= len(later):
                send(cluster, later[beat - 1], 90 + beat)
            trader.beat()
        trader.stop()
    return trader


def test_a_book_begins_with_what_its_ledger_sent_each_flow_once(fresh_database: Any):
    trader = trade(fresh_database, ["100000", "50000"])
    assert trader.paper.venue.cash == 150_000
    assert trader.paper.book.cash == 150_000
    assert Valuation.objects.filter(book=BOOK).latest("at").equity == 150_000


def test_money_that_comes_later_is_added_without_a_result(fresh_database: Any):
    trader = trade(fresh_database, ["100000"], later=["25000"])
    assert trader.paper.venue.cash == 125_000
    newest = Valuation.objects.filter(book=BOOK).latest("at")
    assert newest.equity == 125_000
    assert newest.unit_value == 100, "capital is no profit"


def test_a_book_without_flows_begins_with_the_paper_account(fresh_database: Any):
    trader = trade(fresh_database, [])
    assert trader.paper.venue.cash == 430_000


@pytest.mark.parametrize("before", [[], ["100000", "-100000"]])
def test_a_book_without_capital_runs_enters_nothing_and_trips_nothing(
    fresh_database: Any, settings: Any, before: list[str]
):
    settings.INITIAL_EQUITY = 0.0
    trader = trade(fresh_database, before)
    assert (trader.paper.venue.cash, trader.paper.book.equity) == (0, 0.0)
    newest = Valuation.objects.filter(book=BOOK).latest("at")
    assert (newest.equity, newest.unit_value, newest.peak_unit_value) == (0, 100, 100)
    assert not FuseEvent.objects.filter(book=BOOK, kind="tripped").exists()
    assert Order.objects.count() == 0


def test_the_first_money_begins_the_record_without_a_step_in_its_return(
    fresh_database: Any, settings: Any
):
    settings.INITIAL_EQUITY = 0.0
    trader = trade(fresh_database, [], later=["250000"])
    book = trader.paper.book
    assert (book.equity, book.fuse.peak_equity, book.fuse.day_start_equity) == (250_000,) * 3
    values = Valuation.objects.filter(book=BOOK).order_by("at")
    assert {row.unit_value for row in values} == {100}
    assert [row.equity for row in values][-1] == 250_000
    assert load_memory(BOOK).shares == 2_500


def test_a_book_that_everybody_left_takes_new_money_at_the_value_of_its_unit(fresh_database: Any):
    trader = trade(fresh_database, ["100000"], later=["-100000", "50000"])
    paper = trader.paper
    assert (paper.book.equity, paper.venue.cash, paper.book.fuse.peak_equity) == (
        50_000, 50_000, 50_000,
    )  # fmt: skip
    values = Valuation.objects.filter(book=BOOK).order_by("at")
    assert [row.equity for row in values] == [100_000, 0, 50_000, 50_000]
    assert {row.unit_value for row in values} == {100}
    with pytest.raises(InvalidInput):
        adjust_for_flow(book=paper.book, amount=-50_000.01)


def test_the_unit_of_an_empty_book_is_what_it_was_worth_when_the_last_money_left(
    fresh_database: Any,
):
    paper = trade(fresh_database, ["100000"]).paper
    paper.shares = 800.0
    send(fresh_database, "-100000", 7)
    paper.apply_flows()
    assert (paper.shares, paper.idle_unit, paper.book.equity) == (0.0, 125.0, 0.0)
    send(fresh_database, "5000", 8)
    paper.apply_flows()
    assert (paper.shares, paper.book.fuse.peak_equity) == (40.0, 5_000.0)
