"""Limits in force and resets of the fuse, against their content, their signers and the audit."""

from __future__ import annotations

from magnetfund.core.roles import Capability
from magnetfund.core.services.signatures import SignedAct, SignedRow, find_signature_faults
from magnetfund.kernel.identifiers import content_hash
from risk.domain.fuse import FuseState
from risk.models import FUND_SCOPE, FuseReset, FuseTransition, LimitProposal, LimitSet


def find_limit_differences(book: str) -> list[str]:
    """Limits hash to what two people signed, version after version."""
    found, signed = [], []
    for number, row in enumerate(LimitSet.objects.filter(book=book).order_by("version"), start=1):
        what = f"limits version {row.version}"
        if row.version != number:
            found.append(f"{what}: version {number} is missing")
        if row.content_hash != content_hash([book, row.figures, row.effective_from]):
            found.append(f"{what}: its figures are not those that were signed")
        signed.append(
            SignedRow(
                what=what,
                signatures=(
                    SignedAct(user=row.proposed_by_id, capability=Capability.LIMITS_PROPOSE),
                    SignedAct(
                        user=row.approved_by_id, capability=Capability.LIMITS_APPROVE, by_line=True
                    ),
                ),
                action="limits.approved",
                subject=("limit_set", str(row.pk)),
                body=(("hash", row.content_hash), ("version", row.version)),
            )
        )
    found += [
        f"limits proposed at {row.proposed_at:%Y-%m-%d %H:%M}: the figures are not those that "
        "were proposed"
        for row in LimitProposal.objects.filter(book=book)
        if row.content_hash != content_hash([book, row.figures, row.effective_from])
    ]
    return found + find_signature_faults(signed)


def find_reset_differences(book: str) -> list[str]:
    """Every arming of the fuse rests on a reset that two people signed."""
    found = []
    signed = []
    armings = FuseTransition.objects.filter(book=book, scope=FUND_SCOPE, state=FuseState.ARMED)
    for arming in armings.select_related("reset"):
        what = f"arming of {arming.occurred_at:%Y-%m-%d %H:%M}"
        if arming.reset is None or arming.reset.approved_by_id is None:
            found.append(f"{what}: no approved reset stands behind it")
    for row in FuseReset.objects.filter(book=book, approved_by__isnull=False):
        assert row.approved_by_id is not None
        signatures = [
            SignedAct(user=row.proposed_by_id, capability=Capability.FUSE_RESET),
            SignedAct(user=row.approved_by_id, capability=Capability.FUSE_RESET, by_line=True),
        ]
        if row.director_id is not None:
            signatures.append(
                SignedAct(
                    user=row.director_id,
                    capability=Capability.DRAWDOWN_SECOND_RESET,
                    by_line=True,
                )
            )
        signed.append(
            SignedRow(
                what=f"reset of {row.proposed_at:%Y-%m-%d %H:%M}",
                signatures=tuple(signatures),
                action="fuse.armed",
                subject=("fuse_reset", str(row.pk)),
            )
        )
    return found + find_signature_faults(signed)
