"""Proposed weights from a covariance: minimum variance, risk parity, maximum Sharpe.

Long only where it says so; weights add to 1.  Proposals only: nothing here sizes an order.
Sources: Markowitz (1952); Maillard, Roncalli and Teiletche (2010) and Spinu (2013) for equal risk
contributions; Ledoit and Wolf (2004) for shrinking towards a scaled identity.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from magnetfund.kernel.errors import InvalidInput

FloatArray = NDArray[np.float64]
_PARITY_TOLERANCE = 1e-12
_PARITY_SWEEPS_MAX = 10_000


def shrink_covariance(*, returns: FloatArray) -> tuple[FloatArray, float]:
    """Covariance of returns (periods, assets) shrunk to the average variance, and the intensity.

    Ledoit-Wolf: S* = d m I + (1 - d) S with the intensity d in [0, 1] that minimises the expected
    squared error; S divides by the number of periods.  Raises ``InvalidInput``: ``bad_shape``,
    ``too_short``, ``not_finite``.
    """
    values = np.asarray(returns, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] < 1:
        raise InvalidInput("returns are periods by assets", code="bad_shape")
    if values.shape[0] < 2:
        raise InvalidInput("at least two periods are needed", code="too_short")
    if not np.isfinite(values).all():
        raise InvalidInput("a return is not finite", code="not_finite")
    periods, assets = values.shape
    centred = values - values.mean(axis=0)
    sample: FloatArray = centred.T @ centred / periods
    target = np.trace(sample) / assets * np.eye(assets)
    spread = float(((sample - target) ** 2).sum())
    if spread <= 0:
        return sample, 0.0
    norms = (centred**2).sum(axis=1)
    noise = float((norms**2).sum() / periods - (sample**2).sum()) / periods
    intensity = min(1.0, max(0.0, noise / spread))
    shrunk: FloatArray = intensity * target + (1.0 - intensity) * sample
    return shrunk, intensity


def covariance_of(covariance: FloatArray) -> FloatArray:
    """A symmetric positive definite matrix; raises ``bad_shape`` or ``not_positive_definite``."""
    matrix = np.asarray(covariance, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or matrix.shape[0] == 0:
        raise InvalidInput("a covariance is square", code="bad_shape")
    is_symmetric = np.isfinite(matrix).all() and np.allclose(matrix, matrix.T, rtol=1e-9, atol=0)
    try:
        np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        is_symmetric = False
    if not is_symmetric:
        raise InvalidInput("the covariance is singular", code="not_positive_definite")
    return matrix


def compute_minimum_variance(*, covariance: FloatArray) -> FloatArray:
    """C^-1 1 / (1' C^-1 1): least variance, short positions allowed."""
    matrix = covariance_of(covariance)
    raw = np.linalg.solve(matrix, np.ones(matrix.shape[0]))
    weights: FloatArray = raw / raw.sum()
    return weights


def compute_maximum_sharpe(
    *, covariance: FloatArray, means: Sequence[float], rate: float = 0.0
) -> FloatArray:
    """C^-1 (mu - r), scaled to add to 1; short positions allowed.

    Raises ``InvalidInput`` (``no_premium``) where the fully invested portfolio of highest Sharpe
    does not exist, because the scaled direction would have to be sold.
    """
    matrix = covariance_of(covariance)
    excess = np.asarray(means, dtype=np.float64) - rate
    if excess.shape != (matrix.shape[0],) or not np.isfinite(excess).all():
        raise InvalidInput("one finite mean an asset is needed", code="bad_shape")
    raw = np.linalg.solve(matrix, excess)
    if raw.sum() <= 1e-12 * np.abs(raw).sum():
        raise InvalidInput("nothing here beats the rate when held", code="no_premium")
    weights: FloatArray = raw / raw.sum()
    return weights


def compute_risk_parity(
    *, covariance: FloatArray, budgets: Sequence[float] | None = None
) -> FloatArray:
    """Long-only weights whose risk contributions are in proportion to ``budgets`` (equal).

    Cyclical coordinate descent on ``x' C x / 2 - sum b ln x``, which is convex, so the answer is
    the only one.  Raises ``InvalidInput``: ``bad_budget``, ``no_convergence``.
    """
    matrix = covariance_of(covariance)
    assets = matrix.shape[0]
    shares = np.ones(assets) if budgets is None else np.asarray(budgets, dtype=np.float64)
    if shares.shape != (assets,) or not (np.isfinite(shares).all() and (shares > 0).all()):
        raise InvalidInput("one positive budget an asset is needed", code="bad_budget")
    shares = shares / shares.sum()
    variances = np.diag(matrix)
    weights: FloatArray = np.sqrt(shares / variances)
    for _ in range(_PARITY_SWEEPS_MAX):
        for i in range(assets):
            others = float(matrix[i] @ weights) - variances[i] * weights[i]
            root = np.sqrt(others**2 + 4.0 * variances[i] * shares[i])
            weights[i] = (root - others) / (2.0 * variances[i])
        gap = float(np.abs(weights * (matrix @ weights) - shares).max())
        if gap <= _PARITY_TOLERANCE:
            scaled: FloatArray = weights / weights.sum()
            return scaled
    raise InvalidInput("risk parity did not converge", code="no_convergence")


def compute_risk_contributions(*, covariance: FloatArray, weights: FloatArray) -> FloatArray:
    """Each asset's share of the portfolio's variance, w (C w) / (w' C w); they add to 1."""
    matrix, held = covariance_of(covariance), np.asarray(weights, dtype=np.float64)
    if held.shape != (matrix.shape[0],):
        raise InvalidInput("one weight an asset is needed", code="bad_shape")
    pulls = held * (matrix @ held)
    if not pulls.sum() > 0:
        raise InvalidInput("an empty portfolio has no risk to share", code="not_positive")
    contributions: FloatArray = pulls / pulls.sum()
    return contributions
