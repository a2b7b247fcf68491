"""Portfolio construction as a proposal beside the present book."""

from risk.domain.portfolio.weights import (
    compute_maximum_sharpe,
    compute_minimum_variance,
    compute_risk_contributions,
    compute_risk_parity,
    covariance_of,
    shrink_covariance,
)

__all__ = [
    "compute_maximum_sharpe",
    "compute_minimum_variance",
    "compute_risk_contributions",
    "compute_risk_parity",
    "covariance_of",
    "shrink_covariance",
]
