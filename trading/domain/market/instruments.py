"""Instruments and their steps: what is traded, in which ticks and lots, under which day rule.

Exact fields (tick, lot, fees, minimum notional) are Decimal.  A price is a whole number of ticks
and a quantity a whole number of lots wherever a decision leaves the domain; this module is the one
place that converts between them and Decimal or float64.

Invariant: ``price_from_ticks(ticks_from_price(p)) == p`` for every price on the tick grid, and the
same for lots.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal, localcontext
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from magnetfund.kernel.errors import InvalidInput
from magnetfund.kernel.money import CONTEXT, Rounding, decimal_from_float, decimal_of
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """One tradable contract of one venue.

    ``tick`` and ``lot`` are the price and quantity steps; one tick of one lot is worth
    ``tick * lot * multiplier`` in the settle currency.  Fees are fractions of notional, a negative
    maker fee is a rebate.  ``gap_floor`` is the class floor of the worst adverse hour, a fraction
    (0.25 for crypto).  ``source_label`` is shown with its prices ("spot proxy", "SIMULATED"), ""
    for the venue's own.
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
    gap_floor: Decimal = Decimal("0.25")
    day_rule: DayRule = DayRule.UTC_MIDNIGHT
    source_label: str = ""

    def __post_init__(self) -> None:
        if not self.symbol or not self.venue:
            raise InvalidInput("an instrument needs a symbol and a venue", code="bad_instrument")
        for name in ("tick", "lot", "multiplier"):
            if decimal_of(getattr(self, name)) <= 0:
                raise InvalidInput(f"{name} must be positive", code="bad_step")
        for name in ("minimum_notional", "taker_fee", "gap_floor"):
            if decimal_of(getattr(self, name)) < 0:
                raise InvalidInput(f"{name} must not be negative", code="bad_instrument")
        if not -1 < decimal_of(self.maker_fee) < 1 or self.taker_fee >= 1 or self.gap_floor > 1:
            raise InvalidInput("fees and gap are fractions", code="bad_instrument")

    @property
    def tick_value(self) -> Decimal:
        """Settle currency of one tick of one lot."""
        with localcontext(CONTEXT):
            return self.tick * self.lot * self.multiplier


def ticks_from_price(*, price: Decimal, instrument: Instrument) -> int:
    """The whole ticks of a price on the grid; raises :class:`InvalidInput` (``off_tick``) else."""
    return _whole_steps(price, instrument.tick, "off_tick")


def price_from_ticks(*, ticks: int, instrument: Instrument) -> Decimal:
    """The exact price of whole ticks."""
    with localcontext(CONTEXT):
        return instrument.tick * ticks


def lots_from_quantity(*, quantity: Decimal, instrument: Instrument) -> int:
    """The whole (signed) lots of a quantity; raises :class:`InvalidInput` (``off_lot``) else."""
    return _whole_steps(quantity, instrument.lot, "off_lot")


def quantity_from_lots(*, lots: int, instrument: Instrument) -> Decimal:
    """The exact (signed) quantity of whole lots."""
    with localcontext(CONTEXT):
        return instrument.lot * lots


def round_to_ticks(
    *, price: Decimal | float, instrument: Instrument, rounding: Rounding = Rounding.HALF_EVEN
) -> int:
    """The ticks nearest to any positive price, or on the side that ``rounding`` names."""
    ticks = _round_steps(price, instrument.tick, rounding)
    if ticks < 1:
        raise InvalidInput("the price lies below one tick", code="price_not_positive")
    return ticks


def round_to_lots(
    *, quantity: Decimal | float, instrument: Instrument, rounding: Rounding = Rounding.DOWN
) -> int:
    """The lots of any quantity, toward zero unless told otherwise: never more than was asked."""
    return _round_steps(quantity, instrument.lot, rounding)


def tick_array(*, prices: NDArray[np.float64], instrument: Instrument) -> NDArray[np.int64]:
    """Whole ticks of float64 prices of any shape, nearest.

    Raises :class:`InvalidInput` where a price is not finite, not positive, or beyond 2**53 ticks.
    """
    scaled = np.asarray(prices, dtype=np.float64) / float(instrument.tick)
    if not np.isfinite(scaled).all() or (scaled < 0.5).any() or (scaled >= 2.0**53).any():
        raise InvalidInput("a price cannot be told in ticks", code="bad_price")
    return np.rint(scaled).astype(np.int64)


def lot_array(*, quantities: NDArray[np.float64], instrument: Instrument) -> NDArray[np.int64]:
    """Whole lots of float64 quantities >= 0 (volumes), rounded down, of any shape.

    A quantity within 1e-9 of the next lot counts as that lot: float64 cannot tell them apart.
    """
    scaled = np.asarray(quantities, dtype=np.float64) / float(instrument.lot)
    if not np.isfinite(scaled).all() or (scaled < 0.0).any() or (scaled >= 2.0**53).any():
        raise InvalidInput("a quantity cannot be told in lots", code="bad_quantity")
    return np.floor(scaled * (1.0 + 1e-12) + 1e-9).astype(np.int64)


def _whole_steps(value: Decimal, step: Decimal, code: str) -> int:
    with localcontext(CONTEXT):
        steps = decimal_of(value) / step
        if steps != steps.to_integral_value() or int(steps) * step != value:
            raise InvalidInput(f"{value} is no multiple of {step}", code=code)
    return int(steps)


def _round_steps(value: Decimal | float, step: Decimal, rounding: Rounding) -> int:
    if isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidInput("the number is not finite", code="not_finite")
        number = decimal_from_float(value)
    else:
        number = decimal_of(value)
    with localcontext(CONTEXT):
        return int((number / step).to_integral_value(rounding=rounding.value))
