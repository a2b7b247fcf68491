"""What a real market says of an instant while newer prices arrive."""

from __future__ import annotations

import asyncio

import pytest

from magnetfund.kernel.clock import use_clock
from magnetfund.kernel.errors import Unavailable
from trading.tests.stream_stage import BTC, ETH, SECOND
from trading.tests.test_market_garbage import Doors


def test_a_quote_is_no_price_of_a_beat_that_began_before_it():
    """A trader asks for the price of the instant at which its beat began; where none was known
    then, that is a doubt of this beat and not an error that ends it."""
    asyncio.run(_look())


async def _look() -> None:
    doors = Doors("first", 1)
    began = doors.now_ms - 5  # what opening the doors told arrived after it
    with use_clock(doors.clock):
        then = doors.market.find_doubts(began, since_ms=began - SECOND)
        now = doors.market.find_doubts(doors.now_ms, since_ms=began - SECOND)
    with pytest.raises(Unavailable):
        doors.market.price(BTC, began)
    assert sorted(then.instruments) == [BTC, ETH]
    assert not now.instruments
    assert not now.venue
    assert doors.market.price(BTC, doors.now_ms) > 0
