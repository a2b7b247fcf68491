"""Value at risk and expected shortfall, and tests of whether their forecasts held."""

from risk.domain.tail_risk.backtests import (
    SHORTFALL_CRITICAL_5_PERCENT,
    BaselVerdict,
    BaselZone,
    LikelihoodTest,
    ShortfallTest,
    TransitionCounts,
    check_conditional_coverage,
    check_coverage,
    check_independence,
    check_shortfall,
    compute_basel_zone,
    count_transitions,
    find_exceptions,
)
from risk.domain.tail_risk.compare import WINDOW_DAYS, TailRecord, TailRow, compare_tails
from risk.domain.tail_risk.measures import (
    compute_cornish_fisher_risk,
    compute_historical_risk,
    compute_normal_risk,
    cornish_fisher_is_monotone,
    value_cornish_fisher_tail,
    value_normal_tail,
)
from risk.domain.tail_risk.types import QuantileRule, TailMethod, TailRisk
from risk.domain.tail_risk.volatility import (
    DECAY,
    SEED_PERIODS,
    compute_ewma_risk,
    compute_ewma_volatility,
    compute_filtered_risk,
)

__all__ = [
    "DECAY",
    "SEED_PERIODS",
    "SHORTFALL_CRITICAL_5_PERCENT",
    "WINDOW_DAYS",
    "BaselVerdict",
    "BaselZone",
    "LikelihoodTest",
    "QuantileRule",
    "ShortfallTest",
    "TailMethod",
    "TailRecord",
    "TailRisk",
    "TailRow",
    "TransitionCounts",
    "check_conditional_coverage",
    "check_coverage",
    "check_independence",
    "check_shortfall",
    "compare_tails",
    "compute_basel_zone",
    "compute_cornish_fisher_risk",
    "compute_ewma_risk",
    "compute_ewma_volatility",
    "compute_filtered_risk",
    "compute_historical_risk",
    "compute_normal_risk",
    "cornish_fisher_is_monotone",
    "count_transitions",
    "find_exceptions",
    "value_cornish_fisher_tail",
    "value_normal_tail",
]
