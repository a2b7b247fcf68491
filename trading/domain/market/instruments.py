"""Instruments and their steps: what is traded, in which ticks and lots, under which day rule.

Exact fields (tick, lot, fees, minimum notional) are Decimal.  A price is a whole number of ticks
and a quantity a whole number of lots wherever a decision leaves the domain; both are rounded by
:func:`magnetfund.kernel.money.round_to_step`.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, localcontext
from enum import StrEnum

from magnetfund.kernel.errors import InvalidInput
from magnetfund.kernel.money import CONTEXT, decimal_of
from risk.domain.margin import MaintenanceTier


class InstrumentKind(StrEnum):
    """What a contract is."""

    SPOT = "spot"
    LINEAR_PERPETUAL = "linear_perpetual"
    CFD = "cfd"
    EQUITY = "equity"
    OPTION = "option"


class DayRule(StrEnum):
    """When the trading day of an instrument begins."""

    UTC_MIDNIGHT = "utc_midnight"  # crypto: every hour of the year
    NEW_YORK_17 = "new_york_17"  # FX: 17:00 New York, closed from Friday to Sunday
    EXCHANGE_HOURS = "exchange_hours"  # US equities: 09:30 to 16:00 New York on business days


#: The least that the worst adverse hour of crypto is taken to be, a fraction of the notional.
GAP_FLOOR = Decimal("0.25")


@dataclass(frozen=True, slots=True, kw_only=True)
class InstrumentTerms:
    """One tradable contract of one venue.

    ``tick`` and ``lot`` are the price and quantity steps; one tick of one lot is worth
    ``tick * lot * multiplier`` in the settle currency.  Fees are fractions of notional, a negative
    maker fee is a rebate.  ``gap_floor`` is the class floor of the worst adverse hour, a fraction
    of at least :data:`GAP_FLOOR`.  ``source_label`` is shown with its prices ("spot proxy",
    "SIMULATED"), "" for the venue's own.
    """

    symbol: str
    venue: str
    kind: InstrumentKind
    base: str
    quote: str
    settle: str
    tick: Decimal
    lot: Decimal
    minimum_notional: Decimal = Decimal(0)
    maker_fee: Decimal = Decimal(0)
    taker_fee: Decimal = Decimal(0)
    multiplier: Decimal = Decimal(1)
    maintenance_tiers: tuple[MaintenanceTier, ...] = ()
    gap_floor: Decimal = GAP_FLOOR
    day_rule: DayRule = DayRule.UTC_MIDNIGHT
    source_label: str = ""

    def __post_init__(self) -> None:
        if not self.symbol or not self.venue:
            raise InvalidInput("an instrument needs a symbol and a venue", code="bad_instrument")
        for name in ("tick", "lot", "multiplier"):
            if decimal_of(getattr(self, name)) <= 0:
                raise InvalidInput(f"{name} must be positive", code="bad_step")
        for name in ("minimum_notional", "taker_fee"):
            if decimal_of(getattr(self, name)) < 0:
                raise InvalidInput(f"{name} must not be negative", code="bad_instrument")
        if decimal_of(self.gap_floor) < GAP_FLOOR:
            raise InvalidInput(f"gap_floor is at least {GAP_FLOOR}", code="bad_instrument")
        if not -1 < decimal_of(self.maker_fee) < 1 or self.taker_fee >= 1 or self.gap_floor > 1:
            raise InvalidInput("fees and gap are fractions", code="bad_instrument")

    @property
    def tick_value(self) -> Decimal:
        """Settle currency of one tick of one lot."""
        with localcontext(CONTEXT):
            return self.tick * self.lot * self.multiplier
