"""The audit trail's only writer; PostgreSQL numbers, stamps and chains the lines."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from magnetfund.core.actors import Actor
from magnetfund.core.models import AuditEvent
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.identifiers import canonical


def record_audit(
    *,
    actor: Actor,
    action: str,
    subject: tuple[str, object] = ("", ""),
    body: Mapping[str, Any] | None = None,
    chain: str = "main",
    at: datetime | None = None,
) -> AuditEvent:
    """Append one line in the caller's transaction.  ``body`` is reduced to canonical JSON."""
    subject_type, subject_id = subject
    return AuditEvent.objects.create(
        chain=chain,
        occurred_at=at or utc_now(),
        actor=actor.user,
        actor_label=actor.label,
        action=action,
        subject_type=subject_type,
        subject_id=str(subject_id),
        body=canonical(dict(body or {})),
    )
