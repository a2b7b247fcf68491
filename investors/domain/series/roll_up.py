"""Consolidation: which series may be exchanged into the lead series.

Two series may become one exactly when nothing that follows could tell them apart: both at their
marks, as they are when each has just paid a fee, and (under a hurdle) with the same clock.  A
series under water, or above its mark but still within its hurdle, lives on by itself.
"""

from __future__ import annotations

from collections.abc import Sequence

from investors.domain.fees import ClassTerms, Hurdle
from investors.domain.series.types import Series
from magnetfund.kernel.errors import InvalidInput


def choose_lead(*, series: Sequence[Series]) -> Series:
    """The series that was opened first.  Raises ``InvalidInput`` (``no_series``)."""
    if not series:
        raise InvalidInput("there is no series", code="no_series")
    return min(series, key=lambda item: (item.opened, item.number))


def can_roll_up(*, terms: ClassTerms, lead: Series, series: Series) -> bool:
    """Whether ``series`` may be exchanged into ``lead`` without moving a fee between holders."""
    if lead.code == series.code or lead.price != lead.mark or series.price != series.mark:
        return False
    return terms.hurdle is Hurdle.NONE or lead.clock == series.clock
