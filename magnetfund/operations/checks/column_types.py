"""What mypy must know of a column of money; checked with the rest of the product, never run."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, assert_type

if TYPE_CHECKING:
    from trading.models import Order

    def read_order(order: Order) -> None:
        assert_type(order.quantity, Decimal)
        assert_type(order.limit_price, Decimal | None)
        assert_type(order.instrument.tick, Decimal)

    def write_float(order: Order) -> None:
        # strict mode refuses this comment from the day on which a float is taken
        order.quantity = 1.5  # type: ignore[assignment]
