"""A slot of a book: one strategy on one instrument."""

from __future__ import annotations

from dataclasses import dataclass

from trading.models import Instrument


@dataclass(frozen=True, slots=True, kw_only=True)
class Sleeve:
    """``risk_fraction`` is the share of equity that one trade may lose at its stop."""

    strategy: str
    instrument: Instrument
    risk_fraction: float
