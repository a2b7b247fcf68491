"""Sizing: the largest whole number of lots that every law allows, and which law that was.

What other rules would have said stands in :mod:`risk.domain.sizing.comparisons`, which needs numpy;
a decision does not.
"""

from risk.domain.sizing.choose import compute_rooms, liquidation_price_of, size_position
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
    "SizeRoom",
    "SizingCase",
    "SizingDecision",
    "SizingReason",
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
