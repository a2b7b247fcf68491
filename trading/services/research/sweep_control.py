"""Pausing, resuming and cancelling research by a person or a command."""

from __future__ import annotations

from django.db import transaction

from magnetfund.core.actors import Actor
from magnetfund.core.roles import Capability
from magnetfund.core.services.audit import record_audit
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import InvalidInput
from trading.models import ResearchRun, RunState

OPEN = (RunState.WAITING, RunState.RUNNING, RunState.PAUSED)


def pause_run(*, run: ResearchRun, actor: Actor, by_person: bool = True) -> bool:
    """Stop handing out chunks; those in work are finished and stored.  False if none was running.

    Raises :class:`InvalidInput` (``not_pausable``) for what is no sweep, and ``NotAllowed``.
    """
    if run.kind != ResearchRun.Kind.SWEEP:
        raise InvalidInput("only a sweep can be paused; cancel the run", code="not_pausable")
    return _move(run, (RunState.RUNNING,), RunState.PAUSED, actor, by_person, "paused")


def resume_run(*, run: ResearchRun, actor: Actor, by_person: bool = True) -> bool:
    """Hand out the chunks of a paused sweep again; False if it was not paused."""
    return _move(run, (RunState.PAUSED,), RunState.RUNNING, actor, by_person, "resumed")


def cancel_run(*, run: ResearchRun, actor: Actor, by_person: bool = True) -> bool:
    """Stop an open run for good; False if it was finished.

    The trials that a sweep stored by then stay: they were tried, and count.
    """
    return _move(run, OPEN, RunState.CANCELLED, actor, by_person, "cancelled")


def _move(
    run: ResearchRun,
    sources: tuple[RunState, ...],
    target: RunState,
    actor: Actor,
    by_person: bool,
    word: str,
) -> bool:
    if by_person:
        actor.require(Capability.RESEARCH_RUN)
    changes = {"finished_at": utc_now(), "refusal": f"cancelled by {actor.label}"[:400]}
    with transaction.atomic():
        moved = ResearchRun.objects.filter(pk=run.pk, state__in=sources).update(
            state=target, **(changes if target == RunState.CANCELLED else {})
        )
        if moved:
            record_audit(
                actor=actor,
                action=f"research.{word}",
                subject=("researchrun", run.pk),
                body={"title": run.title},
            )
    return bool(moved)
