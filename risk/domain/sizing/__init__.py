"""Sizing: the largest whole number of lots that every law allows, and which law that was."""

from risk.domain.sizing.choose import compute_rooms, liquidation_price_of, size_position
from risk.domain.sizing.comparisons import (
    SizeComparison,
    compare_sizing,
    compute_kelly_share,
)
from risk.domain.sizing.core import (
    gap_loss_rate_core,
    is_stop_before_liquidation_core,
    liquidation_price_core,
    lots_core,
    lots_within_core,
    stop_loss_rate_core,
)
from risk.domain.sizing.types import (
    SizeCap,
    SizeRoom,
    SizingCase,
    SizingDecision,
    SizingReason,
)

__all__ = [
    "SizeCap",
    "SizeComparison",
    "SizeRoom",
    "SizingCase",
    "SizingDecision",
    "SizingReason",
    "compare_sizing",
    "compute_kelly_share",
    "compute_rooms",
    "gap_loss_rate_core",
    "is_stop_before_liquidation_core",
    "liquidation_price_core",
    "liquidation_price_of",
    "lots_core",
    "lots_within_core",
    "size_position",
    "stop_loss_rate_core",
]
