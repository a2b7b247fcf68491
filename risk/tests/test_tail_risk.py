"""Tail figures and their backtests against libraries, closed forms and published tables."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable

import empyrical
import numpy as np
import pytest
from arch.univariate import EWMAVariance
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from magnetfund.kernel.errors import InvalidInput
from risk.domain.tail_risk import (
    BaselZone,
    QuantileRule,
    TailMethod,
    TailRisk,
    TransitionCounts,
    check_conditional_coverage,
    check_coverage,
    check_independence,
    check_shortfall,
    compare_tails,
    compute_basel_zone,
    compute_cornish_fisher_risk,
    compute_ewma_risk,
    compute_ewma_volatility,
    compute_filtered_risk,
    compute_historical_risk,
    compute_normal_risk,
    cornish_fisher_is_monotone,
    count_transitions,
    find_exceptions,
    value_cornish_fisher_tail,
)

pytestmark = pytest.mark.slow

RETURNS = np.random.default_rng(20260201).standard_t(5, 750) * 0.01 + 0.0006
MEASURES = [
    compute_historical_risk,
    compute_normal_risk,
    compute_cornish_fisher_risk,
    compute_ewma_risk,
    compute_filtered_risk,
]
#: Steps of a basis point, so that no two returns differ by less than rounding can tell.
lively = st.lists(st.integers(-5000, 9000), min_size=40, max_size=60, unique=True).map(
    lambda points: [point / 10_000 for point in points]
)
tails = st.sampled_from([0.025, 0.05, 0.1, 0.25, 0.4])


# --- measures ---------------------------------------------------------------------------------


@pytest.mark.parametrize("tail", [0.01, 0.05, 0.1])
def test_history_agrees_with_empyrical_whose_losses_are_negative(tail: float) -> None:
    ours = compute_historical_risk(returns=RETURNS, tail_probability=tail)
    theirs = empyrical.value_at_risk(RETURNS, cutoff=tail)
    beyond = empyrical.conditional_value_at_risk(RETURNS, cutoff=tail)
    assert ours.value_at_risk == pytest.approx(-theirs, rel=1e-12)
    assert ours.expected_shortfall == pytest.approx(-beyond, rel=1e-12)


def test_the_inverted_cdf_is_an_observed_loss_and_linear_lies_between_two() -> None:
    returns = [-0.05, -0.04, -0.03, -0.02, -0.01, 0.0, 0.01, 0.02, 0.03, 0.04]
    observed = compute_historical_risk(
        returns=returns, tail_probability=0.2, quantile_rule=QuantileRule.INVERTED_CDF
    )
    between = compute_historical_risk(returns=returns, tail_probability=0.2)
    assert (observed.value_at_risk, observed.expected_shortfall) == (0.04, 0.045)
    assert between.value_at_risk == pytest.approx(0.04 - 0.8 * 0.01)
    assert between.expected_shortfall == pytest.approx(0.045)
    assert observed.metric_id == "historical:0.2:1:inverted_cdf"


def test_a_longer_horizon_of_history_compounds_overlapping_windows() -> None:
    worst = compute_historical_risk(
        returns=[-0.1, -0.1, 0.2, 0.1],
        tail_probability=0.34,
        horizon_periods=2,
        quantile_rule=QuantileRule.INVERTED_CDF,
    )
    assert worst.observations == 3
    # Windows -19 %, +8 %, +32 %: a third is the least that the tail of .34 covers, so +8 % it is.
    assert worst.value_at_risk == pytest.approx(-0.08)
    assert worst.expected_shortfall == pytest.approx((0.19 - 0.08) / 2)


@pytest.mark.parametrize("tail", [0.01, 0.025, 0.2])
def test_the_normal_law_agrees_with_scipy(tail: float) -> None:
    ours = compute_normal_risk(returns=RETURNS, tail_probability=tail, horizon_periods=10)
    law = stats.norm(RETURNS.mean() * 10, RETURNS.std(ddof=1) * math.sqrt(10))
    assert ours.value_at_risk == pytest.approx(-law.ppf(tail), rel=1e-9)
    beyond = law.expect(lambda r: r, ub=law.ppf(tail), conditional=True)
    assert ours.expected_shortfall == pytest.approx(-beyond, rel=1e-7)


def test_the_well_known_normal_multiples_come_out() -> None:
    """1.645 and 2.326 sigma of value at risk; 2.063 and 2.665 of shortfall (Jorion 2006)."""
    plain = {"mean": 0.0, "deviation": 1.0, "skewness": 0.0, "excess_kurtosis": 0.0}
    assert value_cornish_fisher_tail(**plain, tail_probability=0.05) == pytest.approx(
        (1.644854, 2.062713), abs=1e-6
    )
    assert value_cornish_fisher_tail(**plain, tail_probability=0.01) == pytest.approx(
        (2.326348, 2.665214), abs=1e-6
    )


@pytest.mark.parametrize(("skewness", "kurtosis"), [(0.0, 1.0), (-0.5, 1.5), (0.4, 3.0)])
def test_cornish_fisher_shortfall_integrates_its_own_quantiles(
    skewness: float, kurtosis: float
) -> None:
    shape = {"mean": 0.001, "deviation": 0.02, "skewness": skewness, "excess_kurtosis": kurtosis}
    _, shortfall = value_cornish_fisher_tail(**shape, tail_probability=0.05)
    area, _ = integrate.quad(
        lambda p: value_cornish_fisher_tail(**shape, tail_probability=p)[0], 1e-12, 0.05, limit=300
    )
    assert shortfall == pytest.approx(area / 0.05, rel=1e-6)


def test_cornish_fisher_moments_agree_with_scipy() -> None:
    ours = compute_cornish_fisher_risk(returns=RETURNS, tail_probability=0.01)
    value, shortfall = value_cornish_fisher_tail(
        mean=RETURNS.mean(),
        deviation=RETURNS.std(ddof=1),
        skewness=stats.skew(RETURNS),
        excess_kurtosis=stats.kurtosis(RETURNS),
        tail_probability=0.01,
    )
    assert (ours.value_at_risk, ours.expected_shortfall) == pytest.approx((value, shortfall))


@given(st.floats(-3, 3), st.floats(-2, 12))
def test_the_domain_of_cornish_fisher_is_where_its_quantiles_keep_their_order(
    skewness: float, kurtosis: float
) -> None:
    z = np.linspace(-60, 60, 40_001)
    quantiles = (
        z
        + (z**2 - 1) * skewness / 6
        + (z**3 - 3 * z) * kurtosis / 24
        - (2 * z**3 - 5 * z) * skewness**2 / 36
    )
    if cornish_fisher_is_monotone(skewness=skewness, excess_kurtosis=kurtosis):
        assert (np.diff(quantiles) > -1e-9).all()
    else:
        with pytest.raises(InvalidInput) as refusal:
            value_cornish_fisher_tail(
                mean=0,
                deviation=1,
                skewness=skewness,
                excess_kurtosis=kurtosis,
                tail_probability=0.05,
            )
        assert refusal.value.code == "cornish_fisher_not_monotone"


def test_maillard_bounds_the_skewness_that_the_expansion_can_carry() -> None:
    """|S| <= 6 (sqrt(2) - 1) = 2.485, whatever the kurtosis (Maillard 2012)."""
    edge = 6 * (math.sqrt(2) - 1)
    kurtoses = np.linspace(0, 12, 4_001)
    inside = [cornish_fisher_is_monotone(skewness=edge - 0.01, excess_kurtosis=k) for k in kurtoses]
    beyond = [cornish_fisher_is_monotone(skewness=edge + 0.01, excess_kurtosis=k) for k in kurtoses]
    assert any(inside)
    assert not any(beyond)


def test_exponential_weights_agree_with_arch_and_use_yesterday_alone() -> None:
    variances = np.empty_like(RETURNS)
    EWMAVariance(0.94).compute_variance(
        np.array([]), RETURNS, variances, 1e-4, np.tile([0.0, 1.0], (RETURNS.size, 1))
    )
    ours = compute_ewma_volatility(returns=RETURNS, initial_variance=1e-4)
    assert ours[:-1] ** 2 == pytest.approx(variances, rel=1e-10)
    changed = RETURNS.copy()
    changed[400] = 0.5
    after = compute_ewma_volatility(returns=changed, initial_variance=1e-4)
    assert np.array_equal(after[:401], ours[:401])
    assert after[401] > ours[401]


def test_the_start_of_the_weights_sees_no_later_return() -> None:
    sigmas = compute_ewma_volatility(returns=RETURNS)
    assert np.isnan(sigmas[:20]).all()
    assert sigmas[20] == pytest.approx(math.sqrt(np.mean(RETURNS[:20] ** 2)))
    prefix = compute_ewma_volatility(returns=RETURNS[:300], seed_periods=20)
    assert np.array_equal(prefix, sigmas[:301], equal_nan=True)


def test_filtered_history_is_plain_history_in_a_calm_series() -> None:
    """With equal absolute returns every volatility is the same, so nothing is rescaled."""
    returns = [0.01, -0.01] * 60
    filtered = compute_filtered_risk(returns=returns, tail_probability=0.05)
    assert filtered.value_at_risk == pytest.approx(0.01)
    assert filtered.expected_shortfall == pytest.approx(0.01)


def test_filtered_history_follows_the_volatility_of_now() -> None:
    calm_then_wild = np.concatenate([RETURNS[:600], RETURNS[600:] * 4])
    plain = compute_historical_risk(returns=calm_then_wild, tail_probability=0.05)
    filtered = compute_filtered_risk(returns=calm_then_wild, tail_probability=0.05)
    assert filtered.value_at_risk > 1.5 * plain.value_at_risk


def test_a_simulated_horizon_repeats_from_its_seed_and_grows_about_as_the_root_of_time() -> None:
    first, again, other = (
        compute_filtered_risk(returns=RETURNS, tail_probability=0.05, horizon_periods=9, seed=seed)
        for seed in (7, 7, 8)
    )
    assert first == again
    assert first.value_at_risk != other.value_at_risk
    single = compute_filtered_risk(returns=RETURNS, tail_probability=0.05)
    assert first.value_at_risk / single.value_at_risk == pytest.approx(3, rel=0.15)


@given(lively, tails, tails)
def test_shortfall_is_never_below_value_at_risk_and_both_grow_as_the_tail_thins(
    returns: list[float], first: float, second: float
) -> None:
    wide, thin = max(first, second), min(first, second)
    for measure in MEASURES:
        try:
            near = measure(returns=returns, tail_probability=wide)
            far = measure(returns=returns, tail_probability=thin)
        except InvalidInput as refusal:
            # The two samples that a measure may turn away; any other refusal is a failure.
            if refusal.code in {"cornish_fisher_not_monotone", "too_short"}:
                continue
            raise
        for figure in (near, far):
            assert figure.expected_shortfall >= figure.value_at_risk - 1e-12
        assert far.value_at_risk >= near.value_at_risk - 1e-12
        assert far.expected_shortfall >= near.expected_shortfall - 1e-12


@given(lively, st.floats(0.05, 1.0))
def test_a_position_of_half_the_size_has_half_the_tail(returns: list[float], size: float) -> None:
    scaled = [size * value for value in returns]
    for measure in MEASURES:
        try:
            whole = measure(returns=returns, tail_probability=0.1)
        except InvalidInput:
            continue
        if whole.method is TailMethod.FILTERED_HISTORICAL and whole.expected_shortfall >= 0.999:
            continue  # a loss of everything is cut at the position, not at its share
        part = measure(returns=scaled, tail_probability=0.1)
        assert part.value_at_risk == pytest.approx(size * whole.value_at_risk, abs=1e-9)
        if whole.method is not TailMethod.FILTERED_HISTORICAL:
            assert part.expected_shortfall == pytest.approx(
                size * whole.expected_shortfall, abs=1e-9
            )


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"tail_probability": 0.0}, "bad_tail_probability"),
        ({"tail_probability": 0.95}, "bad_tail_probability"),
        ({"horizon_periods": 0}, "bad_horizon"),
        ({"returns": [0.01, math.nan]}, "not_finite"),
        ({"returns": [0.01, -1.2]}, "return_below_minus_one"),
        ({"returns": [0.01] * 5}, "too_short"),
        ({"returns": [[0.01, 0.02]]}, "bad_shape"),
    ],
)
def test_history_refuses_what_it_cannot_measure(changed: dict[str, object], code: str) -> None:
    asked = {"returns": RETURNS, "tail_probability": 0.05} | changed
    with pytest.raises(InvalidInput) as refusal:
        compute_historical_risk(**asked)
    assert refusal.value.code == code


@pytest.mark.parametrize(
    ("measure", "needed"),
    [
        (compute_historical_risk, 5),
        (compute_normal_risk, 2),
        (compute_ewma_risk, 20),
        (compute_filtered_risk, 25),
    ],
)
def test_each_measure_says_how_much_history_it_needs(
    measure: Callable[..., TailRisk], needed: int
) -> None:
    enough = measure(returns=RETURNS[:needed], tail_probability=0.2)
    assert enough.tail_probability == 0.2
    with pytest.raises(InvalidInput) as refusal:
        measure(returns=RETURNS[: needed - 1], tail_probability=0.2)
    assert refusal.value.code == "too_short"


@pytest.mark.parametrize(("length", "code"), [(3, "too_short"), (4, "cornish_fisher_not_monotone")])
def test_four_returns_have_moments_though_never_the_kurtosis_to_expand(
    length: int, code: str
) -> None:
    with pytest.raises(InvalidInput) as refusal:
        compute_cornish_fisher_risk(
            returns=[0.01, -0.01, 0.012, 0.05][:length], tail_probability=0.2
        )
    assert refusal.value.code == code


def test_a_flat_series_has_no_shape_to_expand_or_standardise() -> None:
    for measure in (compute_cornish_fisher_risk, compute_filtered_risk):
        with pytest.raises(InvalidInput) as refusal:
            measure(returns=[0.0] * 50, tail_probability=0.05)
        assert refusal.value.code == "no_variance"


# --- backtests --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tail", "regions"),
    [
        (0.01, [(1, 6), (2, 10), (5, 16)]),
        (0.025, [(3, 11), (7, 20), (16, 35)]),
        (0.05, [(7, 20), (17, 35), (38, 64)]),
        (0.075, [(12, 27), (28, 50), (60, 91)]),
        (0.10, [(17, 35), (39, 64), (82, 119)]),
    ],
)
def test_the_acceptance_regions_of_kupiec_come_out(
    tail: float, regions: list[tuple[int, int]]
) -> None:
    """Kupiec (1995), as printed in Jorion (2006), table 6.2: 255, 510 and 1,000 days at 95 %.

    Its first cell reads "N < 7": no exception at all gives 5.13 in 255 days, beyond 3.84 too.
    """
    for periods, region in zip((255, 510, 1000), regions, strict=True):
        accepted = [
            count
            for count in range(periods // 4)
            if check_coverage(exceptions=count, periods=periods, tail_probability=tail).p_value
            > 0.05
        ]
        assert (accepted[0], accepted[-1]) == region
        assert len(accepted) == region[1] - region[0] + 1


def test_the_exceptions_of_jp_morgan_in_1998_come_out() -> None:
    """Jorion (2006), chapter 6: 20 exceptions in 252 days at 95 %; 14 of 232 and 6 of 20 days.

    Printed: 3.91 for coverage and 9.53 for independence.
    """
    coverage = check_coverage(exceptions=20, periods=252, tail_probability=0.05)
    counts = TransitionCounts(
        calm_calm=218, calm_exception=14, exception_calm=14, exception_exception=6
    )
    independence = check_independence(counts=counts)
    assert round(coverage.statistic, 2) == 3.91
    assert round(independence.statistic, 2) == 9.53
    assert coverage.p_value < 0.05
    assert independence.p_value < 0.01


def test_the_bunched_exceptions_of_a_bank_come_out() -> None:
    """Jorion (2006), chapter 6, question 10: six in 252 days at 99 %, four after another.

    Printed: 3.498 (cut, not rounded) for coverage and 25.837 for independence.
    """
    coverage = check_coverage(exceptions=6, periods=252, tail_probability=0.01)
    counts = TransitionCounts(
        calm_calm=244, calm_exception=2, exception_calm=2, exception_exception=4
    )
    assert coverage.statistic == pytest.approx(3.498, abs=1e-3)
    assert check_independence(counts=counts).statistic == pytest.approx(25.837, abs=1e-3)


def test_conditional_coverage_adds_both_ratios_over_the_days_themselves() -> None:
    marks = np.zeros(250, dtype=bool)
    marks[[10, 11, 12, 90, 200, 201]] = True
    counts = count_transitions(exceptions=marks)
    assert (counts.exception_exception, counts.exception_calm) == (3, 3)
    assert (counts.calm_exception, counts.calm_calm) == (3, 240)
    coverage = check_coverage(exceptions=6, periods=250, tail_probability=0.01)
    independence = check_independence(counts=counts)
    both = check_conditional_coverage(exceptions=marks, tail_probability=0.01)
    assert both.statistic == pytest.approx(coverage.statistic + independence.statistic)
    for outcome, degrees in ((coverage, 1), (independence, 1), (both, 2)):
        law = stats.chi2(degrees)
        assert outcome.degrees_of_freedom == degrees
        assert outcome.p_value == pytest.approx(law.sf(outcome.statistic), rel=1e-9)


def test_one_exception_that_follows_another_is_a_rate_of_one_and_not_less() -> None:
    counts = TransitionCounts(
        calm_calm=97, calm_exception=2, exception_calm=0, exception_exception=1
    )
    split = 97 * math.log(97 / 99) + 2 * math.log(2 / 99)
    joint = 97 * math.log(0.97) + 3 * math.log(0.03)
    assert check_independence(counts=counts).statistic == pytest.approx(2 * (split - joint))


def test_no_exception_at_all_counts_as_evidence_without_a_logarithm_of_zero() -> None:
    none = check_coverage(exceptions=0, periods=250, tail_probability=0.01)
    assert none.statistic == pytest.approx(-2 * 250 * math.log(0.99))
    calm = check_conditional_coverage(exceptions=[False] * 250, tail_probability=0.01)
    assert calm.statistic == pytest.approx(none.statistic)
    every = check_coverage(exceptions=250, periods=250, tail_probability=0.01)
    assert every.statistic == pytest.approx(-2 * 250 * math.log(0.01))


def test_a_perfect_rate_has_no_evidence_against_it() -> None:
    assert check_coverage(exceptions=5, periods=500, tail_probability=0.01).p_value == 1.0


@pytest.mark.parametrize(
    ("exceptions", "zone", "plus_factor", "cumulative"),
    [
        (0, BaselZone.GREEN, 0.0, 0.0811),
        (1, BaselZone.GREEN, 0.0, 0.2858),
        (2, BaselZone.GREEN, 0.0, 0.5432),
        (3, BaselZone.GREEN, 0.0, 0.7581),
        (4, BaselZone.GREEN, 0.0, 0.8922),
        (5, BaselZone.YELLOW, 0.40, 0.9588),
        (6, BaselZone.YELLOW, 0.50, 0.9863),
        (7, BaselZone.YELLOW, 0.65, 0.9960),
        (8, BaselZone.YELLOW, 0.75, 0.9989),
        (9, BaselZone.YELLOW, 0.85, 0.9997),
        (10, BaselZone.RED, 1.00, 0.9999),
        (25, BaselZone.RED, 1.00, 1.0),
    ],
)
def test_the_zones_of_basel_come_out(
    exceptions: int, zone: BaselZone, plus_factor: float, cumulative: float
) -> None:
    """Basel Committee (January 1996), table 2: zones, plus factors, cumulative probabilities."""
    verdict = compute_basel_zone(exceptions=exceptions, periods=250, tail_probability=0.01)
    assert (verdict.zone, verdict.plus_factor) == (zone, plus_factor)
    assert round(verdict.cumulative_probability, 4) == cumulative


@pytest.mark.parametrize(("periods", "tail"), [(249, 0.01), (252, 0.01), (250, 0.05)])
def test_the_zones_refuse_any_other_sample(periods: int, tail: float) -> None:
    with pytest.raises(InvalidInput) as refusal:
        compute_basel_zone(exceptions=3, periods=periods, tail_probability=tail)
    assert refusal.value.code == "not_basel_sample"


def _normal_forecasts(periods: int, tail: float) -> tuple[np.ndarray, np.ndarray]:
    z = stats.norm.ppf(tail)
    return np.full(periods, -z * 0.01), np.full(periods, stats.norm.pdf(z) / tail * 0.01)


def test_the_published_critical_value_of_the_shortfall_test_comes_out() -> None:
    """Acerbi and Szekely (2014): Z2 of -0.70 rejects at 5 % with 250 days at 2.5 %."""
    limits, shortfalls = _normal_forecasts(250, 0.025)
    ten = np.full(250, 0.001)
    ten[:10] = -1.70 * 250 * 0.025 * shortfalls[0] / 10  # ten equal losses of that statistic
    outcome = check_shortfall(
        returns=ten,
        values_at_risk=limits,
        expected_shortfalls=shortfalls,
        tail_probability=0.025,
        simulations=5_000,
    )
    assert outcome.statistic == pytest.approx(-0.70)
    assert outcome.exceptions == 10
    assert outcome.p_value == pytest.approx(0.05, abs=0.01)


def test_the_published_p_value_of_a_longer_sample_comes_out() -> None:
    """MathWorks, esbacktest.unconditionalNormal: Z2 of -0.38265 in 1,966 days at 2.5 %: 0.0054."""
    limits, shortfalls = _normal_forecasts(1_966, 0.025)
    returns = np.full(1_966, 0.001)
    returns[:57] = -1.38265 * 1_966 * 0.025 * shortfalls[0] / 57
    outcome = check_shortfall(
        returns=returns,
        values_at_risk=limits,
        expected_shortfalls=shortfalls,
        tail_probability=0.025,
        simulations=10_000,
    )
    assert outcome.statistic == pytest.approx(-0.38265)
    assert outcome.p_value == pytest.approx(0.0054, abs=0.0025)


def test_the_shortfall_test_expects_zero_of_right_forecasts_and_rejects_halved_ones() -> None:
    limits, shortfalls = _normal_forecasts(2_000, 0.025)
    returns = np.random.default_rng(11).normal(0, 0.01, 2_000)
    right, wrong = (
        check_shortfall(
            returns=returns,
            values_at_risk=limits * share,
            expected_shortfalls=shortfalls * share,
            tail_probability=0.025,
            simulations=500,
        )
        for share in (1.0, 0.5)
    )
    assert abs(right.statistic) < 0.25
    assert right.p_value > 0.05
    assert wrong.statistic < -1
    assert wrong.p_value == pytest.approx(1 / 501)


def test_a_shortfall_below_its_value_at_risk_is_refused() -> None:
    with pytest.raises(InvalidInput) as refusal:
        check_shortfall(
            returns=[0.0],
            values_at_risk=[0.02],
            expected_shortfalls=[0.01],
            tail_probability=0.05,
        )
    assert refusal.value.code == "bad_shortfall"


def test_an_exception_lies_strictly_beyond_its_forecast() -> None:
    marks = find_exceptions(returns=[-0.02, -0.03, 0.05], values_at_risk=[0.02, 0.02, 0.02])
    assert marks.tolist() == [False, True, False]
    with pytest.raises(InvalidInput):
        find_exceptions(returns=[-0.02, -0.03], values_at_risk=[0.02])


def test_importing_the_measures_imports_no_heavy_library() -> None:
    program = (
        "import sys, risk.domain.tail_risk, risk.domain.stress, risk.domain.factors;"
        "print(sorted({'scipy', 'pandas', 'numba', 'django'} & set(sys.modules)))"
    )
    answer = subprocess.run(  # a fresh process: this one holds the oracles
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "[]"


def test_five_methods_forecast_from_the_past_alone() -> None:
    rng = np.random.default_rng(7)
    returns = rng.normal(0.0, 0.01, 420)
    rows = compare_tails(returns)
    assert [row.method for row in rows] == list(TailMethod)
    for row in rows:
        if row.now is None:  # a sample with less kurtosis than the normal law is outside its domain
            assert row.method is TailMethod.CORNISH_FISHER
            assert "not monotone" in row.problem
            continue
        assert row.record is not None
        assert row.now.value_at_risk <= row.now.expected_shortfall
        assert row.record.basel is None or row.record.forecasts == 250
    changed = returns.copy()
    changed[-1] = -0.5  # no forecast of a day before the last may know it
    normal, other = (
        next(row for row in compare_tails(part) if row.method is TailMethod.NORMAL)
        for part in (returns, changed)
    )
    assert normal.record is not None
    assert other.record is not None
    was_beyond = -returns[-1] > 0.012
    assert other.record.exceptions - normal.record.exceptions == (0 if was_beyond else 1)


def test_a_method_that_is_too_calm_is_told_by_its_tests() -> None:
    rng = np.random.default_rng(9)
    returns = np.concatenate([rng.normal(0.0, 0.002, 180), rng.normal(0.0, 0.03, 40)])
    row = next(row for row in compare_tails(returns) if row.method is TailMethod.HISTORICAL)
    assert row.record is not None
    assert row.record.coverage is not None
    assert row.record.exceptions > 10
    assert row.record.coverage.p_value < 0.01


def test_too_short_a_history_and_one_that_never_moved_are_told() -> None:
    with pytest.raises(InvalidInput):
        compare_tails([0.01] * 99)
    flat = {row.method: row for row in compare_tails([0.0] * 200)}
    assert flat[TailMethod.CORNISH_FISHER].now is None
    assert flat[TailMethod.CORNISH_FISHER].problem
