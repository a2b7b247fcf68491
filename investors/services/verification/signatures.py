"""Who signed what: NAVs and terms, by two people who held the right then."""

from __future__ import annotations

from investors.models import ClassPolicyVersion, Fund, NavStrike, TermsProposal
from magnetfund.core.roles import Capability
from magnetfund.core.services.signatures import SignedAct, SignedRow, find_signature_faults
from magnetfund.kernel.identifiers import content_hash

SIGNED_STATES = ("approved", "dealt", "superseded")


def find_signature_differences(fund: Fund) -> list[str]:
    """NAVs and terms were signed by two people who held the right then."""
    strikes = [_signed_strike(row) for row in NavStrike.objects.filter(
        fund=fund, state__in=SIGNED_STATES, approved_by__isnull=False
    ).order_by("valuation_at")]  # fmt: skip
    found = [
        f"NAV of {row.valuation_at:%Y-%m-%d}: what was approved is not what it says"
        for row in NavStrike.objects.filter(fund=fund, state__in=SIGNED_STATES)
        if row.approved_by_id is None or row.approved_hash != row.result_hash
    ]
    terms: list[SignedRow] = []
    rows = ClassPolicyVersion.objects.filter(share_class__fund=fund)
    versions: dict[int, int] = {}
    for row in rows.select_related("share_class").order_by("share_class", "version"):
        what = f"terms of class {row.share_class.code} version {row.version}"
        versions[row.share_class_id] = versions.get(row.share_class_id, 0) + 1
        if row.version != versions[row.share_class_id]:
            found.append(f"{what}: version {versions[row.share_class_id]} is missing")
        if row.content_hash != content_hash([row.share_class.code, row.version, row.terms]):
            found.append(f"{what}: the terms are not those that were signed")
        terms.append(_signed_terms(row, what))
    return found + _find_proposals(fund) + find_signature_faults([*strikes, *terms])


def _signed_strike(row: NavStrike) -> SignedRow:
    assert row.approved_by_id is not None
    return SignedRow(
        what=f"NAV of {row.valuation_at:%Y-%m-%d}",
        signatures=(
            SignedAct(
                user=row.prepared_by_id, capability=Capability.NAV_PREPARE, at=row.recorded_at
            ),
            SignedAct(user=row.approved_by_id, capability=Capability.NAV_APPROVE, by_line=True),
        ),
        action="nav.approved",
        subject=("nav_strike", str(row.pk)),
        body=(("hash", row.result_hash),),
    )


def _signed_terms(row: ClassPolicyVersion, what: str) -> SignedRow:
    return SignedRow(
        what=what,
        signatures=(
            SignedAct(user=row.proposed_by_id, capability=Capability.TERMS_PROPOSE),
            SignedAct(user=row.approved_by_id, capability=Capability.TERMS_APPROVE, by_line=True),
        ),
        action="class.terms",
        subject=("share_class", str(row.share_class_id)),
        body=(("version", row.version), ("hash", row.content_hash)),
    )


def _find_proposals(fund: Fund) -> list[str]:
    """Proposals hash to their content, and what came of them is what they proposed."""
    found = []
    rows = TermsProposal.objects.filter(share_class__fund=fund)
    for row in rows.select_related("share_class", "policy"):
        what = f"proposed terms of class {row.share_class.code}"
        if row.content_hash != content_hash([row.share_class.code, row.terms, row.effective_from]):
            found.append(f"{what}: the terms are not those that were proposed")
        if row.policy is not None and (row.policy.terms, row.policy.effective_from) != (
            row.terms,
            row.effective_from,
        ):
            found.append(f"{what}: what came into force is not what was proposed")
    return found
