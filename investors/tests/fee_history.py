"""A year of a live fund in which the methods of the performance fee differ in everything but the
values: entries at different prices, a hard hurdle, a crystallisation, a distribution, a loss."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from investors.services.distributions import decide_distribution, propose_distribution
from investors.tests.fund_support import FIRST, SmallFund, first_of, make_fund

D = Decimal
JULY, YEAR_END, FEBRUARY, MARCH = (
    first_of(2025, 7), first_of(2026, 1), first_of(2026, 2), first_of(2026, 3),
)  # fmt: skip
HURDLE = {"performance_rate": "0.2", "hurdle": "hard", "hurdle_rate": "0.05"}


def live_history(code: str = "main", **terms: str) -> SmallFund:
    """Ann enters at 100, Bob in July above and Cyd in February; a year end charges in between,
    a distribution lowers the marks, and in March Cyd is under water."""
    small = make_fund(code, **HURDLE, **terms)
    for at in (FIRST, JULY, FEBRUARY, MARCH):
        small.day(at)
    small.subscribe("ann", "10000", before=FIRST)
    small.strike(FIRST)
    small.earn("3000", at=FIRST + timedelta(days=9))
    small.subscribe("bob", "6500", before=JULY)
    small.strike(JULY)
    small.earn("3000", at=JULY + timedelta(days=9))
    small.strike(YEAR_END)
    small.earn("1200", at=YEAR_END + timedelta(days=9))
    small.subscribe("cyd", "5000", before=FEBRUARY)
    small.strike(FEBRUARY)
    row = propose_distribution(
        share_class=small.share_class(), per_unit=D(5), reason="spring", actor=small.maker
    )
    decide_distribution(
        distribution=row, is_approved=True, actor=small.checker, at=FEBRUARY + timedelta(days=3)
    )
    small.earn("-900", at=FEBRUARY + timedelta(days=9))
    return small
