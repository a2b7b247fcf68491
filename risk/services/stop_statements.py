"""What a stop of the fund asks of PostgreSQL: one place for the page, the API, the trader, the
watchdog and the command.  It needs no Django, because a stop by command waits for none to start.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from magnetfund.kernel.errors import InvalidInput
from magnetfund.kernel.identifiers import canonical

STOP = "SELECT event_id, at FROM risk_stop_fund(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
BARRIER = "SELECT risk_fuse_barrier(%s)"
REASON_LETTERS = 300


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

    @classmethod
    def of(cls, said: Any) -> Barrier:
        """From what :data:`BARRIER` answers, JSON or already read."""
        found = json.loads(said) if isinstance(said, str) else said
        return cls(
            has_passed=found["passed"], waited_ms=found["waited_ms"], ended=len(found["ended"])
        )

    @property
    def measured(self) -> dict[str, Any]:
        """As answers to whoever stopped show it."""
        return {
            "barrier_passed": self.has_passed,
            "barrier_ms": round(self.waited_ms, 1),
            "sessions_ended": self.ended,
        }


def facts_of_manual_stop(reason: str) -> FuseFacts:
    """What is written down when a person stops; raises :class:`InvalidInput` without a reason."""
    if not reason.strip():
        raise InvalidInput("a reason is needed", code="reason_missing")
    return FuseFacts(
        trigger="manual", reason=reason.strip()[:REASON_LETTERS], action="close all positions"
    )


def stop_values(
    *,
    book: str,
    facts: FuseFacts,
    label: str,
    user: UUID | None = None,
    kind: str = "tripped",
    at: datetime | None = None,
) -> list[Any]:
    """Values of :data:`STOP`; ``kind`` is "tripped" or "disarmed", without ``at`` the server's
    clock tells the time, ``label`` and ``user`` say who stops."""
    return [
        book, kind, facts.trigger, facts.reason, user, label, at, facts.severity,
        json.dumps(canonical(dict(facts.measured or {}))), facts.limits_version, facts.action,
        facts.positions_closed, facts.latency_ms,
    ]  # fmt: skip
