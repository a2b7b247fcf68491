"""Drawdowns, ratios and their certainty against two libraries and published examples."""

from __future__ import annotations

import math

import empyrical
import numpy as np
import pandas as pd
import pytest
import quantstats
from hypothesis import given
from hypothesis import strategies as st

from magnetfund.kernel.errors import InvalidInput
from risk.domain.ratios import (
    SharpeFacts,
    compute_deflated_sharpe,
    compute_downside_deviation,
    compute_equity_drawdowns,
    compute_expected_sharpe_max,
    compute_fall_probability,
    compute_growth_rate,
    compute_kelly_binary,
    compute_kelly_continuous,
    compute_kelly_shrinkage,
    compute_probabilistic_sharpe,
    compute_profit_factor,
    compute_rolling_sharpe,
    compute_sharpe,
    compute_sharpe_facts,
    compute_sharpe_of_sums,
    compute_sortino,
    compute_track_record_min,
)

pytestmark = pytest.mark.slow

RETURNS = np.random.default_rng(20260102).standard_t(5, 750) * 0.01 + 0.0006
EQUITY = np.cumprod(1 + RETURNS)
#: To a millionth: below that a variance is lost in the digits of a float.
series = st.lists(st.floats(-0.9, 2.0).map(lambda x: round(x, 6)), min_size=2, max_size=40)


def test_the_ratio_family_agrees_with_empyrical() -> None:
    daily = pd.Series(RETURNS)
    pairs = [
        (compute_sharpe(returns=RETURNS, periods_a_year=252), empyrical.sharpe_ratio(daily)),
        (compute_sortino(returns=RETURNS, periods_a_year=252), empyrical.sortino_ratio(daily)),
        (
            compute_growth_rate(growth=EQUITY[-1], years=750 / 252),
            empyrical.cagr(daily),
        ),
        (
            compute_downside_deviation(returns=RETURNS) * math.sqrt(252),
            empyrical.downside_risk(daily),
        ),
    ]
    for found, oracle in pairs:
        assert found == pytest.approx(float(oracle), rel=1e-9)


def test_the_ratio_family_agrees_with_quantstats() -> None:
    daily = pd.Series(RETURNS, index=pd.date_range("2024-01-01", periods=750))
    stats = quantstats.stats
    pairs = [
        (compute_sharpe(returns=RETURNS, periods_a_year=252), stats.sharpe(daily)),
        (compute_sortino(returns=RETURNS, periods_a_year=252), stats.sortino(daily)),
        (compute_equity_drawdowns(equity=EQUITY, start=1.0).min(), stats.max_drawdown(daily)),
        (compute_profit_factor(results=RETURNS), stats.profit_factor(daily)),
    ]
    for found, oracle in pairs:
        assert found == pytest.approx(float(oracle), rel=1e-9)


def test_the_deflated_sharpe_example_of_bailey_and_lopez_de_prado() -> None:
    # "The Deflated Sharpe Ratio" (2014): annual SR 2.5 over 1,250 days of 250 a year, skewness -3,
    # kurtosis 10, variance of annual trial ratios 1/2.
    facts = SharpeFacts(sharpe=2.5 / math.sqrt(250), periods=1250, skewness=-3, kurtosis=10)
    luck = compute_expected_sharpe_max(trials=100, trials_variance=0.5 / 250)
    assert luck == pytest.approx(0.1132, abs=5e-5)
    for trials, deflated in [(100, 0.9004), (46, 0.9505)]:
        found = compute_deflated_sharpe(facts=facts, trials=trials, trials_variance=0.5 / 250)
        assert found == pytest.approx(deflated, abs=1e-4)


def test_the_minimum_track_record_of_the_sharpe_ratio_efficient_frontier() -> None:
    # Bailey and Lopez de Prado (2012): 2.73 years to show an annual 2 above 1 at 95 %, daily.
    facts = SharpeFacts(sharpe=2 / math.sqrt(252), periods=2)
    found = compute_track_record_min(facts=facts, benchmark=1 / math.sqrt(252))
    assert found / 252 == pytest.approx(2.73, abs=5e-3)
    assert compute_track_record_min(facts=facts, benchmark=1.0) == math.inf


def test_the_track_record_is_the_length_at_which_psr_reaches_its_confidence() -> None:
    facts = SharpeFacts(sharpe=0.1, periods=2, skewness=-0.5, kurtosis=6)
    length = compute_track_record_min(facts=facts, benchmark=0.03)
    at_length = SharpeFacts(sharpe=0.1, periods=math.ceil(length), skewness=-0.5, kurtosis=6)
    psr = compute_probabilistic_sharpe(facts=at_length, benchmark=0.03)
    assert 0.95 <= psr < 0.9505


