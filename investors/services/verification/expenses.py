"""Running costs: decided by two people who held the right then, and posted as they decided."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from itertools import product

from django.db import connection

from investors.domain.expenses import accrue_expense
from investors.models import Expense, ExpenseChange, Fund
from investors.services.expenses import CENT, describe_expense, signed_as, terms_with
from investors.services.verification.proofs import proved_since
from magnetfund.core.roles import Capability
from magnetfund.core.services.signatures import SignedAct, SignedRow, find_signature_faults


def find_expense_differences(fund: Fund) -> list[str]:
    """What was approved has two people and an audit line, and the ledger what its days cost."""
    rows = list(Expense.objects.filter(fund=fund, is_approved=True).prefetch_related("changes"))
    changes = {
        row.pk: [change for change in row.changes.all() if change.is_approved] for row in rows
    }
    since = proved_since(fund)
    signed = [_signed(row, since) for row in rows]
    signed += [_signed(change, since) for row in rows for change in changes[row.pk]]
    found = find_signature_faults(signed)
    known = {str(row.pk): row for row in rows}
    for source, (posted, until, accounts) in _posted(fund).items():
        row = known.get(source)
        if row is None:
            found.append(f"expense {source}: {posted} posted, approved by nobody")
            continue
        if accounts != {row.account}:
            found.append(f"expense {row}: posted to {', '.join(sorted(accounts))}")
        if posted not in _possible(row, changes[row.pk], until):
            found.append(f"expense {row}: {posted} posted to {until}, which no terms of it come to")
    return found


def _possible(row: Expense, changes: list[ExpenseChange], until: date) -> set[Decimal]:
    """What it may have come to: a change that was approved after the last posting waits."""
    totals = set()
    for taken in product((True, False), repeat=len(changes)):
        chosen = [change for change, is_taken in zip(changes, taken, strict=True) if is_taken]
        if row.last_day is None and {change.kind for change in chosen} == {
            ExpenseChange.Kind.INVOICE
        }:
            continue  # a final invoice comes after the end
        terms = terms_with(row, chosen)
        totals.add(accrue_expense(terms, until=until, quantum=CENT).total)
    return totals


def _signed(row: Expense | ExpenseChange, since: datetime | None) -> SignedRow:
    assert row.decided_by_id is not None
    expense = row if isinstance(row, Expense) else row.expense
    return SignedRow(
        what=f"expense {row}",
        signatures=(
            SignedAct(user=row.proposed_by_id, capability=Capability.NAV_PREPARE),
            SignedAct(user=row.decided_by_id, capability=Capability.NAV_APPROVE, by_line=True),
        ),
        action="expense.approved",
        subject=("expense", str(expense.pk)),
        body=tuple(describe_expense(row).items()),
        proof=(signed_as(row), row.pk),
        proof_since=since,
    )


def _posted(fund: Fund) -> dict[str, tuple[Decimal, date, set[str]]]:
    """By expense: what was posted in all, the last day that it was posted for, and the accounts."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT split_part(e.source_ref, ':', 2), sum(p.amount),
                      max(split_part(e.source_ref, ':', 3)), array_agg(DISTINCT p.account_id)
               FROM investors_entry e JOIN investors_posting p ON p.entry_id = e.id
               WHERE e.fund_id = %s AND e.source_ref LIKE 'expense:%%' AND p.account_id LIKE '5%%'
               GROUP BY 1""",
            [fund.pk],
        )
        return {
            source: (total, date.fromisoformat(day), set(accounts))
            for source, total, day, accounts in cursor.fetchall()
        }
