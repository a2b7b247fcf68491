"""A wrong NAV put right: strikes re-run, errors weighed, holders and the fund made whole."""

from investors.domain.restatement.compensation import (
    Compensation,
    CompensationTerms,
    CompensationWay,
    DealKind,
    WrongDeal,
    build_compensation_entries,
    compute_compensations,
    value_fund_loss,
)
from investors.domain.restatement.strikes import (
    PriceError,
    Restated,
    check_price,
    restate_strikes,
)

__all__ = [
    "Compensation",
    "CompensationTerms",
    "CompensationWay",
    "DealKind",
    "PriceError",
    "Restated",
    "WrongDeal",
    "build_compensation_entries",
    "check_price",
    "compute_compensations",
    "restate_strikes",
    "value_fund_loss",
]
