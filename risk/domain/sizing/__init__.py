"""Sizing: the largest whole number of lots that every law allows, and which law that was."""

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
    "gap_loss_rate_core",
    "is_stop_before_liquidation_core",
    "liquidation_price_core",
    "lots_core",
    "lots_within_core",
    "stop_loss_rate_core",
]
