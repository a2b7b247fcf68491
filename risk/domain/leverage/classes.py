"""Leverage that a class of instrument allows, whatever the venue offers."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

#: Most notional per equity by kind of instrument; a kind that is not listed has no cap of its own.
#: CFD: 2:1 for crypto in the EU (ESMA decision (EU) 2018/796, kept in national law).  Equity: 50 %
#: initial margin (Federal Reserve Regulation T).  Spot: nothing is borrowed.
CLASS_LEVERAGE_MAX: Mapping[str, float] = MappingProxyType({"cfd": 2.0, "equity": 2.0, "spot": 1.0})


def class_leverage_max(kind: str) -> float | None:
    """The cap of a kind of instrument; None where the class sets none."""
    return CLASS_LEVERAGE_MAX.get(kind)
