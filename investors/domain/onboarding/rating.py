"""Risk of a file from five factors of 1 to 4 points each; a public office is always high.

Medium from 7 of 20 points, high from 13.  The factors are those of FATF's guidance on a risk-based
approach (customer, country, product, channel), with the money itself as the fifth.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from investors.domain.onboarding.machine import Risk
from magnetfund.kernel.errors import InvalidInput

FACTORS = ("customer", "country", "product", "channel", "money")
POINTS_MAX = 4
MEDIUM_FROM, HIGH_FROM = 7, 13


@dataclass(frozen=True, slots=True, kw_only=True)
class Rating:
    """Sum of the points, and the rating with the public office considered."""

    total: int
    risk: Risk


def rate(points: Mapping[str, int], *, is_politically_exposed: bool) -> Rating:
    """Rate a file; raises :class:`InvalidInput` (``bad_rating``) unless each factor has points."""
    if set(points) != set(FACTORS):
        raise InvalidInput(f"rate each of: {', '.join(FACTORS)}", code="bad_rating")
    if any(isinstance(n, bool) or not 1 <= n <= POINTS_MAX for n in points.values()):
        raise InvalidInput(f"a factor has 1 to {POINTS_MAX} points", code="bad_rating")
    total = sum(points.values())
    if is_politically_exposed or total >= HIGH_FROM:
        return Rating(total=total, risk=Risk.HIGH)
    return Rating(total=total, risk=Risk.MEDIUM if total >= MEDIUM_FROM else Risk.LOW)
