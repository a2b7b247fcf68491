"""Shadow mode through the trader's beats: what each order would be sent as, and that none is."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl

import pytest
from django.core.management import CommandError, call_command

from simulated_exchange.server import Exchange
from trading.models import Order
from trading.services.shadow import write_shadow
from trading.tests.exchange_ground import Dial, Ground, serve_exchange

pytestmark = pytest.mark.usefixtures("as_gateway")


@pytest.fixture
def dial() -> Dial:
    return Dial()


@pytest.fixture
def exchange(settings: Any, dial: Dial) -> Iterator[Exchange]:
    with serve_exchange(settings, dial) as served:
        yield served


def list_orders(*arguments: str) -> dict[str, Any]:
    out = io.StringIO()
    call_command("shadow_orders", "--json", *arguments, stdout=out)
    return dict(json.loads(out.getvalue()))


def test_each_order_of_a_trade_is_written_as_it_would_be_sent_and_none_is(
    exchange: Exchange, dial: Dial, settings: Any
):
    settings.TRADING_MODE = "shadow"
    ground = Ground(dial, codes=("trend", "magnet"))
    ground.start()
    ground.beat_until_entry()
    ground.beat(3)
    told = list_orders()
    entry = Order.objects.filter(purpose="entry", state="FILLED").earliest("occurred_at")
    orders = {row.client_order_id: row for row in Order.objects.select_related("instrument")}
    assert len(told["orders"]) == len(orders) >= 3
    assert told["sent"] == 0
    written = {}
    for item in told["orders"]:
        head, _, text = item["written"].partition("?")
        values = dict(parse_qsl(text))
        row = orders[values.get("newClientOrderId") or values["clientAlgoId"]]
        written[row.purpose] = head
        assert values["symbol"] == "BTCUSDT"
        assert values["side"] == row.side.upper()
        assert float(values["quantity"]) == float(row.quantity)
        assert ("reduceOnly" in values) == (row.purpose != "entry")
        if row.trigger_price is not None:
            assert float(values["triggerPrice"]) == float(row.trigger_price)
    assert written["entry"] == "POST /fapi/v1/order"
    assert written["stop"] == "POST /fapi/v1/algoOrder"
    assert write_shadow(entry) in {item["written"] for item in told["orders"]}
    assert not [path for path in exchange.requests if "rder" in path], "the exchange heard of none"
    assert len(list_orders("--last", "1")["orders"]) == 1
    assert list_orders("--since", "2030-01-01")["orders"] == []


def test_the_command_says_where_orders_are_written(settings: Any):
    with pytest.raises(CommandError, match="TRADING_MODE=shadow"):
        call_command("shadow_orders", stdout=io.StringIO())
    settings.TRADING_MODE = "shadow"
    with pytest.raises(CommandError, match="bad_count"):
        call_command("shadow_orders", "--last", "0", stdout=io.StringIO())
