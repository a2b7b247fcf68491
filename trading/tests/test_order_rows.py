"""Stored orders move by the domain's transitions alone; PostgreSQL knows the same states."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection

from magnetfund.core.actors import Actor
from magnetfund.kernel.errors import Conflict
from risk.domain.pretrade import Side
from trading.domain import orders as life
from trading.domain.positions import NetPosition, PositionFill, apply_fill
from trading.models import Fill, Instrument, Order
from trading.services.fills import rebuild_positions, record_fill
from trading.services.instruments import add_simulated_instrument
from trading.services.orders import (
    KINDS,
    GateRefused,
    commit_intent,
    commit_taken,
    record_events,
    settle_orders,
)
from trading.venues.execution import VenueFill

pytestmark = pytest.mark.usefixtures("as_gateway", "placed_positions")
START = datetime(2026, 1, 1, tzinfo=UTC)
S = life.OrderState


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


@pytest.fixture
def instrument(as_gateway: None) -> Instrument:
    return add_simulated_instrument(
        "BTC/USDT:USDT",
        tick=Decimal("0.1"),
        lot=Decimal("0.001"),
        minimum_notional=Decimal(5),
        maker_fee=Decimal("0.0002"),
        taker_fee=Decimal("0.0005"),
        maintenance_rate=Decimal("0.004"),
        actor=Actor.system("test"),
    )


def make_intent(
    instrument: Instrument, *, held: str = "2", quantity: str = "1", is_history: bool = False
) -> Order:
    """A closing order of a long position: the gate lets it pass whatever the fuse says."""
    order = closing_order(instrument, held=held, quantity=quantity)
    return commit_intent(order, actor=Actor.system("test"), at=START, is_history=is_history)


def closing_order(instrument: Instrument, *, held: str, quantity: str) -> Order:
    from trading.models import Position as Row

    Row.objects.update_or_create(
        book="main",
        instrument=instrument,
        strategy="trend",
        defaults={"quantity": Decimal(held), "average_price": Decimal(100)},
    )
    return Order(
        id=uuid4(),
        book="main",
        instrument=instrument,
        strategy="trend",
        purpose="exit",
        side="sell",
        type="market",
        quantity=Decimal(quantity),
        reference_price=Decimal(100),
    )


def states(order: Order) -> list[str]:
    return list(order.events.order_by("seq").values_list("to_state", flat=True))


def send(order: Order) -> Order:
    claimed = record_events(order, life.OrderClaimed(at=at(1)))
    return record_events(claimed, life.OrderAcknowledged(at=at(2), venue_order_id="p-1"))


def test_each_step_leaves_a_row_and_repeated_news_none(instrument: Instrument):
    order = send(make_intent(instrument))
    again = record_events(order, life.OrderAcknowledged(at=at(3), venue_order_id="p-1"))
    assert (again.state, again.venue_order_id) == ("ACKED", "p-1")
    assert states(order) == ["INTENT", "SENDING", "ACKED"]
    ended = record_events(
        again,
        life.CancelRequested(at=at(4)),
        life.VenueReported(at=at(4), status=life.VenueStatus.CANCELLED),
    )
    assert (ended.state, ended.closed_at) == ("CANCELLED", at(4))
    assert states(order)[3:] == ["CANCEL_PENDING", "CANCELLED"]
    with pytest.raises(Conflict):
        record_events(ended, life.OrderClaimed(at=at(5)))
    assert len(states(order)) == 5


def test_an_order_that_is_taken_at_once_has_the_rows_of_one_that_is_sent(instrument: Instrument):
    def written(order: Order) -> list[Any]:
        own = ("id", "client_order_id", "recorded_at", "claimed_at")
        stored = Order.objects.get(pk=order.pk)
        assert stored.claimed_at is not None
        columns = [f.attname for f in Order._meta.concrete_fields if f.attname not in own]
        events = order.events.order_by("seq").values_list(
            "seq", "kind", "from_state", "to_state", "detail", "occurred_at"
        )
        return [[getattr(stored, name) for name in columns], *events]

    sent = make_intent(instrument, quantity="0.5", is_history=True)
    sent = record_events(sent, life.OrderClaimed(at=START))
    sent = record_events(sent, life.OrderAcknowledged(at=START, venue_order_id="p-1"))
    taken = commit_taken(
        closing_order(instrument, held="2", quantity="0.5"),
        submit=lambda order: life.OrderAcknowledged(at=START, venue_order_id="p-1"),
        actor=Actor.system("test"), at=START,
    )  # fmt: skip
    assert written(taken) == written(sent)
    assert (taken.state, taken.venue_order_id, taken.told) == ("ACKED", "p-1", sent.told)


def test_the_gate_judges_an_order_that_is_taken_at_once(instrument: Instrument):
    order = closing_order(instrument, held="2", quantity="3")
    with pytest.raises(GateRefused, match="must reduce a position"):
        commit_taken(
            order, submit=lambda order: life.OrderAcknowledged(at=START),
            actor=Actor.system("test"), at=START,
        )  # fmt: skip
    assert not Order.objects.filter(pk=order.pk).exists()


def test_fills_move_the_order_and_the_position_once(instrument: Instrument):
    order = send(make_intent(instrument))
    for number, quantity in ((1, "0.4"), (1, "0.4"), (2, "0.6")):
        report = VenueFill(
            number=number,
            trade_id=f"t{number}",
            client_order_id=order.client_order_id,
            account="trend",
            symbol=instrument.symbol,
            side=Side.SELL,
            quantity=Decimal(quantity),
            price=Decimal(100 + number),
            fee=Decimal(0),
            occurred_at=at(10 + number),
        )
        record_fill(Order.objects.get(pk=order.pk), report)
    order.refresh_from_db()
    assert (order.state, order.filled_quantity) == ("FILLED", 1)
    assert order.average_price == Decimal("101.6")
    assert order.closed_at == at(12)
    assert states(order)[3:] == ["PARTIALLY_FILLED", "FILLED"]


def test_the_kept_events_of_a_history_are_the_stored_ones(instrument: Instrument):
    """One life with its events kept, one read anew at each step: the same rows."""
    lives = []
    for is_history in (True, False):
        order = make_intent(instrument, is_history=is_history)
        assert (order.told is not None) == is_history
        acked = send(order)
        ended = record_events(
            acked,
            life.CancelRequested(at=at(4)),
            life.VenueReported(at=at(4), status=life.VenueStatus.CANCELLED),
        )
        names = ("seq", "kind", "from_state", "to_state", "detail", "occurred_at")
        lives.append(list(order.events.order_by("seq").values_list(*names)))
        if is_history:
            stored = order.events.order_by("seq").values_list("kind", "to_state", "occurred_at")
            assert ended.told == tuple(life.Told(*row) for row in stored)
            with pytest.raises(Conflict):
                record_events(ended, life.OrderClaimed(at=at(5)))
    assert lives[0] == lives[1]
    assert len(lives[0]) == 5


class Venue:
    """Answers every question with one word."""

    def __init__(self, answer: life.VenueReported | life.OrderNotFound) -> None:
        self.answer = answer
        self.cancelled: list[str] = []

    def query(self, client_order_id: str, *, at: datetime) -> Any:
        return replace(self.answer, at=at)

    def cancel(self, client_order_id: str, *, at: datetime) -> life.VenueReported:
        self.cancelled.append(client_order_id)
        return life.VenueReported(at=at, status=life.VenueStatus.CANCELLED)


def test_an_order_left_in_sending_that_never_arrived_is_absent(instrument: Instrument):
    order = record_events(make_intent(instrument), life.OrderClaimed(at=at(1)))
    venue = Venue(life.OrderNotFound(at=START))
    (settled,) = settle_orders("main", venue=venue, at=at(60))  # type: ignore[arg-type]
    assert settled.pk == order.pk
    assert (settled.state, settled.closed_at) == ("ABSENT", at(60))
    assert states(order) == ["INTENT", "SENDING", "UNKNOWN", "ABSENT"]
    assert settle_orders("main", venue=venue, at=at(61)) == []  # type: ignore[arg-type]


def test_an_order_left_in_sending_that_arrived_rests(instrument: Instrument):
    order = record_events(make_intent(instrument), life.OrderClaimed(at=at(1)))
    venue = Venue(life.VenueReported(at=START, status=life.VenueStatus.OPEN, venue_order_id="p-1"))
    (settled,) = settle_orders("main", venue=venue, at=at(60))  # type: ignore[arg-type]
    assert (settled.state, settled.venue_order_id) == ("ACKED", "p-1")
    assert states(order) == ["INTENT", "SENDING", "UNKNOWN", "ACKED"]


def test_a_cancel_that_never_arrived_is_sent_again(instrument: Instrument):
    order = record_events(send(make_intent(instrument)), life.CancelRequested(at=at(3)))
    venue = Venue(life.VenueReported(at=START, status=life.VenueStatus.OPEN))
    (settled,) = settle_orders("main", venue=venue, at=at(60))  # type: ignore[arg-type]
    assert venue.cancelled == [order.client_order_id]
    assert (settled.state, settled.closed_at) == ("CANCELLED", at(60))


def test_an_intent_that_is_withdrawn_never_left(instrument: Instrument):
    ended = record_events(make_intent(instrument), life.CancelRequested(at=at(1)))
    assert ended.state == "CANCELLED"
    assert states(ended) == ["INTENT", "CANCELLED"]


def test_the_wall_knows_the_same_states_and_every_event_has_a_word():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = %s",
            ["trading_order_known_state"],
        )
        (text,) = cursor.fetchone()
    walled = {part.split("'")[0] for part in text.split("'")[1::2]}
    assert walled == {state.value for state in S}
    assert set(KINDS) == set(life.OrderNews.__args__)


def test_a_flip_takes_the_price_of_the_fill_that_made_it(instrument: Instrument):
    order = make_intent(instrument)
    fills = [
        Fill(
            order=order, venue="paper", venue_trade_id=f"f{n}", instrument=instrument,
            strategy="trend", side=side, quantity=Decimal(quantity), price=Decimal(price),
            fee=Decimal(0), occurred_at=at(n),
        )
        for n, (side, quantity, price) in enumerate(
            [("buy", "1", "100"), ("sell", "3", "120"), ("buy", "1", "90")]
        )
    ]  # fmt: skip
    found = rebuild_positions(fills)[instrument.pk, "trend"]
    assert (found.quantity, found.average_price) == (Decimal(-1), Decimal(120))
    assert found.realised == 20 + 30
    step = apply_fill(
        position=NetPosition(quantity=Decimal(1), average_price=Decimal(100)),
        fill=PositionFill(time_ms=0, quantity=Decimal(-3), price=Decimal(120)),
    )
    assert step.is_flip
