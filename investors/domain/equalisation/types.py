"""Equalisation: one price for the class, and per lot what it charges too much or too little.

Per unit, with g the gross value, f0 the class's fee over the class's mark and fi the lot's own fee:
price n = g - f0; credit = max(0, f0 - fi), holders' money inside the fund; contingent redemption =
max(0, fi - f0), due to the manager.  A unit is worth n + credit - contingent = g - fi.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from investors.domain.exact import ZERO, coerce_decimals, not_negative, positive, total_of
from magnetfund.kernel.errors import InvalidInput


@dataclass(frozen=True, slots=True, kw_only=True)
class EqualisedLot:
    """Units of one subscription with the lot's own mark and hurdle clock.

    ``deposit`` is money held outside the fund for fees that the class's price will not take.
    """

    lot: str
    holder: str
    units: Decimal
    mark: Decimal
    clock: date
    deposit: Decimal = ZERO

    def __post_init__(self) -> None:
        coerce_decimals(self, "units", "mark", "deposit")
        positive(self.units, name="units")
        positive(self.mark, name="mark")
        not_negative(self.deposit, name="deposit")


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

    ``net_value`` is units x (n + credit - contingent) + deposit, in money.
    """

    lot: str
    units: Decimal
    fee_per_unit: Decimal
    credit: Decimal
    contingent: Decimal
    deposit: Decimal
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


@dataclass(frozen=True, slots=True, kw_only=True)
class EqualisedSubscription:
    """``to_units + credit + deposit + residue`` is the amount paid.

    ``to_units`` is units x price and ``credit`` units x (g - price); both enter the fund.
    """

    equalised: EqualisedClass
    lot: EqualisedLot
    to_units: Decimal
    credit: Decimal
    deposit: Decimal
    residue: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class LotCrystallisation:
    """One lot at crystallisation.  ``units_change`` is positive for a credit returned as units.

    ``payable`` is the manager's cash from this lot, of which ``from_deposit`` came from outside the
    fund; ``residue`` is what rounding leaves the fund.
    """

    lot: str
    units_change: Decimal
    fee_per_unit: Decimal
    payable: Decimal
    from_deposit: Decimal
    deposit_returned: Decimal
    residue: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassCrystallisation:
    """The class after its fees became final; ``price`` is the new gross value of a unit."""

    equalised: EqualisedClass
    price: Decimal
    payable: Decimal
    residue: Decimal
    lots: tuple[LotCrystallisation, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EqualisedRedemption:
    """Units that left at the price, with their share of credit paid and of contingent withheld.

    ``payout + payable + residue`` is the gross value of the units and their share of the deposit.
    """

    equalised: EqualisedClass
    units: Decimal
    price: Decimal
    credit_paid: Decimal
    withheld: Decimal
    deposit_released: Decimal
    payout: Decimal
    payable: Decimal
    residue: Decimal
