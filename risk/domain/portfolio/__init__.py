"""Portfolio construction as a proposal beside the present book."""

from risk.domain.portfolio.weights import (
    covariance_of,
    find_maximum_sharpe,
    find_minimum_variance,
    find_risk_contributions,
    find_risk_parity,
    shrink_covariance,
)

__all__ = [
    "covariance_of",
    "find_maximum_sharpe",
    "find_minimum_variance",
    "find_risk_contributions",
    "find_risk_parity",
    "shrink_covariance",
]
