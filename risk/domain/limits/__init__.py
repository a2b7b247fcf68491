"""Limits: one immutable, versioned set of figures under hard ceilings, and a strategy's own."""

from risk.domain.limits.figures import (
    FIGURES,
    HARD_CEILINGS,
    FigureRule,
    LimitSet,
    Tighter,
)
from risk.domain.limits.strategy import (
    NO_STRATEGY_LIMITS,
    OPTION_STRATEGY_LIMITS,
    StrategyLimits,
    stricter,
)

__all__ = [
    "FIGURES",
    "HARD_CEILINGS",
    "NO_STRATEGY_LIMITS",
    "OPTION_STRATEGY_LIMITS",
    "FigureRule",
    "LimitSet",
    "StrategyLimits",
    "Tighter",
    "stricter",
]
