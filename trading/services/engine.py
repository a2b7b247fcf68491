"""The engine's own state: RECONCILING at start, READY after a clean reconciliation, STOPPED."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import CharField, Exists, OuterRef
from django.db.models.functions import Cast

from magnetfund.core.actors import Actor
from magnetfund.core.locks import AdvisoryLock, take_lock
from magnetfund.core.models import AuditEvent
from magnetfund.core.roles import Capability
from magnetfund.core.rows import read_rows
from magnetfund.core.services.audit import record_audit
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import Conflict
from magnetfund.kernel.identifiers import canonical
from risk.domain.pretrade import EngineState
from trading.models import EngineTransition, Reconciliation

WATCHDOG = "watchdog"
TRANSITION = "engine_transition"
#: How the reason begins where the market, and nobody's doing, stopped the book.
MARKET_DOUBT = "market: "
DIFFERENCE = "books do not reconcile"
BATCH = 200
#: PostgreSQL's word for a stop between a comparison and READY.
STOPPED_SINCE = "was stopped after this reconciliation"

NEWEST_STATE = "SELECT state FROM trading_enginetransition WHERE book = %s ORDER BY id DESC LIMIT 1"


def engine_state_of(book: str) -> str:
    """The state in force; a book without any row is STOPPED."""
    (newest,) = read_rows((NEWEST_STATE, [book]))
    return state_told(newest)


def state_told(newest: Sequence[tuple[str]]) -> str:
    """The state that :data:`NEWEST_STATE` found."""
    return str(newest[0][0]) if newest else EngineState.STOPPED


def _move(
    book: str,
    state: str,
    *,
    actor: Actor,
    reason: str,
    at: datetime | None,
    reconciliation: Reconciliation | None = None,
) -> EngineTransition:
    at = at or utc_now()
    with transaction.atomic():
        row = EngineTransition.objects.create(
            book=book,
            state=state,
            reason=reason[:300],
            actor_label=actor.label,
            reconciliation=reconciliation,
            occurred_at=at,
        )
        record_audit(
            actor=actor,
            action=f"engine.{state.lower()}",
            subject=("book", book),
            body={"reason": reason},
            at=at,
        )
    return row


def begin_reconciling(
    *, book: str, actor: Actor, reason: str, at: datetime | None = None
) -> EngineTransition:
    """Boot, reconnect or doubt: query and cancel only, nothing new."""
    return _move(book, EngineState.RECONCILING, actor=actor, reason=reason, at=at)


def record_reconciliation(
    *,
    book: str,
    differences: list[dict[str, Any]],
    compared: dict[str, Any],
    at: datetime | None = None,
) -> Reconciliation:
    """Keep what was compared and what differed; no difference means clean."""
    return Reconciliation.objects.create(
        book=book,
        is_clean=not differences,
        differences=canonical(differences),
        compared=canonical(compared),
        occurred_at=at or utc_now(),
    )


def make_ready(
    *, book: str, reconciliation: Reconciliation, actor: Actor, at: datetime | None = None
) -> EngineTransition | None:
    """Trade from now on; None where the engine was stopped since the comparison, and stays so.

    Raises :class:`Conflict` unless the reconciliation was clean.
    """
    if not reconciliation.is_clean:
        raise Conflict("books and venue do not reconcile", code="not_reconciled")
    try:
        return _move(
            book,
            EngineState.READY,
            actor=actor,
            reason="books reconciled to venue",
            at=at,
            reconciliation=reconciliation,
        )
    except IntegrityError as error:
        if STOPPED_SINCE not in str(error):
            raise
        return None


def waits_for_comparison(book: str) -> bool:
    """Whether the engine stands still only until books and venue agree: its trader was silent, or
    they differed.  A difference trips the fuse as well, which people arm."""
    newest = EngineTransition.objects.filter(book=book).order_by("-id").first()
    if newest is None:
        return False
    if newest.state == EngineState.STOPPED:
        return bool(newest.actor_label == WATCHDOG)
    return bool(newest.state == EngineState.RECONCILING and newest.reason == DIFFERENCE)


def hold_for_market(*, book: str, actor: Actor, reason: str, at: datetime | None = None) -> bool:
    """Take nothing new while the market cannot be believed; returns whether this call stopped it.

    A book that somebody stopped is left as it is.  One that the watchdog stopped for its silence
    is held too: its trader speaks again, and equity that cannot be told trips no fuse meanwhile.
    """
    is_stopped = engine_state_of(book) == EngineState.STOPPED and not waits_for_comparison(book)
    if is_stopped or waits_for_market(book):
        return False
    begin_reconciling(book=book, actor=actor, reason=f"{MARKET_DOUBT}{reason}", at=at)
    return True


def waits_for_market(book: str) -> bool:
    """Whether the engine stands still only because its market could not be believed."""
    newest = EngineTransition.objects.filter(book=book).order_by("-id").first()
    if newest is None or newest.state != EngineState.RECONCILING:
        return False
    return bool(newest.reason.startswith(MARKET_DOUBT))


def chain_watchdog_stops() -> int:
    """Write the audit lines of the watchdog's stops, which wait for no chain; returns how many."""
    line = AuditEvent.objects.filter(
        subject_type=TRANSITION, subject_id=Cast(OuterRef("pk"), CharField())
    )
    with transaction.atomic():
        take_lock(AdvisoryLock.CHAIN, "audit:main")
        rows = list(
            EngineTransition.objects.filter(actor_label=WATCHDOG)
            .exclude(Exists(line))
            .order_by("id")[:BATCH]
        )
        for row in rows:
            record_audit(
                actor=Actor.system(WATCHDOG),
                action="engine.stopped",
                subject=(TRANSITION, row.pk),
                body={"book": row.book, "reason": row.reason},
                at=row.occurred_at,
            )
    return len(rows)


def stop_engine(
    *, book: str, actor: Actor, reason: str, at: datetime | None = None
) -> EngineTransition:
    """Stop adding exposure.  A person needs the right to stop; parts of the system have it."""
    if actor.user is not None:
        actor.require(Capability.TRADING_STOP)
    return _move(book, EngineState.STOPPED, actor=actor, reason=reason, at=at)
