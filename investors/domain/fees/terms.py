"""Fee terms of a share class, as a policy states them.

Rates are fractions a year; bands of a tiered rate are marginal.  Nothing here moves money.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from investors.domain.exact import ZERO, coerce_decimals, fraction_below_one, not_negative
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


@dataclass(frozen=True, slots=True, kw_only=True)
class FeeTerms:
    """Management and performance fee of one class.

    ``tiers`` start at zero and rise strictly; ``management_floor`` is money a year, never less.
    ``crystallisation_months`` are the months (1 to 12) whose end makes the accrued fee final.
    A cumulative hurdle's clock restarts only when a fee was taken, any other at each
    crystallisation.
    """

    tiers: tuple[Tier, ...] = ()
    day_count: DayCount = DayCount.ACT_365F
    management_floor: Decimal = ZERO
    performance_rate: Decimal = ZERO
    hurdle: Hurdle = Hurdle.NONE
    hurdle_rate: Decimal = ZERO
    hurdle_compounds: bool = False
    hurdle_is_cumulative: bool = True
    crystallisation_months: tuple[int, ...] = (12,)

    def __post_init__(self) -> None:
        coerce_decimals(self, "management_floor", "performance_rate", "hurdle_rate")
        not_negative(self.management_floor, name="management_floor")
        not_negative(self.hurdle_rate, name="hurdle_rate")
        fraction_below_one(self.performance_rate, name="performance_rate")
        bounds = [tier.above for tier in self.tiers]
        if bounds and (bounds[0] != 0 or sorted(set(bounds)) != bounds):
            raise InvalidInput("tiers start at zero and rise", code="bad_tiers")
        if not all(1 <= month <= 12 for month in self.crystallisation_months):
            raise InvalidInput("months run from 1 to 12", code="bad_month")
