"""A sleeve's stored position against the pure fold: random histories of fills, flips included."""

from __future__ import annotations

import random
import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from magnetfund.core.roles import Role
from magnetfund.kernel.clock import to_milliseconds, utc_now
from magnetfund.tests.walls_support import (
    arm_fuse,
    hold_position,
    make_engine_ready,
    make_instrument,
    make_order,
    make_user,
    wait_for_waiter,
)
from risk.domain.pretrade import Side
from trading.domain.orders import OrderAcknowledged, OrderClaimed
from trading.domain.positions import NetPosition, PositionFill, apply_fill
from trading.models import Fill, FillTotal, Instrument, Order, Position, Trade
from trading.services.fills import record_fill
from trading.services.held_fills import held_at
from trading.services.kept_sums import find_sum_differences
from trading.services.orders import record_events
from trading.venues.execution import VenueFill

START = datetime(2026, 3, 2, 13, tzinfo=UTC)
ZERO = Decimal(0)


@pytest.fixture
def instrument(fresh_database: object, request: pytest.FixtureRequest) -> Instrument:
    arm_fuse(make_user("ann", Role.RISK_OFFICER), make_user("ben", Role.RISK_OFFICER))
    found = make_instrument()
    request.getfixturevalue("as_gateway")
    make_engine_ready()
    return found


def fill(
    instrument: Instrument,
    number: int,
    signed: Decimal,
    price: str,
    fee: str = "0.07",
    **more: Any,
) -> tuple[Order, Trade | None]:
    at = START + timedelta(minutes=number)
    order = make_order(
        instrument,
        purpose="manual",
        side="buy" if signed > 0 else "sell",
        quantity=abs(signed),
        occurred_at=at,
        **more,
    )
    claimed = record_events(order, OrderClaimed(at=at))
    record_events(claimed, OrderAcknowledged(at=at, venue_order_id=f"v{number}"))
    report = VenueFill(
        number=number,
        trade_id=f"t{number}",
        client_order_id=order.client_order_id,
        account=order.strategy,
        symbol=instrument.symbol,
        side=Side(order.side),
        quantity=abs(signed),
        price=Decimal(price),
        fee=Decimal(fee),
        occurred_at=at,
    )
    _, trade = record_fill(Order.objects.get(pk=order.pk), report)
    order.refresh_from_db()
    return order, trade


def pure_fill(number: int, signed: Decimal, price: str, fee: str = "0.07") -> PositionFill:
    at = START + timedelta(minutes=number)
    return PositionFill(
        time_ms=to_milliseconds(at),
        quantity=signed,
        price=Decimal(price),
        fee=Decimal(fee),
    )


def assert_same(row: Position, expected: NetPosition) -> None:
    """Every field; what closed trades took out of the row counts with it."""
    trades = list(Trade.objects.all())
    assert row.quantity == expected.quantity
    assert abs(row.average_price - expected.average_price) < Decimal("1e-12")
    gross = sum((trade.gross_pnl for trade in trades), row.realised)
    assert abs(gross - expected.realised) < Decimal("1e-12")
    assert sum((trade.commission for trade in trades), row.fees) == expected.fees
    assert sum((trade.funding for trade in trades), row.funding) == 0, "no fill pays funding"
    opened = None if row.opened_at is None else to_milliseconds(row.opened_at)
    assert opened == expected.opened_ms


def test_the_hours_of_a_large_fill_are_summed_as_they_were_kept(instrument: Instrument) -> None:
    fill(instrument, 600, Decimal("57.26"), "405.19")
    assert find_sum_differences("main") == []


@pytest.mark.parametrize("seed", range(3))
def test_row_gate_and_fold_agree_in_every_field(instrument: Instrument, seed: int) -> None:
    draw = random.Random(seed)
    held, flips = NetPosition(), 0
    at_the_time: list[NetPosition] = []
    for number in range(14):
        signed = Decimal(draw.choice([1, -1]) * draw.randint(1, 3_000)) / 1000
        if held.quantity:
            signed = draw.choice([signed, -held.quantity, -held.quantity - held.quantity / 4])
        price = f"{draw.uniform(90, 110):.1f}"
        effect = apply_fill(position=held, fill=pure_fill(number, signed, price))
        order, trade = fill(instrument, number, signed, price)
        held, flips = effect.position, flips + effect.is_flip
        at_the_time.append(held)
        assert_same(Position.objects.get(), held)
        assert order.reduces == (effect.opened == 0), "the gate in SQL folds as the domain does"
        assert (trade is not None) == (effect.closed > 0 and (not held.quantity or effect.is_flip))
        stored = Fill.objects.get(order=order)
        assert abs(stored.realised - effect.realised) < Decimal("1e-12")
    assert flips > 1
    for number, then in enumerate(at_the_time):
        found = held_at("main", before=START + timedelta(minutes=number, seconds=1))
        row = found.get((instrument.pk, "trend"), NetPosition())
        assert (row.quantity, row.average_price) == (then.quantity, then.average_price)
        assert row.opened_ms == then.opened_ms


