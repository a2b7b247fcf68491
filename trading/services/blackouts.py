"""Event blackouts: entered, withdrawn, and read by the trader, the ticket and backtests.

Entering one only lowers risk, so whoever may stop trading may do it; taking one back lets entries
through again and is a risk officer's.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from magnetfund.core.actors import Actor
from magnetfund.core.roles import Capability
from magnetfund.core.services.audit import record_audit
from magnetfund.kernel.clock import isoformat_z, to_milliseconds, utc_now
from magnetfund.kernel.errors import Conflict, InvalidInput
from risk.services.limits import require_reason
from trading.domain.market.blackouts import Blackout, find_barred, find_blackout
from trading.models import EventBlackout
from trading.services.instruments import get_instrument

TITLE_MAX = 120


def enter_blackout(
    *,
    book: str,
    title: str,
    event_at: datetime,
    before_minutes: int,
    after_minutes: int,
    symbol: str | None,
    actor: Actor,
    by_person: bool = True,
) -> EventBlackout:
    """Bar entries around an event; a past one acts in backtests alone.

    Raises :class:`InvalidInput` (``blackout_title``, ``blackout_span``, ``unknown_instrument``).
    """
    if by_person:
        actor.require(Capability.TRADING_STOP)
    if len(title.strip()) > TITLE_MAX:
        raise InvalidInput(f"a title has at most {TITLE_MAX} characters", code="blackout_title")
    instrument = get_instrument(symbol) if symbol else None
    event = Blackout(
        title=title.strip(),
        event_ms=to_milliseconds(event_at),
        before_minutes=before_minutes,
        after_minutes=after_minutes,
        symbol=instrument.symbol if instrument else None,
    )
    with transaction.atomic():
        row = EventBlackout.objects.create(
            book=book,
            title=event.title,
            instrument=instrument,
            event_at=event_at,
            before_minutes=before_minutes,
            after_minutes=after_minutes,
            starts_at=event_at - timedelta(minutes=before_minutes),
            ends_at=event_at + timedelta(minutes=after_minutes),
            created_by=actor.user,
            actor_label=actor.label[:120],
        )
        record_audit(
            actor=actor,
            action="blackout.entered",
            subject=("eventblackout", row.pk),
            body={
                "book": book,
                "title": row.title,
                "instrument": event.symbol,
                "from": isoformat_z(row.starts_at),
                "to": isoformat_z(row.ends_at),
            },
        )
    return row


def withdraw_blackout(
    *, book: str, number: int, reason: str, actor: Actor, by_person: bool = True
) -> EventBlackout:
    """Let entries through again; raises :class:`Conflict` for one that is withdrawn already."""
    if by_person:
        actor.require(Capability.LIMITS_PROPOSE)
    require_reason(reason)
    with transaction.atomic():
        row = EventBlackout.objects.select_for_update().filter(book=book, pk=number).first()
        if row is None:
            raise InvalidInput("there is no such event", code="unknown_blackout")
        if row.withdrawn_at is not None:
            raise Conflict("this event is withdrawn already", code="blackout_withdrawn")
        row.withdrawn_at = utc_now()
        row.withdrawn_label = actor.label[:120]
        row.withdrawn_reason = reason.strip()
        row.save(update_fields=["withdrawn_at", "withdrawn_label", "withdrawn_reason"])
        record_audit(
            actor=actor,
            action="blackout.withdrawn",
            subject=("eventblackout", row.pk),
            body={"book": book, "title": row.title, "reason": row.withdrawn_reason},
        )
    return row


def list_blackouts(book: str) -> QuerySet[EventBlackout]:
    """Every event that acts or acted, withdrawn ones left out, soonest first."""
    return EventBlackout.objects.filter(book=book, withdrawn_at=None).select_related("instrument")


def read_blackouts(
    book: str, *, start_ms: int | None = None, end_ms: int | None = None
) -> tuple[Blackout, ...]:
    """The events of a book whose spans touch ``[start_ms, end_ms)``; None is open."""
    found = (event_of(row) for row in list_blackouts(book))
    return tuple(
        item
        for item in found
        if (start_ms is None or item.end_ms > start_ms)
        and (end_ms is None or item.start_ms < end_ms)
    )


def event_of(row: EventBlackout) -> Blackout:
    """The stored event as the pure rules see it."""
    return Blackout(
        title=row.title,
        event_ms=to_milliseconds(row.event_at),
        before_minutes=row.before_minutes,
        after_minutes=row.after_minutes,
        symbol=row.instrument.symbol if row.instrument else None,
    )


def find_event(book: str, symbol: str, *, at: datetime) -> Blackout | None:
    """The event that bars an entry in an instrument now."""
    rows = list_blackouts(book).filter(starts_at__lte=at, ends_at__gt=at)
    return find_blackout([event_of(row) for row in rows], symbol=symbol, at_ms=to_milliseconds(at))


def find_barred_now(book: str, symbols: list[str], *, at: datetime) -> frozenset[str]:
    """Of some instruments those that nothing may be opened in now."""
    rows = list_blackouts(book).filter(starts_at__lte=at, ends_at__gt=at)
    events = [event_of(row) for row in rows]
    return find_barred(events, symbols=symbols, at_ms=to_milliseconds(at))


def describe_blackout(row: EventBlackout) -> dict[str, Any]:
    """An event as the API and the command tell it."""
    return {
        "id": row.pk,
        "title": row.title,
        "instrument": row.instrument.symbol if row.instrument else None,
        "event_at": isoformat_z(row.event_at),
        "starts_at": isoformat_z(row.starts_at),
        "ends_at": isoformat_z(row.ends_at),
        "acts_now": row.withdrawn_at is None and row.starts_at <= utc_now() < row.ends_at,
        "withdrawn": row.withdrawn_at is not None,
    }
