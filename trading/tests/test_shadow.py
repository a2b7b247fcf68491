"""Shadow mode: what is shown beside an order, and when nothing is."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from trading.models import Instrument, Order
from trading.services.shadow import write_shadow


def make_order(*, venue: str = "binanceusdm", **changes: Any) -> Order:
    """A protective stop that is not stored."""
    instrument = Instrument(
        venue=venue, symbol="BTC/USDT:USDT", tick=Decimal("0.1"), lot=Decimal("0.001")
    )
    given: dict[str, Any] = {
        "client_order_id": "a1", "instrument": instrument, "strategy": "trend", "purpose": "stop",
        "side": "sell", "type": "stop", "quantity": Decimal("0.5"),
        "trigger_price": Decimal("59000"), "state": "ACKED",
    }  # fmt: skip
    return Order(**given | changes)


@pytest.mark.parametrize(
    ("order", "words"),
    [
        (make_order(), "type=STOP_MARKET&quantity=0.5&newOrderRespType=RESULT&reduceOnly=true"),
        (make_order(purpose="entry", type="market", trigger_price=None), "newClientOrderId=a1"),
        (make_order(venue="sim"), "no order is written for sim"),
        (make_order(state="DENIED"), "the pre-trade check denied it"),
        (make_order(quantity=Decimal("0.0001")), "(off_lot)"),
    ],
)
def test_an_order_is_shown_as_it_would_be_sent(settings: Any, order: Order, words: str):
    assert write_shadow(order) == "", "on paper nothing is shown"
    settings.TRADING_MODE = "shadow"
    assert words in write_shadow(order)


def test_an_entry_may_add(settings: Any):
    settings.TRADING_MODE = "shadow"
    entry = make_order(purpose="entry", type="market", trigger_price=None)
    assert "reduceOnly" not in write_shadow(entry)
