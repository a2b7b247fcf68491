"""Prices and quantities cross to integer ticks and lots in one place, exactly."""

from __future__ import annotations

import math
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from magnetfund.kernel.errors import InvalidInput
from magnetfund.kernel.money import Rounding
from trading.domain.market import (
    Instrument,
    InstrumentKind,
    lot_array,
    lots_from_quantity,
    price_from_ticks,
    quantity_from_lots,
    round_to_lots,
    round_to_ticks,
    tick_array,
    ticks_from_price,
)

STEPS = ["0.01", "0.1", "0.05", "0.25", "1", "0.00000001", "5"]


def instrument(tick: str = "0.1", lot: str = "0.001") -> Instrument:
    return Instrument(
        symbol="BTC/USDT:USDT",
        venue="paper",
        kind=InstrumentKind.LINEAR_PERPETUAL,
        base="BTC",
        quote="USDT",
        settle="USDT",
        tick=Decimal(tick),
        lot=Decimal(lot),
        taker_fee=Decimal("0.0005"),
    )


@given(st.sampled_from(STEPS), st.integers(1, 10**10))
def test_ticks_and_lots_survive_the_round_trip(step: str, count: int) -> None:
    btc = instrument(tick=step, lot=step)
    price = price_from_ticks(ticks=count, instrument=btc)
    assert ticks_from_price(price=price, instrument=btc) == count
    quantity = quantity_from_lots(lots=-count, instrument=btc)
    assert lots_from_quantity(quantity=quantity, instrument=btc) == -count


@given(st.sampled_from(STEPS), st.integers(1, 10**9))
def test_a_float_price_finds_its_own_tick(step: str, count: int) -> None:
    btc = instrument(tick=step)
    price = float(price_from_ticks(ticks=count, instrument=btc))
    assert round_to_ticks(price=price, instrument=btc) == count
    assert tick_array(prices=np.array([price]), instrument=btc).tolist() == [count]


def test_what_is_off_the_grid_is_refused_and_rounding_is_asked_for_by_name() -> None:
    btc = instrument(tick="0.5")
    with pytest.raises(InvalidInput) as caught:
        ticks_from_price(price=Decimal("100.3"), instrument=btc)
    assert caught.value.code == "off_tick"
    assert round_to_ticks(price=Decimal("100.3"), instrument=btc, rounding=Rounding.FLOOR) == 200
    assert round_to_ticks(price=100.3, instrument=btc, rounding=Rounding.CEILING) == 201


@given(st.floats(0, 1e6))
def test_lots_round_down_so_never_more_is_ordered_than_was_sized(quantity: float) -> None:
    btc = instrument()
    lots = round_to_lots(quantity=quantity, instrument=btc)
    assert quantity_from_lots(lots=lots, instrument=btc) <= Decimal(repr(quantity))


def test_volumes_on_the_grid_keep_their_lots() -> None:
    lots = np.array([1, 3, 7, 123_456_789])
    volume = lots * 0.001
    assert lot_array(quantities=volume, instrument=instrument()).tolist() == lots.tolist()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -1.0, 0.0])
def test_bad_prices_never_become_ticks(bad: float) -> None:
    with pytest.raises(InvalidInput):
        tick_array(prices=np.array([100.0, bad]), instrument=instrument())
    with pytest.raises(InvalidInput):
        round_to_ticks(price=bad, instrument=instrument())


def test_one_tick_of_one_lot_is_worth_their_product() -> None:
    assert instrument().tick_value == Decimal("0.0001")


@pytest.mark.parametrize(
    "change",
    [{"tick": Decimal(0)}, {"lot": Decimal(-1)}, {"taker_fee": Decimal(1)}, {"symbol": ""}],
)
def test_an_impossible_instrument_is_refused(change: dict[str, object]) -> None:
    good = {
        "symbol": "X",
        "venue": "paper",
        "kind": InstrumentKind.SPOT,
        "base": "X",
        "quote": "USD",
        "settle": "USD",
        "tick": Decimal("0.01"),
        "lot": Decimal(1),
    }
    with pytest.raises(InvalidInput):
        Instrument(**{**good, **change})  # type: ignore[arg-type]
