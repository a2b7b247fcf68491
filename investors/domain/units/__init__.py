"""Lots of a holding: movements, their fold, the choice of lots to redeem.  Pure."""

from investors.domain.units.choose import LotTake, choose_first_in_first_out, choose_named_lots
from investors.domain.units.fold import (
    UnitRollForward,
    count_units,
    fold_lots,
    roll_units_forward,
)
from investors.domain.units.record import (
    build_crystallisation,
    build_issue,
    build_merge,
    build_redemption,
    build_side_pocket,
    build_transfer,
)
from investors.domain.units.types import HeldLot, LotMovement, LotOpening, MovementKind

__all__ = [
    "HeldLot",
    "LotMovement",
    "LotOpening",
    "LotTake",
    "MovementKind",
    "UnitRollForward",
    "build_crystallisation",
    "build_issue",
    "build_merge",
    "build_redemption",
    "build_side_pocket",
    "build_transfer",
    "choose_first_in_first_out",
    "choose_named_lots",
    "count_units",
    "fold_lots",
    "roll_units_forward",
]
