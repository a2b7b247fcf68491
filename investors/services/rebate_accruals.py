"""What each NAV owes holders of the manager's fees, by their agreements.

The fund owes the manager what the NAV charged, whatever was agreed; of that it owes a part to
holders instead.  No unit's value moves.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from fractions import Fraction
from uuid import UUID

from django.db import connection

from investors.domain.ledger import JointLine, Tags
from investors.domain.ledger.chart import PERFORMANCE_PAYABLE
from investors.domain.rebates import (
    LotRebate,
    RebateClaim,
    RebateTerms,
    average_share,
    compute_rebates,
    terms_on,
)
from investors.models import ClassNav, NavStrike
from investors.services.expenses import counted_day
from investors.services.ledger import NewEntry, post_entries
from investors.services.nav_dealing_book import DealingBook
from investors.services.nav_inputs import last_dealt
from investors.services.nav_lots import entry_of
from investors.services.rebates import read_agreements
from magnetfund.core.actors import Actor
from magnetfund.kernel.money import currency_quantum


def post_rebates(book: DealingBook, actor: Actor) -> None:
    """Owe holders their part of the fees of an approved NAV, once its dealing is posted."""
    codes = {row.share_class_id: row.share_class.code for row, _ in book.rows}
    news = []
    for share_class, rebates in strike_rebates(book.strike).items():
        code = codes[share_class]
        lines = [
            JointLine(
                amounts={"management": item.management, "performance": item.performance},
                tags=Tags(share_class=code, lot=UUID(item.lot)),
                other=Tags(share_class=code),
            )
            for item in rebates
        ]
        news.append(NewEntry.of(entry_of(book, "fee_rebate", code, lines)))
    post_entries(book.strike.fund, news, actor=actor)


def strike_rebates(strike: NavStrike) -> dict[int, list[LotRebate]]:
    """What an approved or dealt NAV gives back, by class, from the fees that it charged.

    The management fee of the days since the NAV before it, and the performance fees that became
    final in its dealing; classes and lots without anything are left out.
    """
    until = counted_day(strike.valuation_at)
    agreed = read_agreements(strike.fund, until=until)
    if not agreed:
        return {}
    previous = last_dealt(strike.fund, before=strike.valuation_at)
    after = None if previous is None else counted_day(previous.valuation_at)
    found, quantum = {}, currency_quantum(strike.fund.currency)
    for row in strike.classes.filter(share_class__in=list(agreed)).order_by("share_class__code"):
        rebates = compute_rebates(
            management_fee=row.management_fee, units=row.units, quantum=quantum,
            claims=_claims(row, agreed[row.share_class_id], after, until),
        )  # fmt: skip
        given = [item for item in rebates if item.management or item.performance]
        if given:
            found[row.share_class_id] = given
    return found


def _claims(
    row: ClassNav, agreed: Mapping[UUID, list[RebateTerms]], after: date | None, until: date
) -> list[RebateClaim]:
    shares = {who: average_share(terms, after=after, until=until) for who, terms in agreed.items()}
    last = {
        who: Fraction(0 if now is None else now.performance_share)
        for who, now in ((who, terms_on(terms, until)) for who, terms in agreed.items())
    }
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT l.id::text, n.units, h.investor_id, coalesce(f.fee, 0)
               FROM investors_lotnav n JOIN investors_unitlot l ON l.id = n.lot_id
               JOIN investors_holding h ON h.id = l.holding_id
               LEFT JOIN (SELECT p.lot, -sum(p.amount) AS fee FROM investors_posting p
                          JOIN investors_entry e ON e.id = p.entry_id
                          WHERE e.fund_id = %s AND e.effective_at = %s AND p.account_id = %s
                            AND split_part(e.source_ref, ':', 2) = %s AND p.lot IS NOT NULL
                          GROUP BY p.lot) f ON f.lot = l.id
               WHERE n.strike_id = %s AND h.share_class_id = %s AND h.investor_id = ANY(%s)
               ORDER BY l.number""",
            [
                row.strike.fund_id, row.strike.valuation_at, PERFORMANCE_PAYABLE,
                str(row.strike_id), row.strike_id, row.share_class_id, list(agreed),
            ],
        )  # fmt: skip
        rows = cursor.fetchall()
    return [
        RebateClaim(
            lot=lot, units=units, crystallised=fee, management_share=shares[who],
            performance_share=last[who],
        )
        for lot, units, who, fee in rows
    ]  # fmt: skip
