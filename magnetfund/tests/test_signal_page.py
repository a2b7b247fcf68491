"""The Signals page: one map, one side and one tier for chart, table and words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from magnetfund.tests.walls_support import make_instrument
from magnetfund.web.desk.charts import ZONES_SHOWN, candle_chart, direction_of
from magnetfund.web.desk.signal_page import explain_signal
from risk.domain.limits import DEFAULT_LIMITS
from trading.models import Candle, Instrument, Signal

AT = datetime(2026, 3, 2, 12, tzinfo=UTC)
CLOSE = 50_000.0


def zone(number: int) -> dict[str, Any]:
    price = CLOSE + (number - 6) * 300.0 + 150.0
    return {
        "price": price, "low": price - 10, "high": price + 10, "strength": 15.0 + number * 4,
        "distance": abs(price - CLOSE) / 400, "members": [{"kind": "swing_high"}],
    }  # fmt: skip


def side(strength: float, conflict: float, price: float) -> dict[str, Any]:
    return {
        "strength": strength, "conflict": conflict, "opposite_zones": 4,
        "target": {"price": price, "strength": strength, "distance": abs(price - CLOSE) / 400},
    }  # fmt: skip


def signal_of(instrument: Instrument | None, magnet: dict[str, Any]) -> Signal:
    reading = {
        "map": {
            "zones": [zone(number) for number in range(14)],
            "volatility_ratio": 1.1,
            # The long side is of tier 2, the short side of tier 4.
            "long": side(84.0, 0.2, CLOSE + 1_000),
            "short": side(20.0, 0.9, CLOSE - 1_000),
        },
        "magnet": magnet,
    }
    return Signal(instrument=instrument, known_at=AT, close=CLOSE, atr=400.0, reading=reading)


@pytest.fixture
def instrument(db: None) -> Instrument:
    made = make_instrument()
    Candle.objects.bulk_create(
        Candle(
            instrument=made, timeframe="1h", open_time=AT - timedelta(hours=number),
            open=CLOSE, high=CLOSE + 50, low=CLOSE - 50, close=CLOSE, volume=1.0,
            known_at=AT + timedelta(hours=1), available_at=AT + timedelta(hours=1), source="test",
        )
        for number in range(12)
    )  # fmt: skip
    return made


def test_the_chart_draws_the_zones_that_the_table_lists(instrument: Instrument) -> None:
    signal = signal_of(instrument, {})
    chart = candle_chart(instrument, signal)
    table = explain_signal(instrument, signal, DEFAULT_LIMITS)["zones"]
    assert chart is not None
    assert [band["p"] for band in chart["bands"]] == [row["price"] for row in table]
    assert len(table) == ZONES_SHOWN
    assert table == sorted(table, key=lambda row: -row["price"])


def test_one_bar_has_one_tier(instrument: Instrument) -> None:
    """The sleeve looked at the short side and stayed out by its tier; so the page looks there."""
    stayed_out = {"direction": 0, "reason": "tier", "strength": 20.0, "conflict": 0.9}
    signal = signal_of(instrument, stayed_out)
    shown = explain_signal(instrument, signal, DEFAULT_LIMITS)
    assert direction_of(signal) == -1
    assert shown["decision"].tier == 4
    assert "Tier 4" in shown["sleeves"][0]["words"]
    taken = {"direction": 1, "reason": "entry", "strength": 84.0, "conflict": 0.2}
    assert explain_signal(instrument, signal_of(instrument, taken), DEFAULT_LIMITS)[
        "decision"
    ].tier in (1, 2)
