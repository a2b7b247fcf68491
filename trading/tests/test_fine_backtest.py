"""Decisions on hours, execution on shorter bars: both engines, and the replay's slices, agree."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from magnetfund.kernel.errors import InvalidInput
from trading.domain.backtest.fine import FineMarket, build_fine_market
from trading.domain.backtest.kernel.run import run_kernel
from trading.domain.backtest.market import MarketBars, build_instrument_bars, join_markets
from trading.domain.backtest.reference import run_reference
from trading.domain.backtest.result import RawRun
from trading.domain.engine.rules import EngineRules, TradedInstrument
from trading.domain.market import HOUR_MS, MINUTE_MS, Candles, resample
from trading.domain.market.funding import FundingRates, spread_funding
from trading.domain.market.slices import AT_CLOSE, plan_slices
from trading.domain.research.coverage import InstrumentSeries
from trading.domain.research.request import BacktestRequest, SleeveRequest
from trading.domain.research.run import compute_slot_signals, prepare
from trading.domain.strategies.registry import STRATEGIES
from trading.domain.strategies.signals import Signals
from trading.services.candle_files import read_candle_file
from trading.services.feeds import InstrumentFeed
from trading.services.fine_bars import FineBars
from trading.services.research.file_series import check_raw
from trading.tests.engine_cases import make_rules, make_signals
from trading.tests.test_backtest_engines_agree import check_equal

QUARTER_MS = 15 * MINUTE_MS
START_MS = 1_600_041_600_000
TICK = 0.01


def make_shorter(rng: np.random.Generator, *, hours: int, name: str) -> tuple[Candles, Candles]:
    """Hours, and the quarters that they are made of; some of both are lost afterwards."""
    size = hours * 4
    close = 100.0 * np.exp(np.cumsum(rng.standard_t(3, size) * 0.006))
    open_ = np.concatenate((close[:1], close[:-1])) * np.exp(rng.standard_t(2, size) * 0.002)
    whole = Candles(
        instrument=name,
        timeframe_ms=QUARTER_MS,
        open_time=START_MS + np.arange(size, dtype=np.int64) * QUARTER_MS,
        open=open_,
        high=np.maximum(open_, close) * np.exp(np.abs(rng.normal(0, 0.003, size))),
        low=np.minimum(open_, close) * np.exp(-np.abs(rng.normal(0, 0.003, size))),
        close=close,
        volume=np.ones(size),
    )
    hourly = resample(candles=whole, timeframe_ms=HOUR_MS)
    kept = np.sort(rng.choice(hours, size=max(3, int(hours * 0.95)), replace=False))
    lost = rng.random(size) < 0.06
    lost[np.arange(hours) * 4 + rng.integers(0, 4, hours)] = False
    return take_rows(hourly, kept), take_rows(whole, np.flatnonzero(~lost))


def take_rows(candles: Candles, rows: np.ndarray) -> Candles:
    names = ("open_time", "open", "high", "low", "close", "volume")
    return replace(candles, **{name: getattr(candles, name)[rows] for name in names})


def funding_of(hours: Candles) -> np.ndarray:
    return spread_funding(open_time=hours.open_time, bar_ms=HOUR_MS, rates=FundingRates.none())


def build_case(
    seed: int, *, hours: int
) -> tuple[EngineRules, MarketBars, FineMarket, list[Signals], list[tuple[Candles, Candles]]]:
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 4))
    rules = make_rules(rng, instruments=count)
    pairs = [make_shorter(rng, hours=hours, name=f"I{index}") for index in range(count)]
    market = join_markets(
        [
            build_instrument_bars(
                time_ms=hourly.open_time,
                open_price=hourly.open,
                high=hourly.high,
                low=hourly.low,
                close=hourly.close,
                tick_size=TICK,
                funding_rate=funding_of(hourly),
            )
            for hourly, _ in pairs
        ]
    )
    shorter = [item for _, item in pairs]
    fine = build_fine_market(
        market=market,
        shorter=shorter,
        plan=plan_slices(candles=[item for item, _ in pairs], shorter=shorter),
        tick_sizes=[TICK] * count,
    )
    signals = make_signals(rng, rules=rules, market=market)
    return rules, market, fine, signals, pairs


def run_both(seed: int, *, hours: int) -> tuple[RawRun, RawRun]:
    rules, market, fine, signals, _ = build_case(seed, hours=hours)
    arguments: dict[str, Any] = {"rules": rules, "market": market, "signals": signals}
    return run_reference(**arguments, fine=fine), run_kernel(**arguments, fine=fine)


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_both_engines_execute_the_same_slices(seed: int) -> None:
    check_equal(*run_both(seed, hours=100))


@pytest.mark.slow
def test_fills_fall_inside_the_hour_and_a_time_stop_counts_whole_hours() -> None:
    inside, held = 0, set()
    for seed in range(12):
        readable, compiled = run_both(seed, hours=150)
        check_equal(readable, compiled)
        for trade in compiled.trades:
            inside += trade.exit_time % HOUR_MS != 0
            if trade.reason == 4:
                held.add((trade.exit_time // HOUR_MS - trade.entry_time // HOUR_MS) > 0)
    assert inside > 50
    assert held == {True}


@pytest.mark.parametrize("seed", range(6))
def test_a_replay_walks_the_very_same_slices(seed: int) -> None:
    """The book of a replay is given each bar that the kernel was given, at the same instants."""
    _, market, fine, _, pairs = build_case(seed, hours=40)
    bars = FineBars(
        hours=[hourly for hourly, _ in pairs],
        fine={item.instrument: item for _, item in pairs},
    )
    feeds = [
        InstrumentFeed(instrument=SimpleNamespace(tick=TICK), strategies={})  # type: ignore[arg-type]
        for _ in pairs
    ]
    rates = [dict(zip(h.open_time.tolist(), funding_of(h).tolist(), strict=True)) for h, _ in pairs]
    rows = [dict(zip(h.open_time.tolist(), range(len(h)), strict=True)) for h, _ in pairs]
    walked = []
    for time_ms in market.time_ms.tolist():
        candles = [
            h.at(row[time_ms]) if time_ms in row else None
            for (h, _), row in zip(pairs, rows, strict=True)
        ]
        for feed, candle in zip(feeds, candles, strict=True):
            if candle is not None:
                feed.update(candle)
        due = [rate.get(time_ms, 0.0) for rate in rates]
        walked += list(bars.hour(time_ms, feeds=feeds, candles=candles, rates=due))
    assert len(walked) == len(fine.bars)
    for number, part in enumerate(walked):
        assert part.time_ms == fine.bars.time_ms[number]
        assert part.time_ms + part.length_ms == fine.close_ms[number]
        assert part.is_end == (fine.decision[number] >= 0)
        for m, bar in enumerate(part.bars):
            row = int(fine.bars.rows[m, number])
            theirs = None if row < 0 else fine.bars.instruments[m].bar(row)
            assert repr(bar) == repr(theirs)


def test_the_close_stands_for_a_minute_that_is_missing_before_it() -> None:
    rng = np.random.default_rng(3)
    hourly, shorter = make_shorter(rng, hours=6, name="I0")
    lost = hourly.open_time[1] + 3 * QUARTER_MS
    plan = plan_slices(
        candles=[hourly], shorter=[take_rows(shorter, np.flatnonzero(shorter.open_time != lost))]
    )
    at = np.flatnonzero(plan.rows[0] == AT_CLOSE)
    assert hourly.open_time[1] + HOUR_MS - 1 in plan.time_ms[at]
    assert plan.is_end.sum() == len(hourly)
    assert (np.diff(plan.time_ms) > 0).all()


def code_of(hours: Candles, shorter: Candles) -> str:
    with pytest.raises(InvalidInput) as caught:
        plan_slices(candles=[hours], shorter=[shorter])
    return caught.value.code


def test_what_cannot_be_cut_is_refused_with_the_command_that_mends_it() -> None:
    hourly, shorter = make_shorter(np.random.default_rng(1), hours=30, name="I0")
    assert code_of(hourly, replace(hourly, timeframe_ms=MINUTE_MS)) == "wrong_timeframe"
    assert code_of(hourly, hourly) == "bad_resolution"
    assert code_of(hourly, replace(shorter, timeframe_ms=7 * MINUTE_MS)) == "bad_resolution"
    half = shorter.between(0, len(shorter) // 2)
    with pytest.raises(InvalidInput, match=r"import_candles FILE .*--timeframe 15m") as caught:
        plan_slices(candles=[hourly], shorter=[half])
    assert caught.value.code == "no_fine_candles"
    assert "those that are there run from 2020-09-14" in caught.value.message
    none = shorter.between(0, 0)
    with pytest.raises(InvalidInput, match="none is stored in this span"):
        plan_slices(candles=[hourly], shorter=[none])


@pytest.mark.real_data
@pytest.mark.slow
def test_a_real_month_of_minutes_is_equal_in_both_engines(real_data: Path) -> None:
    """ETH, May 2025: hours decide, minutes execute, under the rules of the fund."""
    hours = check_raw(
        read_candle_file(real_data / "candles" / "binance-spot-ETHUSDT-1h-2020-2025.parquet"),
        instrument="ETH",
        timeframe="1h",
    )
    minutes = check_raw(
        read_candle_file(real_data / "candles" / "binance-perp-ETHUSDT-1m-2025-05.parquet"),
        instrument="ETH",
        timeframe="1m",
    )
    first = -(-int(minutes.open_time[0]) // HOUR_MS) * HOUR_MS
    request = BacktestRequest(
        sleeves=(SleeveRequest(strategy="trend"), SleeveRequest(strategy="magnet")),
        instruments=("ETH",),
        start_ms=first,
        end_ms=(int(minutes.open_time[-1]) + MINUTE_MS) // HOUR_MS * HOUR_MS,
        resolution="1m",
    )
    nothing = np.empty(0)
    series = InstrumentSeries(
        rules=TradedInstrument(symbol="ETH", tick_size=0.01, lot_size=0.001),
        candles=hours,
        funding_ms=nothing.astype(np.int64),
        funding_rate=nothing,
        shorter=minutes,
    )
    prepared = prepare(request=request, series={"ETH": series}, builders=STRATEGIES)
    signals = compute_slot_signals(prepared)
    assert prepared.fine is not None
    run: dict[str, Any] = {"rules": prepared.rules, "market": prepared.market, "signals": signals}
    readable = run_reference(**run, fine=prepared.fine)
    check_equal(readable, run_kernel(**run, fine=prepared.fine))
    assert len(prepared.fine.bars) > 40_000
    assert len(readable.trades) > 5
    assert any(trade.exit_time % HOUR_MS for trade in readable.trades)
    assert [t.net for t in run_kernel(**run).trades] != [t.net for t in readable.trades]
