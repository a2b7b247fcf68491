"""Rebates of fees as a statement lists them: beside the value of the units, which they never move.

What a NAV gives back belongs to the period that it closes; a payment to the period of its day.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db import connection

from investors.domain.exact import ZERO
from investors.domain.ledger.chart import REBATES_PAYABLE
from investors.models import Fund
from investors.services.statement_periods import Period
from magnetfund.core.templatetags.figures import money, signed

#: What the kind of an entry is called.
WORDS = {
    "fee_rebate": "Rebate of fees, NAV of",
    "rebate_paid": "Paid on",
    "payment_returned": "Payment came back on",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RebateMove:
    """What one entry added to what is owed to a holder (negative: paid)."""

    at: datetime
    kind: str
    amount: Decimal

    def is_by(self, strike: datetime) -> bool:
        """Whether it belongs before a strike: what that strike credits does, and no payment of
        its instant."""
        return self.at < strike or (self.at == strike and self.kind == "fee_rebate")


def read_rebates(
    fund: Fund, *, until: datetime, asked: list[UUID] | None
) -> dict[UUID, list[RebateMove]]:
    """What was credited and paid up to an instant, inclusive, by holder and in order of time."""
    found: dict[UUID, list[RebateMove]] = {}
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT h.investor_id, e.effective_at, e.kind, -sum(p.amount)
               FROM investors_posting p JOIN investors_entry e ON e.id = p.entry_id
               JOIN investors_unitlot l ON l.id = p.lot
               JOIN investors_holding h ON h.id = l.holding_id
               WHERE e.fund_id = %s AND e.effective_at <= %s AND p.account_id = %s
                 AND p.currency = %s AND (%s::uuid[] IS NULL OR h.investor_id = ANY(%s))
               GROUP BY 1, 2, 3 ORDER BY 2, 3""",
            [fund.pk, until, REBATES_PAYABLE, fund.currency, asked, asked],
        )
        for who, at, kind, amount in cursor.fetchall():
            found.setdefault(who, []).append(RebateMove(at=at, kind=kind, amount=amount))
    return found


def list_rebate_rows(moves: Sequence[RebateMove], period: Period) -> list[list[str]]:
    """Rows as the bridge has them: what was owed, credited, paid, and is owed; none where nothing
    was."""
    end, begin = period.closing, period.opening
    before = [] if begin is None else [move for move in moves if move.is_by(begin.valuation_at)]
    inside = [move for move in moves[len(before) :] if move.is_by(end.valuation_at)]
    opening = sum((move.amount for move in before), ZERO)
    if not opening and not inside:
        return []
    closing = opening + sum((move.amount for move in inside), ZERO)
    return [
        [f"Owed to you on {period.start:%-d %b %Y}", money(opening), "total"],
        *(
            [f"{WORDS[move.kind]} {move.at:%-d %b %Y}", signed(move.amount), "line"]
            for move in inside
        ),
        [f"Owed to you on {period.end:%-d %b %Y}", money(closing), "total"],
    ]
