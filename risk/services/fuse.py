"""The only writers of the fuse but for arming: trip, reduce, clear, lock, disarm.

Anyone of the staff may stop; nobody alone may arm.  A stop is one insert of the owner's function,
waits for no lock that others can hold, and stays in force until an arming names it.  Its audit line
is chained afterwards by :mod:`risk.services.stop_audit`.  The barrier returns once every order that
began earlier is over, ending the sessions that hold it up.  PostgreSQL refuses what these functions
refuse, once more.
"""

from __future__ import annotations

from datetime import datetime

from django.db import connection, transaction

from magnetfund.core import stop_line
from magnetfund.core.actors import Actor
from magnetfund.core.roles import Capability
from magnetfund.core.rows import insert_rows
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import Conflict, InvalidInput
from magnetfund.kernel.identifiers import canonical
from risk.domain.fuse import (
    FuseState,
)
from risk.models import (
    FUND_SCOPE,
    FuseEvent,
    FuseReset,
    FuseTransition,
    StrategyLock,
)
from risk.services.stop_statements import BARRIER, STOP, Barrier, FuseFacts, stop_values

#: The state in force of a book's scope, as the order gate sees it.
STATE_OF = "SELECT risk_fuse_state(%s, %s)"


def state_of(book: str, scope: str = FUND_SCOPE) -> str:
    """The state in force, as the order gate sees it; never armed is DISARMED for the fund."""
    with connection.cursor() as cursor:
        cursor.execute(STATE_OF, [book, scope])
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
    event = FuseEvent(
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
    moved = [] if state is None else [
        FuseTransition(
            book=book, scope=scope, state=state, event=event, reset=reset, occurred_at=at
        )
    ]  # fmt: skip
    insert_rows(event, *moved)
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
    event_id, occurred_at = stop_line.call(
        STOP,
        stop_values(
            book=book,
            kind=kind,
            facts=facts,
            user=actor.user.pk if actor.user is not None else None,
            label=actor.label,
            at=at,
        ),
    )
    return FuseEvent(
        id=event_id,
        book=book,
        kind=kind,
        trigger=facts.trigger,
        reason=facts.reason,
        measured=canonical(dict(facts.measured or {})),
        actor=actor.user,
        actor_label=actor.label,
        occurred_at=occurred_at,
    )


def wait_for_orders(book: str) -> Barrier:
    """The barrier after a stop: every order transaction that began before it is over.

    Bounded: sessions that hold it up for 300 ms are ended by the database and named in the answer.
    """
    (said,) = stop_line.call(BARRIER, [book])
    return Barrier.of(said)


def reduce_instrument(
    *, book: str, instrument: str, facts: FuseFacts, actor: Actor, at: datetime | None = None
) -> FuseEvent:
    """Put one instrument into REDUCING, or note that its episode deepened."""
    deepened = state_of(book, instrument) == FuseState.REDUCING
    return _write(
        book=book,
        scope=instrument,
        state=FuseState.REDUCING,
        kind="deepened" if deepened else "reducing",
        facts=facts,
        actor=actor,
        at=at or utc_now(),
    )


def clear_instrument(
    *, book: str, instrument: str, facts: FuseFacts, actor: Actor, at: datetime | None = None
) -> FuseEvent:
    """End an episode after its cooldown; raises :class:`Conflict` when none is open."""
    if state_of(book, instrument) != FuseState.REDUCING:
        raise Conflict(f"{instrument} is not in state REDUCING", code="not_reducing")
    return _write(
        book=book,
        scope=instrument,
        state=FuseState.ARMED,
        kind="cleared",
        facts=facts,
        actor=actor,
        at=at or utc_now(),
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
    require_stated_reason(reason)
    facts = FuseFacts(trigger="manual", reason=reason)
    return _stop_fund("disarmed", book=book, facts=facts, actor=actor, at=at)


def require_stated_reason(reason: str) -> None:
    """Raise :class:`InvalidInput` for an empty reason."""
    if not reason.strip():
        raise InvalidInput("a reason is needed", code="reason_missing")
