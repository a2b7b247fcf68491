"""Drawdown, ratios of return to risk, how sure a Sharpe ratio is, and Kelly."""

from risk.domain.ratios.drawdown import (
    compute_equity_drawdowns,
    compute_growth_rate,
)
from risk.domain.ratios.inference import (
    SharpeFacts,
    compute_deflated_sharpe,
    compute_expected_sharpe_max,
    compute_fall_probability,
    compute_kelly_binary,
    compute_kelly_continuous,
    compute_kelly_shrinkage,
    compute_probabilistic_sharpe,
    compute_sharpe_facts,
    compute_track_record_min,
)
from risk.domain.ratios.measures import (
    compute_downside_deviation,
    compute_profit_factor,
    compute_rolling_sharpe,
    compute_sharpe,
    compute_sharpe_of_sums,
    compute_sortino,
)

__all__ = [
    "SharpeFacts",
    "compute_deflated_sharpe",
    "compute_downside_deviation",
    "compute_equity_drawdowns",
    "compute_expected_sharpe_max",
    "compute_fall_probability",
    "compute_growth_rate",
    "compute_kelly_binary",
    "compute_kelly_continuous",
    "compute_kelly_shrinkage",
    "compute_probabilistic_sharpe",
    "compute_profit_factor",
    "compute_rolling_sharpe",
    "compute_sharpe",
    "compute_sharpe_facts",
    "compute_sharpe_of_sums",
    "compute_sortino",
    "compute_track_record_min",
]
