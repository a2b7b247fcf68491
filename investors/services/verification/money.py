"""Receipts against the uses of their money, the orders that they fund, and the ledger; payments
against what they did to it."""

from __future__ import annotations

from decimal import Decimal

from django.db import connection

from investors.domain.ledger.chart import (
    COMPENSATION_PAYABLE,
    HOLDBACK,
    REDEMPTIONS_PAYABLE,
    UNMATCHED,
)
from investors.models import Fund
from investors.services.ledger import read_balances

ZERO = Decimal(0)


def find_money_differences(fund: Fund) -> list[str]:
    """Receipts agree with their uses, funded orders with their receipts, open money with 2015, and
    each payment with its entries."""
    found = []
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT l.reference, l.allocated, coalesce(sum(a.amount), 0)
               FROM investors_statementline l
               LEFT JOIN investors_lineallocation a ON a.line_id = l.id
               WHERE l.fund_id = %s GROUP BY l.id HAVING l.allocated <> coalesce(sum(a.amount), 0)
               ORDER BY l.reference""",
            [fund.pk],
        )
        found += [f"receipt {ref}: {a} in use, its uses add to {b}" for ref, a, b in cursor]
        cursor.execute(
            """SELECT o.id, o.funded_amount, sum(a.amount)
               FROM investors_dealingorder o
               JOIN investors_lineallocation a ON a.order_id = o.id
               JOIN investors_statementline l ON l.id = a.line_id
               WHERE l.fund_id = %s GROUP BY o.id HAVING o.funded_amount <> sum(a.amount)
               ORDER BY o.id""",
            [fund.pk],
        )
        found += [f"order {str(pk)[:8]}: funded with {a}, its receipts add to {b}"
                  for pk, a, b in cursor]  # fmt: skip
        cursor.execute(
            """SELECT currency, sum(amount - allocated) FROM investors_statementline
               WHERE fund_id = %s AND amount > 0 AND final_at IS NOT NULL AND outcome <> 'returned'
               GROUP BY currency""",
            [fund.pk],
        )
        open_money = dict(cursor.fetchall())
        cursor.execute(
            """SELECT l.reference FROM investors_lineallocation a
               JOIN investors_statementline l ON l.id = a.line_id
               JOIN investors_statementline r ON r.id = a.reversal_id
               LEFT JOIN investors_entry e ON e.id = a.entry_id AND e.kind = 'receipt_reversed'
               LEFT JOIN investors_bookbreak b ON b.line_id = r.id
               WHERE l.fund_id = %s AND (e.id IS NULL OR b.entry_id IS NOT NULL
                 OR (r.fund_id, r.currency, r.amount, r.outcome)
                   IS DISTINCT FROM (l.fund_id, l.currency, -l.amount, 'reversed')
                 OR a.amount <> l.amount OR r.final_at IS NULL)
               ORDER BY l.reference""",
            [fund.pk],
        )
        found += [f"receipt {ref}: ended by a line that did not take it back" for (ref,) in cursor]
        cursor.execute(
            """SELECT number, fault FROM (SELECT p.number, investors_payment_fault(p) AS fault
                 FROM investors_payment p WHERE p.fund_id = %s) asked
               WHERE fault IS NOT NULL ORDER BY number""",
            [fund.pk],
        )
        found += [f"payment P-{number:05d} is {fault}" for number, fault in cursor]
    for (account, currency), balance in read_balances(fund).items():
        if account == UNMATCHED and -balance != open_money.pop(currency, ZERO):
            found.append(
                f"account {UNMATCHED}: {balance} {currency} differs from the open receipts"
            )
    return found + [
        f"account {UNMATCHED}: {total} {currency} of receipts are not in the ledger"
        for currency, total in open_money.items()
        if total
    ]


def find_payable_differences(fund: Fund) -> list[str]:
    """What the ledger owes on orders is what they say is left to pay, and what is held back."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT coalesce(sum(left_to_pay) FILTER (WHERE kind <> 'compensation'), 0),
                      coalesce(sum(held_amount), 0),
                      coalesce(sum(left_to_pay) FILTER (WHERE kind = 'compensation'), 0)
               FROM (SELECT o.kind, o.held_amount,
                       CASE WHEN o.kind <> 'reinvestment'
                         THEN coalesce(o.dealt_amount, 0) - o.held_amount - o.paid_amount
                       WHEN o.state = 'funded' THEN o.amount
                       WHEN coalesce(o.dealt_units, 0) = 0
                         THEN coalesce(o.dealt_amount, 0) - o.paid_amount
                       ELSE 0 END AS left_to_pay
                     FROM investors_dealingorder o
                     JOIN investors_shareclass c ON c.id = o.share_class_id
                     WHERE c.fund_id = %s AND o.kind NOT IN ('subscription', 'switch')) asked""",
            [fund.pk],
        )
        owed = cursor.fetchone()
    accounts = (REDEMPTIONS_PAYABLE, HOLDBACK, COMPENSATION_PAYABLE)
    balances = read_balances(fund, accounts=accounts)
    booked = [-balances.get((code, fund.currency), ZERO) for code in accounts]
    return [
        f"account {code}: {stands} owed, by the orders it is {asked}"
        for code, stands, asked in zip(accounts, booked, owed, strict=True)
        if stands != asked
    ]
