"""Attribution: what made the active return, and what trading cost."""

from risk.domain.attribution.brinson import (
    Attribution,
    Effects,
    Segment,
    attribute_active_return,
    link_attributions,
)
from risk.domain.attribution.shortfall import (
    ExecutedOrder,
    Shortfall,
    compute_shortfall,
    compute_slippage,
)

__all__ = [
    "Attribution",
    "Effects",
    "ExecutedOrder",
    "Segment",
    "Shortfall",
    "attribute_active_return",
    "compute_shortfall",
    "compute_slippage",
    "link_attributions",
]
