"""The evidence test: what it can see, what voids it, and what may raise leverage."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import isotonic_regression

from magnetfund.kernel.errors import InvalidInput
from trading.domain.evidence import (
    Candidate,
    ControlKind,
    Estimate,
    EvidenceParameters,
    EvidenceRules,
    EvidenceState,
    adjust_holm,
    calibrate_targets,
    derive_evidence_state,
    estimate_mean,
    fit_strength_calibration,
    judge_evidence,
    run_evidence_test,
)
from trading.domain.magnets import compute_magnet_signals
from trading.domain.market.candles import HOUR_MS
from trading.tests.magnet_bars import make_random_bars

pytestmark = pytest.mark.slow

DAY_MS = 86_400_000


@pytest.fixture(scope="module")
def run():
    candles = make_random_bars(count=6000, seed=5)
    return run_evidence_test(
        candles=candles,
        market="BTC/USDT",
        seed=3,
        parameters=EvidenceParameters(resamples=500),
    )


def test_a_driftless_walk_shows_no_attraction_and_clean_controls(run):
    assert not run.void
    for row in run.rows:
        if row.first.n > 300:
            assert abs(row.first.z) < 3.5, row.name
            assert 0.4 < row.first.value < 0.6, row.name
    assert all(np.isnan(run.row(control.value).p_holm) for control in ControlKind)


def test_the_same_seed_gives_the_same_run_and_bars_after_the_span_only_end_races(run):
    candles = make_random_bars(count=6000, seed=5)
    again = run_evidence_test(
        candles=candles,
        market="BTC/USDT",
        seed=3,
        parameters=EvidenceParameters(resamples=500),
    )
    assert [row.first for row in again.rows if row.first.n] == [
        row.first for row in run.rows if row.first.n
    ]


def test_block_errors_of_independent_values_equal_the_textbook_error():
    values = (np.random.default_rng(1).random(4000) < 0.5).astype(float)
    found = estimate_mean(values=values, blocks=np.arange(4000), null=0.5, resamples=4000, seed=2)
    assert found.standard_error == pytest.approx(np.sqrt(0.25 / 4000), rel=0.05)
    together = estimate_mean(
        values=np.repeat(values[:400], 10),
        blocks=np.repeat(np.arange(400), 10),
        null=0.5,
        resamples=4000,
        seed=2,
    )
    assert together.standard_error == pytest.approx(np.sqrt(0.25 / 400), rel=0.1)


def test_holm_matches_the_published_steps():
    # Holm 1979: the smallest p times m, then times m - 1, never falling.
    assert adjust_holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx((0.03, 0.06, 0.06, 0.02))
    with pytest.raises(InvalidInput):
        adjust_holm([1.2])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 20), st.booleans()), min_size=1, max_size=60))
def test_the_calibration_is_scipys_isotonic_fit(races):
    strength = np.array([5.0 * race[0] for race in races])
    won = np.array([race[1] for race in races])
    fitted = fit_strength_calibration(
        strengths=strength, level_first=won, decided_at=np.zeros(len(races), dtype=np.int64), at=0
    )
    levels = np.unique(strength)
    means = np.array([won[strength == level].mean() for level in levels])
    weights = np.array([(strength == level).sum() for level in levels], dtype=float)
    expected = isotonic_regression(means, weights=weights).x
    mine = [fitted.calibrate(level) for level in levels]
    np.testing.assert_allclose(mine, 100 * np.clip(2 * (expected - 0.5), 0, 1), atol=1e-9)


def test_the_calibration_never_sees_a_race_that_is_decided_later():
    fitted = fit_strength_calibration(
        strengths=np.array([50.0, 50.0]),
        level_first=np.array([True, False]),
        decided_at=np.array([10, 30]),
        at=20,
    )
    assert fitted.races == 1
    assert fitted.calibrate(50.0) == 100.0


def test_targets_race_to_their_ends_and_open_races_do_not_count():
    candles = make_random_bars(count=2_500, seed=41)
    signals = compute_magnet_signals(candles=candles)
    last = int(signals.known_at[-1])
    fitted = calibrate_targets(candles=candles, signals=signals, first_at=0, last_at=last)
    # The same by hand: one bar and one direction after the other, 500 bars each.
    strengths, won = [], []
    for row in range(len(candles) - 500):
        if signals.known_at[row] // HOUR_MS % 4 or not signals.atr[row] > 0:
            continue
        for side in (0, 1):
            target, close = signals.target_price[row, side], candles.close[row]
            if np.isnan(target):
                continue
            upper, lower = max(target, 2 * close - target), min(target, 2 * close - target)
            for later in range(row + 1, row + 501):
                up, down = candles.high[later] >= upper, candles.low[later] <= lower
                if up or down:
                    if up != down:
                        strengths.append(signals.target_strength[row, side])
                        won.append(up == (target > close))
                    break
    assert fitted.races == len(strengths) > 100
    expected = fit_strength_calibration(
        strengths=np.array(strengths), level_first=np.array(won), at=0,
        decided_at=np.zeros(len(won), dtype=np.int64),
    )  # fmt: skip
    np.testing.assert_array_equal(fitted.chances, expected.chances)
    assert fitted.counts.sum() == fitted.races
    assert fitted.calibrate(100.0) >= fitted.calibrate(40.0) >= 0.0


def _shown(run, *, at, n=5000, value=0.56):
    strong = Estimate(n=n, value=value, standard_error=0.01, z=6.0, low=0.54, high=0.58)
    rows = tuple(
        replace(row, first=strong, p_holm=1e-6) if row.name == Candidate.POC.value else row
        for row in run.rows
    )
    return replace(run, rows=rows, first_at=at, last_at=at + DAY_MS, void=False)


def test_only_what_holds_twice_is_supported_and_it_expires(run):
    first, second = _shown(run, at=0), _shown(run, at=400 * DAY_MS)
    judged_at = 500 * DAY_MS
    judgement = judge_evidence(
        name=Candidate.POC.value, in_sample=first, out_of_sample=second, judged_at=judged_at
    )
    version = run.levels_version
    assert judgement.state is EvidenceState.SUPPORTED
    assert not judgement.reasons
    for days, rules_version, state in (
        (-1, version, EvidenceState.UNPROVEN),
        (179, version, EvidenceState.SUPPORTED),
        (180, version, EvidenceState.EXPIRED),
        (1, version + "-changed", EvidenceState.EXPIRED),
    ):
        assert state is derive_evidence_state(
            judged=judgement.state,
            judged_at=judgement.judged_at,
            judged_version=judgement.rules_version,
            at=judged_at + days * DAY_MS,
            rules_version=rules_version,
        )


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"in_sample": {"void": True}}, "control_not_clean"),
        ({"out_of_sample": {"void": True}}, "out_of_sample_control_not_clean"),
    ],
)
def test_an_unclean_control_leaves_a_kind_unproven(run, change, reason):
    runs = {"in_sample": _shown(run, at=0), "out_of_sample": _shown(run, at=400 * DAY_MS)}
    for name, fields in change.items():
        runs[name] = replace(runs[name], **fields)
    found = judge_evidence(name=Candidate.POC.value, judged_at=500 * DAY_MS, **runs)
    assert found.state is EvidenceState.UNPROVEN
    assert reason in found.reasons


def test_too_few_races_and_one_sample_alone_prove_nothing(run):
    found = judge_evidence(
        name=Candidate.POC.value,
        in_sample=_shown(run, at=0, n=999),
        out_of_sample=None,
        judged_at=0,
        rules=EvidenceRules(),
    )
    assert found.state is EvidenceState.UNPROVEN
    assert "too_few_races" in found.reasons
