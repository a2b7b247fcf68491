"""The only writers of the fuse: trip, reduce, clear, lock, disarm, propose and approve a reset.

Anyone of the staff may stop; nobody alone may arm.  A stop is one insert of the owner's function,
waits for no lock that others can hold, and stays in force until an arming names it.  Its audit line
is chained afterwards by :mod:`risk.services.stop_audit`.  The barrier returns once every order that
began earlier is over, ending the sessions that hold it up.  PostgreSQL refuses what these functions
refuse, once more.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import DatabaseError, connection, transaction

from magnetfund.core import stop_line
from magnetfund.core.actors import Actor
from magnetfund.core.models import User
from magnetfund.core.roles import Capability
from magnetfund.core.services.audit import record_audit
from magnetfund.core.services.signing import refusal_of
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import Conflict, InvalidInput, NotAllowed
from magnetfund.kernel.identifiers import canonical
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
    FuseTransition,
    StrategyLock,
)
from risk.services.limits import limits_in_force

#: How a refusal of the fuse's triggers begins.
WALL_SAYS = "fuse: "


@dataclass(frozen=True, slots=True, kw_only=True)
class FuseFacts:
    """What is written down of one event (FUSE-4)."""

    trigger: str
    reason: str = ""
    severity: float | None = None
    measured: Mapping[str, Any] | None = None
    limits_version: int | None = None
    action: str = ""
    positions_closed: int | None = None
    latency_ms: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Barrier:
    """How the wait for earlier orders ended; ``ended`` counts the sessions that were ended."""

    has_passed: bool
    waited_ms: float
    ended: int


def state_of(book: str, scope: str = FUND_SCOPE) -> str:
    """The state in force, as the order gate sees it; never armed is DISARMED for the fund."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT risk_fuse_state(%s, %s)", [book, scope])
        return str(cursor.fetchone()[0])


def _write(
    *,
    book: str,
    scope: str,
    state: str | None,
    kind: str,
    facts: FuseFacts,
    actor: Actor,
    at: datetime,
    strategy: str = "",
    reset: FuseReset | None = None,
) -> FuseEvent:
    event = FuseEvent.objects.create(
        book=book,
        scope=scope,
        kind=kind,
        trigger=facts.trigger,
        strategy=strategy,
        severity=facts.severity,
        measured=canonical(dict(facts.measured or {})),
        limits_version=facts.limits_version,
        action=facts.action,
        positions_closed=facts.positions_closed,
        latency_ms=facts.latency_ms,
        reason=facts.reason,
        actor=actor.user,
        actor_label=actor.label,
        occurred_at=at,
    )
    if state is not None:
        FuseTransition.objects.create(
            book=book, scope=scope, state=state, event=event, reset=reset, occurred_at=at
        )
    return event


def trip_fuse(
    *, book: str, facts: FuseFacts, actor: Actor, at: datetime | None = None
) -> FuseEvent:
    """Trip the fund: no new exposure from this commit on.  Tripping twice adds a second event.

    Parts of the system may trip on their own; a person needs the right to stop trading.  The
    event's time is the server's unless a history is told (``at``).
    """
    if actor.user is not None:
        actor.require(Capability.TRADING_STOP)
    return _stop_fund("tripped", book=book, facts=facts, actor=actor, at=at)


def _stop_fund(
    kind: str, *, book: str, facts: FuseFacts, actor: Actor, at: datetime | None
) -> FuseEvent:
    measured = canonical(dict(facts.measured or {}))
    event_id, occurred_at = stop_line.call(
        "SELECT event_id, at FROM risk_stop_fund(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, "
        "%s)",
        [
            book,
            kind,
            facts.trigger,
            facts.reason,
            actor.user.pk if actor.user is not None else None,
            actor.label,
            at,
            facts.severity,
            json.dumps(measured),
            facts.limits_version,
            facts.action,
            facts.positions_closed,
            facts.latency_ms,
        ],
    )
    return FuseEvent(
        id=event_id,
        book=book,
        kind=kind,
        trigger=facts.trigger,
        reason=facts.reason,
        measured=measured,
        actor=actor.user,
        actor_label=actor.label,
        occurred_at=occurred_at,
    )


def wait_for_orders(book: str) -> Barrier:
    """The barrier after a stop: every order transaction that began before it is over.

    Bounded: sessions that hold it up for 300 ms are ended by the database and named in the answer.
    """
    (said,) = stop_line.call("SELECT risk_fuse_barrier(%s)", [book])
    found = json.loads(said) if isinstance(said, str) else said
    return Barrier(
        has_passed=found["passed"], waited_ms=found["waited_ms"], ended=len(found["ended"])
    )


def reduce_instrument(
    *, book: str, instrument: str, facts: FuseFacts, actor: Actor, at: datetime | None = None
) -> FuseEvent:
    """Put one instrument into REDUCING, or note that its episode deepened."""
    at = at or utc_now()
    with transaction.atomic():
        deepened = state_of(book, instrument) == FuseState.REDUCING
        return _write(
            book=book,
            scope=instrument,
            state=FuseState.REDUCING,
            kind="deepened" if deepened else "reducing",
            facts=facts,
            actor=actor,
            at=at,
        )


def clear_instrument(
    *, book: str, instrument: str, facts: FuseFacts, actor: Actor, at: datetime | None = None
) -> FuseEvent:
    """End an episode after its cooldown; raises :class:`Conflict` when none is open."""
    at = at or utc_now()
    with transaction.atomic():
        if state_of(book, instrument) != FuseState.REDUCING:
            raise Conflict(f"{instrument} is not in state REDUCING", code="not_reducing")
        return _write(
            book=book,
            scope=instrument,
            state=FuseState.ARMED,
            kind="cleared",
            facts=facts,
            actor=actor,
            at=at,
        )


def lock_strategy(
    *,
    book: str,
    strategy: str,
    until: datetime,
    facts: FuseFacts,
    actor: Actor,
    at: datetime | None = None,
) -> StrategyLock:
    """Keep one strategy from entering until a time; its open positions keep their protection."""
    at = at or utc_now()
    with transaction.atomic():
        event = _write(
            book=book,
            scope=FUND_SCOPE,
            state=None,
            kind="locked",
            facts=facts,
            actor=actor,
            at=at,
            strategy=strategy,
        )
        return StrategyLock.objects.create(
            book=book, strategy=strategy, locked_at=at, until=until, event=event
        )


def disarm_fuse(*, book: str, reason: str, actor: Actor, at: datetime | None = None) -> FuseEvent:
    """Stop all trading for as long as it takes; one risk officer may do it at any time."""
    actor.require(Capability.FUSE_DISARM)
    _require_reason(reason)
    facts = FuseFacts(trigger="manual", reason=reason)
    return _stop_fund("disarmed", book=book, facts=facts, actor=actor, at=at)


def propose_reset(
    *, book: str, reason: str, reconciliation: str, actor: Actor, at: datetime | None = None
) -> FuseReset:
    """Request re-arming, citing the clean reconciliation it relies on.

    Raises :class:`Conflict` when the fund is armed already or another request is open.
    """
    actor.require(Capability.FUSE_RESET)
    _require_reason(reason)
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


def _require_reason(reason: str) -> None:
    if not reason.strip():
        raise InvalidInput("a reason is needed", code="reason_missing")


def _person(actor: Actor) -> Any:
    if actor.user is None:
        raise NotAllowed(
            "this step must be taken by a person, not a service account", code="needs_person"
        )
    return actor.user
