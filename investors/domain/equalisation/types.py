"""Equalisation: one price for the class, and per lot what it charges too much or too little.

Per unit, with g the gross value, f0 the class's fee over the class's mark and fi the lot's own fee:
price n = g - f0; credit = max(0, f0 - fi), holders' money inside the fund; contingent redemption =
max(0, fi - f0), due to the manager.  A unit is worth n + credit - contingent = g - fi.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from investors.domain.exact import coerce_decimals, positive, total_of
from magnetfund.kernel.errors import InvalidInput


@dataclass(frozen=True, slots=True, kw_only=True)
class EqualisedLot:
    """Units of one subscription with the lot's own mark and hurdle clock."""

    lot: str
    holder: str
    units: Decimal
    mark: Decimal
    clock: date

    def __post_init__(self) -> None:
        coerce_decimals(self, "units", "mark")
        positive(self.units, name="units")
        positive(self.mark, name="mark")


@dataclass(frozen=True, slots=True, kw_only=True)
class EqualisedClass:
    """The mark and clock by which the published price is charged, and the lots.

    A new class has its launch price as mark.  Raises ``InvalidInput``: ``not_positive``,
    ``duplicate_lot``.
    """

    mark: Decimal
    clock: date
    lots: tuple[EqualisedLot, ...] = ()

    def __post_init__(self) -> None:
        coerce_decimals(self, "mark")
        positive(self.mark, name="mark")
        if len({lot.lot for lot in self.lots}) != len(self.lots):
            raise InvalidInput("a lot is held once", code="duplicate_lot")

    @property
    def units(self) -> Decimal:
        """Units in issue."""
        return total_of(lot.units for lot in self.lots)


@dataclass(frozen=True, slots=True, kw_only=True)
class LotEqualisation:
    """One lot, per unit: its own fee, its credit, its contingent redemption.  Unrounded.

    ``net_value`` is units x (n + credit - contingent), in money.
    """

    lot: str
    units: Decimal
    fee_per_unit: Decimal
    credit: Decimal
    contingent: Decimal
    net_value: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassValue:
    """The class at gross value ``gross`` a unit; everybody sees ``price``.

    ``accrual`` = units x class fee - all credits + all contingent redemptions: what the manager is
    owed, the sum of the lots' own fees.
    """

    gross: Decimal
    fee_per_unit: Decimal
    price: Decimal
    accrual: Decimal
    lots: tuple[LotEqualisation, ...]
