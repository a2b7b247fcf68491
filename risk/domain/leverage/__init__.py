"""Leverage: the founding formula, its tiers, and every cap with the one that binds."""

from risk.domain.leverage.choose import (
    choose_leverage,
    compute_evidence_cap,
    policy_of_level,
    resolve_evidence_policy,
)
from risk.domain.leverage.classes import class_leverage_max
from risk.domain.leverage.core import (
    capped_core,
    leverage_core,
    liquidation_cap_core,
    tier_core,
    volatility_cap_core,
)
from risk.domain.leverage.types import (
    CapName,
    CapStatus,
    EvidencePolicy,
    EvidenceState,
    LeverageCap,
    LeverageCase,
    LeverageDecision,
    LeverageReason,
)

__all__ = [
    "CapName",
    "CapStatus",
    "EvidencePolicy",
    "EvidenceState",
    "LeverageCap",
    "LeverageCase",
    "LeverageDecision",
    "LeverageReason",
    "capped_core",
    "choose_leverage",
    "class_leverage_max",
    "compute_evidence_cap",
    "leverage_core",
    "liquidation_cap_core",
    "policy_of_level",
    "resolve_evidence_policy",
    "tier_core",
    "volatility_cap_core",
]
