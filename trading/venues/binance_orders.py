"""An order as Binance's USD-margined futures would be sent it: path and parameters as text.

Pure: nothing here signs or sends.  Parameters follow Binance's documentation and what ccxt would
send: a market order goes to ``order``, one with a trigger to ``algoOrder`` under other names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from magnetfund.kernel.errors import InvalidInput
from risk.domain.pretrade import OrderType
from trading.domain.market.symbols import parse_symbol
from trading.venues.execution import OrderTicket

#: Venues whose orders can be written.
WRITTEN = ("binanceusdm",)
_CLIENT_ID = re.compile(r"[.A-Z:/a-z0-9_-]{1,36}")
_TRIGGERED = {OrderType.STOP: "STOP_MARKET", OrderType.TAKE_PROFIT: "TAKE_PROFIT_MARKET"}


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenOrder:
    """A request that would place an order, before time and signature are added."""

    method: str
    path: str
    parameters: Mapping[str, str]

    @property
    def text(self) -> str:
        """The request in one line."""
        return f"{self.method} {self.path}?" + "&".join(
            f"{name}={value}" for name, value in self.parameters.items()
        )


def write_order(ticket: OrderTicket, *, tick: Decimal, lot: Decimal) -> WrittenOrder:
    """The request for a ticket; stops and targets look at the mark price, as the paper venue does.

    Raises :class:`InvalidInput` for what Binance would refuse by its shape: ``off_lot``,
    ``off_tick``, ``bad_client_id``.
    """
    if not _CLIENT_ID.fullmatch(ticket.client_order_id):
        raise InvalidInput("Binance takes no such client id", code="bad_client_id")
    parts = parse_symbol(ticket.symbol)
    parameters = {
        "symbol": f"{parts.base}{parts.quote}",
        "side": ticket.side.value.upper(),
        "type": _TRIGGERED.get(ticket.type, "MARKET"),
        "quantity": _text(ticket.quantity, lot, "off_lot"),
        "newOrderRespType": "RESULT",
    }
    if ticket.reduce_only:
        parameters["reduceOnly"] = "true"
    if ticket.trigger_price is None:
        parameters["newClientOrderId"] = ticket.client_order_id
        return WrittenOrder(method="POST", path="/fapi/v1/order", parameters=parameters)
    parameters |= {
        "algoType": "CONDITIONAL",
        "clientAlgoId": ticket.client_order_id,
        "triggerPrice": _text(ticket.trigger_price, tick, "off_tick"),
        "workingType": "MARK_PRICE",
    }
    return WrittenOrder(method="POST", path="/fapi/v1/algoOrder", parameters=parameters)


def _text(value: Decimal, step: Decimal, code: str) -> str:
    """The figure without trailing zeros; it must be a whole number of steps above zero."""
    if value <= 0 or value % step:
        raise InvalidInput(f"{value:f} is not a multiple of {step:f}", code=code)
    return f"{value.normalize():f}"
