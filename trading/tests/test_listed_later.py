"""Instruments that a venue lists later, and a list that comes torn."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.management import call_command

from magnetfund.core.actors import Actor
from magnetfund.core.roles import Role
from magnetfund.kernel.clock import use_clock
from magnetfund.operations.people import ensure_user
from simulated_exchange.faults import Fault
from simulated_exchange.server import Exchange
from trading.domain.market import HOUR_MS
from trading.models import BookMember, Instrument
from trading.services.engine import engine_state_of
from trading.services.membership import change_members
from trading.tests.exchange_ground import (
    BOOK,
    Dial,
    Ground,
    HoldingMarket,
    draw_listing,
    serve_exchange,
)
from trading.tests.stream_stage import BTC, ETH, SECOND, Stage, draw, set_stage
from trading.venues import binance_streams

pytestmark = pytest.mark.usefixtures("as_gateway")
SOL = "SOL/USDT:USDT"


@pytest.fixture
def dial() -> Dial:
    return Dial()


@pytest.fixture
def exchange(settings: Any, dial: Dial) -> Iterator[Exchange]:
    with serve_exchange(settings, dial) as served:
        yield served


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binance_streams, "PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(binance_streams, "PAUSE_MAX_SECONDS", 0.1)


def test_a_running_trader_trades_what_the_venue_listed_after_its_start(
    exchange: Exchange, dial: Dial
):
    ground = Ground(dial)
    ground.start()
    ground.beat(2)
    exchange.market.listings["ETHUSDT"] = draw_listing("ETH", seed=34)
    with use_clock(ground.clock):
        quiet = io.StringIO()
        call_command("add_instrument", ETH, from_exchange=True, trade=True, stdout=quiet)
        call_command("backfill_candles", instrument=ETH, start="2025-12-01", stdout=quiet)
        change_members(
            book=BOOK, strategies=["trend"], instruments=[Instrument.objects.get(symbol=ETH)],
            state=BookMember.State.TRADING, reason="second market", at=ground.clock.now(),
            actor=Actor.of(ensure_user(email="o@example.com", name="O", roles=[Role.OPERATOR])),
        )  # fmt: skip
    ground.beat(3)
    assert engine_state_of(BOOK) == "READY"
    assert set(ground.trader.paper.marks()) == {BTC, ETH}
    assert not ground.trader.doubt.instruments


def test_one_that_is_not_listed_takes_no_price_from_the_others(exchange: Exchange, dial: Dial):
    exchange.market.listings["ETHUSDT"] = draw_listing("ETH", seed=34)
    ground = Ground(dial, BTC, ETH)
    ground.start()
    ground.source.watch([BTC, ETH, SOL])
    ground.beat(2)
    assert engine_state_of(BOOK) == "READY"
    assert ground.source.find_doubts(dial.now_ms, since_ms=dial.now_ms).instruments.keys() == {SOL}


def test_a_stream_tells_what_the_venue_listed_after_it_was_opened(settings: Any):
    with set_stage(settings) as stage:
        stage.move(SECOND)
        stage.exchange.market.listings["SOLUSDT"] = draw("SOL", 150.0)
        assert stage.market.streams is not None
        stage.market.streams.watch([BTC, ETH, SOL])
        stage.wait_for(lambda: has_mark(stage, SOL))
        stage.wait_for(lambda: not stage.prices.stream_reason)


def test_an_instrument_whose_bars_come_torn_keeps_no_other_waiting(
    exchange: Exchange, dial: Dial, monkeypatch: pytest.MonkeyPatch
):
    exchange.market.listings["ETHUSDT"] = draw_listing("ETH", seed=34)
    ground = Ground(dial, BTC, ETH)
    ground.start()
    klines = HoldingMarket.klines

    def torn(self: HoldingMarket, symbol: str, interval: str, **asked: Any) -> Any:
        rows = klines(self, symbol, interval, **asked)
        return [[row[0] + 1, *row[1:]] for row in rows] if symbol == "BTCUSDT" else rows

    monkeypatch.setattr(HoldingMarket, "klines", torn)
    before = dict(ground.trader.paper.decided)
    ground.beat(14)
    assert ground.trader.paper.decided == {BTC: before[BTC], ETH: before[ETH] + HOUR_MS}
    assert list(ground.trader.doubt.instruments) == [BTC]


@pytest.mark.parametrize("kind", ["truncated", "html", "cut"])
def test_a_stream_outlives_a_torn_list_of_markets(settings: Any, kind: str):
    with set_stage(settings, opens=False) as stage:
        with use_clock(stage.clock):
            stage.market.open([BTC, ETH], since_ms=stage.now_ms)
        stage.exchange.faults.append(Fault(kind=kind, path="exchangeInfo", times=2))
        assert stage.market.streams is not None
        stage.market.streams.begin([BTC, ETH])
        stage.wait_for(lambda: not stage.prices.stream_reason)


def has_mark(stage: Stage, symbol: str) -> bool:
    quote = stage.prices.newest(symbol)
    return quote is not None and quote.source == "stream"
