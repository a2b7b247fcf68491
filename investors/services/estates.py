"""A holder's death: reported, the account held at once, and what two people decide of it.

One person of compliance reports it, for a hold that is wrong can be lifted and a payment cannot be
brought back.  Everything after takes two people, the second by signature.
"""

from __future__ import annotations

import hashlib
from datetime import date
from typing import Any

from django.db import transaction

from investors.domain.onboarding import KycState
from investors.domain.onboarding.uploads import check_upload
from investors.models import DealingOrder, DeathReport, EstateStep, Investor
from investors.services.advisers import end_all_access, sign_out
from investors.services.attorneys import end_all_powers
from investors.services.dealing import OPEN_STATES, release_units, state_without_rest
from investors.services.estate_rules import open_report
from investors.services.estate_valuation import make_valuation
from investors.services.founding import check_holder_name
from investors.services.receipts import release_money
from investors.services.sealing import make_key, seal, unseal
from investors.services.two_people import decide_proposal
from magnetfund.core.actors import Actor
from magnetfund.core.models import User
from magnetfund.core.roles import Capability, refusal_of
from magnetfund.core.services.audit import record_audit
from magnetfund.core.services.signing import ESTATE
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import Conflict, InvalidInput, NotAllowed

Kind = EstateStep.Kind
ASIDE = "a death was reported"


def report_death(
    *,
    investor: Investor,
    deceased: str,
    died_on: date,
    paper_name: str,
    paper: bytes,
    actor: Actor,
) -> DeathReport:
    """Report a death with its paper, and hold the account at once.

    Nobody signs in or acts for the holder any more; orders that take units are set aside,
    subscriptions lapse and their money is owed to its senders.  Raises the codes of
    :func:`check_upload`, :class:`InvalidInput` (``bad_name``, ``bad_date``) and :class:`Conflict`
    (``death_known``).
    """
    actor.require(Capability.KYC_REVIEW)
    if actor.user is None:
        raise NotAllowed("a death is reported by a person", code="needs_person")
    name = " ".join(deceased.split())[:200]
    at = utc_now()
    if not name:
        raise InvalidInput("say who died", code="bad_name")
    if died_on > at.date():
        raise InvalidInput("the day of the death lies ahead", code="bad_date")
    found = check_upload(name=paper_name, content=paper)
    with transaction.atomic():
        holder = Investor.objects.select_for_update(of=("self",)).get(pk=investor.pk)
        if open_report(holder) is not None:
            raise Conflict("a death was reported already", code="death_known")
        row = DeathReport(
            investor=holder, deceased=name, died_on=died_on, paper_name=found.name,
            paper_type=found.media_type, paper_digest=hashlib.sha256(paper).hexdigest(),
            reported_by=actor.user, reported_at=at,
        )  # fmt: skip
        make_key(row.pk)
        row.sealed_content = seal(row.pk, paper, place=f"death:{row.pk}")
        for order in DealingOrder.objects.select_for_update().filter(
            investor=holder, state__in=OPEN_STATES, is_compulsory=False
        ):
            _stop(order, actor, at)
        row.valuation = make_valuation(investor=holder, deceased=name, died_on=died_on, actor=actor)
        row.save(force_insert=True)
        end_all_access(holder, actor=actor)
        end_all_powers(holder, actor=actor, reason=ASIDE)
        if holder.user is not None:
            _set_active(holder.user, is_active=False)
            sign_out(holder.user)
        record_audit(
            actor=actor,
            action="death.reported",
            subject=("death_report", row.pk),
            body={"investor": holder.number, "died_on": died_on.isoformat(),
                  "paper": row.paper_digest},
            at=at,
        )  # fmt: skip
    return row


def propose_step(
    *,
    report: DeathReport,
    kind: str,
    ground: str,
    paper_name: str,
    paper: bytes,
    actor: Actor,
    survivor: str = "",
    executor: Investor | None = None,
) -> EstateStep:
    """Propose what becomes of a reported death, with the paper that it rests on.

    Raises the codes of :func:`check_upload`, :class:`InvalidInput` (``reason_missing``,
    ``bad_name``, ``missing_glyph``, ``not_joint``, ``bad_executor``) and :class:`Conflict`
    (``report_closed``, ``step_waits``).
    """
    actor.require(Capability.KYC_REVIEW)
    if actor.user is None:
        raise NotAllowed("a step is proposed by a person", code="needs_person")
    which, words, name = Kind(kind), ground.strip()[:300], " ".join(survivor.split())
    if which == Kind.SURVIVOR and name:
        # It becomes the holder's name, on every paper from then on.
        name = check_holder_name(name)
    if not words:
        raise InvalidInput("say what it rests on", code="reason_missing")
    found = check_upload(name=paper_name, content=paper)
    with transaction.atomic():
        held = _lock_open(report)
        if EstateStep.objects.filter(report=held, is_approved=None).exists():
            raise Conflict("a step of this report waits to be decided", code="step_waits")
        row = EstateStep(
            report=held, kind=which, ground=words,
            survivor=name if which == Kind.SURVIVOR else "",
            executor=executor if which == Kind.PROBATE else None,
            paper_name=found.name, paper_type=found.media_type,
            paper_digest=hashlib.sha256(paper).hexdigest(), proposed_by=actor.user,
        )  # fmt: skip
        _require_fit(row)
        make_key(row.pk)
        row.sealed_content = seal(row.pk, paper, place=f"estate:{row.pk}")
        row.save(force_insert=True)
        _note(actor, "estate.proposed", row)
    return row


