"""Terms of a share class: versioned, approved by two people, read as the domain's dataclass."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, Max, OuterRef, QuerySet

from investors.domain.fees import (
    ClassTerms,
    DayCount,
    FeeForm,
    FeePresentation,
    Hurdle,
    LockUp,
    Rank,
    Tier,
)
from investors.models import ClassPolicyVersion, Fund, Holding, ShareClass, TermsProposal
from investors.services.ledger import open_since
from magnetfund.core.actors import Actor
from magnetfund.core.locks import AdvisoryLock, take_lock
from magnetfund.core.models import User
from magnetfund.core.roles import Capability
from magnetfund.core.services.audit import record_audit
from magnetfund.core.services.signing import TERMS, signed_step
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import Conflict, InvalidInput
from magnetfund.kernel.identifiers import content_hash

#: As long as a reason may be in the tables.
REASON_MAX = 300


def terms_in_force(share_class: ShareClass, *, at: datetime) -> ClassTerms:
    """The newest version effective at ``at``; raises :class:`InvalidInput` without any."""
    return build_terms(policy_in_force(share_class, at=at).terms)


def takes_money(share_class: ShareClass, *, at: datetime) -> bool:
    """Whether orders to buy are taken: not in a class whose terms in force close it."""
    row = _newest_policy(share_class, at)
    return row is None or build_terms(row.terms).is_open


def policy_in_force(share_class: ShareClass, *, at: datetime) -> ClassPolicyVersion:
    """The row of :func:`terms_in_force`, which names its version."""
    row = _newest_policy(share_class, at)
    if row is None:
        raise InvalidInput(f"{share_class} has no terms yet", code="no_terms")
    return row


def _newest_policy(share_class: ShareClass, at: datetime) -> ClassPolicyVersion | None:
    return (
        ClassPolicyVersion.objects.filter(share_class=share_class, effective_from__lte=at)
        .order_by("-version")
        .first()
    )


def priced_classes(fund: Fund, *, at: datetime) -> list[ShareClass]:
    """The classes that a NAV of an instant prices, by code: those with terms in force, and any
    with units.

    A class that was opened later, or whose terms begin later, has no part in it.  Raises
    :class:`InvalidInput` (``no_terms``) where there is none.
    """
    has_terms = Exists(
        ClassPolicyVersion.objects.filter(share_class=OuterRef("pk"), effective_from__lte=at)
    )
    has_units = Exists(Holding.objects.filter(share_class=OuterRef("pk"), units__gt=0))
    rows = list(fund.classes.filter(has_terms | has_units).order_by("code"))
    if not rows:
        raise InvalidInput(f"no class of {fund} has terms yet", code="no_terms")
    return rows


def terms_by_class(book: str, *, at: datetime) -> list[tuple[ShareClass, ClassTerms]]:
    """Each class of a book's fund with its terms in force, by code; one read for all."""
    rows = (
        ClassPolicyVersion.objects.filter(share_class__fund__book=book, effective_from__lte=at)
        .select_related("share_class")
        .order_by("share_class__code", "share_class", "-version")
        .distinct("share_class__code", "share_class")
    )
    return [(row.share_class, build_terms(row.terms)) for row in rows]


def build_terms(plain: dict[str, Any]) -> ClassTerms:
    """Terms from their stored form; unknown names or values raise :class:`InvalidInput`.

    Decimals are texts, enums their values, tiers pairs of (above, rate).  ``fiscal_month``, the
    month in which a year begins, is the older word for the one crystallisation month before it.
    """
    values = dict(plain)
    try:
        if "fiscal_month" in values:
            begins = int(values.pop("fiscal_month"))
            values.setdefault("crystallisation_months", [(begins - 2) % 12 + 1])
        return ClassTerms(**{name: _term(name, value) for name, value in values.items()})
    except (TypeError, ValueError, ArithmeticError) as error:
        raise InvalidInput(f"these terms are not valid: {error}", code="bad_terms") from None


