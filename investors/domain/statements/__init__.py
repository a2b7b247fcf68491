"""Statements as data; printing them is not this package's business."""

from investors.domain.statements.build import (
    FEE_COMPONENTS,
    FLOW_COMPONENTS,
    Statement,
    StatementHead,
    StatementLot,
    TieOut,
    build_statement,
)

__all__ = [
    "FEE_COMPONENTS",
    "FLOW_COMPONENTS",
    "Statement",
    "StatementHead",
    "StatementLot",
    "TieOut",
    "build_statement",
]
