"""Who reads or acts for a holder, and what was decided of estates: by whom it was signed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from investors.domain.receipts import mask_number
from investors.models import AccountChange, AdviserAccess, EstateStep, Fund, PowerOfAttorney
from investors.services.verification.proofs import proved_since
from magnetfund.core.roles import Capability
from magnetfund.core.services.signatures import SignedAct, SignedRow, find_signature_faults
from magnetfund.core.services.signing import ADVISER, ATTORNEY, ESTATE


def find_other_differences(fund: Fund) -> list[str]:
    """Every access, power and step of an estate has its signatures and the line that tells of it,
    with the scope and the paper as they were signed; holders are the same in every fund."""
    since = proved_since(fund)
    acts = find_signature_faults([*_accesses(since), *_powers(since), *_steps(since)])
    return [*acts, *find_change_differences(fund)]


def find_change_differences(fund: Fund) -> list[str]:
    """An account that a holder asked for is his own, the one that he asked for, called back by
    another person than he, and closed once the request was withdrawn or refused."""
    rows = AccountChange.objects.filter(fund=fund).exclude(payee=None)
    found = []
    for row in rows.select_related("investor", "payee", "asked_by", "called_by"):
        assert row.payee is not None
        same = ("investor_id", "kind", "name", "number", "bank", "currency")
        what = f"account {mask_number(row.number)} that {row.investor.number} asked for"
        # Of a holder who was erased the request has lost its words; the payee is kept.
        is_erased = row.number == f"erased {row.pk}"
        if not is_erased and any(getattr(row, name) != getattr(row.payee, name) for name in same):
            found.append(f"{what}: another one came on the list")
        if row.called_by is None or row.called_by.person == row.asked_by.person:
            found.append(f"{what}: nobody else called back")
        is_over = row.withdrawn_at is not None or row.refused_at is not None
        if is_over and row.payee.closed_at is None:
            found.append(f"{what}: it was {row.state}, and is on the list")
    return found


def _accesses(since: datetime | None) -> Iterator[SignedRow]:
    rows = AdviserAccess.objects.exclude(granted_by=None).select_related("investor")
    for row in rows.order_by("granted_at"):
        assert row.granted_by_id is not None
        is_holder = not row.confirmed_how
        right = Capability.PORTAL_VIEW if is_holder else Capability.KYC_APPROVE
        yield SignedRow(
            what=f"access of {row.email} to the portal of {row.investor.number}",
            signatures=(SignedAct(user=row.granted_by_id, capability=right, by_line=True),),
            action="adviser.granted",
            subject=("adviser_access", str(row.pk)),
            body=(
                ("investor", row.investor.number), ("adviser", row.email),
                ("shows", row.scope), ("until", row.until.isoformat()),
            ),
            proof=(ADVISER, row.pk),
            proof_since=since,
        )  # fmt: skip


def _powers(since: datetime | None) -> Iterator[SignedRow]:
    rows = PowerOfAttorney.objects.filter(is_approved=True).defer("sealed_content")
    for row in rows.select_related("investor", "attorney__case", "decided_by"):
        assert row.decided_by is not None
        # A director decides by a right of his own.
        right = Capability.KYC_APPROVE
        if row.decided_by.role_grants.filter(role="director").exists():
            right = Capability.KYC_SENIOR
        yield SignedRow(
            what=f"power of attorney of {row.attorney.number} for {row.investor.number}",
            signatures=(
                SignedAct(user=row.proposed_by_id, capability=Capability.KYC_REVIEW),
                SignedAct(user=row.decided_by.pk, capability=right, by_line=True),
            ),
            action="attorney.approved",
            subject=("power_of_attorney", str(row.pk)),
            body=(
                ("investor", row.investor.number), ("attorney", row.attorney.number),
                ("may", row.scope), ("first_day", row.first_day.isoformat()),
                ("last_day", row.last_day.isoformat()), ("deed", row.deed_digest),
            ),
            proof=(ATTORNEY, row.pk),
            proof_since=since,
        )  # fmt: skip


def _steps(since: datetime | None) -> Iterator[SignedRow]:
    rows = EstateStep.objects.filter(is_approved=True).defer("sealed_content")
    for row in rows.select_related("report__investor", "executor", "decided_by"):
        assert row.decided_by is not None
        right = Capability.KYC_APPROVE
        if row.decided_by.role_grants.filter(role="director").exists():
            right = Capability.KYC_SENIOR
        yield SignedRow(
            what=f"{row.get_kind_display().lower()} of {row.report.investor.number}",
            signatures=(
                SignedAct(user=row.proposed_by_id, capability=Capability.KYC_REVIEW),
                SignedAct(user=row.decided_by.pk, capability=right, by_line=True),
            ),
            action="estate.approved",
            subject=("estate_step", str(row.pk)),
            body=(
                ("report", str(row.report_id)), ("kind", row.kind), ("paper", row.paper_digest),
                ("executor", row.executor.number if row.executor else None),
            ),
            proof=(ESTATE, row.pk),
            proof_since=since,
        )  # fmt: skip
