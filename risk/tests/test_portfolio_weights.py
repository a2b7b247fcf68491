"""Proposed weights satisfy the conditions that define them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from magnetfund.kernel.errors import InvalidInput
from risk.domain.portfolio import (
    compute_maximum_sharpe,
    compute_minimum_variance,
    compute_risk_contributions,
    compute_risk_parity,
    shrink_covariance,
)


def covariance(seed: int, assets: int) -> np.ndarray:
    values = np.random.default_rng(seed).normal(0, 0.02, (assets * 20, assets))
    return np.cov(values @ np.diag(np.arange(1, assets + 1)), rowvar=False).reshape(assets, assets)


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), assets=st.integers(1, 6))
def test_no_small_change_of_weights_lowers_the_least_variance(seed: int, assets: int) -> None:
    matrix = covariance(seed, assets)
    weights = compute_minimum_variance(covariance=matrix)
    least = weights @ matrix @ weights
    move = np.random.default_rng(seed).normal(size=assets) * 0.1
    other = weights + move - move.mean()
    assert weights.sum() == pytest.approx(1)
    assert other @ matrix @ other >= least * (1 - 1e-9)


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), assets=st.integers(1, 6))
def test_risk_parity_shares_risk_as_budgeted(seed: int, assets: int) -> None:
    matrix = covariance(seed, assets)
    budgets = np.arange(1, assets + 1, dtype=float)
    weights = compute_risk_parity(covariance=matrix, budgets=list(budgets))
    shares = compute_risk_contributions(covariance=matrix, weights=weights)
    assert shares == pytest.approx(budgets / budgets.sum(), abs=1e-9)
    assert (weights > 0).all()


def test_without_correlation_risk_parity_is_inverse_volatility() -> None:
    weights = compute_risk_parity(covariance=np.diag([0.01, 0.04]))
    assert weights == pytest.approx([2 / 3, 1 / 3])


def test_no_other_mix_has_a_higher_sharpe_ratio() -> None:
    matrix, means = covariance(7, 3), np.array([0.05, 0.08, 0.07])
    weights = compute_maximum_sharpe(covariance=matrix, means=list(means), rate=0.01)
    best = (weights @ means - 0.01) / np.sqrt(weights @ matrix @ weights)
    for other in np.random.default_rng(1).dirichlet(np.ones(3), 500):
        assert (other @ means - 0.01) / np.sqrt(other @ matrix @ other) <= best + 1e-9
    with pytest.raises(InvalidInput) as refused:
        compute_maximum_sharpe(covariance=np.eye(2), means=[-0.1, -0.2])
    assert refused.value.code == "no_premium"


def test_shrinking_matters_less_with_more_evidence_and_makes_few_periods_usable() -> None:
    draw = np.random.default_rng(3).normal(size=(4000, 8)) * np.arange(1, 9)
    few, intensity_few = shrink_covariance(returns=draw[:6])
    _, intensity_many = shrink_covariance(returns=draw)
    assert 0 <= intensity_many < 0.05 < intensity_few <= 1
    assert np.trace(few) == pytest.approx(np.trace(np.cov(draw[:6], rowvar=False, ddof=0)))
    assert compute_minimum_variance(covariance=few).sum() == pytest.approx(1)


@pytest.mark.parametrize(
    ("matrix", "code"),
    [
        (np.ones((2, 2)), "not_positive_definite"),
        (np.array([[1.0, 0.5], [0.1, 1.0]]), "not_positive_definite"),
        (np.ones((2, 3)), "bad_shape"),
    ],
)
def test_a_matrix_that_is_no_covariance_is_refused(matrix: np.ndarray, code: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        compute_minimum_variance(covariance=matrix)
    assert refused.value.code == code