def plain_terms(terms: ClassTerms) -> dict[str, Any]:
    """The stored form of terms, every option named; :func:`build_terms` reads it back."""
    plain: dict[str, Any] = {}
    for field in fields(terms):
        value = getattr(terms, field.name)
        if field.name == "tiers":
            value = [[f"{tier.above:f}", f"{tier.rate:f}"] for tier in value]
        elif isinstance(value, tuple):
            value = list(value)
        plain[field.name] = f"{value:f}" if isinstance(value, Decimal) else value
    return plain


_ENUMS: dict[str, type[StrEnum]] = {
    "day_count": DayCount,
    "hurdle": Hurdle,
    "entry_fee_form": FeeForm,
    "fee_presentation": FeePresentation,
    "lock_up": LockUp,
    "gate_rank": Rank,
}
_WHOLE = ("notice_days", "lock_up_days", "rolls_max")
_YES_NO = ("hurdle_compounds", "hurdle_is_cumulative", "is_open")


def _term(name: str, value: Any) -> Any:
    if name in _ENUMS:
        return _ENUMS[name](value)
    if name == "tiers":
        return tuple(Tier(above=Decimal(above), rate=Decimal(rate)) for above, rate in value)
    if name == "crystallisation_months":
        return tuple(int(month) for month in value)
    if name in _WHOLE:
        return int(value)
    if name in _YES_NO:
        if not isinstance(value, bool):
            raise ValueError(f"{name} is true or false")
        return value
    return Decimal(str(value))


def set_terms(
    *,
    share_class: ShareClass,
    terms: dict[str, Any],
    effective_from: datetime,
    proposer: Actor,
    approver: Actor,
) -> ClassPolicyVersion:
    """Put a further version in force, proposed by an accountant and approved by a controller."""
    proposer.require(Capability.TERMS_PROPOSE)
    approver.require(Capability.TERMS_APPROVE)
    if proposer.user is None or approver.user is None:
        raise InvalidInput("terms are set by two people", code="needs_person")
    signer = approver.require_other_than(proposer.user, "a change of terms")
    terms = plain_terms(build_terms(terms))
    require_open_period(share_class, effective_from)
    with transaction.atomic():
        return _put_in_force(
            share_class=share_class,
            terms=terms,
            effective_from=effective_from,
            proposed_by=proposer.user,
            approved_by=signer,
            actor=approver,
            at=effective_from,
        )


def require_open_period(share_class: ShareClass, effective_from: datetime) -> None:
    """Raise :class:`Conflict` (``period_closed``) for terms from the last NAV or before it."""
    if effective_from <= open_since(share_class.fund):
        raise Conflict(
            "a NAV was struck after that instant; terms take effect after the last NAV",
            code="period_closed",
        )


def propose_terms(
    *,
    share_class: ShareClass,
    terms: dict[str, Any],
    reason: str,
    effective_from: datetime,
    actor: Actor,
) -> TermsProposal:
    """Propose terms of a class; a second person puts them in force.

    Raises :class:`Conflict` (``proposal_open``) while another proposal of the class waits.
    """
    actor.require(Capability.TERMS_PROPOSE)
    if actor.user is None:
        raise InvalidInput("terms are proposed by a person", code="needs_person")
    if not reason.strip():
        raise InvalidInput("a reason is needed", code="reason_missing")
    plain = plain_terms(build_terms(terms))
    with transaction.atomic():
        take_lock(AdvisoryLock.STRIKE_OF_FUND, share_class.fund_id)
        require_open_period(share_class, effective_from)
        if open_proposals().filter(share_class=share_class).exists():
            raise Conflict(
                f"terms of {share_class} wait for a signature already; decide on those first",
                code="proposal_open",
            )
        row = TermsProposal.objects.create(
            share_class=share_class,
            terms=plain,
            content_hash=content_hash([share_class.code, plain, effective_from]),
            reason=reason.strip()[:REASON_MAX],
            effective_from=effective_from,
            proposed_by=actor.user,
        )
        _note(actor, "class.terms_proposed", row)
    return row


