"""What a close from outside is measured against: the last price, never the entry."""

from __future__ import annotations

from decimal import Decimal

import pytest

from magnetfund.core.actors import Actor
from risk.services.fuse import trip_fuse
from risk.services.stop_statements import FuseFacts
from trading.models import Fill, Trade
from trading.tests.parity import HOUR_MS
from trading.tests.test_membership import STEP_MS, Stage, stage

pytestmark = pytest.mark.usefixtures("as_gateway")
__all__ = ["stage"]


def test_a_stop_by_hand_is_measured_against_the_last_price(stage: Stage) -> None:
    held = stage.beat_until_held()
    instrument = held.instrument
    entry = held.average_price
    while stage.at % HOUR_MS or abs(last_price(stage) - entry) < 20 * instrument.tick:
        stage.beat(stage.at + STEP_MS)
    known = last_price(stage)
    trip_fuse(book="main", facts=FuseFacts(trigger="manual"), actor=Actor.system("test"))
    stage.beat(stage.at + 2 * STEP_MS)
    fill = Fill.objects.get(order__purpose="fuse")
    order = fill.order
    assert order.reference_price == known != entry
    signed = fill.quantity if fill.side == "buy" else -fill.quantity
    assert fill.slippage == (fill.price - known) * signed
    trade = Trade.objects.get()
    assert abs(trade.slippage) < Decimal("0.005") * trade.quantity * entry


def test_a_liquidation_is_measured_against_the_price_that_the_venue_chose(stage: Stage) -> None:
    held = stage.beat_until_held()
    price = held.average_price * Decimal("0.7")
    paper = stage.trader.paper
    slot = next(i for i, position in enumerate(paper.book.positions) if position is not None)
    order = paper.desk.record_liquidation(
        slot, lots=1, side=-1 if held.quantity > 0 else 1, price=price, at=stage.clock.now()
    )
    assert order.reference_price == price


def last_price(stage: Stage) -> Decimal:
    paper = stage.trader.paper
    return paper.book.marks[0] * paper.sleeves[0].instrument.tick
