"""What a NAV gives back of the manager's fees, added up day by day from its rows."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

from django.db.models import Sum

from investors.models import ClassNav, Investor, LotNav, Posting, Rebate

ZERO, CENT = Decimal(0), Decimal("0.01")


def require_rebate(row: ClassNav, who: Investor, *, since: date) -> None:
    """Assert what a NAV at midnight credited to a holder of a class; ``since`` is the day of the
    NAV before, or its own where there was none.  Each lot may round by a cent."""
    at = row.strike.valuation_at
    agreed = list(
        Rebate.objects.filter(investor=who, share_class=row.share_class, is_approved=True).order_by(
            "first_day"
        )
    )
    days = [since + timedelta(days=k) for k in range((at.date() - since).days)]
    in_force = [[item for item in agreed if item.first_day <= day][-1:] for day in days]
    lots = dict(
        LotNav.objects.filter(
            strike=row.strike, lot__share_class=row.share_class, lot__holding__investor=who
        ).values_list("lot", "units")
    )
    credits = Posting.objects.filter(
        entry__fund=row.strike.fund, entry__effective_at=at, lot__in=list(lots)
    )
    owed, final = (
        -(credits.filter(account=account).aggregate(n=Sum("amount"))["n"] or ZERO)
        for account in ("2160", "2120")
    )
    expected = ZERO
    if lots and days:
        borne = row.management_fee * sum(lots.values(), ZERO) / row.units / len(days)
        expected = sum((borne * item.management_share for day in in_force for item in day), ZERO)
        expected += sum((final * item.performance_share for item in in_force[-1]), ZERO)
    assert abs(owed - expected) <= CENT * (len(lots) + 1), (at, who, owed, expected)
