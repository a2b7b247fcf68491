"""Audit lines of the fund's stops, chained after the stop because a stop waits for nobody."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.db.models import CharField, Exists, OuterRef
from django.db.models.functions import Cast

from magnetfund.core.actors import Actor
from magnetfund.core.locks import AdvisoryLock, take_lock
from magnetfund.core.models import AuditEvent
from magnetfund.core.services.audit import record_audit
from risk.models import FUND_SCOPE, FuseEvent

SUBJECT = "fuse_event"
STOP_KINDS = ("tripped", "disarmed")
#: At most so many lines per transaction, which holds the chain's lock.
BATCH = 200


def stops_without_line(*, before: datetime | None = None) -> list[FuseEvent]:
    """Stops recorded before a time that have no audit line yet, oldest first."""
    line = AuditEvent.objects.filter(
        subject_type=SUBJECT, subject_id=Cast(OuterRef("pk"), CharField())
    )
    found = FuseEvent.objects.filter(scope=FUND_SCOPE, kind__in=STOP_KINDS).exclude(Exists(line))
    if before is not None:
        found = found.filter(recorded_at__lt=before)
    return list(found.select_related("actor").order_by("recorded_at")[:BATCH])


def chain_stops() -> int:
    """Write the missing lines; returns how many.  Two callers at once write each line once."""
    written = 0
    while True:
        with transaction.atomic():
            # The chain's own lock: what another caller wrote is seen after it.
            take_lock(AdvisoryLock.CHAIN, "audit:main")
            events = stops_without_line()
            for event in events:
                record_audit(
                    actor=Actor(label=event.actor_label, user=event.actor),
                    action=f"fuse.{event.kind}",
                    subject=(SUBJECT, event.id),
                    body={"book": event.book, "trigger": event.trigger, "reason": event.reason},
                    at=event.occurred_at,
                )
        written += len(events)
        if len(events) < BATCH:
            return written
