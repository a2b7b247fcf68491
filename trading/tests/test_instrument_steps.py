"""What an instrument must state, and what one tick of one lot is worth."""

from __future__ import annotations

from decimal import Decimal

import pytest

from magnetfund.kernel.errors import InvalidInput
from trading.domain.market import (
    InstrumentKind,
    InstrumentTerms,
)


def instrument(tick: str = "0.1", lot: str = "0.001") -> InstrumentTerms:
    return InstrumentTerms(
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
        InstrumentTerms(**{**good, **change})  # type: ignore[arg-type]
