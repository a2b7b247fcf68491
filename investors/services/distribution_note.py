"""What the contract note of a distribution in cash prints."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.db.models import Sum

from investors.models import DealingOrder, NavStrike, UnitEntry


def describe_distribution(order: DealingOrder, strike: NavStrike, number: str) -> dict[str, Any]:
    """Everything that the note of a distribution prints, as text."""
    row, fund = order.distribution, order.share_class.fund
    assert row is not None
    assert row.decided_at is not None
    held = UnitEntry.objects.filter(
        lot__holding__investor=order.investor,
        lot__share_class=order.share_class,
        effective_at__lte=strike.valuation_at,
    ).aggregate(total=Sum("units"))["total"] or Decimal(0)
    return {
        "title": "Contract note",
        "number": number,
        "fund": fund.name,
        "summary": f"Distribution in cash of class {order.share_class.code} to "
        f"{order.investor.legal_name}.",
        "parts": [
            {
                "name": "Distribution",
                "rows": [
                    ["Holder", f"{order.investor.legal_name}, {order.investor.number}"],
                    ["Order", f"{order.reference}, of {row.reference}"],
                    ["Record date", f"{strike.valuation_at:%-d %b %Y, %H:%M} UTC"],
                    ["Declared", f"{row.decided_at:%-d %b %Y, %H:%M} UTC"],
                    ["NAV", f"version {strike.version}, {strike.result_hash[:16]}"],
                    ["Reason", row.reason],
                ],
            },
            {
                "name": "Money",
                "rows": [
                    ["Units held", f"{held:,.6f}"],
                    ["Distribution per unit", f"{row.lowers_marks_by:,.6f} {fund.currency}"],
                    ["Amount", f"{order.amount:,.2f} {fund.currency}"],
                ],
            },
        ],
        "lots": [],
        "remarks": "The price of a unit and the high-water mark of each lot fell by the "
        "distribution per unit; no performance fee was taken on it. Keep this note with your "
        "records.",
    }
