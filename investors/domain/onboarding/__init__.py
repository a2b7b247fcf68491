"""Onboarding: the states of an investor's file, what it needs, and how its risk is rated."""

from investors.domain.onboarding.checklist import ITEMS, CheckItem, find_missing, items_of
from investors.domain.onboarding.machine import (
    MOVES,
    NEED_REASON,
    Decider,
    KycFile,
    KycState,
    MoveDenial,
    Risk,
    check_move,
    choose_role,
    compute_refresh_day,
    list_moves,
)
from investors.domain.onboarding.rating import (
    FACTORS,
    HIGH_FROM,
    MEDIUM_FROM,
    POINTS_MAX,
    Rating,
    rate,
)

__all__ = [
    "FACTORS",
    "HIGH_FROM",
    "ITEMS",
    "MEDIUM_FROM",
    "MOVES",
    "NEED_REASON",
    "POINTS_MAX",
    "CheckItem",
    "Decider",
    "KycFile",
    "KycState",
    "MoveDenial",
    "Rating",
    "Risk",
    "check_move",
    "choose_role",
    "compute_refresh_day",
    "find_missing",
    "items_of",
    "list_moves",
    "rate",
]
