"""The real client against an exchange on loopback: pages, terms, funding, and what goes wrong."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from magnetfund.kernel.errors import InvalidInput, Unavailable
from simulated_exchange.faults import Fault
from simulated_exchange.market import Listing, Market
from simulated_exchange.server import Exchange
from trading.domain.market import HOUR_MS
from trading.models import (
    Candle,
    FundingRate,
    Instrument,
    MarketEvent,
    MarketRefusal,
    Position,
)
from trading.services.exchange_candles import (
    fetch_candles,
    fetch_funding,
    fetch_terms,
    fetch_time_ms,
    open_exchange,
)
from trading.venues import ccxt_calls

START = 1_735_689_600_000  # 1 January 2025
HOURS = 2_500
NOW = START + HOURS * HOUR_MS + 600_000  # ten minutes into the hour that is forming
SYMBOL = "BTC/USDT:USDT"


def make_market() -> Market:
    rng = np.random.default_rng(3)
    close = np.round(60_000 * np.exp(np.cumsum(rng.normal(0, 0.004, HOURS + 1))), 1)
    before = np.append(60_000.0, close[:-1])
    bars = np.column_stack(
        (
            START + HOUR_MS * np.arange(HOURS + 1),
            before,
            np.maximum(before, close) + 5,
            np.minimum(before, close) - 5,
            close,
            rng.uniform(1, 9, HOURS + 1).round(3),
        )
    )
    funding = {START + k * 8 * HOUR_MS: 0.0001 * (k % 5 - 1) for k in range(HOURS // 8)}
    listing = Listing(symbol="BTCUSDT", base="BTC", interval="1h", bars=bars, funding=funding)
    return Market(listings={"BTCUSDT": listing}, clock=lambda: NOW)


@pytest.fixture
def exchange(settings: object, monkeypatch: pytest.MonkeyPatch) -> Iterator[Exchange]:
    """An exchange in a thread of its own, and clients that go there without pauses."""
    served = Exchange(make_market())
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    port = asyncio.run_coroutine_threadsafe(served.start(), loop).result(30)
    settings.EXCHANGE_HOST = f"http://127.0.0.1:{port}"  # type: ignore[attr-defined]
    monkeypatch.setattr(ccxt_calls.time, "sleep", lambda seconds: None)
    yield served
    asyncio.run_coroutine_threadsafe(served.stop(), loop).result(30)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(30)


def client() -> object:
    found = open_exchange("binanceusdm")
    found.enableRateLimit = False
    found.timeout = 1_000
    return found


def candles(**options: object) -> np.ndarray:
    given = {"symbol": SYMBOL, "timeframe": "1h", "start_ms": START, "end_ms": NOW, **options}
    return fetch_candles(client(), **given).open_time  # type: ignore[arg-type]


def test_pages_join_without_a_hole_and_the_forming_candle_stays_out(exchange: Exchange):
    times = candles()
    assert times.tolist() == [START + k * HOUR_MS for k in range(HOURS)]
    assert exchange.requests.count("/fapi/v1/klines") == 3
    assert fetch_time_ms(client()) == NOW


def test_terms_come_from_the_venue_and_say_what_it_does_not_state(exchange: Exchange):
    terms, source = fetch_terms(client(), venue="binanceusdm", symbol=SYMBOL)
    assert (terms.tick, terms.lot, terms.minimum_notional) == (
        Decimal("0.1"), Decimal("0.001"), Decimal(100),
    )  # fmt: skip
    assert terms.taker_fee == Decimal("0.0005")
    assert "fees and maintenance: shipped file" in source
    with pytest.raises(InvalidInput, match="does not list"):
        fetch_terms(client(), venue="binanceusdm", symbol="NO/USDT:USDT")


def test_funding_is_what_the_venue_charged(exchange: Exchange):
    rates = fetch_funding(client(), symbol=SYMBOL, start_ms=START, end_ms=NOW)
    assert rates.stamp_ms.tolist() == sorted(exchange.market.listings["BTCUSDT"].funding)


@pytest.mark.parametrize(
    "fault",
    [
        Fault(kind="status", path="klines", status=429),
        Fault(kind="status", path="klines", status=418),
        Fault(kind="html", path="klines", status=502, times=2),
        Fault(kind="truncated", path="klines"),
        Fault(kind="cut", path="klines", times=2),
        Fault(kind="silent", path="klines", seconds=1.5),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.status}",
)
def test_a_passing_fault_costs_no_candle(exchange: Exchange, fault: Fault):
    exchange.faults.append(fault)
    assert candles().size == HOURS
    assert fault.times == 0


@pytest.mark.parametrize("kind", ["status", "html", "truncated", "cut"])
def test_a_lasting_fault_is_one_line_with_the_next_step(exchange: Exchange, kind: str):
    exchange.faults.append(Fault(kind=kind, times=99, status=503))
    with pytest.raises(Unavailable, match="check the network, a proxy") as refused:
        candles()
    assert refused.value.code == "exchange_away"
    assert "\n" not in str(refused.value)


def test_nobody_there_is_the_same_line(settings: object, monkeypatch: pytest.MonkeyPatch):
    settings.EXCHANGE_HOST = "http://127.0.0.1:9"  # type: ignore[attr-defined]
    monkeypatch.setattr(ccxt_calls.time, "sleep", lambda seconds: None)
    with pytest.raises(Unavailable, match="cannot be reached"):
        candles()


@pytest.mark.django_db
def test_the_commands_fill_an_empty_home_and_a_spike_stays_out(exchange: Exchange):
    call_command(
        "add_instrument", "btc/usdt:usdt", from_exchange=True, trade=True, stdout=io.StringIO()
    )
    assert Instrument.objects.get().is_active
    exchange.faults.append(Fault(kind="spike", path="klines", factor=10.0))
    options = {"instrument": SYMBOL, "start": "2025-01-01", "stdout": io.StringIO()}
    call_command("backfill_candles", **options)
    assert Candle.objects.count() == HOURS - 1
    assert [row.reason for row in MarketRefusal.objects.all()] == ["scale"]
    call_command("backfill_candles", **options)
    call_command("backfill_funding", **options)
    assert FundingRate.objects.count() == HOURS // 8


@pytest.mark.usefixtures("as_gateway", "placed_positions")
def test_a_changed_tick_is_an_event_and_waits_while_a_position_is_open(exchange: Exchange):
    said = io.StringIO()
    call_command("add_instrument", SYMBOL, from_exchange=True, stdout=said)
    call_command("refresh_instruments", stdout=said)
    assert not MarketEvent.objects.exists()
    old = exchange.market.listings["BTCUSDT"]
    exchange.market.listings["BTCUSDT"] = replace(old, tick="0.50")
    positions = Position.objects.using("gateway")
    held = positions.create(
        book="main", instrument=Instrument.objects.get(), strategy="trend",
        quantity=Decimal("0.1"), average_price=Decimal(60_000), leverage=1.0,
    )  # fmt: skip
    with pytest.raises(CommandError, match="no instrument was refreshed"):
        call_command("refresh_instruments", stdout=said)
    assert "while a position is open" in said.getvalue()
    assert Instrument.objects.get().tick == Decimal("0.1")
    positions.filter(pk=held.pk).update(quantity=0)
    call_command("refresh_instruments", stdout=said)
    assert Instrument.objects.get().tick == Decimal("0.5")
    refused, event = MarketEvent.objects.order_by("recorded_at")
    assert refused.kind == "terms_refused"
    assert "while a position is open" in refused.detail["reason"]
    assert (event.kind, event.detail["changes"]) == ("terms_changed", {"tick": ["0.1", "0.5"]})
