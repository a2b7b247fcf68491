"""What trading reported against what the fund's books say of it."""

from __future__ import annotations

from decimal import Decimal

from django.db import connection

from investors.domain.ledger.chart import VENUE_CASH
from investors.models import Fund
from investors.services.ledger import read_balances
from trading.models import FundingPayment

ZERO = Decimal(0)


def find_trading_differences(fund: Fund) -> list[str]:
    """Venue cash in the ledger agrees with transfers, realised P&L, fees and funding."""
    balances = read_balances(fund)
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT count(*) FROM trading_fill f WHERE f.book = %s AND f.occurred_at <
                 coalesce((SELECT max(valuation_at) FROM investors_navstrike
                           WHERE fund_id = %s AND state = 'dealt'), '-infinity')
               AND f.recorded_at <= coalesce((SELECT max(known_at) FROM investors_navstrike
                           WHERE fund_id = %s AND state = 'dealt'), '-infinity')
               AND (f.realised <> 0 OR f.fee <> 0)
               AND NOT EXISTS (SELECT 1 FROM investors_entry e
                               WHERE e.source_ref = 'fill:' || f.id)""",
            [fund.book, fund.pk, fund.pk],
        )
        (missing,) = cursor.fetchone()
        cursor.execute(
            """SELECT coalesce(sum(f.realised - f.fee), 0) FROM trading_fill f
               JOIN investors_entry e ON e.source_ref = 'fill:' || f.id WHERE f.book = %s""",
            [fund.book],
        )
        (traded,) = cursor.fetchone()
        cursor.execute(
            """SELECT coalesce(sum(f.amount), 0) FROM trading_fundingpayment f
               JOIN investors_entry e ON e.source_ref = 'funding:' || f.id WHERE f.book = %s""",
            [fund.book],
        )
        (funded,) = cursor.fetchone()
        cursor.execute(
            "SELECT coalesce(sum(amount), 0) FROM trading_bookflow WHERE book = %s", [fund.book]
        )
        (flows,) = cursor.fetchone()
    found = [f"{missing} fills before the last NAV are missing from the ledger"] if missing else []
    cash = balances.get((VENUE_CASH, fund.currency), ZERO)
    if cash != flows + traded + funded:
        found.append(
            f"venue cash {cash}, recomputed from transfers, trades and funding "
            f"{flows + traded + funded}"
        )
    return found


def find_funding_differences(fund: Fund) -> list[str]:
    """Two funding payments of one sleeve at one stamp cannot be."""
    total = FundingPayment.objects.filter(book=fund.book).count()
    distinct = (
        FundingPayment.objects.filter(book=fund.book)
        .values("instrument", "strategy", "stamp")
        .distinct()
        .count()
    )
    return [] if total == distinct else [f"{total - distinct} funding payments are booked twice"]
