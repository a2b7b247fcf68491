"""Reconciliation of the ledger with venues, banks and the register; breaks have names."""

from investors.domain.reconciliation.matching import (
    Break,
    BreakKind,
    BreakState,
    Line,
    Reconciliation,
    UnitRoll,
    match_lines,
    move_break,
)

__all__ = [
    "Break",
    "BreakKind",
    "BreakState",
    "Line",
    "Reconciliation",
    "UnitRoll",
    "match_lines",
    "move_break",
]
