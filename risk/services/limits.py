"""Limits in force, and how they change: proposed by one person, approved by another."""

from __future__ import annotations

from datetime import datetime

from django.db import DatabaseError, connection, transaction

from magnetfund.core.actors import Actor
from magnetfund.core.models import User
from magnetfund.core.roles import Capability
from magnetfund.core.services.audit import record_audit
from magnetfund.core.services.signing import LIMITS, SignatureMissing, refusal_of
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import Conflict, InvalidInput, NotAllowed
from magnetfund.kernel.identifiers import content_hash
from risk import models
from risk.domain.limits import Limits, complete_figures, figures_of, limits_of

REASON_MAX = 300


def require_reason(reason: str) -> None:
    """Raise :class:`InvalidInput` for a reason that is missing or longer than its column."""
    if not reason.strip():
        raise InvalidInput("a reason is needed", code="reason_missing")
    if len(reason) > REASON_MAX:
        raise InvalidInput(f"a reason has at most {REASON_MAX} characters", code="reason_too_long")


def limits_in_force(book: str, *, at: datetime | None = None) -> Limits:
    """The newest approved version that is effective at ``at``, else the set in code."""
    at = at or utc_now()
    row = (
        models.LimitSet.objects.filter(book=book, effective_from__lte=at)
        .order_by("-version")
        .first()
    )
    if row is None:
        return Limits()
    figures = complete_figures(row.figures)
    return limits_of(figures=figures, version=row.version, effective_from=row.effective_from)


def list_limits_in_force(book: str, *, start: datetime, end: datetime) -> tuple[Limits, ...]:
    """The approved versions in force in ``[start, end)``, in the order in which they act.

    Empty where none was; the first may begin before ``start``.
    """
    begins = models.LimitSet.objects.filter(
        book=book, effective_from__gt=start, effective_from__lt=end
    ).order_by("effective_from")
    found: list[Limits] = []
    for at in (start, *begins.values_list("effective_from", flat=True)):
        limits = limits_in_force(book, at=at)
        if limits.version and (not found or limits.version != found[-1].version):
            found.append(limits)
    return tuple(found)


def propose_limits(
    *,
    book: str,
    figures: dict[str, str | None],
    reason: str,
    effective_from: datetime,
    actor: Actor,
) -> models.LimitProposal:
    """Propose a whole set: a figure that is missing, or looser than its ceiling, is refused."""
    actor.require(Capability.LIMITS_PROPOSE)
    require_reason(reason)
    if actor.user is None:
        raise NotAllowed(
            "this step must be taken by a person, not a service account", code="needs_person"
        )
    checked = limits_of(figures=figures, version=1, effective_from=effective_from)
    plain = figures_of(limits=checked)
    with transaction.atomic():
        proposal = models.LimitProposal.objects.create(
            book=book,
            figures=plain,
            content_hash=content_hash([book, plain, effective_from]),
            reason=reason,
            effective_from=effective_from,
            proposed_by=actor.user,
        )
        record_audit(
            actor=actor,
            action="limits.proposed",
            subject=("limit_proposal", proposal.id),
            body={"book": book, "reason": reason, "hash": proposal.content_hash},
        )
    return proposal


def approve_limits(*, proposal: models.LimitProposal, seen_hash: str, actor: Actor) -> Limits:
    """Second signature: the proposal becomes the next version.

    ``seen_hash`` is the hash of what the approver was shown; another content raises
    :class:`Conflict`, and a person who has not signed :class:`SignatureMissing`.
    """
    actor.require(Capability.LIMITS_APPROVE)
    with transaction.atomic():
        row = models.LimitProposal.objects.select_for_update().get(pk=proposal.pk)
        if row.limit_set_id is not None or row.withdrawn_at is not None:
            raise Conflict("this proposal is closed", code="proposal_closed")
        signer = actor.require_other_than(row.proposed_by, "a change of limits")
        if seen_hash != row.content_hash:
            raise Conflict(
                "the proposal changed since you opened this page; reload and review it again",
                code="changed",
            )
        version = _put_in_force(row, signer)
        limit_set = models.LimitSet.objects.get(book=row.book, version=version)
        record_audit(
            actor=actor,
            action="limits.approved",
            subject=("limit_set", limit_set.pk),
            body={"book": row.book, "version": version, "hash": row.content_hash},
        )
    figures = complete_figures(row.figures)
    return limits_of(figures=figures, version=version, effective_from=row.effective_from)


def _put_in_force(proposal: models.LimitProposal, signer: User) -> int:
    """Version of the set that the owner's function made on the signatures of both people."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT risk_set_limits(%s, %s)", [proposal.pk, signer.pk])
            (version,) = cursor.fetchone()
    except DatabaseError as error:
        refusal = refusal_of(error, wall="limits: ", code="limits_refused")
        if refusal is None:
            raise
        if isinstance(refusal, SignatureMissing):
            refusal.details.update(action=LIMITS, subject=str(proposal.pk))
        raise refusal from None
    return int(version)


def withdraw_limits(
    *, proposal: models.LimitProposal, reason: str, actor: Actor
) -> models.LimitProposal:
    """Close a proposal without effect: its maker takes it back, or an approver returns it."""
    if actor.user is None or not actor.user.can(Capability.LIMITS_PROPOSE):
        actor.require(Capability.LIMITS_APPROVE)
    require_reason(reason)
    with transaction.atomic():
        row = models.LimitProposal.objects.select_for_update().get(pk=proposal.pk)
        if row.limit_set_id is not None or row.withdrawn_at is not None:
            raise Conflict("this proposal is closed", code="proposal_closed")
        row.withdrawn_at = utc_now()
        row.save(update_fields=["withdrawn_at"])
        record_audit(
            actor=actor,
            action="limits.withdrawn",
            subject=("limit_proposal", row.id),
            body={"book": row.book, "reason": reason.strip()},
        )
    return row
