"""What a changed answer of an application undoes: checks that rested on the answer before."""

from __future__ import annotations

from collections.abc import Mapping

from investors.models import Investor, KycCheck
from investors.services.kyc_file import read_checklist

#: Items of the checklist that rest on the answers of a step.
RESTS_ON: Mapping[str, frozenset[str]] = {
    "about": frozenset({"identity", "address"}),
    "second": frozenset({"identity", "address"}),
    "company": frozenset({"existence"}),
    "owners": frozenset({"owners", "identity"}),
    "trust": frozenset({"trust_deed"}),
    "parties": frozenset({"trust_parties", "identity"}),
    "tax": frozenset({"tax_residence"}),
    "experience": frozenset({"suitability"}),
    "source": frozenset({"source_of_funds"}),
}
EVIDENCE = "answered anew since it was checked"


def reopen_checks(investor: Investor, *, step: str) -> int:
    """Take the check off every item that rests on a step, in the caller's transaction; how many.

    The item counts as received: a person looks at it again before the file is approved.
    """
    rows = [
        KycCheck(
            investor=investor,
            item=line.item,
            outcome=KycCheck.Outcome.RECEIVED,
            evidence=EVIDENCE,
        )
        for line in read_checklist(investor)
        if line.item in RESTS_ON.get(step, frozenset())
        and line.note is not None
        and line.note.outcome == KycCheck.Outcome.CHECKED
    ]
    KycCheck.objects.bulk_create(rows)
    return len(rows)
