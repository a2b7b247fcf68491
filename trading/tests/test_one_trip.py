"""What a history keeps back goes out whole, in its order, before anything else is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from django.db import IntegrityError, connection, transaction

from magnetfund.core.actors import Actor
from magnetfund.core.rows import one_trip
from magnetfund.kernel.errors import InvariantBroken
from trading.domain import orders as life
from trading.models import Instrument, Order
from trading.services.orders import commit_taken, record_events
from trading.tests import test_order_rows
from trading.tests.test_order_rows import START, at, closing_order, states

pytestmark = pytest.mark.usefixtures("as_gateway", "placed_positions")
instrument = test_order_rows.instrument


@contextmanager
def statements() -> Iterator[list[str]]:
    """The texts sent meanwhile."""
    sent: list[str] = []

    def note(execute: Callable[..., Any], text: str, *more: Any) -> Any:
        sent.append(text)
        return execute(text, *more)

    with connection.execute_wrapper(note):
        yield sent


def take(order: Order) -> Order:
    return commit_taken(
        order,
        submit=lambda order: life.OrderAcknowledged(at=START, venue_order_id="p-1"),
        actor=Actor.system("test"), at=START,
    )  # fmt: skip


def cancel(order: Order) -> Order:
    gone = life.VenueReported(at=at(1), status=life.VenueStatus.CANCELLED)
    return record_events(order, life.CancelRequested(at=at(1)), gone)


def test_two_orders_of_a_bar_are_one_statement_and_one_commit(instrument: Instrument):
    placed = closing_order(instrument, held="2", quantity="1")
    with statements() as sent, one_trip():
        first = take(placed)
        cancel(first)
        assert sent == []
    assert len(sent) == 1
    assert Order.objects.get(pk=first.pk).state == "CANCELLED"
    assert states(first) == ["INTENT", "SENDING", "ACKED", "CANCEL_PENDING", "CANCELLED"]


def test_a_question_finds_what_was_kept_back_before_it(instrument: Instrument):
    placed = closing_order(instrument, held="2", quantity="1")
    with one_trip():
        order = take(placed)
        assert states(order) == ["INTENT", "SENDING", "ACKED"]
        cancel(order)
        assert Order.objects.get(pk=order.pk).state == "CANCELLED"


def test_what_breaks_off_writes_nothing_of_what_was_kept_back(instrument: Instrument):
    placed = closing_order(instrument, held="2", quantity="1")

    def break_off() -> None:
        with one_trip():
            order = take(placed)
            order.refresh_from_db()
            cancel(order)
            raise KeyError("broken off")

    with pytest.raises(KeyError):
        break_off()
    assert [row.state for row in Order.objects.all()] == ["ACKED"]


def test_the_gate_refuses_all_that_goes_out_with_what_it_refuses(instrument: Instrument):
    orders = [closing_order(instrument, held="2", quantity=quantity) for quantity in ("1", "3")]

    def send_both() -> None:
        with one_trip():
            for order in orders:
                take(order)

    with pytest.raises(IntegrityError, match="must reduce a position"):
        send_both()
    assert not Order.objects.exists()


def test_what_is_kept_back_is_no_part_of_a_transaction_that_begins_later(instrument: Instrument):
    placed = closing_order(instrument, held="2", quantity="1")

    def begin_later() -> None:
        with one_trip():
            take(placed)
            with transaction.atomic():
                Order.objects.count()

    with pytest.raises(InvariantBroken, match="kept back"):
        begin_later()
    assert not Order.objects.exists()


def test_within_a_transaction_nothing_is_kept_back(instrument: Instrument, fresh_database: Any):
    placed = closing_order(instrument, held="2", quantity="1")
    with transaction.atomic(), statements() as sent, one_trip():
        take(placed)
        assert any("INSERT" in text for text in sent)
    with psycopg.connect(fresh_database.dsn("postgres", "fresh"), autocommit=True) as other:
        assert other.execute("SELECT count(*) FROM trading_order").fetchone() == (1,)
