"""A series: the units opened on one dealing day, with their own price, mark and hurdle clock.

``price`` is before the fee that has accrued since the last crystallisation; the fee lowers the
price, so no units are cancelled.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from investors.domain.exact import coerce_decimals, positive, total_of
from magnetfund.kernel.errors import InvalidInput


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesHolding:
    """Units of one lot in a series.  The lot keeps its name when its series rolls up."""

    lot: str
    holder: str
    units: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Units with one price and one mark.  ``number`` is the order of opening.

    Raises ``InvalidInput``: ``not_positive`` (price or mark), ``duplicate_lot``.
    """

    code: str
    number: int
    opened: date
    price: Decimal
    mark: Decimal
    clock: date
    holdings: tuple[SeriesHolding, ...]

    def __post_init__(self) -> None:
        coerce_decimals(self, "price", "mark")
        positive(self.price, name="price")
        positive(self.mark, name="mark")
        if len({holding.lot for holding in self.holdings}) != len(self.holdings):
            raise InvalidInput("a lot is held once", code="duplicate_lot")

    @property
    def units(self) -> Decimal:
        """Units in issue."""
        return total_of(holding.units for holding in self.holdings)


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesValue:
    """``net_price = price - fee_per_unit``; ``accrual`` is the fee of all units, unrounded."""

    code: str
    units: Decimal
    price: Decimal
    fee_per_unit: Decimal
    net_price: Decimal
    accrual: Decimal
    net_value: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesCrystallisation:
    """The series after its fee became final.  ``payable`` is the manager's cash, rounded down.

    What rounding left of the fee stays in the price of this series, with those who were charged.
    """

    series: Series
    fee_per_unit: Decimal
    payable: Decimal
