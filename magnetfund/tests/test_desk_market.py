"""The pages Market and Instruments: what they say, and what a person changes there."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from django.test import Client

from magnetfund.core.models import AuditEvent
from magnetfund.core.roles import Role
from magnetfund.core.services.jobs import beat_heart
from magnetfund.kernel.clock import VirtualClock, use_clock, utc_now
from magnetfund.operations.people import ensure_user
from magnetfund.tests.walls_support import make_instrument
from magnetfund.web.desk.market_page import FOLLOWS, read_report, say_fuse_distance, say_start
from magnetfund.web.desk.selectors import trader_beat
from simulated_exchange.faults import Fault
from simulated_exchange.market import Listing, Market
from simulated_exchange.server import Exchange
from trading.domain.market.events import MarketEventKind
from trading.models import Candle, Instrument, Strategy
from trading.services.market_choice import choose_market, followed_exchange
from trading.services.market_events import NewMarketEvent, record_market_events
from trading.services.membership import members_of
from trading.services.trader_figures import TraderFigures

pytestmark = pytest.mark.django_db


def sign_in(role: Role) -> Client:
    client = Client()
    client.force_login(ensure_user(email=f"{role}@example.com", name="A Person", roles=[role]))
    return client


def report(symbol: str, *, doubt: str = "", price: str = "60000.1", stream: str = "") -> None:
    """What a trader on an exchange reports with its beat."""
    beat_heart(
        part="trader", instance="main", prices={symbol: price},
        market={
            "venue": "binanceusdm", "source": "binanceusdm stream", "is_simulated": False,
            "doubt": "", "doubts": {symbol: doubt} if doubt else {}, "offset_ms": 12,
            "stream": stream,
            "openings": 1, "budget": 0.02, "failure": "", "counts": {"messages": 5},
            "price_at": {},
            "instruments": {
                symbol: {
                    "source": "stream", "price": price, "age_ms": 400, "bid": "60000.0",
                    "ask": "60000.2", "spread": 0.0000033, "depth": 4_000_000.0,
                    "funding_rate": 0.0001, "funding_at_ms": 1_767_254_400_000,
                    "forced_orders": 0,
                }
            },
        },
    )  # fmt: skip


def test_the_page_says_where_prices_come_from_and_what_happened():
    row = make_instrument()
    report(row.symbol)
    record_market_events(
        [
            NewMarketEvent(
                kind=MarketEventKind.STREAM_LOST, occurred_at=utc_now(), source="binanceusdm",
                venue="binanceusdm", detail={"reason": "no message for 5 s"},
            )
        ]
    )  # fmt: skip
    page = " ".join(sign_in(Role.AUDITOR).get("/desk/market/").content.decode().split())
    for words in ("binanceusdm stream", "60000.0 to 60000.2", "4,000,000", "Stream lost",
                  "no message for 5 s", "Prices are requested every two seconds",
                  "not held"):  # fmt: skip
        assert words in page, words


def test_a_trader_that_starts_says_how_far_it_is_until_its_first_beat():
    row = make_instrument()
    TraderFigures(book="main", holder="test").tell_start(3, 50)
    client = sign_in(Role.AUDITOR)
    page = " ".join(client.get("/desk/market/").content.decode().split())
    assert "The trader is starting: the past of 3 of 50 instruments is read." in page
    assert "No trader has reported" not in page
    assert "every 3s" in page
    report(row.symbol)
    page = " ".join(client.get("/desk/market/").content.decode().split())
    assert "is starting" not in page


def test_a_start_keeps_the_last_report_and_its_time_and_is_soon_forgotten():
    report(make_instrument().symbol)
    before = trader_beat("main")
    assert before is not None
    TraderFigures(book="main", holder="test").tell_start(1, 1)
    after = trader_beat("main")
    assert after is not None
    assert after.seen_at == before.seen_at
    assert after.detail["market"] == before.detail["market"]
    assert say_start(after) == "The trader is starting: the past of 1 of 1 instrument is read."
    with use_clock(VirtualClock(utc_now() + timedelta(minutes=3))):
        assert say_start(after) == ""


def test_a_doubt_stands_on_every_page_of_the_desk():
    row = make_instrument()
    report(row.symbol, doubt=f"the price of {row.symbol} is over 6 s old (9 s)")
    client = sign_in(Role.OPERATOR)
    assert "in doubt" in client.get("/desk/").content.decode()
    page = " ".join(client.get("/desk/market/").content.decode().split())
    assert "Prices are in doubt" in page
    assert "reducing only" in page


def test_a_stream_that_is_down_is_one_word_and_a_reason():
    row = make_instrument()
    report(row.symbol, stream="NetworkError: Connection closed by remote server")
    page = " ".join(sign_in(Role.OPERATOR).get("/desk/market/").content.decode().split())
    assert '<dd class="mf-value"> down </dd>' in page
    assert "NetworkError: Connection closed by remote server; opened 1 time," in page


def test_an_old_report_is_said_to_be_old(monkeypatch: pytest.MonkeyPatch):
    report(make_instrument().symbol)
    later = utc_now() + timedelta(minutes=2)
    monkeypatch.setattr("magnetfund.web.desk.market_page.utc_now", lambda: later)
    found = read_report(trader_beat("main"))
    assert found is not None
    assert (found.trouble, found.is_late) == ("the trader does not report", True)


def test_every_kind_of_event_says_what_follows():
    assert set(FOLLOWS) == set(MarketEventKind)


@pytest.mark.parametrize(
    ("quantity", "price", "room", "words"),
    [
        ("0", "100", "50", "not held"),
        ("2", "100", "50", "a fall of 25.0 % trips the daily limit"),
        ("-2", "100", "50", "a rise of 25.0 % trips the daily limit"),
        ("0.1", "100", "50", "no fall of it alone trips the daily limit"),
        ("-0.01", "100", "50", "only a rise above 1,000 % of it alone trips the daily limit"),
        ("1", None, "50", "not known without a price"),
    ],
)
def test_what_it_would_do_to_the_fuse(quantity: str, price: str | None, room: str, words: str):
    known = Decimal(price) if price else None
    assert say_fuse_distance(Decimal(quantity), known, Decimal(room)) == words


@pytest.fixture(scope="module", autouse=True)
def _loaded_client() -> None:
    """Load ccxt before a transaction is open: on a busy machine it outlasts an idle one."""
    import ccxt

    assert ccxt


@pytest.fixture
def exchange(settings: Any) -> Iterator[Exchange]:
    bars = np.array([[1_767_225_600_000.0, 10.0, 11.0, 9.0, 10.0, 1.0]])
    listings = {
        f"{base}USDT": Listing(symbol=f"{base}USDT", base=base, interval="1h", bars=bars)
        for base in ("BTC", "ETH")
    }
    served = Exchange(Market(listings=listings, clock=lambda: 1_767_229_200_000))
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    port = asyncio.run_coroutine_threadsafe(served.start(), loop).result(30)
    settings.EXCHANGE_HOST, settings.MARKET = f"http://127.0.0.1:{port}", "binanceusdm"
    yield served
    asyncio.run_coroutine_threadsafe(served.stop(), loop).result(30)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(30)


def test_an_operator_finds_and_adds_an_instrument(exchange: Exchange):
    client = sign_in(Role.OPERATOR)
    assert "Add ETH/USDT:USDT" in client.get("/desk/market/instruments/?q=eth").content.decode()
    answer = client.post("/desk/market/instruments/add/", {"symbol": "eth/usdt:usdt"}, follow=True)
    assert "is known now" in answer.content.decode()
    row = Instrument.objects.get(symbol="ETH/USDT:USDT")
    assert row.is_active
    assert "binanceusdm public metadata" in row.metadata_source
    line = AuditEvent.objects.get(action="instrument.added")
    assert line.actor_label == "A Person"
    assert "binanceusdm public metadata" in answer.content.decode()


def test_the_first_instrument_chooses_the_exchange_of_a_home(exchange: Exchange, settings: Any):
    settings.MARKET = ""
    client, where = sign_in(Role.OPERATOR), "/desk/market/instruments/"
    assert followed_exchange() == ""
    assert 'name="exchange"' in client.get(where).content.decode()
    assert "no_source" in client.get(where + "?q=eth").content.decode()
    odd = client.get(where + "?q=eth&exchange=nowhere").content.decode()
    assert "unknown_exchange" in odd
    given = {"q": "eth", "exchange": "binanceusdm"}
    assert "Add ETH/USDT:USDT" in client.get(where, given).content.decode()
    sent = {"symbol": "ETH/USDT:USDT", "exchange": "binanceusdm"}
    added = client.post(where + "add/", sent, follow=True).content.decode()
    assert "is known now" in added
    assert "The trader fetches its history and begins" in added
    assert followed_exchange() == "binanceusdm"
    assert choose_market().venue == "binanceusdm"
    page = client.get(where, {"q": "btc"}).content.decode()
    assert "Add BTC/USDT:USDT" in page
    assert 'id="exchange"' not in page
    other = {"symbol": "BTC/USDT:USDT", "exchange": "kraken"}
    assert "(two_markets)" in client.post(where + "add/", other, follow=True).content.decode()
    assert Instrument.objects.count() == 1


def test_an_exchange_that_is_away_is_said_with_the_next_step(exchange: Exchange):
    exchange.faults.append(Fault(kind="html", times=99))
    page = sign_in(Role.OPERATOR).get("/desk/market/instruments/?q=eth").content.decode()
    assert "EXCHANGE_PROXY" in page


def test_without_a_market_the_search_says_what_to_set(settings: Any):
    settings.MARKET = ""
    page = sign_in(Role.OPERATOR).get("/desk/market/instruments/?q=eth").content.decode()
    assert "MARKET=binanceusdm" in page


def test_a_slot_is_added_and_paused_with_a_reason():
    row = make_instrument()
    Strategy.objects.create(code="manual", version=1, name="Manual", risk_fraction="0.0035")
    client = sign_in(Role.OPERATOR)
    given = {"strategy": "manual", "symbol": row.symbol, "venue": row.venue}
    where = "/desk/market/instruments/change/"
    refused = client.post(where, {**given, "move": "add", "reason": ""}, follow=True)
    assert "Nothing changed" in refused.content.decode()
    unknown = client.post(where, {**given, "move": "add", "reason": "we know it"}, follow=True)
    assert "(no_candles)" in unknown.content.decode()
    opened = utc_now() - timedelta(hours=2)
    Candle.objects.create(
        instrument=row, timeframe="1h", open_time=opened, open=1, high=1, low=1, close=1, volume=1,
        known_at=utc_now(), available_at=utc_now(), source="test",
    )  # fmt: skip
    client.post(where, {**given, "move": "add", "reason": "we know it"})
    assert [m.state for m in members_of("main").members] == ["trading"]
    ask = "/desk/market/instruments/confirm/"
    asked = client.get(ask, {**given, "move": "pause"}).content.decode()
    assert "keeps its stop and its target" in asked
    assert [m.state for m in members_of("main").members] == ["trading"], "asking changes nothing"
    assert sign_in(Role.AUDITOR).get(ask, {**given, "move": "pause"}).status_code == 403
    dialog = client.get(
        ask, {**given, "move": "remove"}, HTTP_HX_REQUEST="true", HTTP_HX_TARGET="dialog"
    ).content.decode()
    assert "no longer trades this instrument" in dialog
    assert "<html" not in dialog
    nothing = client.get(ask, {**given, "symbol": "NO/SUCH", "move": "pause"}, follow=True)
    assert "Nothing changed" in nothing.content.decode()
    client.post(where, {**given, "move": "pause", "reason": "a holiday"})
    assert [(m.state, m.reason) for m in members_of("main").members] == [("paused", "a holiday")]
    assert "a holiday" in client.get("/desk/market/instruments/").content.decode()


def test_who_may_not_import_finds_no_search():
    page = sign_in(Role.AUDITOR).get("/desk/market/instruments/").content.decode()
    assert "Add from the exchange" not in page
