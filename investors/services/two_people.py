"""What one person proposed and another decides on his signature: locked, checked, written once."""

from __future__ import annotations

from typing import TypeVar

from investors.models.expenses import TwoPersonProposal
from magnetfund.core.actors import Actor
from magnetfund.core.services.signing import signed_step, signed_to
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import Conflict, InvalidInput

Proposal = TypeVar("Proposal", bound=TwoPersonProposal)


def decide_proposal(
    proposal: Proposal, *, action: str, is_approved: bool, actor: Actor, reason: str, what: str
) -> Proposal:
    """Approve or decline a proposal in the caller's transaction; ``action`` is what is signed.

    Raises :class:`NotAllowed` (``same_person``), :class:`Conflict` (``proposal_closed``),
    :class:`InvalidInput` (``reason_missing``: a refusal says why) and :class:`SignatureMissing`
    until the actor has signed the decision.
    """
    words = reason.strip()[:300]
    if not is_approved and not words:
        raise InvalidInput("say why it is declined", code="reason_missing")
    row = (
        type(proposal)
        ._default_manager.select_for_update(of=("self",))
        .select_related("proposed_by")
        .get(pk=proposal.pk)
    )
    if row.decided_at is not None:
        raise Conflict("this proposal has been decided", code="proposal_closed")
    row.decided_by = actor.require_other_than(row.proposed_by, what)
    row.decided_at, row.is_approved, row.reason = utc_now(), is_approved, words
    with signed_step(action=signed_to(action, is_approved=is_approved), subject=row.pk):
        row.save(update_fields=["decided_by", "decided_at", "is_approved", "reason"])
    return row
