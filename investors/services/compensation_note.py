"""What the note of a compensation of a wrong NAV prints."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from investors.models import DealingOrder, NavStrike


def describe_compensation(order: DealingOrder, strike: NavStrike, number: str) -> dict[str, Any]:
    """Everything that the note prints, as text: each deal at a wrong price and what it is due."""
    row, fund = order.restatement, order.share_class.fund
    assert row is not None
    assert row.booked_at is not None
    code = order.share_class.code
    own = order.investor.number, code
    deals = [
        item for item in row.content["deals"] if (item["investor"], item["share_class"]) == own
    ]
    until = f"{row.last:%-d %b %Y}" if row.last else "the newest"
    return {
        "title": "Compensation note",
        "number": number,
        "fund": fund.name,
        "summary": f"Compensation of a wrong NAV of class {code} to {order.investor.legal_name}.",
        "parts": [
            {
                "name": "Restatement",
                "rows": [
                    ["Holder", f"{order.investor.legal_name}, {order.investor.number}"],
                    ["Order", f"{order.reference}, of {row.reference}"],
                    ["Wrong NAVs", f"{row.first:%-d %b %Y} to {until}"],
                    ["Cause", row.cause],
                    ["Booked", f"{row.booked_at:%-d %b %Y, %H:%M} UTC"],
                    ["NAV before it", f"{strike.valuation_at:%-d %b %Y}, v{strike.version}"],
                ],
            },
            {
                "name": "Deals at a wrong price",
                "rows": [
                    [
                        f"NAV of {item['nav']}, {Decimal(item['units']):,.6f} units, "
                        f"{item['kind'].replace('_', ' ')}",
                        f"{Decimal(item['due']):,.2f} {fund.currency}",
                    ]
                    for item in deals
                ]
                + [["Owed in cash", f"{order.amount:,.2f} {fund.currency}"]],
            },
        ],
        "lots": [],
        "remarks": "Units and earlier contract notes stay as they are. Keep this note with your "
        "records.",
    }
