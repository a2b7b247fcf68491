"""Variants step over quiet bars, share their columns, and end where the whole loop ends."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from magnetfund import research
from risk.domain.ratios import compute_equity_drawdowns, compute_sharpe_facts
from trading.domain.backtest.kernel.decisions import find_leave
from trading.domain.backtest.kernel.outlook import BLOCK_DAYS, find_day_ends
from trading.domain.backtest.kernel.run import _unpack_trades, run_kernel
from trading.domain.backtest.kernel.variants import stack_words
from trading.domain.backtest.reference import run_reference
from trading.domain.engine.rules import TradedInstrument
from trading.domain.market.candles import HOUR_MS, Candle, Candles
from trading.domain.research.coverage import InstrumentSeries
from trading.domain.research.figures import compute_daily_returns
from trading.domain.research.request import BacktestRequest, SleeveRequest
from trading.domain.research.run import Prepared, compute_slot_signals, prepare, run_backtest
from trading.domain.research.space import read_space
from trading.domain.research.sweep import run_sweep
from trading.domain.research.variants import VariantBench
from trading.domain.strategies.registry import STRATEGIES
from trading.domain.strategies.rules import Rule, RuleStrategy, Wish
from trading.domain.strategies.sums import compute_window_means, sum_twofold
from trading.tests.magnet_bars import make_random_bars

RULED = (
    ("moving-average", {"fast": 5, "slow": 40}),
    ("moving-average", {"fast": 3, "slow": 20, "target_atr": 1.5, "stop_atr": 1.0}),
    ("moving-average", {"fast": 3, "slow": 20, "hold_bars": 5, "bar_hours": 1}),
    ("momentum", {"horizon": 3, "bar_hours": 4}),
    ("macd", {}),
    ("rsi-reversion", {}),
    ("bollinger-breakout", {}),
    ("donchian", {"enter_bars": 10, "leave_bars": 5}),
    ("always-long", {"bar_hours": 4}),
    ("magnet", {}),
    ("magnet", {"hold_hours": 12, "stop_atr_min": 0.5, "conflict_max": 0.3}),
)


def ready(
    candles: Candles,
    name: str,
    parameters: Mapping[str, Any],
    builders: Mapping[str, Any] = STRATEGIES,
    **options: Any,
) -> Prepared:
    stamps = candles.open_time[candles.open_time % (8 * HOUR_MS) == 0]
    series = InstrumentSeries(
        rules=TradedInstrument(symbol=candles.instrument, tick_size=0.01, lot_size=0.001),
        candles=candles,
        funding_ms=stamps,
        funding_rate=np.where(stamps % (24 * HOUR_MS) == 0, 0.0003, -0.0001),
    )
    risk = options.pop("risk_share", 0.0035)
    request = BacktestRequest(
        sleeves=(SleeveRequest(strategy=name, parameters=parameters, risk_share=risk),),
        instruments=(candles.instrument,),
        **options,
    )
    return prepare(request=request, series={candles.instrument: series}, builders=builders)


def assert_the_same(prepared: Prepared, parameters: Mapping[str, Any]) -> int:
    """The loop over quiet bars gives the equity of the whole loop bit for bit; returns trades."""
    raw = run_kernel(
        rules=prepared.rules, market=prepared.market, signals=compute_slot_signals(prepared)
    )
    bench = VariantBench(prepared, STRATEGIES, cut_days=3)
    runner, returns = bench.runner(), np.empty((2, bench.days))
    [(_, figures)] = bench.run(runner, [(0, parameters)], returns[0])
    bench.is_whole = True
    [(_, whole)] = bench.run(runner, [(0, parameters)], returns[1])
    np.testing.assert_array_equal(runner.equity, raw.equity)
    np.testing.assert_array_equal(returns[0], returns[1])
    np.testing.assert_array_equal(figures.sums, whole.sums)
    assert (figures.trades, figures.fall) == (whole.trades, whole.fall)
    assert figures.trades == len(raw.trades)
    result = run_backtest(prepared).result
    alone = result.metrics
    assert figures.fall == alone.drawdown_max
    daily = compute_daily_returns(result, prepared.rules)
    facts = compute_sharpe_facts(returns=daily)
    if facts is not None:
        mean, spread, second, third, fourth = figures.sums[1:6]
        found = (mean / spread, third / second**1.5, fourth / second**2)
        assert found == pytest.approx((facts.sharpe, facts.skewness, facts.kurtosis), rel=1e-9)
    seen = np.nan_to_num(daily[:3].mean() / daily[:3].std(ddof=1)) if daily[:3].any() else 0.0
    assert figures.sums[6] == pytest.approx(seen * figures.sums[7], abs=1e-15)
    assert figures.sums[0] == pytest.approx(alone.total_return, rel=1e-9, abs=1e-12)
    return figures.trades


@pytest.mark.parametrize(("name", "parameters"), RULED)
@pytest.mark.parametrize("rules", ["fund", "bare"])
def test_quiet_bars_change_nothing(name: str, parameters: dict[str, Any], rules: str) -> None:
    for seed, risk in ((12, 0.0035), (13, 0.01)):
        candles = make_random_bars(count=2_500, seed=seed)
        assert_the_same(ready(candles, name, parameters, rules=rules, risk_share=risk), parameters)


def test_quiet_bars_change_nothing_on_real_hours(real_data: Path) -> None:
    market = research.load(
        real_data / "candles" / "binance-spot-BTCUSDT-1h-2017-2024.parquet",
        instrument="BTC/USDT:USDT",
    )
    trades = 0
    for name, parameters in RULED[:4]:
        for rules in ("fund", "bare"):
            trades += assert_the_same(
                ready(market.candles, name, parameters, rules=rules, risk_share=0.01), parameters
            )
    assert trades > 2_000


@given(values=st.lists(st.floats(0.01, 1e6), min_size=1, max_size=60), length=st.integers(1, 60))
def test_a_window_mean_is_an_exact_sum_rounded_once(values: list[float], length: int) -> None:
    column = np.array(values)
    high, low = np.empty(column.size + 1), np.empty(column.size + 1)
    means = np.empty(column.size)
    sum_twofold(column, high, low)
    compute_window_means(high, low, length, means)
    for k in range(column.size):
        window = values[max(0, k + 1 - length) : k + 1]
        expected = math.fsum(window) / length if len(window) == length else math.nan
        assert means[k] == expected or (means[k] != means[k] and expected != expected)


@given(st.lists(st.sampled_from((0, 0, 0, 0, 1, 2, 3)), min_size=1, max_size=60), st.data())
def test_the_next_decision_to_leave_is_found_by_words_as_one_by_one(
    said: list[int], data: st.DataObject
) -> None:
    place, wanted = data.draw(st.integers(0, len(said))), data.draw(st.sampled_from((1, 2)))
    rows, words = stack_words([np.array(said, dtype=np.int8)])
    one_by_one = (k for k in range(place, len(said)) if said[k] & wanted)
    found = find_leave(place, len(said), rows[0], words[0], wanted)
    assert found == next(one_by_one, len(said))


def test_a_sweep_is_the_same_on_one_thread_and_on_four_and_can_be_stopped() -> None:
    candles = make_random_bars(count=2_500, seed=12)
    prepared = ready(candles, "moving-average", {})
    grid = {"fast": "3:12:1", "slow": "20:60:4"}
    space = read_space(STRATEGIES["moving-average"], grid)
    one, four = (
        run_sweep(prepared=prepared, builders=STRATEGIES, space=space, threads=count)
        for count in (1, 4)
    )
    assert len(one.variants) == 110
    assert one == four
    many = read_space(STRATEGIES["moving-average"], {"fast": "3:42:1", "slow": "43:80:1"})
    stopped = run_sweep(
        prepared=prepared, builders=STRATEGIES, space=many, threads=1, on_done=lambda count: False
    )
    assert 0 < len(stopped.variants) < many.size == 1_520


def test_a_variant_that_never_warms_up_is_refused_and_the_others_run() -> None:
    candles = make_random_bars(count=400, seed=12)
    prepared = ready(candles, "moving-average", {"fast": 3, "slow": 20})
    space = read_space(STRATEGIES["moving-average"], {"slow": "20,150"})
    sweep = run_sweep(prepared=prepared, builders=STRATEGIES, space=space)
    assert (len(sweep.variants), sweep.refused) == (1, 1)
    assert replace(sweep.variants[0], facts=None).parameters == {"slow": 20}


@dataclass(frozen=True, slots=True, kw_only=True)
class SparseEntries(RuleStrategy):
    """Now and then an entry drawn by the seed, with a narrow or a wide way to stop and target."""

    bar_hours: int = 1
    seed: int = 1
    share: float = 0.01

    @property
    def name(self) -> str:
        return "sparse"

    def rule(self) -> Rule:
        return _SparseRule(self)


class _SparseRule:
    def __init__(self, strategy: SparseEntries) -> None:
        self._draws, self._share = random.Random(strategy.seed), strategy.share

    def update(self, bar: Candle, atr: float) -> Wish | None:
        draw = self._draws.random()
        side = 1 if draw < self._share / 2 else -1
        leaves = draw > 1.0 - self._share / 4
        return Wish(enter=side if draw < self._share else 0, leave_long=leaves, leave_short=leaves)


@pytest.mark.parametrize("rules", ["fund", "bare"])
def test_variants_side_by_side_end_as_each_alone(rules: str) -> None:
    candles = make_random_bars(count=4_000, seed=21)
    prepared = ready(candles, "moving-average", {}, rules=rules, risk_share=0.01)
    bench = VariantBench(prepared, STRATEGIES, cut_days=90)
    varied = [
        {"fast": fast, "slow": slow, "hold_bars": hold, "bar_hours": hours, "stop_atr": stop}
        for fast, slow, hold, hours, stop in product((3, 8), (20, 40), (0, 9), (1, 4), (0.5, 3.0))
    ]
    asked = [(k, varied[k]) for k in range(len(varied))]
    asked.insert(5, (99, {"fast": 30, "slow": 20}))
    returns = np.empty(bench.days)
    together = dict(bench.run(bench.runner(), asked, returns))
    assert sorted(together) == list(range(len(varied)))
    assert prepared.market.time_ms.size > 3 * 24 * BLOCK_DAYS
    for k, parameters in enumerate(varied):
        [(_, alone)] = bench.run(bench.runner(), [(0, parameters)], returns)
        found = together[k]
        assert (found.trades, found.fall) == (alone.trades, alone.fall)
        assert alone.trades > 5
        for name in ("sums", "gaps", "path"):
            np.testing.assert_array_equal(getattr(found, name), getattr(alone, name))


def _jumping_bars(seed: int) -> Candles:
    """Bars of which some jump by a third: through stops, targets and the way to liquidation."""
    candles = make_random_bars(count=2_500, seed=seed)
    rng = np.random.default_rng(seed)
    jumps = np.where(rng.random(len(candles)) < 0.002, rng.choice([0.67, 1.5], len(candles)), 1.0)
    level = np.cumprod(jumps)
    prices = {
        name: np.round(getattr(candles, name) * level, 2)
        for name in ("open", "high", "low", "close")
    }
    return replace(candles, **prices)


@pytest.mark.parametrize("seed", range(1, 7))
@pytest.mark.parametrize(("stop_atr", "target_atr"), [(0.5, 0.6), (3.0, 4.0), (12.0, 0.0)])
@pytest.mark.parametrize("rules", ["fund", "bare"])
def test_sparse_entries_trade_to_the_lot_as_the_readable_engine(
    seed: int, stop_atr: float, target_atr: float, rules: str
) -> None:
    candles = _jumping_bars(seed)
    parameters = {"stop_atr": stop_atr, "target_atr": target_atr, "seed": seed, "share": 0.02}
    builders = {"sparse": SparseEntries}
    prepared = ready(candles, "sparse", parameters, builders, rules=rules, risk_share=0.01)
    readable = run_reference(
        rules=prepared.rules, market=prepared.market, signals=compute_slot_signals(prepared)
    )
    bench = VariantBench(prepared, builders, cut_days=3)
    runner, returns = bench.runner(), np.empty(bench.days)
    [(_, figures)] = bench.run(runner, [(0, parameters)], returns)
    assert _unpack_trades(*runner._trades[:2], figures.trades) == readable.trades
    assert len(readable.trades) > 5
    ends = find_day_ends(prepared.market.time_ms, prepared.rules.bar_ms)
    np.testing.assert_allclose(runner.equity[ends], readable.equity[ends], rtol=1e-9)
    assert figures.fall == pytest.approx(
        compute_equity_drawdowns(equity=readable.equity, start=prepared.rules.cash_opening).min(),
        rel=1e-9,
    )