def test_one_trial_deflates_nothing() -> None:
    facts = compute_sharpe_facts(returns=RETURNS)
    assert facts is not None
    deflated = compute_deflated_sharpe(facts=facts, trials=1, trials_variance=0.3)
    assert deflated == compute_probabilistic_sharpe(facts=facts)
    assert facts.kurtosis == pytest.approx(float(pd.Series(RETURNS).kurt()) + 3, rel=0.05)


def test_kelly_and_its_dangers() -> None:
    assert compute_kelly_binary(win_probability=0.6, payoff=1) == pytest.approx(0.2)
    assert compute_kelly_continuous(mean=0.1, rate=0.02, deviation=0.2) == pytest.approx(2.0)
    # At full Kelly the chance of ever halving is a half; at half Kelly an eighth (Thorp 2006).
    assert compute_fall_probability(kelly_multiple=1, fraction=0.5) == 0.5
    assert compute_fall_probability(kelly_multiple=0.5, fraction=0.5) == 0.125
    assert compute_fall_probability(kelly_multiple=2, fraction=0.5) == 1.0
    assert compute_kelly_shrinkage(facts=SharpeFacts(sharpe=0.1, periods=400)) == 0.75
    assert compute_kelly_shrinkage(facts=SharpeFacts(sharpe=0.01, periods=400)) == 0.0


@given(returns=series, scale=st.floats(0.1, 1.0))
def test_sharpe_and_sortino_do_not_depend_on_size(returns: list[float], scale: float) -> None:
    small = np.array(returns) * scale
    for ratio in (compute_sharpe, compute_sortino):
        before, after = ratio(returns=returns), ratio(returns=small)
        if before is not None and after is not None:
            assert after == pytest.approx(before, rel=1e-6, abs=1e-9)


def test_rolling_sharpe_is_the_sharpe_of_each_window() -> None:
    rolled = compute_rolling_sharpe(returns=RETURNS, window=60, periods_a_year=365)
    assert np.isnan(rolled[:59]).all()
    for end in (59, 400, 749):
        window = RETURNS[end - 59 : end + 1]
        assert rolled[end] == pytest.approx(
            compute_sharpe(returns=window, periods_a_year=365), rel=1e-9
        )


def test_a_divisor_of_zero_gives_no_figure() -> None:
    flat = [0.01] * 5
    assert compute_sharpe(returns=flat) is None
    assert compute_sharpe_facts(returns=flat) is None
    assert compute_sortino(returns=flat) is None
    assert compute_profit_factor(results=flat) is None
    assert np.isnan(compute_rolling_sharpe(returns=flat, window=2)).all()


def test_profit_factor_is_wins_over_losses() -> None:
    assert compute_profit_factor(results=[300, -100, -50, 0]) == 2.0


@pytest.mark.parametrize(
    ("returns", "code"),
    [
        ([], "too_short"),
        ([0.1], "too_short"),
        ([0.1, math.nan], "not_finite"),
        ([0.1, -1.1], "return_below_minus_one"),
        ([[0.1, 0.2]], "bad_shape"),
    ],
)
def test_a_bad_series_is_refused(returns: list[float], code: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        compute_sharpe(returns=returns)
    assert refused.value.code == code


def test_the_sharpe_of_sums_is_that_of_the_returns() -> None:
    columns = np.column_stack([RETURNS, -2 * RETURNS, np.zeros(750), np.full(750, 0.001)])
    sums, squares = columns.sum(axis=0), (columns**2).sum(axis=0)
    found = compute_sharpe_of_sums(sums=sums, squares=squares, count=750)
    alone = [compute_sharpe(returns=column) or 0.0 for column in columns.T]
    assert found == pytest.approx(alone)
    single = compute_sharpe_of_sums(sums=columns[0], squares=columns[0] ** 2, count=1)
    assert not single.any()


def test_drawdown_of_equity_counts_the_start_and_goes_below_what_was_put_in() -> None:
    falls = compute_equity_drawdowns(equity=np.array([90.0, 120.0, 60.0, -12.0]), start=100.0)
    assert falls.tolist() == pytest.approx([-0.1, 0.0, -0.5, -1.1])


def test_growth_of_nothing_left_is_a_total_loss() -> None:
    assert compute_growth_rate(growth=4.0, years=2.0) == pytest.approx(1.0)
    assert compute_growth_rate(growth=-0.1, years=2.0) == -1.0
