"""Factor scores of a cross-section of names."""

from risk.domain.factors.scores import (
    SECTOR_SIZE_MIN,
    Z_MAX,
    Factor,
    FactorScore,
    Winsor,
    assign_quantiles,
    compute_factor_scores,
    standardise_factor,
)

__all__ = [
    "SECTOR_SIZE_MIN",
    "Z_MAX",
    "Factor",
    "FactorScore",
    "Winsor",
    "assign_quantiles",
    "compute_factor_scores",
    "standardise_factor",
]
