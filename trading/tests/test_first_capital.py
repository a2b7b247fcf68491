"""What a book begins with: the money that its ledger sent, once, and nothing beside it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import psycopg
import pytest

from magnetfund.kernel.clock import VirtualClock, from_milliseconds, use_clock
from magnetfund.kernel.errors import Unavailable
from trading.models import Valuation
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


def trade(cluster: Any, amounts: list[str], later: str = "") -> Trader:
    """A fresh trader after these flows, a few beats, and perhaps one more flow."""
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
        for beat in range(3):
            at = market.start_ms + beat * STEP_MS
            clock.move_to(from_milliseconds(at))
            source.now_ms = at
            if beat == 1 and later:
                send(cluster, later, 99)
            trader.beat()
        trader.stop()
    return trader


def test_a_book_begins_with_what_its_ledger_sent_each_flow_once(fresh_database: Any):
    trader = trade(fresh_database, ["100000", "50000"])
    assert trader.paper.venue.cash == 150_000
    assert trader.paper.book.cash == 150_000
    assert Valuation.objects.filter(book=BOOK).latest("at").equity == 150_000


def test_money_that_comes_later_is_added_without_a_result(fresh_database: Any):
    trader = trade(fresh_database, ["100000"], later="25000")
    assert trader.paper.venue.cash == 125_000
    newest = Valuation.objects.filter(book=BOOK).latest("at")
    assert newest.equity == 125_000
    assert newest.unit_value == 100, "capital is no profit"


def test_a_book_without_flows_begins_with_the_paper_account(fresh_database: Any):
    trader = trade(fresh_database, [])
    assert trader.paper.venue.cash == 430_000


def test_a_book_whose_money_left_again_waits(fresh_database: Any):
    with pytest.raises(Unavailable) as found:
        trade(fresh_database, ["100000", "-100000"])
    assert found.value.code == "no_capital"
