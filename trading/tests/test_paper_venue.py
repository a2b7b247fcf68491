"""The paper venue: what it takes, what it refuses, and that its answers outlive everybody."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import DatabaseError, transaction

from magnetfund.core.actors import Actor
from magnetfund.kernel.clock import to_milliseconds
from risk.domain.pretrade import OrderType, Side
from trading.domain.engine.book import Bar
from trading.domain.engine.rules import EngineRules, SlotRules, TradedInstrument
from trading.domain.orders import OrderNotFound, VenueReported, VenueStatus
from trading.domain.paper_venue import Phase, Walk
from trading.domain.strategies.signals import StrategyTraits
from trading.models import PaperEvent, PaperOrder, PaperVenueState
from trading.services.instruments import add_simulated_instrument
from trading.services.paper_venue import PaperVenue
from trading.services.sleeves import Sleeve
from trading.venues.execution import ExecutionVenue, OrderTicket, VenueFill

pytestmark = pytest.mark.usefixtures("as_gateway")
START = datetime(2026, 1, 1, tzinfo=UTC)
SYMBOL = "BTC/USDT:USDT"
CASH = Decimal(100_000)
OPEN = Walk(phase=Phase.OPEN)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


@pytest.fixture
def sleeve(as_gateway: None) -> Sleeve:
    instrument = add_simulated_instrument(
        SYMBOL,
        tick=Decimal("0.1"),
        lot=Decimal("0.001"),
        minimum_notional=Decimal(5),
        maker_fee=Decimal("0.0002"),
        taker_fee=Decimal("0.0005"),
        maintenance_rate=Decimal("0.004"),
        actor=Actor.system("test"),
    )
    return Sleeve(strategy="trend", instrument=instrument, risk_fraction=0.0035)


def open_venue(sleeve: Sleeve) -> PaperVenue:
    rules = EngineRules(
        instruments=(
            TradedInstrument(symbol=SYMBOL, tick_size=0.1, lot_size=0.001, slippage_rate=0.0),
        ),
        slots=(
            SlotRules(
                traits=StrategyTraits(strategy_id="trend", version="1"), strategy=0, instrument=0
            ),
        ),
    )
    venue = PaperVenue(code="main", rules=rules, sleeves=[sleeve], cash=CASH)
    venue.restore()
    return venue


@pytest.fixture
def venue(sleeve: Sleeve) -> PaperVenue:
    return open_venue(sleeve)


def ticket(name: str, side: Side = Side.BUY, **changes: Any) -> OrderTicket:
    given: dict[str, Any] = {
        "client_order_id": name,
        "account": "trend",
        "symbol": SYMBOL,
        "side": side,
        "type": OrderType.MARKET,
        "quantity": Decimal("0.5"),
        "reduce_only": side is Side.SELL,
    }
    return OrderTicket(**{**given, **changes})


def price(venue: PaperVenue, seconds: float, ticks: int, **bar: Any) -> None:
    """One price, every phase of it."""
    flat = Bar(open=ticks, high=ticks, low=ticks, close=ticks, **bar)
    for phase in (Phase.OPEN, Phase.TARGETS, Phase.STOPS):
        venue.walk(Walk(phase=phase), time_ms=to_milliseconds(at(seconds)), bars=[flat])


def test_the_same_client_id_is_one_order(venue: PaperVenue):
    port: ExecutionVenue = venue
    first = port.submit(ticket("a"), at=at(1))
    again = port.submit(ticket("a", quantity=Decimal(7)), at=at(2))
    assert (first.status, again.status) == (VenueStatus.OPEN, VenueStatus.OPEN)
    assert PaperOrder.objects.get().quantity == Decimal("0.5")
    assert set(port.open_orders(at=at(2))) == {"a"}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"account": "nobody"}, "no such account"),
        ({"quantity": Decimal("0.0005")}, "not whole lots"),
        ({"side": Side.SELL, "reduce_only": True}, "nothing to reduce"),
    ],
)
def test_what_it_does_not_take_it_refuses_with_a_reason(
    venue: PaperVenue, changes: dict[str, Any], reason: str
):
    answer = venue.submit(ticket("a", **changes), at=at(1))
    assert (answer.status, answer.reason) == (VenueStatus.REJECTED, reason)
    assert venue.open_orders(at=at(1)) == {}
    assert venue.query("a", at=at(2)) == VenueReported(
        at=at(2), status=VenueStatus.REJECTED, venue_order_id="p-a", reason=reason
    )


def test_answers_outlive_the_process(venue: PaperVenue, sleeve: Sleeve):
    venue.submit(ticket("in"), at=at(1))
    venue.submit(ticket("never"), at=at(1))
    venue.cancel("never", at=at(2))
    price(venue, 3, 1_000_000)
    venue.submit(
        ticket("stop", Side.SELL, type=OrderType.STOP, trigger_price=Decimal(90_000)), at=at(4)
    )
    later = open_venue(sleeve)
    assert isinstance(later.query("unheard", at=at(5)), OrderNotFound)
    told = {name: later.query(name, at=at(5)) for name in ("in", "never", "stop")}
    assert {name: answer.status for name, answer in told.items()} == {  # type: ignore[union-attr]
        "in": VenueStatus.FILLED, "never": VenueStatus.CANCELLED, "stop": VenueStatus.OPEN,
    }  # fmt: skip
    (fill,) = later.fills(since=0)
    assert (fill.client_order_id, fill.quantity, fill.price) == ("in", Decimal("0.5"), 100_000)
    assert later.fills(since=fill.number) == ()
    (held,) = later.positions()
    assert (held.quantity, held.entry_price) == (Decimal("0.5"), 100_000)
    price(later, 6, 899_000)
    assert later.positions() == ()
    assert [f.client_order_id for f in later.fills(since=0)] == ["in", "stop"]


def test_cash_is_that_of_fills_fees_and_funding(venue: PaperVenue):
    venue.submit(ticket("in"), at=at(1))
    price(venue, 2, 1_000_000)
    price(venue, 3, 1_000_000, funding_rate=0.0001)
    venue.submit(ticket("out", Side.SELL), at=at(4))
    price(venue, 5, 1_010_000)
    fees = Decimal("0.0005") * (50_000 + 50_500)
    (balance,) = venue.balances()
    assert balance.cash == CASH + 500 - fees - 5
    venue.deposit(flow_id=1, amount=Decimal(1_000))
    venue.deposit(flow_id=1, amount=Decimal(1_000))
    assert venue.balances()[0].cash == balance.cash + 1_000


def test_an_answer_is_nobody_elses_transaction(venue: PaperVenue):
    with transaction.atomic(), pytest.raises(RuntimeError, match="durable"):
        venue.submit(ticket("a"), at=at(1))
    assert venue.open_orders(at=at(1)) == {}
    assert not PaperOrder.objects.exists()


def test_what_was_not_committed_did_not_happen(
    venue: PaperVenue, sleeve: Sleeve, monkeypatch: pytest.MonkeyPatch
):
    venue.submit(ticket("in"), at=at(1))

    def fail(*args: Any, **kwargs: Any) -> None:
        raise DatabaseError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(PaperVenueState, "save", fail)
        with pytest.raises(DatabaseError):
            price(venue, 2, 1_000_000)
        with pytest.raises(DatabaseError):
            venue.submit(ticket("more"), at=at(2))
    assert venue.positions() == ()
    assert venue.fills(since=0) == ()
    assert (PaperOrder.objects.count(), PaperEvent.objects.count()) == (1, 0)
    later = open_venue(sleeve)
    price(later, 3, 1_000_000)
    (fill,) = later.fills(since=0)
    assert isinstance(fill, VenueFill)
