"""Rebates of fees: agreed by two people who held the right then, and accrued as they agreed."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import connection

from investors.domain.ledger.chart import (
    MANAGEMENT_PAYABLE,
    PERFORMANCE_PAYABLE,
    REBATES_PAYABLE,
)
from investors.models import Fund, NavStrike, Rebate
from investors.services.rebate_accruals import strike_rebates
from investors.services.rebates import describe_rebate
from investors.services.verification.proofs import proved_since
from magnetfund.core.roles import Capability
from magnetfund.core.services.signatures import SignedAct, SignedRow, find_signature_faults
from magnetfund.core.services.signing import REBATE

ZERO = Decimal(0)
#: What a NAV gave back: by class and account for the manager's side, by lot for the holders'.
Given = dict[tuple[str, str], Decimal]


def find_rebate_differences(fund: Fund) -> list[str]:
    """Agreements were signed, and each NAV owes holders what they come to and nothing else."""
    rows = Rebate.objects.filter(share_class__fund=fund, is_approved=True)
    since = proved_since(fund)
    found = find_signature_faults([_signed(row, since) for row in rows])
    posted = _posted(fund)
    if not rows and not posted:
        return found
    dealt = NavStrike.objects.filter(fund=fund, state=NavStrike.State.DEALT)
    for strike in dealt.defer("inputs", "checklist", "second_engine").order_by("valuation_at"):
        wanted, booked = _wanted(strike), posted.pop(str(strike.pk), {})
        found += [
            f"NAV of {strike.valuation_at:%Y-%m-%d}: rebates of {name} {what} "
            f"{booked.get((name, what), ZERO)}, agreed {wanted.get((name, what), ZERO)}"
            for name, what in sorted({*wanted, *booked})
            if booked.get((name, what), ZERO) != wanted.get((name, what), ZERO)
        ]
    return found + [f"rebates of a NAV {strike} that was not dealt" for strike in posted]


def _wanted(strike: NavStrike) -> Given:
    codes = dict(strike.fund.classes.values_list("pk", "code"))
    given: Given = {}
    for share_class, rebates in strike_rebates(strike).items():
        code = codes[share_class]
        given[code, MANAGEMENT_PAYABLE] = sum((item.management for item in rebates), ZERO)
        given[code, PERFORMANCE_PAYABLE] = sum((item.performance for item in rebates), ZERO)
        given |= {("lot", item.lot): item.management + item.performance for item in rebates}
    return given


def _posted(fund: Fund) -> dict[str, Given]:
    """By strike: debits of the manager's payables by class, credits of holders by lot."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT split_part(e.source_ref, ':', 2),
                      CASE WHEN p.account_id = %(owed)s THEN 'lot' ELSE p.share_class END,
                      CASE WHEN p.account_id = %(owed)s THEN coalesce(p.lot::text, 'none')
                        ELSE p.account_id END,
                      sum(CASE WHEN p.account_id = %(owed)s THEN -p.amount ELSE p.amount END)
               FROM investors_entry e JOIN investors_posting p ON p.entry_id = e.id
               WHERE e.fund_id = %(fund)s AND e.kind = 'fee_rebate' GROUP BY 1, 2, 3""",
            {"owed": REBATES_PAYABLE, "fund": fund.pk},
        )
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    found: dict[str, Given] = {}
    for strike, name, what, amount in rows:
        found.setdefault(strike, {})[name, what] = amount
    return found


def _signed(row: Rebate, since: datetime | None) -> SignedRow:
    assert row.decided_by_id is not None
    return SignedRow(
        what=f"rebate {row.reference}",
        signatures=(
            SignedAct(user=row.proposed_by_id, capability=Capability.TERMS_PROPOSE),
            SignedAct(user=row.decided_by_id, capability=Capability.TERMS_APPROVE, by_line=True),
        ),
        action="rebate.approved",
        subject=("rebate", str(row.pk)),
        body=tuple(describe_rebate(row).items()),
        proof=(REBATE, row.pk),
        proof_since=since,
    )
