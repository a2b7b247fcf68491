"""The readable engine and the compiled kernel give the same integers and the same equity."""

from __future__ import annotations

from dataclasses import astuple
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from magnetfund import research
from magnetfund.tests.drill_size import IS_SHORT, drilled, sampled
from trading.domain.backtest.kernel.run import run_kernel
from trading.domain.backtest.market import MarketBars
from trading.domain.backtest.reference import run_reference
from trading.domain.backtest.result import RawRun, build_result
from trading.domain.engine.rules import EngineRules
from trading.domain.research.run import find_engine_difference
from trading.domain.strategies.registry import STRATEGIES
from trading.domain.strategies.signals import Signals
from trading.tests.engine_cases import make_market, make_rules, make_signals

pytestmark = pytest.mark.slow

#: Of a drill's short form; the full one runs every hour of the file.
HOURS_SHORT = 6_000
WHOLE = (
    *("slot", "side", "lots", "entry_time", "exit_time", "entry_ticks", "exit_ticks"),
    *("decision_ticks", "stop_ticks", "target_ticks", "reason", "ticks_lots", "tier"),
    *("binding", "ambiguous", "cuts"),
)


def run_both(seed: int, bars: int) -> tuple[EngineRules, MarketBars, RawRun, RawRun]:
    rng = np.random.default_rng(seed)
    instruments = int(rng.integers(1, 4))
    rules = make_rules(rng, instruments=instruments)
    market = make_market(rng, instruments=instruments, bars=bars)
    signals: list[Signals] = make_signals(rng, rules=rules, market=market)
    readable = run_reference(rules=rules, market=market, signals=signals)
    compiled = run_kernel(rules=rules, market=market, signals=signals)
    return rules, market, readable, compiled


def check_equal(readable: RawRun, compiled: RawRun) -> None:
    for name in WHOLE:
        ours = [getattr(trade, name) for trade in readable.trades]
        theirs = [getattr(trade, name) for trade in compiled.trades]
        assert ours == theirs, name
    np.testing.assert_allclose(compiled.equity, readable.equity, rtol=1e-9, atol=0)
    assert dict(readable.refusals) == dict(compiled.refusals)
    assert readable.orders == compiled.orders
    assert readable.open_positions == compiled.open_positions
    assert len(readable.fuse_events) == len(compiled.fuse_events)
    if readable.fuse_events:
        np.testing.assert_allclose(
            np.array([astuple(event) for event in readable.fuse_events]),
            np.array([astuple(event) for event in compiled.fuse_events]),
            rtol=1e-9,
        )


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_both_engines_give_the_same_trades_on_random_markets(seed: int) -> None:
    _, _, readable, compiled = run_both(seed, bars=150)
    check_equal(readable, compiled)


@pytest.mark.drill
@settings(max_examples=drilled(1000), deadline=None, derandomize=IS_SHORT)
@given(seed=st.integers(0, 2**32 - 1), bars=st.integers(3, 600))
def test_both_engines_give_the_same_trades_on_many_markets(seed: int, bars: int) -> None:
    _, _, readable, compiled = run_both(seed, bars=bars)
    check_equal(readable, compiled)


def test_the_random_cases_reach_every_exit_trigger_and_denial() -> None:
    exits: set[str] = set()
    triggers: set[str] = set()
    denials: set[str] = set()
    for seed in range(25):
        rules, market, readable, compiled = run_both(seed, bars=250)
        check_equal(readable, compiled)
        counts = build_result(rules=rules, market=market, raw=compiled).counts
        exits |= counts.exits.keys()
        triggers |= counts.fuse.keys()
        denials |= counts.refusals.keys()
    assert exits >= {"target", "stop", "signal", "time", "fuse", "liquidation"}
    assert triggers >= {
        "daily_loss",
        "drawdown",
        "loss_streak",
        "volatility",
        "conflict",
        "opposite_magnet",
        "trend_flip",
        "reset",
        "cleared",
        "strategy_daily_loss",
    }
    assert denials >= {
        "fuse_tripped",
        "instrument_reducing",
        "strategy_locked",
        "no_stop",
        "stop_wrong_side",
        "stop_beyond_liquidation",
        "tier_four",
        "market_trigger",
        "below_minimum",
    }


@pytest.mark.drill
@pytest.mark.real_data
@pytest.mark.parametrize("file", sampled(["BTCUSDT-1h-2017-2024", "ETHUSDT-1h-2020-2025"], 1))
@pytest.mark.parametrize("name", STRATEGIES)
def test_both_engines_give_the_same_trades_of_each_strategy_on_real_hours(
    real_data: Path, name: str, file: str
) -> None:
    market = research.load(
        real_data / "candles" / f"binance-spot-{file}.parquet", instrument="BTC/USDT:USDT"
    )
    hours = market.candles.open_time
    begin = int(hours[-HOURS_SHORT]) if IS_SHORT else None
    for rules in ("fund", "bare"):
        run = research.backtest(name, market, rules=rules, start_ms=begin)
        assert run.backtest.result.trades
        assert find_engine_difference(run.backtest.prepared) == ""
