"""Orders as they would be sent, against what ccxt would send for the same order."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import ccxt
import pytest

from magnetfund.kernel.errors import InvalidInput
from risk.domain.pretrade import OrderType, Side
from simulated_exchange.market import Listing, _symbol_info
from trading.venues.binance_orders import write_order
from trading.venues.execution import OrderTicket

TICK, LOT = Decimal("0.1"), Decimal("0.001")


@pytest.fixture(scope="module")
def client() -> Any:
    """ccxt with the market that the exchange on loopback states; it never asks."""
    import numpy as np

    made = ccxt.binanceusdm()
    listing = Listing(symbol="BTCUSDT", base="BTC", interval="1h", bars=np.zeros((1, 6)))
    made.set_markets([made.parse_market(_symbol_info(listing))])
    return made


def ticket(kind: OrderType, **changes: Any) -> OrderTicket:
    given: dict[str, Any] = {
        "client_order_id": "mf-0a1b2c3d", "account": "trend", "symbol": "BTC/USDT:USDT",
        "side": Side.SELL, "type": kind, "quantity": Decimal("0.120"), "reduce_only": True,
        "trigger_price": None if kind is OrderType.MARKET else Decimal("58999.90"),
    }  # fmt: skip
    return OrderTicket(**given | changes)


def sent_by_ccxt(client: Any, given: OrderTicket) -> dict[str, str]:
    """What ccxt puts into the request of the order."""
    more: dict[str, Any] = {"newClientOrderId": given.client_order_id}
    if given.reduce_only:
        more["reduceOnly"] = True
    if given.trigger_price is not None:
        name = "stopLossPrice" if given.type is OrderType.STOP else "takeProfitPrice"
        more |= {name: f"{given.trigger_price:f}", "workingType": "MARK_PRICE", "isAlgoOrder": True}
    made = client.create_order_request(
        given.symbol, "market", given.side.value, float(given.quantity), None, more
    )
    if given.trigger_price is not None:
        made["algoType"] = "CONDITIONAL"
    return {
        name: str(value).lower() if value is True else str(value) for name, value in made.items()
    }


@pytest.mark.parametrize("is_reducing", [True, False])
@pytest.mark.parametrize("kind", [OrderType.MARKET, OrderType.STOP, OrderType.TAKE_PROFIT])
def test_an_order_is_written_as_ccxt_would_send_it(client: Any, kind: OrderType, is_reducing: bool):
    given = ticket(kind, reduce_only=is_reducing)
    written = write_order(given, tick=TICK, lot=LOT)
    assert dict(written.parameters) == sent_by_ccxt(client, given)
    assert written.path == ("/fapi/v1/order" if kind is OrderType.MARKET else "/fapi/v1/algoOrder")


def test_the_line_names_every_parameter():
    written = write_order(ticket(OrderType.STOP), tick=TICK, lot=LOT)
    assert written.text == (
        "POST /fapi/v1/algoOrder?symbol=BTCUSDT&side=SELL&type=STOP_MARKET&quantity=0.12"
        "&newOrderRespType=RESULT&reduceOnly=true&algoType=CONDITIONAL&clientAlgoId=mf-0a1b2c3d"
        "&triggerPrice=58999.9&workingType=MARK_PRICE"
    )


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"quantity": Decimal("0.1205")}, "off_lot"),
        ({"quantity": Decimal("0")}, "off_lot"),
        ({"trigger_price": Decimal("58999.95")}, "off_tick"),
        ({"client_order_id": "no spaces"}, "bad_client_id"),
    ],
)
def test_what_the_venue_would_refuse_is_not_written(changes: dict[str, Any], code: str):
    with pytest.raises(InvalidInput) as refused:
        write_order(ticket(OrderType.STOP, **changes), tick=TICK, lot=LOT)
    assert refused.value.code == code
