"""A stop of the fund closes what a person is closing at the same moment."""

from __future__ import annotations

import pytest

from magnetfund.core.actors import Actor
from magnetfund.tests.walls_support import trip_fuse
from trading.models import Fill, Order, Position
from trading.services.manual import close_position
from trading.tests.test_membership import Stage, operator, stage
from trading.tests.test_trader_parity import STEP_MS

pytestmark = pytest.mark.usefixtures("as_gateway")
__all__ = ["operator", "stage"]


def test_a_close_that_waits_does_not_keep_a_stop_from_closing(
    stage: Stage, operator: Actor
) -> None:
    """Their orders are for the same position; the trader has to live on whichever comes first."""
    held = stage.beat_until_held()
    asked = close_position(position=held, actor=operator, at=stage.clock.now())
    trip_fuse(at=stage.clock.now())
    stage.beat(stage.at + 3 * STEP_MS)
    asked.refresh_from_db()
    assert asked.state == "EXPIRED"
    assert Position.objects.get(pk=held.pk).quantity == 0
    assert Order.objects.get(purpose="fuse").state == "FILLED"
    assert Fill.objects.count() == 2
    assert not Order.objects.filter(closed_at=None).exists()
