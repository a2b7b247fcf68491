"""The live trader trades what the replay trades, on the same sequence of prices."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from magnetfund.kernel.clock import from_milliseconds
from risk.domain.fuse import FuseMove, Trigger
from trading.domain.engine.book import BookFill, CloseReason, OrderIntent
from trading.domain.market import HOUR_MS, MINUTE_MS, Candles
from trading.domain.simulated_market import SimulatedInstrument, simulate_market
from trading.models import Fill, Instrument, Signal
from trading.tests.parity import (
    CASH,
    Market,
    Recorder,
    build_ground,
    name_differences,
    run_history,
    run_trader,
)

pytestmark = pytest.mark.usefixtures("as_gateway")

SYMBOL = "BTC/USDT:USDT"
STEP_MS = 5 * MINUTE_MS
START_MS = 1_767_225_600_000
WARM_HOURS = 62 * 24
#: The first entry into the market of seed 33 is at the close of its hour 20: from here on, soon.
SHORT_OF_ENTRY = 19


@pytest.fixture(autouse=True)
def cash(settings) -> None:
    settings.INITIAL_EQUITY = CASH


def make_market(*, seed: int, days: int, from_hour: int = 0) -> Market:
    """Simulated hours, then five-minute prices whose hours are made of them.

    The prices begin at ``from_hour`` of those after the warm-up; the hours before it are history.
    """
    warm_hours = WARM_HOURS + from_hour
    drawn = simulate_market(
        seed=seed,
        instruments=(SimulatedInstrument(symbol=SYMBOL, start_price=60_000.0, tick=0.1),),
        start_ms=START_MS - warm_hours * HOUR_MS,
        hours=warm_hours + days * 24,
    )
    open_, high, low, close, volume = (column[:warm_hours] for column in drawn.candles[0])
    before = Candles(
        instrument=SYMBOL,
        timeframe_ms=HOUR_MS,
        open_time=drawn.open_time[:warm_hours],
        open=open_,
        high=high,
        low=low,
        close=close,
        volume=volume,
    )
    prices = np.ascontiguousarray(drawn.minutes[0][warm_hours * 60 :: 5])
    times = START_MS + np.arange(prices.size, dtype=np.int64) * STEP_MS
    fine = Candles(
        instrument=SYMBOL,
        timeframe_ms=STEP_MS,
        open_time=times,
        open=prices,
        high=prices,
        low=prices,
        close=prices,
        volume=np.full(prices.size, 100.0),
    )
    return Market(
        before={SYMBOL: before},
        fine={SYMBOL: fine},
        start_ms=START_MS,
        end_ms=START_MS + days * 24 * HOUR_MS,
    )


@pytest.fixture
def first_hours() -> Market:
    """Six hours that begin shortly before the first entry."""
    day = make_market(seed=33, days=1, from_hour=SHORT_OF_ENTRY)
    return replace(day, end_ms=START_MS + 6 * HOUR_MS)


def trade_both_ways(market: Market) -> tuple[Recorder, tuple[Instrument, ...]]:
    """What the replay's driver told, once live beats on the same prices did the very same."""
    instruments = build_ground(market, tick="0.1")
    live, trader = run_trader(market, book="live", beat_ms=STEP_MS)
    told, paper = run_history(market, instruments, book="told", fine=True)
    assert live.lines() == told.lines()
    assert trader.paper.book.cash == paper.book.cash
    assert _rows("live") == _rows("told")
    assert len(_rows("told")) == told.count(BookFill)
    return told, instruments


def test_the_first_hours_are_identical_to_the_lot(first_hours: Market):
    # Whatever the replay decides at its very end, live beats no more.
    told, _ = trade_both_ways(replace(first_hours, end_ms=first_hours.end_ms - HOUR_MS))
    assert told.count(BookFill, close_reason=0) >= 1


@pytest.mark.drill
def test_two_days_are_identical_to_the_lot_whatever_executes_the_decisions():
    """Live beats and the replay's driver on the same prices; on hours only named causes differ."""
    market = make_market(seed=33, days=2)
    told, instruments = trade_both_ways(market)
    assert told.count(BookFill, close_reason=0) >= 3
    assert told.count(BookFill, close_reason=CloseReason.FUSE_CUT) >= 3
    assert told.count(FuseMove, trigger=Trigger.CLEARED) >= 2
    assert told.count(BookFill, close_reason=CloseReason.STOP) >= 1

    hourly, _ = run_history(market, instruments, book="hours", fine=False)
    assert hourly.count(BookFill, close_reason=0) >= 3
    differences = name_differences(hourly.events, told.events)
    assert "unexplained" not in differences, differences


def _rows(book: str) -> list[tuple[object, ...]]:
    return list(
        Fill.objects.filter(book=book)
        .order_by("occurred_at", "id")
        .values_list("strategy", "side", "quantity", "price", "fee", "reason", "occurred_at")
    )


class TestLateCandles:
    """A candle that comes after its close is decided on when it comes, within an hour."""

    @pytest.fixture
    def market(self, first_hours: Market) -> Market:
        return first_hours

    def entry_hour(self, market: Market) -> int:
        """The open time of the first hour whose signal opened a position."""
        instruments = build_ground(market, tick="0.1")
        told, _ = run_history(market, instruments, book="told", fine=True)
        first = next(e for e in told.events if isinstance(e, OrderIntent) and not e.reduces)
        return first.decided_at - HOUR_MS

    def test_its_entry_is_made_when_it_comes(self, market: Market):
        hour = self.entry_hour(market)
        delay = 20 * MINUTE_MS
        live, _ = run_trader(market, book="live", beat_ms=STEP_MS, late={hour: delay})
        entry = next(e for e in live.events if isinstance(e, OrderIntent) and not e.reduces)
        fill = next(e for e in live.events if isinstance(e, BookFill))
        assert entry.decided_at == hour + HOUR_MS + delay
        assert fill.time_ms == hour + HOUR_MS + delay

    def test_after_the_next_close_it_only_reduces(self, market: Market):
        hour = self.entry_hour(market)
        live, _ = run_trader(market, book="live", beat_ms=STEP_MS, late={hour: HOUR_MS})
        assert not [
            e
            for e in live.events
            if isinstance(e, OrderIntent)
            and not e.reduces
            and hour + HOUR_MS <= e.decided_at < hour + 2 * HOUR_MS
        ]
        assert Signal.objects.filter(known_at=from_milliseconds(hour + HOUR_MS)).exists()

    def test_a_trader_that_was_down_at_the_close_decides_when_it_is_back(self, market: Market):
        hour = self.entry_hour(market)
        close = hour + HOUR_MS
        before = replace(market, end_ms=close)
        after = replace(market, start_ms=close + 10 * MINUTE_MS, end_ms=close + 20 * MINUTE_MS)
        run_trader(before, book="live", beat_ms=STEP_MS)
        live, _ = run_trader(after, book="live", beat_ms=STEP_MS)
        entry = next(e for e in live.events if isinstance(e, OrderIntent) and not e.reduces)
        assert entry.decided_at == close + 10 * MINUTE_MS
