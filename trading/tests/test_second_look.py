"""An entry that waits is sent only where the trader finds it within the limits itself."""

from __future__ import annotations

from decimal import Decimal

import pytest

from magnetfund.tests.walls_support import make_order
from trading.models import Order, Position
from trading.services.instruments import get_instrument
from trading.tests.test_membership import Stage, stage
from trading.tests.test_trader_parity import STEP_MS, SYMBOL

pytestmark = pytest.mark.usefixtures("as_gateway")
__all__ = ["stage"]


def give(stage: Stage, share: str, *, leverage: float = 1.0) -> Order:
    """An entry of a share of equity with an accepted check, as whoever writes both could."""
    stage.beat(stage.at + 2 * STEP_MS)
    row = get_instrument(SYMBOL)
    price = stage.trader.paper.marks()[SYMBOL]
    equity = Decimal(stage.trader.paper.book.equity)
    lots = int(equity * Decimal(share) / price / row.lot)
    order = make_order(
        row, quantity=lots * row.lot, reference_price=price, leverage=leverage, tier=3,
        stop_price=round(price * Decimal("0.98"), 1), occurred_at=stage.clock.now(),
    )  # fmt: skip
    stage.beat(stage.at + 2 * STEP_MS)
    order.refresh_from_db()
    return order


def test_one_within_the_limits_is_sent(stage: Stage) -> None:
    order = give(stage, "0.01")
    assert order.state == "FILLED"
    assert Position.objects.get().quantity == order.quantity


@pytest.mark.parametrize("share", ["0.4", "20"])
def test_one_beyond_them_is_not_sent_whoever_says_that_it_was_checked(
    stage: Stage, share: str
) -> None:
    order = give(stage, share)
    assert (order.state, order.claimed_at) == ("EXPIRED", None)
    said = order.events.latest("seq").detail["reason"]
    assert "not within limits" in said
    assert not Position.objects.exclude(quantity=0).exists()


def test_one_of_more_leverage_than_the_limits_know_is_not_sent(stage: Stage) -> None:
    order = give(stage, "0.01", leverage=50.0)
    assert order.state == "EXPIRED"
    assert "leverage" in order.events.latest("seq").detail["reason"]
