"""The audit trail's only writer, and what it holds; PostgreSQL numbers, stamps and chains it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import connection

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


def list_actions() -> list[str]:
    """Every action of the trail, once and in order: a step into the index each, not every line."""
    with connection.cursor() as cursor:
        cursor.execute(
            """WITH RECURSIVE found AS (
                 (SELECT action FROM core_auditevent ORDER BY action LIMIT 1)
                 UNION ALL
                 SELECT (SELECT a.action FROM core_auditevent a WHERE a.action > f.action
                         ORDER BY a.action LIMIT 1)
                 FROM found f WHERE f.action IS NOT NULL)
               SELECT action FROM found WHERE action IS NOT NULL"""
        )
        return [action for (action,) in cursor.fetchall()]