def decide_step(
    *, proposal: EstateStep, is_approved: bool, actor: Actor, reason: str = ""
) -> EstateStep:
    """Approve and carry out a step, or decline it, on the actor's signature.

    Raises :class:`NotAllowed`, :class:`Conflict` (``report_closed``), :class:`InvalidInput`
    (``bad_executor``, ``not_joint``) and what :func:`decide_proposal` raises.
    """
    user = actor.user
    if user is None or not (user.can(Capability.KYC_APPROVE) or user.can(Capability.KYC_SENIOR)):
        raise refusal_of(Capability.KYC_APPROVE)
    with transaction.atomic():
        report = _lock_open(proposal.report)
        if is_approved:
            _require_fit(proposal)
        row = decide_proposal(
            proposal, action=ESTATE, is_approved=is_approved, actor=actor, reason=reason,
            what="a decision on an estate",
        )  # fmt: skip
        _note(actor, "estate.approved" if is_approved else "estate.declined", row)
        if is_approved and row.kind != Kind.PROBATE:
            _close(report, row, actor)
    return row


def open_paper(*, row: DeathReport | EstateStep, actor: Actor) -> bytes:
    """The paper of a report or of a step for whoever reads compliance files; it is noted."""
    actor.require(Capability.KYC_VIEW)
    place = "death" if isinstance(row, DeathReport) else "estate"
    content = unseal(row.pk, row.sealed_content, place=f"{place}:{row.pk}")
    record_audit(
        actor=actor,
        action="document.opened",
        subject=(f"{place}_paper", row.pk),
        body={"paper": row.paper_digest},
    )
    return content


def _lock_open(report: DeathReport) -> DeathReport:
    row = (
        DeathReport.objects.select_for_update(of=("self",))
        .select_related("investor__user")
        .get(pk=report.pk)
    )
    if row.closed_at is not None:
        raise Conflict("this report is closed", code="report_closed")
    return row


def _require_fit(row: EstateStep) -> None:
    """The step is possible for this holder now."""
    holder = row.report.investor
    if row.kind == Kind.SURVIVOR and holder.kind != "joint":
        raise InvalidInput("only joint holders have a survivor", code="not_joint")
    if row.kind == Kind.SURVIVOR and not row.survivor:
        raise InvalidInput("name the survivor", code="bad_name")
    if row.kind == Kind.PROBATE:
        executor = row.executor
        if (
            executor is None
            or executor.pk == holder.pk
            or executor.kyc_state != KycState.APPROVED
            or open_report(executor) is not None
        ):
            raise InvalidInput(
                "the executor or the estate has a file of its own, which is approved",
                code="bad_executor",
            )


def _close(report: DeathReport, step: EstateStep, actor: Actor) -> None:
    """End the hold: the account is its holder's again, or the survivor's alone."""
    holder = report.investor
    report.outcome = (
        DeathReport.Outcome.LIFTED if step.kind == Kind.LIFT else DeathReport.Outcome.SURVIVOR
    )
    report.closed_at = utc_now()
    report.save(update_fields=["outcome", "closed_at"])
    if step.kind == Kind.SURVIVOR:
        holder.legal_name = step.survivor
        holder.save(update_fields=["legal_name"])
    if holder.user is not None:
        _set_active(holder.user, is_active=True)
    record_audit(
        actor=actor,
        action="death.closed",
        subject=("death_report", report.pk),
        body={"investor": holder.number, "outcome": report.outcome},
    )


def _stop(order: DealingOrder, actor: Actor, at: Any) -> None:
    """Set an order that takes units aside; let a subscription lapse and give its money back."""
    reason = ASIDE
    if order.buys_units:
        order.state = DealingOrder.State.CANCELLED
        try:
            if order.funded_amount:
                release_money(order, actor=actor, reason=ASIDE, at=at)
        except Conflict as error:
            # Money without receipts of its own is returned by hand; the hold does not wait for it.
            order.state, reason = DealingOrder.State.SET_ASIDE, f"{ASIDE}; {error.message}"
    else:
        release_units(order, at)
        order.state = state_without_rest(order, otherwise=DealingOrder.State.SET_ASIDE)
    order.reason, order.updated_at = reason[:300], at
    order.save(update_fields=["state", "reason", "updated_at", "funded_amount", "funded_at"])
    record_audit(
        actor=actor,
        action="order.set_aside" if order.takes_units else "order.lapsed",
        subject=("dealing_order", order.pk),
        body={"reason": ASIDE},
        at=at,
    )


def _set_active(user: User, *, is_active: bool) -> None:
    user.is_active = is_active
    user.save(update_fields=["is_active"])


def _note(actor: Actor, action: str, row: EstateStep) -> None:
    record_audit(
        actor=actor,
        action=action,
        subject=("estate_step", row.pk),
        body={
            "report": str(row.report_id),
            "kind": row.kind,
            "paper": row.paper_digest,
            "executor": row.executor.number if row.executor else None,
        },
    )
