"""Arming again: proposed by one person, approved by another, and PostgreSQL has the last word."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import DatabaseError, connection, transaction

from magnetfund.core.actors import Actor
from magnetfund.core.models import User
from magnetfund.core.roles import Capability
from magnetfund.core.services.audit import record_audit
from magnetfund.core.services.signing import refusal_of
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import Conflict, NotAllowed
from risk.domain.fuse import (
    FuseRules,
    FuseState,
    ResetDenialCode,
    Trigger,
    Trip,
    find_heaviest,
    find_reset_denial,
    is_director_needed,
)
from risk.models import (
    FUND_SCOPE,
    FuseEvent,
    FuseReset,
)
from risk.services.fuse import require_stated_reason, state_of
from risk.services.limits import limits_in_force

#: How a refusal of the fuse's triggers begins.
WALL_SAYS = "fuse: "


def propose_reset(
    *, book: str, reason: str, reconciliation: str, actor: Actor, at: datetime | None = None
) -> FuseReset:
    """Request re-arming, citing the clean reconciliation it relies on.

    Raises :class:`Conflict` when the fund is armed already or another request is open.
    """
    actor.require(Capability.FUSE_RESET)
    require_stated_reason(reason)
    at = at or utc_now()
    with transaction.atomic():
        if state_of(book) == FuseState.ARMED:
            raise Conflict("the fuse is armed", code="already_armed")
        if FuseReset.objects.filter(book=book, withdrawn_at=None, transition=None).exists():
            raise Conflict("a request to re-arm is open", code="reset_open")
        events = _open_trips(book)
        reset = FuseReset.objects.create(
            book=book,
            event=events[0] if events else None,
            trigger=find_heaviest(_plain_trips(events)),
            reason=reason.strip()[:300],
            reconciliation=reconciliation,
            proposed_by=_person(actor),
            proposed_at=at,
        )
        reset.refresh_from_db(fields=["trigger", "stops"])
        record_audit(
            actor=actor,
            action="fuse.reset_proposed",
            subject=("fuse_reset", reset.id),
            body={"book": book, "reason": reason, "trigger": reset.trigger},
            at=at,
        )
    return reset


def approve_reset(
    *,
    reset: FuseReset,
    actor: Actor,
    director: Actor | None = None,
    at: datetime | None = None,
) -> FuseEvent:
    """Second signature: the fund is ARMED when this returns.

    Raises :class:`NotAllowed` for the proposer himself or without the capability, and
    :class:`Conflict` when the request is gone, when a daily loss was not followed by a new UTC day
    (``same_day``), when a second drawdown reset within 30 days lacks a director, or when the books
    were not found clean since the fund stopped (``arming_refused``, which PostgreSQL decides), and
    :class:`SignatureMissing` until proposer and approver have both signed this request.
    """
    actor.require(Capability.FUSE_RESET)
    at = at or utc_now()
    with transaction.atomic():
        row = FuseReset.objects.select_for_update().get(pk=reset.pk)
        if row.withdrawn_at or row.approved_at:
            raise Conflict("this request is closed", code="reset_closed")
        actor.require_other_than(row.proposed_by, "re-arming")
        trips = _plain_trips(_open_trips(row.book))
        rules = FuseRules.of_limit_set(limits_in_force(row.book, at=at))
        earlier = _drawdown_resets(row)
        signing_director: User | None = None
        denial = find_reset_denial(
            trips=trips,
            drawdown_resets=earlier,
            has_director=director is not None,
            at=at,
            rules=rules,
        )
        if denial is not None:
            kind = NotAllowed if denial.code is ResetDenialCode.NEEDS_DIRECTOR else Conflict
            raise kind(denial.words, code=denial.code.value)
        if director is not None and is_director_needed(
            trips=trips, drawdown_resets=earlier, at=at, rules=rules
        ):
            director.require(Capability.DRAWDOWN_SECOND_RESET)
            director.require_other_than(row.proposed_by, "the director's signature")
            director.require_other_than(_person(actor), "the director's signature")
            signing_director = director.user
        event = _arm(row, actor=actor, director=signing_director, at=at)
        record_audit(
            actor=actor,
            action="fuse.armed",
            subject=("fuse_reset", row.id),
            body={"book": row.book, "proposed_by": str(row.proposed_by)},
            at=at,
        )
    return event


def _arm(
    reset: FuseReset, *, actor: Actor, director: User | None, at: datetime | None
) -> FuseEvent:
    """Arm by the owner's function, which looks for the signatures of proposer and approver."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                "SELECT risk_arm_fund(%s, %s, %s, %s, %s)",
                [
                    reset.pk,
                    _person(actor).pk,
                    None if director is None else director.pk,
                    actor.label,
                    at,
                ],
            )
            (event_id,) = cursor.fetchone()
    except DatabaseError as error:
        refusal = refusal_of(error, wall=WALL_SAYS, code="arming_refused")
        if refusal is None:
            raise
        raise refusal from None
    return FuseEvent.objects.get(pk=event_id)


def withdraw_reset(*, reset: FuseReset, actor: Actor) -> None:
    """Take an open request back."""
    actor.require(Capability.FUSE_RESET)
    with transaction.atomic():
        row = FuseReset.objects.select_for_update().get(pk=reset.pk)
        if row.withdrawn_at or row.approved_at:
            raise Conflict("this request is closed", code="reset_closed")
        row.withdrawn_at = utc_now()
        row.save(update_fields=["withdrawn_at"])
        record_audit(actor=actor, action="fuse.reset_withdrawn", subject=("fuse_reset", row.id))


def _open_trips(book: str) -> list[FuseEvent]:
    """Every trip that no arming has ended, newest first; all of them bind a reset."""
    return list(
        FuseEvent.objects.filter(
            book=book, scope=FUND_SCOPE, kind="tripped", stop_reset=None
        ).order_by("-occurred_at")
    )


def _plain_trips(events: list[FuseEvent]) -> list[Trip]:
    return [Trip(trigger=event.trigger, tripped_at=event.occurred_at) for event in events]


def _drawdown_resets(reset: FuseReset) -> list[datetime]:
    """When earlier drawdowns of the book were reset, this request left out."""
    rows = FuseReset.objects.filter(
        book=reset.book, trigger=Trigger.DRAWDOWN.code, approved_at__isnull=False
    ).exclude(pk=reset.pk)
    return [at for at in rows.values_list("approved_at", flat=True) if at is not None]


def _person(actor: Actor) -> Any:
    if actor.user is None:
        raise NotAllowed(
            "this step must be taken by a person, not a service account", code="needs_person"
        )
    return actor.user
