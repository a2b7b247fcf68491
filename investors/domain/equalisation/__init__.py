"""Equalisation: one price per unit, credits and contingent redemptions per lot.  Pure."""

from investors.domain.equalisation.types import (
    ClassValue,
    EqualisedClass,
    EqualisedLot,
    LotEqualisation,
)
from investors.domain.equalisation.value import value_class

__all__ = [
    "ClassValue",
    "EqualisedClass",
    "EqualisedLot",
    "LotEqualisation",
    "value_class",
]
