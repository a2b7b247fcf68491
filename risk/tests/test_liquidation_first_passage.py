"""First passage: the published grid, the discrete shift, simulation, and the laws."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from magnetfund.kernel.errors import InvalidInput
from risk.domain.liquidation import (
    AccountRules,
    IsolatedCase,
    build_bootstrap_bars,
    compute_first_passage,
    compute_liquidation_chance,
    simulate_account_years,
)
from risk.domain.liquidation.first_passage import _normal_scaled

pytestmark = pytest.mark.slow

WEEK = 7 / 365


def case(leverage, *, side=1, years=WEEK, **others):
    return IsolatedCase(
        side=side,
        leverage=leverage,
        maintenance_rate=0.004,
        volatility=0.8,
        years=years,
        **others,
    )


def simulate_chance(
    case: IsolatedCase, *, steps: int, paths: int, seed: int
) -> tuple[float, float]:
    """The chance at ``steps`` instants, funding paid from the margin exactly, and its error."""
    generator = np.random.default_rng(seed)
    step = case.years / steps
    shift = (case.drift - 0.5 * case.volatility**2) * step
    spread = case.volatility * math.sqrt(step)
    price = np.ones(paths)
    margin = np.full(paths, 1.0 / case.leverage)
    alive = np.ones(paths, dtype=np.bool_)
    for _ in range(steps):
        margin -= case.funding_year * step * price
        price *= np.exp(shift + spread * generator.standard_normal(paths))
        alive &= margin + case.side * (price - 1.0) > case.maintenance_rate * price
    chance = 1.0 - float(alive.mean())
    return chance, math.sqrt(chance * (1.0 - chance) / paths)


@pytest.mark.parametrize(
    ("leverage", "chances"),
    [
        (2, (0.0, 0.0, 0.004, 0.529)),
        (3, (0.0, 0.0004, 0.097, 0.734)),
        (10, (0.016, 0.379, 0.692, 0.939)),
        (50, (0.705, 0.891, 0.951, 0.991)),
    ],
)
def test_the_grid_of_a_long_at_eighty_percent_volatility(leverage, chances):
    for days, chance in zip((1, 7, 30, 365), chances, strict=True):
        found = compute_liquidation_chance(case=case(leverage, years=days / 365))
        assert found == pytest.approx(chance, abs=6e-4)


def test_watching_by_the_hour_agrees_with_simulation_within_three_thousandths():
    shifted = compute_liquidation_chance(case=case(10), step_years=1 / 8760)
    assert shifted == pytest.approx(0.3553, abs=5e-4)
    found, error = simulate_chance(case(10), steps=168, paths=100_000, seed=4)
    assert shifted == pytest.approx(found, abs=0.003 + 2 * error)


@pytest.mark.parametrize("side", [1, -1])
def test_paid_funding_raises_the_chance_as_simulated(side):
    paying = case(10, side=side, funding_year=1.0)
    dear = compute_liquidation_chance(case=paying, step_years=1 / 8760)
    free = compute_liquidation_chance(case=case(10, side=side), step_years=1 / 8760)
    found, error = simulate_chance(paying, steps=168, paths=60_000, seed=9)
    assert dear > free + 0.01
    assert dear == pytest.approx(found, abs=0.004 + 2 * error)


@settings(max_examples=80, deadline=None)
@given(
    b=st.floats(-3, 3).filter(lambda x: abs(x) > 1e-3),
    nu=st.floats(-40, 40),
    years=st.floats(0.001, 5),
)
def test_a_chance_lies_in_zero_to_one_mirrors_and_grows_with_time(b, nu, years):
    chance = compute_first_passage(barrier_log=b, nu=nu, volatility=0.5, years=years)
    mirrored = compute_first_passage(barrier_log=-b, nu=-nu, volatility=0.5, years=years)
    longer = compute_first_passage(barrier_log=b, nu=nu, volatility=0.5, years=2 * years)
    assert 0.0 <= chance <= 1.0
    assert mirrored == pytest.approx(chance, abs=1e-12)
    assert longer >= chance - 1e-9


def test_the_scaled_tail_is_scipys_erfcx():
    from scipy.special import erfcx

    for u in (-5.0, 0.0, 3.0, 24.9, 25.1, 300.0):
        assert _normal_scaled(u) == pytest.approx(0.5 * erfcx(u / math.sqrt(2)), rel=2e-7)


def test_bad_figures_are_refused():
    for change in ({"years": 0.0}, {"years": math.nan}, {"drift": math.inf}):
        with pytest.raises(InvalidInput):
            case(3, **change)
    with pytest.raises(InvalidInput):
        compute_first_passage(barrier_log=0.0, nu=0.0, volatility=0.5, years=1.0)
    with pytest.raises(InvalidInput):
        AccountRules(leverage=3.0, margin_cap=0.0)


@pytest.fixture(scope="module")
def bars():
    # Minutes inside each hour: without true extremes a stop would look better than it is.
    generator = np.random.default_rng(8)
    minutes = 0.0014 * np.cumsum(generator.standard_normal(6000 * 60)).reshape(6000, 60)
    path = 100 * np.exp(minutes)
    return build_bootstrap_bars(high=path.max(axis=1), low=path.min(axis=1), close=path[:, -1])


def years(bars, leverage, **others):
    rules = AccountRules(leverage=leverage, **others)
    return simulate_account_years(bars=bars, rules=rules, paths=600, seed=2)


def test_bootstrap_bars_have_no_drift(bars):
    assert np.log(bars[:, 0]).mean() == pytest.approx(0.0, abs=1e-12)


def test_a_year_is_reproducible_and_a_cap_and_a_fuse_each_lower_the_loss(bars):
    bare = years(bars, 5.0)
    assert bare == years(bars, 5.0)
    fused = years(bars, 5.0, with_fuse=True)
    capped = years(bars, 5.0, with_fuse=True, margin_cap=0.15)
    assert bare.liquidated > 0.02
    assert fused.liquidated == 0.0
    assert capped.equity_median > fused.equity_median > bare.equity_median
    halted = years(bars, 5.0, with_fuse=True, margin_cap=0.15, cool_off_hours=0)
    assert halted.halved == 0.0
    assert halted.equity_median > 0.9


def test_a_gap_through_the_liquidation_price_jumps_the_fuse_and_an_outage_silences_it(bars):
    jumped = years(bars, 3.0, with_fuse=True, gap_chance=0.01, gap_size=0.4)
    silent = years(bars, 10.0, with_fuse=True, outage_chance=0.02, outage_hours=48)
    assert jumped.liquidated > 0.5
    assert silent.liquidated > 0.1
    assert years(bars, 10.0, with_fuse=True).liquidated == 0.0


def test_calm_bars_cost_the_fees_and_the_funding_nets_out():
    still = np.ones((50, 3))
    found = years(still, 2.0, maintenance_rate=0.004, funding_rate=0.0, fee_rate=0.0005)
    # 365 days at 2x: in and out once a day, the margin net of the opening fee.
    assert found.equity_median == pytest.approx(((1 - 0.001) / (1 + 0.001)) ** 365, rel=1e-9)


def touch(**change):
    plain = {"barrier_log": -0.2, "nu": 0.1, "volatility": 0.5, "years": 1.0, "step_years": 0.0}
    return compute_first_passage(**{**plain, **change})


@pytest.mark.parametrize(
    "change",
    [
        {"barrier_log": math.inf},
        {"barrier_log": 0.0},
        {"nu": math.nan},
        {"volatility": 0.0},
        {"volatility": math.inf},
        {"years": 0.0},
        {"years": math.nan},
        {"step_years": -0.001},
    ],
)
def test_a_passage_without_figures_is_refused(change):
    with pytest.raises(InvalidInput) as caught:
        touch(**change)
    assert caught.value.code == "bad_first_passage"


@pytest.mark.parametrize("nu", [0.3, -0.3, 0.0, 4.0])
@pytest.mark.parametrize("barrier", [-0.2, 0.25])
def test_the_chance_is_harrisons_formula(barrier, nu):
    from scipy.stats import norm

    sigma, years = 0.5, 0.7
    spread, up = sigma * math.sqrt(years), math.copysign(1.0, barrier)
    direct = norm.cdf((up * nu * years - abs(barrier)) / spread)
    mirrored = norm.cdf((-up * nu * years - abs(barrier)) / spread)
    expected = direct + math.exp(2 * nu * barrier / sigma**2) * mirrored
    found = touch(barrier_log=barrier, nu=nu, years=years)
    assert found == pytest.approx(expected, rel=1e-6)


def test_watching_at_steps_moves_the_barrier_away():
    # 0.5826 sigma sqrt(step): 0.02913 further at 0.5 and a hundredth of a year.
    assert touch(step_years=0.01) == pytest.approx(touch(barrier_log=-0.22913), rel=1e-12)
    assert touch(step_years=0.01) < touch()


def test_a_flat_drift_is_the_plain_reflection():
    assert touch(nu=0.0) == pytest.approx(math.erfc(0.2 / 0.5 / math.sqrt(2.0)), rel=1e-6)


def test_an_unlevered_long_is_never_liquidated():
    assert compute_liquidation_chance(case=case(1.0, years=5.0)) == 0.0
    assert case(1.0).barrier() is None
    assert case(4.0).barrier() == pytest.approx(0.75 / 0.996)
    assert case(4.0, side=-1).barrier() == pytest.approx(1.25 / 1.004)


@pytest.mark.parametrize("side", [1, -1])
def test_a_case_is_the_passage_to_its_price_under_its_drift_and_funding(side):
    found = compute_liquidation_chance(
        case=case(5.0, side=side, years=0.5, drift=0.3, funding_year=0.2), step_years=0.001
    )
    barrier = 0.8 / 0.996 if side > 0 else 1.2 / 1.004
    slope = 0.2 / (barrier * (1 - side * 0.004))
    expected = touch(
        barrier_log=math.log(barrier), nu=0.3 - 0.32 - side * slope, volatility=0.8, years=0.5,
        step_years=0.001,
    )  # fmt: skip
    assert found == pytest.approx(expected, rel=1e-12)


def test_a_case_has_no_drift_and_no_funding_unless_it_says_so():
    assert (case(3).drift, case(3).funding_year) == (0.0, 0.0)
    for change in ({"volatility": 0.0}, {"years": -1.0}, {"funding_year": math.nan}):
        plain = {"side": 1, "leverage": 3.0, "maintenance_rate": 0.0, "volatility": 1.0, "years": 1}
        with pytest.raises(InvalidInput) as caught:
            IsolatedCase(**{**plain, **change})
        assert caught.value.code == "bad_first_passage"


def test_a_wild_step_is_the_plain_normal_too():
    # Volatility 2 over a year in one step: the log price ends at -2 + 2 z.
    wild = IsolatedCase(side=1, leverage=4.0, maintenance_rate=0.0, volatility=2.0, years=1.0)
    found, error = simulate_chance(wild, steps=1, paths=4000, seed=3)
    expected = 0.5 * math.erfc(-(math.log(0.75) + 2.0) / 2.0 / math.sqrt(2.0))
    assert found == pytest.approx(expected, abs=4 * error)


def test_the_price_is_watched_always_unless_steps_are_named():
    plain = compute_first_passage(barrier_log=-0.2, nu=0.1, volatility=0.5, years=1.0)
    assert plain == touch()
    assert touch(barrier_log=-1e-9, nu=-5.0) <= 1.0
