"""Returns and their bridges: TWR, modified Dietz, XIRR, monthly table, gain to TWR to MWR."""

from investors.domain.performance.bridges import (
    VALUE_BRIDGE_ORDER,
    BridgeLine,
    ReturnBridge,
    ValueBridge,
    ValueBridgeLine,
    build_return_bridge,
    build_value_bridge,
)
from investors.domain.performance.class_record import ClassPoint, NetPoint, build_net_record
from investors.domain.performance.figures import Flow, Method, ReturnFigure, Undefined, ValuedFlow
from investors.domain.performance.money_weighted import compute_mwr, compute_xirr
from investors.domain.performance.returns import (
    AnnualisedReturn,
    BenchmarkComparison,
    YearRow,
    annualise_return,
    build_monthly_table,
    compare_with_benchmark,
    compound_rate,
    compute_modified_dietz,
    compute_money_gain,
    compute_twr,
)

__all__ = [
    "VALUE_BRIDGE_ORDER",
    "AnnualisedReturn",
    "BenchmarkComparison",
    "BridgeLine",
    "ClassPoint",
    "Flow",
    "Method",
    "NetPoint",
    "ReturnBridge",
    "ReturnFigure",
    "Undefined",
    "ValueBridge",
    "ValueBridgeLine",
    "ValuedFlow",
    "YearRow",
    "annualise_return",
    "build_monthly_table",
    "build_net_record",
    "build_return_bridge",
    "build_value_bridge",
    "compare_with_benchmark",
    "compound_rate",
    "compute_modified_dietz",
    "compute_money_gain",
    "compute_mwr",
    "compute_twr",
    "compute_xirr",
]
