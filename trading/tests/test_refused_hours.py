"""An hour that is refused is asked for again, and told of once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from magnetfund.core.models import AuditEvent
from simulated_exchange.server import Exchange
from trading.domain.market import HOUR_MS
from trading.models import MarketRefusal
from trading.services.engine import engine_state_of
from trading.tests.exchange_ground import (
    BOOK,
    START_MS,
    SYMBOL,
    Dial,
    Ground,
    HoldingMarket,
    serve_exchange,
)

pytestmark = pytest.mark.usefixtures("as_gateway")


@pytest.fixture
def dial() -> Dial:
    return Dial()


@pytest.fixture
def exchange(settings: Any, dial: Dial) -> Iterator[Exchange]:
    with serve_exchange(settings, dial) as served:
        yield served


def ninefold(row: list[object], first: int) -> list[object]:
    """A bar whose close ran away, with or without its low."""
    moved = {k: str(float(str(row[k])) * 9) for k in (2, first, 4)}
    return [moved.get(k, value) for k, value in enumerate(row)]


@pytest.mark.usefixtures("exchange")
@pytest.mark.parametrize("first", [2, 3])
def test_a_refused_hour_is_told_of_once(dial: Dial, monkeypatch: pytest.MonkeyPatch, first: int):
    ground = Ground(dial)
    ground.start()
    klines = HoldingMarket.klines

    def odd(self: HoldingMarket, symbol: str, interval: str, **asked: Any) -> Any:
        rows = klines(self, symbol, interval, **asked)
        return [
            ninefold(row, first) if interval == "1h" and row[0] == START_MS else row for row in rows
        ]

    monkeypatch.setattr(HoldingMarket, "klines", odd)
    ground.beat(12)
    ground.beat(60, step_ms=2_000)
    refused = MarketRefusal.objects.filter(raw__timeframe="1h")
    assert refused.count() == 1
    before = AuditEvent.objects.filter(action="market.imported").count()
    ground.beat(30, step_ms=2_000)
    assert AuditEvent.objects.filter(action="market.imported").count() == before
    ground.beat(13)
    assert engine_state_of(BOOK) == "READY"
    assert ground.trader.paper.decided[SYMBOL] == START_MS + HOUR_MS
