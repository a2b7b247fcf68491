"""The count of trials: a planted overfit is called that, a planted edge is found."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from magnetfund.kernel.errors import InvalidInput
from risk.domain.ratios.inference import compute_sharpe_facts
from trading.domain.engine.rules import TradedInstrument
from trading.domain.research.coverage import InstrumentSeries
from trading.domain.research.moments import DayMoments, find_edges
from trading.domain.research.request import BacktestRequest, SleeveRequest
from trading.domain.research.run import prepare, run_backtest
from trading.domain.research.space import SweepSpace, list_places, read_space
from trading.domain.research.surface import name_shape, tabulate_surface
from trading.domain.research.sweep import run_sweep, walk_forward
from trading.domain.research.trials import (
    TrialFacts,
    TrialFamily,
    Verdict,
    judge,
    measure_overfitting,
)
from trading.domain.strategies.registry import STRATEGIES
from trading.tests.magnet_bars import make_random_bars

DAYS = 1_500


def facts_of(returns: np.ndarray) -> TrialFacts:
    found = compute_sharpe_facts(returns=returns)
    assert found is not None
    return TrialFacts(
        sharpe=found.sharpe, days=found.periods, skewness=found.skewness, kurtosis=found.kurtosis
    )


def moments_of(columns: np.ndarray) -> DayMoments:
    edges = find_edges(len(columns))
    sums, squares = (
        np.add.reduceat(part, np.array(edges[:-1]), axis=0).T for part in (columns, columns**2)
    )
    return DayMoments(edges=edges, sums=sums, squares=squares)


def sharpe_columns(columns: np.ndarray) -> np.ndarray:
    return columns.mean(axis=0) / columns.std(axis=0, ddof=1)


def iterate_space(space: SweepSpace) -> list[dict[str, Any]]:
    return [space.at(place) for place in list_places(space)]


def family_of(sharpes: list[float]) -> TrialFamily:
    variance = float(np.var(sharpes, ddof=1)) if len(sharpes) > 1 else None
    return TrialFamily(trials=len(sharpes), variance=variance)


def test_the_best_of_5000_random_rules_does_not_survive() -> None:
    noise = np.random.default_rng(5).normal(0.0, 0.01, (DAYS, 5_000))
    sharpes = sharpe_columns(noise)
    best = int(np.argmax(sharpes))
    alone = judge(facts=facts_of(noise[:, best]), family=family_of([sharpes[best]]), trades=500)
    assert alone.verdict is Verdict.SURVIVES  # what a platform without a count would say
    counted = judge(facts=facts_of(noise[:, best]), family=family_of(sharpes.tolist()), trades=500)
    assert counted.verdict is Verdict.LUCK
    assert counted.deflated < 0.95
    assert counted.trials == 5_000
    assert counted.luck == pytest.approx(counted.sharpe, rel=0.15)


def test_a_planted_edge_is_found_among_as_many_trials() -> None:
    noise = np.random.default_rng(6).normal(0.0, 0.01, (DAYS, 5_000))
    noise[:, 7] += 0.0022
    sharpes = sharpe_columns(noise)
    assert int(np.argmax(sharpes)) == 7
    found = judge(facts=facts_of(noise[:, 7]), family=family_of(sharpes.tolist()), trades=500)
    assert found.verdict is Verdict.SURVIVES


def test_overfitting_is_even_odds_on_noise_and_small_with_an_edge() -> None:
    noise = np.random.default_rng(7).normal(0.0, 0.01, (DAYS, 200))
    assert 0.25 < measure_overfitting(moments_of(noise)).probability < 0.9
    noise[:, 3] += 0.002
    assert measure_overfitting(moments_of(noise)).probability < 0.05
    for few in (noise[:, :1], noise[:39]):
        with pytest.raises(InvalidInput):
            measure_overfitting(moments_of(few))


def test_a_loser_and_a_rule_without_trades_are_named_so() -> None:
    falling = np.random.default_rng(8).normal(-0.001, 0.01, 800)
    loser = judge(facts=facts_of(falling), family=family_of([-0.1]), trades=50)
    assert loser.verdict is Verdict.LOSES
    assert judge(facts=None, family=family_of([]), trades=0).verdict is Verdict.NO_TRADES


def test_a_rule_that_still_holds_or_traded_two_days_is_no_rule_without_trades() -> None:
    rising = np.random.default_rng(8).normal(0.001, 0.01, 800)
    family = family_of([0.1])
    held = judge(facts=facts_of(rising), family=family, trades=0)
    assert (held.verdict, held.headline) == (Verdict.STILL_OPEN, "No closed trade")
    assert math.isnan(held.deflated), "one open position is no evidence"
    short = judge(facts=None, family=family, trades=0, is_open=True)
    assert short.verdict is Verdict.STILL_OPEN
    assert judge(facts=None, family=family, trades=7).verdict is Verdict.TOO_SHORT
    unread = replace(facts_of(rising), sharpe=math.nan)
    assert judge(facts=unread, family=family, trades=7).verdict is Verdict.TOO_SHORT


@pytest.mark.parametrize(("days", "gains", "trades"), [(3, 3, 8), (1_800, 2, 2), (89, 60, 60)])
def test_nothing_survives_on_a_record_too_short_to_measure(
    days: int, gains: int, trades: int
) -> None:
    returns = np.zeros(days)
    returns[:gains] = 0.01 + 0.001 * np.arange(gains)
    found = judge(facts=facts_of(returns), family=family_of([0.1]), trades=trades)
    assert found.deflated > 0.95, "the formula alone believes it"
    assert (found.verdict, found.headline) == (Verdict.TOO_SHORT, "Too short to judge")
    assert f"in {days:,} days" in found.detail


def test_a_walk_forward_learns_before_it_trades() -> None:
    returns = np.random.default_rng(9).normal(0.0, 0.01, (1_800, 3))
    # Column 1 is good in the first half, column 2 in the second: nobody may know that early.
    returns[:900, 1] += 0.004
    returns[900:, 2] += 0.004
    space = SweepSpace(values={"fast": (1, 2, 3)})
    variants = tuple(_variant(parameters) for parameters in iterate_space(space))
    found = walk_forward(moments_of(returns), variants, kind="rolling")
    assert found is not None
    assert found.chosen[0] == {"fast": 2}
    assert found.chosen[-1] == {"fast": 3}
    assert found.sharpe < found.sharpe_seen_mean
    assert walk_forward(moments_of(returns[:500]), variants, kind="anchored") is None
    # What is traded is the joined returns of the chosen columns, day by day.
    starts = range(370, 1_800 - 90 + 1, 90)
    places = [(1, 2, 3).index(chosen["fast"]) for chosen in found.chosen]
    joined = np.concatenate(
        [returns[start : start + 90, k] for start, k in zip(starts, places, strict=True)]
    )
    assert found.sharpe == pytest.approx(sharpe_columns(joined[:, None])[0] * 365**0.5)


def _variant(parameters: dict[str, object]):
    from trading.domain.research.tried import Variant

    return Variant(
        parameters=parameters,
        facts=None,
        seen=math.nan,
        unseen=math.nan,
        total_return=0.0,
        drawdown_max=0.0,
        trades=0,
    )


def test_spaces_are_read_counted_and_drawn_without_repeats() -> None:
    builder = STRATEGIES["moving-average"]
    space = read_space(builder, {"fast": "10:30:10", "slow": "100,200"})
    assert space.size == 6
    assert iterate_space(space)[0] == {"fast": 10, "slow": 100}
    drawn = iterate_space(replace(space, count=4, seed=3))
    assert len({tuple(item.items()) for item in drawn}) == 4
    assert drawn == iterate_space(replace(space, count=4, seed=3))
    for text, code in (
        ("1:2000:1", "sweep_too_large"),
        ("5:1:1", "bad_space"),
        ("x", "bad_parameter"),
    ):
        with pytest.raises(InvalidInput) as caught:
            read_space(builder, {"fast": text, "atr_length": "2:30:1"})
        assert caught.value.code == code
    lists = read_space(STRATEGIES["trend"], {"horizons_days": "7,14;14,28,56"})
    assert lists.values["horizons_days"] == ((7, 14), (14, 28, 56))


@pytest.mark.slow
def test_each_variant_of_a_sweep_is_the_backtest_of_its_parameters() -> None:
    candles = make_random_bars(count=4_000, seed=12)
    name = candles.instrument
    empty = np.empty(0, dtype=np.int64)
    series = {
        name: InstrumentSeries(
            rules=TradedInstrument(symbol=name, tick_size=0.01, lot_size=0.001),
            candles=candles,
            funding_ms=empty,
            funding_rate=empty.astype(np.float64),
        )
    }

    def ready(**parameters: int):
        sleeve = SleeveRequest(strategy="moving-average", parameters=parameters)
        request = BacktestRequest(sleeves=(sleeve,), instruments=(name,))
        return prepare(request=request, series=series, builders=STRATEGIES)

    space = read_space(STRATEGIES["moving-average"], {"fast": "5,10,20", "slow": "20,40"})
    sweep = run_sweep(prepared=ready(), builders=STRATEGIES, space=space)
    assert sweep.refused == 1  # 20 is not below 20
    assert len(sweep.variants) == 5
    for variant in sweep.variants:
        alone = run_backtest(ready(**variant.parameters))
        assert variant.trades == len(alone.result.trades)
        assert variant.total_return == pytest.approx(alone.result.metrics.total_return, rel=1e-9)
        assert variant.drawdown_max == alone.result.metrics.drawdown_max
    assert sweep.variants[sweep.best].seen == max(variant.seen for variant in sweep.variants)
    surface = tabulate_surface(sweep.variants, "fast", "slow")
    assert surface["columns"] == ["5", "10", "20"]
    assert surface["rows"][0]["cells"][2] is None


@pytest.mark.parametrize(
    ("neighbours", "shape"), [(1.6, "plateau"), (1.4, "peak"), (math.nan, "none")]
)
def test_a_plateau_is_told_from_a_peak(neighbours: float, shape: str) -> None:
    assert name_shape(best=2.0, neighbours=neighbours, median=1.0) == shape
    assert name_shape(best=1.0, neighbours=1.0, median=1.0) == "none"
