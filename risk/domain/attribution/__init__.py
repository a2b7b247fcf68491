"""Attribution: what made the active return, and what trading cost."""

from risk.domain.attribution.brinson import (
    Attribution,
    Effects,
    Segment,
    attribute_active_return,
    link_attributions,
)
from risk.domain.attribution.days import CASH, DayTrade, HeldDay, attribute_day
from risk.domain.attribution.shortfall import (
    ExecutedOrder,
    Shortfall,
    compute_shortfall,
)

__all__ = [
    "CASH",
    "Attribution",
    "DayTrade",
    "Effects",
    "ExecutedOrder",
    "HeldDay",
    "Segment",
    "Shortfall",
    "attribute_active_return",
    "attribute_day",
    "compute_shortfall",
    "link_attributions",
]
