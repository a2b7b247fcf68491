"""Limits: one immutable, versioned set of figures under hard ceilings, and a strategy's own."""

from risk.domain.limits.figures import (
    DEFAULT_LIMITS,
    FIGURES,
    HARD_CEILINGS,
    FigureRule,
    Limits,
    Tighter,
)
from risk.domain.limits.groups import group_correlated
from risk.domain.limits.sets import (
    FigureChange,
    FigureProblem,
    LimitDiff,
    check_limits,
    complete_figures,
    diff_limits,
    figures_of,
    limits_of,
)
from risk.domain.limits.strategy import (
    NO_STRATEGY_LIMITS,
    OPTION_STRATEGY_LIMITS,
    StrategyLimits,
    stricter,
)

__all__ = [
    "DEFAULT_LIMITS",
    "FIGURES",
    "HARD_CEILINGS",
    "NO_STRATEGY_LIMITS",
    "OPTION_STRATEGY_LIMITS",
    "FigureChange",
    "FigureProblem",
    "FigureRule",
    "LimitDiff",
    "Limits",
    "StrategyLimits",
    "Tighter",
    "check_limits",
    "complete_figures",
    "diff_limits",
    "figures_of",
    "group_correlated",
    "limits_of",
    "stricter",
]
