"""Series accounting: a price and a mark for each dealing day's subscriptions.  Pure."""

from investors.domain.series.events import crystallise_series, value_series
from investors.domain.series.roll_up import can_roll_up, choose_lead
from investors.domain.series.types import (
    Series,
    SeriesCrystallisation,
    SeriesHolding,
    SeriesValue,
)

__all__ = [
    "Series",
    "SeriesCrystallisation",
    "SeriesHolding",
    "SeriesValue",
    "can_roll_up",
    "choose_lead",
    "crystallise_series",
    "value_series",
]
