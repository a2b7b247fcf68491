"""Suspensions of dealing: each decided by two people, and the fund as they left it."""

from __future__ import annotations

from datetime import datetime

from investors.models import Fund, SuspensionProposal
from investors.services.verification.proofs import proved_since
from magnetfund.core.models import AuditEvent
from magnetfund.core.roles import Capability
from magnetfund.core.services.signatures import SignedAct, SignedRow, find_signature_faults
from magnetfund.core.services.signing import SUSPENSION


def find_suspension_differences(fund: Fund) -> list[str]:
    """What was approved has two people and an audit line; the fund is as the last line says."""
    since = proved_since(fund)
    rows = SuspensionProposal.objects.filter(fund=fund, is_approved=True).order_by("decided_at")
    found = find_signature_faults(_signed(row, since) for row in rows)
    is_shut = Fund.objects.get(pk=fund.pk).is_suspended
    if is_shut != _told(fund):
        states = ("suspended", "open")
        is_now, was_decided = states if is_shut else reversed(states)
        found.append(f"dealing is {is_now}, and what was decided says that it is {was_decided}")
    return found


def _told(fund: Fund) -> bool:
    """Whether the newest line about it says that dealing is suspended."""
    lines = AuditEvent.objects.filter(
        action__in=("suspension.decided", "fund.suspended"),
        subject_type="fund",
        subject_id=str(fund.pk),
    ).order_by("-seq")
    for line in lines.iterator(chunk_size=50):
        if line.action == "fund.suspended":
            return True
        if line.body.get("approved"):
            return bool(line.body["suspends"])
    return False


def _signed(row: SuspensionProposal, since: datetime | None) -> SignedRow:
    assert row.decided_by_id is not None
    return SignedRow(
        what=f"{row} of {row.proposed_at:%Y-%m-%d}",
        signatures=(
            SignedAct(user=row.proposed_by_id, capability=Capability.DEALING_SUSPEND),
            SignedAct(
                user=row.decided_by_id, capability=Capability.DEALING_SUSPEND, by_line=True
            ),
        ),
        action="suspension.decided",
        subject=("fund", str(row.fund_id)),
        body=(
            ("proposal", str(row.pk)), ("suspends", row.suspends), ("reason", row.reason),
            ("approved", True),
        ),
        proof=(SUSPENSION, row.pk),
        proof_since=since,
    )  # fmt: skip