def approve_terms(*, proposal: TermsProposal, seen_hash: str, actor: Actor) -> ClassPolicyVersion:
    """Second signature: the proposal becomes the next version of the class's terms.

    ``seen_hash`` is that of what the approver was shown; another raises :class:`Conflict`
    (``changed``).  Raises :class:`SignatureMissing` until the actor has signed the proposal.
    """
    actor.require(Capability.TERMS_APPROVE)
    with transaction.atomic():
        row = _lock_open(proposal)
        signer = actor.require_other_than(row.proposed_by, "a change of terms")
        if seen_hash != row.content_hash:
            raise Conflict(
                "the proposal changed since you opened this page; reload and review it again",
                code="changed",
            )
        require_open_period(row.share_class, row.effective_from)
        row.policy = _put_in_force(
            share_class=row.share_class,
            terms=row.terms,
            effective_from=row.effective_from,
            proposed_by=row.proposed_by,
            approved_by=signer,
            actor=actor,
            at=utc_now(),
            proposal=row.pk,
        )
        row.save(update_fields=["policy"])
    return row.policy


def withdraw_terms(*, proposal: TermsProposal, reason: str, actor: Actor) -> TermsProposal:
    """Close a proposal without effect: its maker takes it back, or an approver returns it."""
    if actor.user is None or not actor.user.can(Capability.TERMS_PROPOSE):
        actor.require(Capability.TERMS_APPROVE)
    if not reason.strip():
        raise InvalidInput("a reason is needed", code="reason_missing")
    with transaction.atomic():
        row = _lock_open(proposal)
        row.withdrawn_at = utc_now()
        row.save(update_fields=["withdrawn_at"])
        _note(actor, "class.terms_withdrawn", row, why=reason.strip()[:REASON_MAX])
    return row


def open_proposals() -> QuerySet[TermsProposal]:
    """Proposals that wait for a second signature, oldest first."""
    return TermsProposal.objects.filter(policy=None, withdrawn_at=None).order_by("proposed_at")


def _lock_open(proposal: TermsProposal) -> TermsProposal:
    """The proposal as it is now, under the fund's lock; strikes wait, and so do other signers."""
    take_lock(AdvisoryLock.STRIKE_OF_FUND, proposal.share_class.fund_id)
    row = TermsProposal.objects.select_for_update(of=("self",)).get(pk=proposal.pk)
    if row.policy_id is not None or row.withdrawn_at is not None:
        raise Conflict("this proposal is closed", code="proposal_closed")
    return row


def _note(actor: Actor, action: str, row: TermsProposal, **more: str) -> None:
    record_audit(
        actor=actor,
        action=action,
        subject=("terms_proposal", row.pk),
        body={"class": row.share_class.code, "hash": row.content_hash, **more},
    )


def _put_in_force(
    *,
    share_class: ShareClass,
    terms: dict[str, Any],
    effective_from: datetime,
    proposed_by: User,
    approved_by: User,
    actor: Actor,
    at: datetime,
    proposal: UUID | None = None,
) -> ClassPolicyVersion:
    last = share_class.policies.aggregate(v=Max("version"))["v"] or 0
    with signed_step(action=TERMS, subject=proposal):
        row = ClassPolicyVersion.objects.create(
            share_class=share_class,
            version=last + 1,
            terms=terms,
            content_hash=content_hash([share_class.code, last + 1, terms]),
            effective_from=effective_from,
            proposed_by=proposed_by,
            approved_by=approved_by,
        )
    record_audit(
        actor=actor,
        action="class.terms",
        subject=("share_class", share_class.pk),
        body={"version": row.version, "hash": row.content_hash},
        at=at,
    )
    return row
