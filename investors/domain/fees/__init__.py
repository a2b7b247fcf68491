"""Fees of a share class: terms, management fee, performance fee per lot, fee units.  Pure."""

from investors.domain.fees.management import (
    compute_annual_fee,
    compute_management_fee,
    compute_posting,
    year_fraction,
)
from investors.domain.fees.performance import (
    FeeUnits,
    choose_clock,
    compute_accrued_fee,
    compute_fee_over_mark,
    compute_hurdle_return,
    compute_performance_fee,
    compute_simple_hurdle,
    crystallise_units,
    is_crystallisation_day,
)
from investors.domain.fees.terms import (
    ClassTerms,
    DayCount,
    FeeForm,
    FeePresentation,
    Hurdle,
    LockUp,
    Rank,
    Tier,
)

__all__ = [
    "ClassTerms",
    "DayCount",
    "FeeForm",
    "FeePresentation",
    "FeeUnits",
    "Hurdle",
    "LockUp",
    "Rank",
    "Tier",
    "choose_clock",
    "compute_accrued_fee",
    "compute_annual_fee",
    "compute_fee_over_mark",
    "compute_hurdle_return",
    "compute_management_fee",
    "compute_performance_fee",
    "compute_posting",
    "compute_simple_hurdle",
    "crystallise_units",
    "is_crystallisation_day",
    "year_fraction",
]