def test_a_flip_ends_one_round_trip_and_begins_the_next(instrument: Instrument) -> None:
    fill(instrument, 1, Decimal(1), "100", fee="0.1")
    _, first = fill(instrument, 2, Decimal(-3), "120", fee="0.3")
    _, second = fill(instrument, 3, Decimal(2), "90", fee="0.2")
    assert first is not None
    assert second is not None
    assert (first.direction, first.quantity, first.entry_price, first.exit_price) == (
        "long", 1, 100, 120,
    )  # fmt: skip
    assert (first.gross_pnl, first.commission) == (20, Decimal("0.2"))
    assert (second.direction, second.quantity, second.entry_price, second.exit_price) == (
        "short", 2, 120, 90,
    )  # fmt: skip
    assert (second.gross_pnl, second.commission) == (60, Decimal("0.4"))
    assert (first.closed_at, second.opened_at) == (START + timedelta(minutes=2),) * 2
    # Bought at 100 and sold at 120 by orders that were made at a reference of 100.
    slipped = sum((row.slippage for row in Fill.objects.all()), ZERO)
    assert first.slippage + second.slippage == slipped
    assert Position.objects.get().quantity == 0


def test_a_stop_slips_from_its_trigger_and_not_from_the_price_at_which_it_was_placed(
    instrument: Instrument,
) -> None:
    fill(instrument, 1, Decimal(2), "100.5")
    _, trade = fill(instrument, 2, Decimal(-2), "89.5", type="stop", trigger_price=Decimal(90))
    assert trade is not None
    # Bought half a unit of price above the reference of 100, sold half of one below the trigger.
    assert [row.slippage for row in Fill.objects.order_by("occurred_at")] == [1, 1]
    assert trade.slippage == 2


FORGERIES = {
    "a position that nobody bought": (
        "INSERT INTO trading_position (book, instrument_id, strategy, quantity, average_price, "
        "realised, fees, funding, entry_quantity, entry_notional, leverage, updated_at) "
        "SELECT 'main', id, 'forged', 5000, 100, 0, 0, 0, 5000, 500000, 1, now() "
        "FROM trading_instrument"
    ),
    "a larger position": "UPDATE trading_position SET quantity = 5000",
    "a position made away with": "UPDATE trading_position SET quantity = 0",
    "a position under another name": (
        "UPDATE trading_position SET strategy = 'forged', quantity = 0"
    ),
    "a fill that moves nothing": (
        "INSERT INTO trading_fill (order_id, venue, venue_trade_id, book, instrument_id, strategy, "
        "side, quantity, price, fee, realised, slippage, liquidity, reason, occurred_at, "
        "recorded_at) SELECT id, 'x', 'forged', book, instrument_id, strategy, side, 1, 100, 0, 0, "
        "0, 'taker', '', now(), now() FROM trading_order "
        "WHERE claimed_at IS NOT NULL AND filled_quantity = 0"
    ),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_the_traders_role_holds_what_its_fills_add_up_to(
    instrument: Instrument, fresh_database: Any, name: str
) -> None:
    hold_position(instrument, Decimal(2))
    order = make_order(instrument, quantity=Decimal(2))
    record_events(order, OrderClaimed(at=utc_now()))
    with psycopg.connect(fresh_database.dsn("fa_gateway", "fresh")) as session:
        session.execute(FORGERIES[name].encode())
        with pytest.raises(psycopg.errors.CheckViolation, match="its fills add up to"):
            session.commit()
    assert Position.objects.get().quantity == 2
    assert FillTotal.objects.get().quantity == 2


FILL_AGAIN = (
    "INSERT INTO trading_fill (order_id, venue, venue_trade_id, book, instrument_id, strategy, "
    "side, quantity, price, fee, realised, slippage, liquidity, reason, occurred_at, recorded_at) "
    "SELECT id, 'x', %s, book, instrument_id, strategy, side, quantity, 100, 0, 0, 0, 'taker', '', "
    "now(), now() FROM trading_order WHERE claimed_at IS NOT NULL"
)
HOLD_AGAIN = "UPDATE trading_position SET quantity = quantity + 2"


def test_two_sessions_together_fill_no_more_than_the_order(
    instrument: Instrument, fresh_database: Any
) -> None:
    """Each sees the order before the other's fill, unless the second waits for the first."""
    order = make_order(instrument, quantity=Decimal(2))
    record_events(order, OrderClaimed(at=utc_now()))
    Position.objects.create(book="main", instrument=instrument, strategy="trend")
    dsn = fresh_database.dsn("fa_gateway", "fresh")
    refused: list[str] = []

    def book_second() -> None:
        with psycopg.connect(dsn) as session:
            try:
                session.execute(FILL_AGAIN.encode(), ["second"])
                session.execute(HOLD_AGAIN.encode())
                session.commit()
            except psycopg.Error as error:
                refused.append(str(error))

    with psycopg.connect(dsn) as first:
        first.execute(FILL_AGAIN.encode(), ["first"])
        first.execute(HOLD_AGAIN.encode())
        other = threading.Thread(target=book_second)
        other.start()
        wait_for_waiter(fresh_database)
        first.commit()
    other.join()
    assert Position.objects.get().quantity == 2
    assert "more than the order" in refused[0]
