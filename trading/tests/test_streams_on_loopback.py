"""Streams of the loopback exchange through the real client: what arrives, and each fault."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from magnetfund.kernel.clock import use_clock
from simulated_exchange.faults import Fault
from trading.domain.market import HOUR_MS, MINUTE_MS
from trading.services import live_market
from trading.tests.stream_stage import BTC, ETH, SECOND, START, Stage, draw, set_stage
from trading.venues import binance_streams
from trading.venues.market_data import BookWish


@pytest.fixture
def stage(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    monkeypatch.setattr(binance_streams, "PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(binance_streams, "PAUSE_MAX_SECONDS", 0.1)
    with set_stage(settings) as made:
        yield made


def test_marks_books_and_closed_hours_come_by_the_stream(stage: Stage):
    stage.move(SECOND, polls=False)
    quote = stage.prices.newest(BTC)
    assert quote is not None
    assert (quote.source, float(quote.price)) == ("stream", stage.true_price())
    assert quote.funding_at_ms == START + 8 * HOUR_MS
    facts = stage.market.facts(stage.now_ms)[BTC]
    assert float(facts["bid"]) < float(quote.price) < float(facts["ask"])
    stage.move(2 * SECOND, polls=False)
    assert stage.market.depth(BTC, stage.now_ms) == pytest.approx(200 * stage.true_price(), rel=0.2)
    asked = stage.exchange.requests.count("/fapi/v1/klines")
    stage.move(START + 2 * HOUR_MS - stage.now_ms + SECOND, polls=False)
    hour = stage.market.candles(BTC, START + HOUR_MS, START + 2 * HOUR_MS)
    assert hour.open_time.tolist() == [START + HOUR_MS]
    bars = stage.exchange.market.listings["BTCUSDT"].bars[60:120]
    assert hour.close[0] == bars[-1, 4]
    assert hour.high[0] == bars[:, 2].max()
    assert stage.exchange.requests.count("/fapi/v1/klines") == asked


def test_a_wall_of_the_book_is_sampled_and_a_break_is_told(settings: Any):
    rests = (START, START + 10 * HOUR_MS, "SELL", 60_900.0, 40.0)
    listings = {
        "BTCUSDT": replace(draw("BTC", 60_000.0), walls=(rests,)),
        "ETHUSDT": draw("ETH", 3_000.0),
    }
    with set_stage(settings, listings=listings) as stage:
        start = stage.now_ms
        assert stage.market.sample_books({BTC: BookWish(bucket=8.0, reach=2_400.0)})
        for _ in range(20):
            stage.move(SECOND, polls=False)
        samples = stage.market.book_samples(BTC, start, stage.now_ms)
        assert 3 <= len(samples) <= 5
        for sample in samples:
            assert sample.contiguous
            assert sample.ask_sizes[np.abs(sample.ask_prices - 60_900.0) <= 4.0].tolist() == [40.0]
            assert sample.bid_sizes.sum() == pytest.approx(100.0)
        assert stage.market.book_samples(ETH, start, stage.now_ms) == ()
        broken = stage.now_ms
        stage.exchange.faults.append(Fault(kind="gap", path="btcusdt@depth"))

        def count_breaks() -> int:
            later = stage.market.book_samples(BTC, broken, stage.now_ms)
            return [sample.contiguous for sample in later].count(False)

        stage.wait_for(lambda: count_breaks() > 0)
        for _ in range(20):
            stage.move(SECOND, polls=False)
        assert count_breaks() == 1


def test_a_stream_that_speaks_leaves_the_exchange_alone_but_for_a_comparison(stage: Stage):
    stage.move(SECOND)
    before = stage.exchange.requests.count("/fapi/v1/premiumIndex")
    for _ in range(20):
        stage.move(SECOND)
    assert stage.exchange.requests.count("/fapi/v1/premiumIndex") == before
    for _ in range(6):
        stage.move(10 * SECOND)
    assert stage.exchange.requests.count("/fapi/v1/premiumIndex") > before
    assert "sources_differ" not in stage.kinds()


def test_a_silent_stream_is_polled_for_and_opened_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(binance_streams, "SILENT_SECONDS", 0.5)
    stage.exchange.faults.append(Fault(kind="mute", path="@", times=10_000))
    stage.move(3 * SECOND)
    quote = stage.prices.newest(BTC)
    assert quote is not None
    assert (quote.source, float(quote.price)) == ("REST", stage.true_price())
    assert stage.doubts() == {}
    time.sleep(6)  # the pulse that was awaited since before the patch
    stage.exchange.faults.clear()
    stage.wait_for(lambda: not stage.prices.stream_reason)
    kinds = [kind for kind in stage.kinds() if kind != "book_broken"]
    assert kinds == ["stream_lost", "stream_back"]
    assert len(stage.exchange.streams.sockets) <= 8


def test_a_cut_during_the_hour_s_close_loses_no_candle(stage: Stage):
    stage.move(START + 2 * HOUR_MS - stage.now_ms - 500)
    asyncio.run_coroutine_threadsafe(stage.exchange.streams.drop_all(), stage.loop).result(30)
    stage.wait_for(lambda: bool(stage.prices.stream_reason))
    stage.move(10 * SECOND)
    with use_clock(stage.clock):
        stage.market.candles(BTC, START + HOUR_MS, START + 2 * HOUR_MS)
        stage.market.poll()
    hour = stage.market.candles(BTC, START + HOUR_MS, START + 2 * HOUR_MS)
    assert hour.open_time.tolist() == [START + HOUR_MS]
    stage.wait_for(lambda: not stage.prices.stream_reason)
    assert stage.doubts() == {}


@pytest.mark.parametrize("text", ["NaN", "0.00000000", "-1", "Infinity", "", "1e400000", "abc"])
def test_a_price_that_is_none_is_refused(stage: Stage, text: str):
    stage.move(SECOND)
    before = stage.prices.newest(BTC)
    stage.exchange.faults.append(Fault(kind="garbage", path="btcusdt@markPrice", text=text))
    stage.move(SECOND, polls=False)
    assert stage.prices.newest(BTC) == before
    assert "price_refused" in stage.kinds()
    stage.move(SECOND, polls=False)
    assert float(stage.prices.newest(BTC).price) == stage.true_price()  # type: ignore[union-attr]


@pytest.mark.parametrize("factor", [10.0, 0.1, 1.2])
def test_a_spike_that_the_book_does_not_confirm_is_not_used(stage: Stage, factor: float):
    stage.move(SECOND)
    stage.exchange.faults.append(Fault(kind="spike", path="btcusdt@markPrice", factor=factor))
    stage.move(SECOND, polls=False)
    assert "no second source confirms" in stage.doubts()[BTC]
    assert ETH not in stage.doubts()
    stage.move(SECOND, polls=False)
    assert stage.doubts() == {}
    assert float(stage.prices.newest(BTC).price) == stage.true_price()  # type: ignore[union-attr]
    assert stage.prices.counts["price_held"] == 1


def test_a_real_crash_is_used_at_once(stage: Stage):
    stage.move(SECOND)
    listing = draw("BTC", 60_000.0, crash_at=61)
    stage.exchange.market.listings["BTCUSDT"] = listing
    stage.move(START + HOUR_MS + 2 * MINUTE_MS - stage.now_ms, polls=False)
    stage.move(SECOND, polls=False)
    assert float(stage.prices.newest(BTC).price) == stage.true_price()  # type: ignore[union-attr]
    assert stage.true_price() < 44_000
    assert stage.doubts() == {}


def test_repeated_reordered_and_revised_candles_change_nothing_and_are_told(stage: Stage):
    stage.exchange.faults += [
        Fault(kind="revise", path="btcusdt@kline_1m"),
        Fault(kind="repeat", path="ethusdt@kline_1m", times=999),
        Fault(kind="reorder", path="ethusdt@markPrice"),
    ]
    stage.wait_for(lambda: {"candle_revised", "candle_repeated"} <= set(stage.kinds()))
    first = START + HOUR_MS
    for symbol, name in ((BTC, "BTCUSDT"), (ETH, "ETHUSDT")):
        told = stage.prices.closed_candles(symbol, "1m", first, first + MINUTE_MS, MINUTE_MS)
        assert told is not None
        assert told[0][1][3] == stage.exchange.market.listings[name].bars[60, 4]
    assert stage.prices.counts["out_of_order"] >= 1


def test_a_gap_in_the_book_is_read_anew(stage: Stage):
    stage.wait_for(lambda: stage.market.depth(BTC, stage.now_ms) is not None)
    stage.exchange.faults.append(Fault(kind="gap", path="btcusdt@depth"))
    stage.wait_for(lambda: "book_broken" in stage.kinds())
    stage.wait_for(lambda: stage.market.depth(BTC, stage.now_ms) is not None)
    assert not stage.prices.stream_reason


def test_one_instrument_that_ends_leaves_the_other_trading(stage: Stage):
    stage.move(SECOND)
    del stage.exchange.market.listings["ETHUSDT"]
    for _ in range(5):
        stage.exchange.faults[:] = [Fault(kind="mute", path="ethusdt@", times=10_000)]
        stage.move(2 * SECOND)
    assert list(stage.doubts()) == [ETH]
    assert "s old" in stage.doubts()[ETH]


def test_a_skewed_clock_doubts_the_venue_and_comes_back_by_itself(stage: Stage):
    stage.exchange.faults.append(Fault(kind="skew", seconds=-3.0))
    stage.move(31 * SECOND)
    found = stage.market.find_doubts(stage.now_ms, since_ms=stage.now_ms)
    assert "clock of binanceusdm is -3.0 s" in found.venue
    stage.exchange.faults.clear()
    stage.move(2 * SECOND)
    assert not stage.market.find_doubts(stage.now_ms, since_ms=stage.now_ms).venue


def test_a_quarter_of_the_budget_is_kept_for_prices(stage: Stage, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(live_market, "budget_used", lambda client: 0.8)
    asked = stage.exchange.requests.count("/fapi/v1/klines")
    stage.market.candles(BTC, START, START + HOUR_MS)
    stage.move(10 * SECOND)
    stage.exchange.faults.append(Fault(kind="mute", path="@", times=10_000))
    stage.move(10 * SECOND)
    assert stage.exchange.requests.count("/fapi/v1/klines") == asked
    assert stage.prices.newest(BTC).source == "REST"  # type: ignore[union-attr]


def test_a_change_of_instruments_is_a_new_session_without_an_event(stage: Stage):
    opened = stage.market.streams.openings  # type: ignore[union-attr]
    stage.market.streams.watch([ETH])  # type: ignore[union-attr]
    stage.wait_for(lambda: stage.market.streams.openings > opened)  # type: ignore[union-attr]
    stage.move(SECOND, polls=False)
    assert "stream_lost" not in stage.kinds()


def test_a_stop_ends_threads_and_sockets(stage: Stage):
    stage.market.close()
    stage.wait_for(lambda: not stage.exchange.streams.sockets)
    assert not stage.market.streams._thread.is_alive()  # type: ignore[union-attr]
