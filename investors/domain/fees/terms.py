"""The terms of a share class, as its policy states them: one object for both NAV engines.

Rates are fractions a year; bands of a tiered rate are marginal.  Nothing here moves money.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from investors.domain.exact import (
    ONE,
    ZERO,
    coerce_decimals,
    fraction_below_one,
    not_negative,
    share_of_one,
)
from magnetfund.kernel.errors import InvalidInput


class DayCount(StrEnum):
    """Year fraction of a period; 30/360 is the US bond basis without the February rule."""

    ACT_365F = "act/365f"
    ACT_360 = "act/360"
    THIRTY_360 = "30/360"


class Hurdle(StrEnum):
    """How the hurdle return bounds the performance fee."""

    NONE = "none"
    HARD = "hard"
    SOFT_GROSS = "soft_gross"
    SOFT_NET = "soft_net"
    SOFT_CATCH_UP = "soft_catch_up"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """Annual rate on the part of the base from ``above`` (money) to the next tier."""

    above: Decimal
    rate: Decimal

    def __post_init__(self) -> None:
        coerce_decimals(self, "above", "rate")
        not_negative(self.above, name="above")
        fraction_below_one(self.rate, name="rate")


class FeeForm(StrEnum):
    """Where the entry fee sits."""

    INSIDE = "inside"  # N = A (1 - e)
    ON_TOP = "on_top"  # N = A / (1 + e)


class FeePresentation(StrEnum):
    """How a holder is shown the performance fee: marks per lot, or a method of the same values."""

    LOTS = "lots"
    SERIES = "series"
    EQUALISATION = "equalisation"


class LockUp(StrEnum):
    """A hard lock refuses; a soft lock lets go for a fee that the fund keeps."""

    NONE = "none"
    HARD = "hard"
    SOFT = "soft"


class Rank(StrEnum):
    """Who is filled first when a gate binds."""

    EQUAL = "equal"
    OLDER_FIRST = "older_first"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassTerms:
    """Everything that the offering document says of one class; rates are fractions a year.

    Management fee: ``tiers`` start at zero and rise strictly, or one flat ``management_rate``;
    ``management_floor`` is money a year, never less.  Performance fee: per lot over its high-water
    mark.  ``crystallisation_months`` are the months (1 to 12) whose end makes the accrued fee
    final; there every hurdle clock restarts, with ``hurdle_is_cumulative`` only that of a lot that
    was charged.  ``fee_presentation`` is how holders are shown that fee; it moves no value.

    Dealing: entry and exit fees, notice in business days, lock-up in days from the lot's dealing
    day, ``gate_share`` of the fund's NAV and ``investor_gate_share`` of the holder's own units that
    may leave on one day (1: no gate), minimums in money, the share of a full redemption that is
    held back, and how often an unpaid subscription rolls before its money goes back.  Into a class
    that is not ``is_open`` nobody buys or switches; holders stay and may leave.  Quanta are the
    smallest steps of price, units and cash.
    """

    management_rate: Decimal = ZERO
    tiers: tuple[Tier, ...] = ()
    day_count: DayCount = DayCount.ACT_365F
    management_floor: Decimal = ZERO
    performance_rate: Decimal = ZERO
    hurdle: Hurdle = Hurdle.NONE
    hurdle_rate: Decimal = ZERO
    hurdle_compounds: bool = False
    hurdle_is_cumulative: bool = False
    crystallisation_months: tuple[int, ...] = (12,)
    fee_presentation: FeePresentation = FeePresentation.LOTS
    entry_fee_rate: Decimal = ZERO
    entry_fee_form: FeeForm = FeeForm.INSIDE
    exit_fee_rate: Decimal = ZERO
    notice_days: int = 0
    lock_up: LockUp = LockUp.NONE
    lock_up_days: int = 0
    soft_lock_fee_rate: Decimal = ZERO
    gate_share: Decimal = ONE
    gate_rank: Rank = Rank.EQUAL
    investor_gate_share: Decimal = ONE
    minimum_redemption: Decimal = ZERO
    minimum_holding: Decimal = ZERO
    holdback_share: Decimal = ZERO
    rolls_max: int = 3
    is_open: bool = True
    price_quantum: Decimal = Decimal("0.000001")
    unit_quantum: Decimal = Decimal("0.000001")
    cash_quantum: Decimal = Decimal("0.01")

    def __post_init__(self) -> None:
        coerce_decimals(self, *_MONEY, *_RATES, *_SHARES, *_QUANTA)
        for name in (*_MONEY, "hurdle_rate"):
            not_negative(getattr(self, name), name=name)
        for name in _RATES:
            if name != "hurdle_rate":
                fraction_below_one(getattr(self, name), name=name)
        for name in _SHARES:
            share_of_one(getattr(self, name), name=name)
        for name in _QUANTA:
            if getattr(self, name) not in (Decimal(10) ** -digits for digits in range(19)):
                raise InvalidInput(f"{name} is a power of ten up to 1", code="bad_quantum")
        if not self.gate_share > 0 or not self.investor_gate_share > 0:
            raise InvalidInput("a gate share must be above zero", code="bad_gate")
        if min(self.notice_days, self.lock_up_days, self.rolls_max) < 0:
            raise InvalidInput("days and rolls must not be negative", code="negative")
        bounds = [tier.above for tier in self.tiers]
        if bounds and (bounds[0] != 0 or sorted(set(bounds)) != bounds):
            raise InvalidInput("tiers must start at zero and rise", code="bad_tiers")
        if self.tiers and self.management_rate:
            raise InvalidInput("give either tiers or one management rate", code="bad_tiers")
        if not all(1 <= month <= 12 for month in self.crystallisation_months):
            raise InvalidInput("months must lie between 1 and 12", code="bad_month")

    @property
    def bands(self) -> tuple[Tier, ...]:
        """The tiers of the management fee; one from zero where the rate is flat."""
        return self.tiers or (Tier(above=ZERO, rate=self.management_rate),)


_MONEY = ("management_floor", "minimum_redemption", "minimum_holding")
_RATES = (
    "management_rate",
    "performance_rate",
    "hurdle_rate",
    "entry_fee_rate",
    "exit_fee_rate",
    "soft_lock_fee_rate",
)
_SHARES = ("gate_share", "investor_gate_share", "holdback_share")
_QUANTA = ("price_quantum", "unit_quantum", "cash_quantum")
