"""Liquidation: the chance of first passage in closed form, and accounts over bootstrapped hours."""

from risk.domain.liquidation.bootstrap import (
    AccountRules,
    AccountYears,
    build_bootstrap_bars,
    simulate_account_years,
)
from risk.domain.liquidation.first_passage import (
    IsolatedCase,
    compute_first_passage,
    compute_liquidation_chance,
)

__all__ = [
    "AccountRules",
    "AccountYears",
    "IsolatedCase",
    "build_bootstrap_bars",
    "compute_first_passage",
    "compute_liquidation_chance",
    "simulate_account_years",
]
