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
from investors.domain.statements.result import (
    RESULT_LINES,
    ClassPeriod,
    FundPeriod,
    bound_rounding,
    share_by_weight,
    split_result,
)
from investors.domain.statements.spans import (
    HoldingPoint,
    Span,
    flows_of_points,
    measure_span,
)

__all__ = [
    "FEE_COMPONENTS",
    "FLOW_COMPONENTS",
    "RESULT_LINES",
    "ClassPeriod",
    "FundPeriod",
    "HoldingPoint",
    "Span",
    "Statement",
    "StatementHead",
    "StatementLot",
    "TieOut",
    "bound_rounding",
    "build_statement",
    "flows_of_points",
    "measure_span",
    "share_by_weight",
    "split_result",
]
