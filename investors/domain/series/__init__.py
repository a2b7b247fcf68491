"""Series accounting: a price and a mark for each dealing day's subscriptions.  Pure."""

from investors.domain.series.events import (
    crystallise_series,
    open_series,
    redeem_from_series,
    share_result,
    value_series,
)
from investors.domain.series.roll_up import can_roll_up, choose_lead, roll_up
from investors.domain.series.types import (
    RollUp,
    Series,
    SeriesCrystallisation,
    SeriesHolding,
    SeriesOpening,
    SeriesOrder,
    SeriesRedemption,
    SeriesValue,
    UnitExchange,
)

__all__ = [
    "RollUp",
    "Series",
    "SeriesCrystallisation",
    "SeriesHolding",
    "SeriesOpening",
    "SeriesOrder",
    "SeriesRedemption",
    "SeriesValue",
    "UnitExchange",
    "can_roll_up",
    "choose_lead",
    "crystallise_series",
    "open_series",
    "redeem_from_series",
    "roll_up",
    "share_result",
    "value_series",
]
