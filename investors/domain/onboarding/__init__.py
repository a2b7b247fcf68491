"""Onboarding: the states of an investor's file and the moves between them."""

from investors.domain.onboarding.machine import (
    MOVES,
    Denial,
    KycFile,
    KycState,
    Risk,
    Role,
    check_move,
    find_refresh_day,
)

__all__ = [
    "MOVES",
    "Denial",
    "KycFile",
    "KycState",
    "Risk",
    "Role",
    "check_move",
    "find_refresh_day",
]
