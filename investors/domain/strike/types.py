"""Inputs and results of a NAV strike, in exact Decimals."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from investors.domain.fees import ClassTerms

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class LotInput:
    """Units of one lot before this strike's dealing, with its own mark and hurdle clock.

    ``number`` is the order of issue and breaks ties; ``cost`` the money that its units took in;
    ``lockup_until`` the first day on which it is free (``None``: always).
    """

    lot: str
    number: int
    units: Decimal
    mark: Decimal
    clock: date
    dealing_day: date
    cost: Decimal = ZERO
    holder: str = ""
    lockup_until: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassInput:
    """One class: its terms, lots, and where the previous dealing left it.

    ``gav_before`` is price times units after the previous dealing, ``nav_before`` the same less the
    standing performance accrual: the weight of the class in what the fund earned since.
    ``terms_version`` names the terms.  ``fee_cumulative`` is the unrounded management fee since
    inception, so that rounding cannot drift.
    """

    code: str
    terms: ClassTerms
    launch_price: Decimal
    lots: tuple[LotInput, ...]
    gav_before: Decimal = ZERO
    nav_before: Decimal = ZERO
    fee_cumulative: Decimal = ZERO
    accrual_before: Decimal = ZERO
    terms_version: int = 0

    @property
    def units(self) -> Decimal:
        """Units in issue before this strike's dealing."""
        return sum((lot.units for lot in self.lots), ZERO)


@dataclass(frozen=True, slots=True, kw_only=True)
class PocketInput:
    """A claim that this strike sets apart: its name, and its value in ``net_assets``."""

    pocket: str
    value: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassPocket:
    """What one class puts into a new side pocket.

    ``value`` is its part of the claim in cents, ``units`` are those that leave its lots, and
    ``fee_released`` the performance fee that was accrued on them.
    """

    pocket: str
    value: Decimal
    units: Decimal
    fee_released: Decimal

    def plain(self) -> dict[str, str]:
        """As the strike's row keeps it and its signer's hash covers it."""
        return {
            "pocket": self.pocket,
            "value": f"{self.value:f}",
            "units": f"{self.units:f}",
            "fee_released": f"{self.fee_released:f}",
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class PocketLot:
    """Pocket units of one lot: ``price`` is what one was worth when it was set apart, ``value``
    what they are carried at now."""

    lot: str
    share_class: str
    holder: str
    units: Decimal
    price: Decimal
    value: Decimal
    mark: Decimal
    clock: date


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeInput:
    """A side pocket that becomes main units with this strike: its name, and all of its lots."""

    pocket: str
    lots: tuple[PocketLot, ...]

    @property
    def value(self) -> Decimal:
        """What the claim is carried at, which comes into the classes."""
        return sum((lot.value for lot in self.lots), ZERO)

    def plain(self) -> list[object]:
        """As a strike's inputs are frozen: the name, and each lot with what decides about it."""
        lots = [[x.lot, x.units, x.price, x.value, x.mark, x.clock] for x in self.lots]
        return [self.pocket, lots]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassMerge:
    """What a side pocket brings one class: its lots' value in cents, the performance fee that is
    taken of it, and the main units that the rest buys."""

    pocket: str
    value: Decimal
    fee: Decimal
    units: Decimal

    def plain(self) -> dict[str, str]:
        """As the strike's row keeps it and its signer's hash covers it."""
        return {
            "pocket": self.pocket,
            "value": f"{self.value:f}",
            "fee": f"{self.fee:f}",
            "units": f"{self.units:f}",
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class StrikeInputs:
    """A whole fund at one valuation instant.

    ``net_assets`` is GAV0: all assets less all liabilities, without this period's management fee
    and without the uncrystallised performance-fee accrual.  ``unallocated`` is money that stands in
    the books while no class has units; it was taken out of ``net_assets`` as a liability.
    ``expenses`` are the period's, booked before and so out of ``net_assets`` already, and
    ``currency_result`` is what stablecoins gained in it: both only part the waterfall.  Days count
    from ``previous_day`` (exclusive) to ``day`` (inclusive).  ``net_assets`` is without the claims
    of side pockets that stand, and with those of ``pockets``, which leave the classes with this
    strike's dealing; ``merges`` come back with it, and are not in it.
    """

    day: date
    previous_day: date | None
    net_assets: Decimal
    classes: tuple[ClassInput, ...]
    unallocated: Decimal = ZERO
    expenses: Decimal = ZERO
    pockets: tuple[PocketInput, ...] = ()
    merges: tuple[MergeInput, ...] = ()
    currency_result: Decimal = ZERO


@dataclass(frozen=True, slots=True, kw_only=True)
class LotStrike:
    """One lot: fee accrued per unit (unrounded) and net value per unit, n = g - pf."""

    lot: str
    number: int
    units: Decimal
    mark: Decimal
    fee_per_unit: Decimal
    net_per_unit: Decimal

    @property
    def net_value(self) -> Decimal:
        """u n, unrounded."""
        return self.units * self.net_per_unit


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassStrike:
    """One class: ``price`` is g, at which everybody deals; ``nav`` is after all fees, in cents.

    A class without units has no price (``None``) and issues its next unit at ``issue_price``, its
    launch price; elsewhere that is g.  ``expenses`` is its part of the period's, which ``gav0`` is
    without.  ``residue`` is gav - price x units: what the rounding of the
    price leaves to the next strike.  ``pockets`` are what the class puts into side pockets when
    the strike is dealt: every figure here is still with it, and without ``merges``, which come
    back then.  ``lot_values`` are the lots' net
    values in cents, in the order of ``lots``; they add to their own exact sum, rounded once.
    """

    code: str
    units: Decimal
    gav0: Decimal
    expenses: Decimal
    management_fee: Decimal
    fee_cumulative: Decimal
    gav: Decimal
    price: Decimal | None
    price_unrounded: Decimal | None
    issue_price: Decimal
    performance_fee: Decimal
    accrual_change: Decimal
    nav: Decimal
    nav_per_unit: Decimal | None
    residue: Decimal
    lots: tuple[LotStrike, ...]
    lot_values: tuple[Decimal, ...]
    pockets: tuple[ClassPocket, ...] = ()
    merges: tuple[ClassMerge, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Strike:
    """The fund in whole cents: classes, and the waterfall to net assets as (name, amount) lines.

    ``carried`` is the part of the books finer than a cent, left to the next strike.
    """

    day: date
    net_assets: Decimal
    carried: Decimal
    nav: Decimal
    classes: tuple[ClassStrike, ...]
    waterfall: tuple[tuple[str, Decimal], ...]
