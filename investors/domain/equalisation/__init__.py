"""Equalisation: one price per unit, credits and contingent redemptions per lot.  Pure."""

from investors.domain.equalisation.events import crystallise_class, redeem_equalised
from investors.domain.equalisation.types import (
    ClassCrystallisation,
    ClassValue,
    EqualisedClass,
    EqualisedLot,
    EqualisedRedemption,
    EqualisedSubscription,
    LotCrystallisation,
    LotEqualisation,
)
from investors.domain.equalisation.value import subscribe_equalised, value_class

__all__ = [
    "ClassCrystallisation",
    "ClassValue",
    "EqualisedClass",
    "EqualisedLot",
    "EqualisedRedemption",
    "EqualisedSubscription",
    "LotCrystallisation",
    "LotEqualisation",
    "crystallise_class",
    "redeem_equalised",
    "subscribe_equalised",
    "value_class",
]
