"""What people may do to the fuse: disarm at any time, re-arm only together.

Three steps lead to ARMED: a proposal with a reason and a clean reconciliation, the approval of a
second person (and of a director for a second drawdown reset within its window), and the arming,
which checks everything again.  Persons are told apart by person, not by account or role; whether
somebody holds the role is the service's question.  Denials are values with codes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from magnetfund.kernel.clock import require_utc, utc_midnight
from risk.domain.fuse.equity import is_fresh
from risk.domain.fuse.gauges import is_number
from risk.domain.fuse.strategies import next_midnight
from risk.domain.fuse.thresholds import find_day_threshold, find_drawdown_threshold
from risk.domain.fuse.types import (
    FUND_SCOPE,
    EventKind,
    FuseAction,
    FuseEvent,
    FuseSnapshot,
    FuseState,
    LatchedTrigger,
    Reconciliation,
    Trigger,
)
from risk.domain.limits import LimitSet

RESETS_KEPT = timedelta(days=732)
"""How long drawdown resets are remembered; longer than any window that limits allow."""


class ResetDenialCode(StrEnum):
    """Why a step is refused."""

    WRONG_STATE = "wrong_state"
    NO_PERSON = "no_person"
    NO_REASON = "no_reason"
    SAME_PERSON = "same_person"
    DIRECTOR_NEEDED = "director_needed"
    NOT_RECONCILED = "not_reconciled"
    RECONCILIATION_TOO_OLD = "reconciliation_too_old"
    TOO_EARLY = "too_early"
    STALE_EQUITY = "stale_equity"
    CONDITION_HOLDS = "condition_holds"
    STATE_CHANGED = "state_changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResetDenial:
    """One reason against a step, in words."""

    code: ResetDenialCode
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResetFacts:
    """What is true when a step is taken: the latest reconciliation and the unit value."""

    reconciliation: Reconciliation | None
    reconciled_at: datetime | None
    unit_value: float | None
    unit_value_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResetProposal:
    """A wish to arm, bound to the state it was made in: a new trip voids it."""

    proposer: str
    reason: str
    proposed_at: datetime
    state: FuseState
    latched: tuple[LatchedTrigger, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResetApproval:
    """A proposal that a second person (and a director where needed) agreed to."""

    proposal: ResetProposal
    approver: str
    approved_at: datetime
    director: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposalOutcome:
    """The proposal, or why there is none."""

    proposal: ResetProposal | None
    denials: tuple[ResetDenial, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalOutcome:
    """The approval, or why there is none."""

    approval: ResetApproval | None
    denials: tuple[ResetDenial, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StateOutcome:
    """The memory after the step (unchanged where denied) and the event to store."""

    snapshot: FuseSnapshot
    event: FuseEvent | None
    denials: tuple[ResetDenial, ...]


def disarm(
    *, snapshot: FuseSnapshot, actor: str, reason: str, at: datetime, limits: LimitSet
) -> StateOutcome:
    """Stop all new exposure: one risk officer, any time.  Latched triggers stay latched."""
    at = require_utc(at)
    denials = [*_person(actor, "who disarms"), *_reason(reason)]
    if snapshot.state is FuseState.DISARMED:
        denials.append(_deny(ResetDenialCode.WRONG_STATE, "the fuse is disarmed already"))
    if denials:
        return StateOutcome(snapshot=snapshot, event=None, denials=tuple(denials))
    event = _event(EventKind.DISARM, FuseAction.STOP_ENTRIES, reason, at, limits)
    return StateOutcome(
        snapshot=replace(snapshot, state=FuseState.DISARMED, since=at), event=event, denials=()
    )


def propose_reset(
    *, snapshot: FuseSnapshot, proposer: str, reason: str, facts: ResetFacts, at: datetime
) -> ProposalOutcome:
    """Propose to arm from TRIPPED or DISARMED: a person, a reason, a clean reconciliation.

    A daily loss may be proposed on its own day; it cannot be approved before the next.
    """
    at = require_utc(at)
    denials = [
        *_person(proposer, "who proposes"),
        *_reason(reason),
        *_state(snapshot),
        *_reconciled(snapshot, facts, at),
    ]
    if denials:
        return ProposalOutcome(proposal=None, denials=tuple(denials))
    proposal = ResetProposal(
        proposer=proposer,
        reason=reason,
        proposed_at=at,
        state=snapshot.state,
        latched=snapshot.latched,
    )
    return ProposalOutcome(proposal=proposal, denials=())


def approve_reset(
    *,
    snapshot: FuseSnapshot,
    proposal: ResetProposal,
    approver: str,
    facts: ResetFacts,
    at: datetime,
    limits: LimitSet,
    director: str | None = None,
) -> ApprovalOutcome:
    """Agree as a second person; ``director`` names the fund director where one is needed."""
    at = require_utc(at)
    approval = ResetApproval(
        proposal=proposal, approver=approver, approved_at=at, director=director
    )
    denials = find_reset_denials(
        snapshot=snapshot, approval=approval, facts=facts, at=at, limits=limits
    )
    if denials:
        return ApprovalOutcome(approval=None, denials=denials)
    return ApprovalOutcome(approval=approval, denials=())


def arm(
    *,
    snapshot: FuseSnapshot,
    approval: ResetApproval,
    facts: ResetFacts,
    at: datetime,
    limits: LimitSet,
) -> StateOutcome:
    """Carry out an approved reset: the one way to ARMED; everything is checked again.

    A drawdown reset re-bases the peak to the present unit value and is remembered; the unreset
    peak stays.
    """
    at = require_utc(at)
    denials = find_reset_denials(
        snapshot=snapshot, approval=approval, facts=facts, at=at, limits=limits
    )
    if denials:
        return StateOutcome(snapshot=snapshot, event=None, denials=denials)
    armed = replace(snapshot, state=FuseState.ARMED, since=at, latched=())
    if armed.peak is None:  # armed before anything was measured: a fall counts from here
        armed = replace(armed, peak=facts.unit_value, peak_unreset=facts.unit_value)
    if _is_latched(snapshot, Trigger.DRAWDOWN):
        kept = [reset for reset in snapshot.drawdown_resets if at - reset <= RESETS_KEPT]
        armed = replace(armed, peak=facts.unit_value, drawdown_resets=(*kept, at))
    event = _event(EventKind.ARM, FuseAction.ALLOW_ENTRIES, approval.proposal.reason, at, limits)
    return StateOutcome(snapshot=armed, event=event, denials=())


def is_director_needed(*, snapshot: FuseSnapshot, at: datetime, limits: LimitSet) -> bool:
    """Whether this would be a second drawdown reset within the window."""
    window = timedelta(days=float(limits.second_drawdown_days))
    return _is_latched(snapshot, Trigger.DRAWDOWN) and any(
        at - reset <= window for reset in snapshot.drawdown_resets
    )


def find_reset_denials(
    *,
    snapshot: FuseSnapshot,
    approval: ResetApproval,
    facts: ResetFacts,
    at: datetime,
    limits: LimitSet,
) -> tuple[ResetDenial, ...]:
    """Everything that stands against arming now; empty means that nothing does."""
    proposal = approval.proposal
    denials = [
        *_person(proposal.proposer, "who proposes"),
        *_person(approval.approver, "who approves"),
        *_reason(proposal.reason),
        *_state(snapshot),
    ]
    if approval.approver == proposal.proposer:
        words = "the approver and the proposer must be different people"
        denials.append(_deny(ResetDenialCode.SAME_PERSON, words))
    if (snapshot.state, snapshot.latched) != (proposal.state, proposal.latched):
        words = "the fuse state changed after the proposal; propose again"
        denials.append(_deny(ResetDenialCode.STATE_CHANGED, words))
    denials += _director(snapshot, approval, at, limits)
    denials += _reconciled(snapshot, facts, at)
    denials += _next_day(snapshot, at)
    denials += _conditions(snapshot, facts, at, limits)
    return tuple(denials)


def _deny(code: ResetDenialCode, words: str) -> ResetDenial:
    return ResetDenial(code=code, words=words)


def _event(
    kind: EventKind, action: FuseAction, reason: str, at: datetime, limits: LimitSet
) -> FuseEvent:
    return FuseEvent(
        kind=kind,
        scope=FUND_SCOPE,
        action=action,
        occurred_at=at,
        limits_version=limits.version,
        trigger=Trigger.MANUAL if kind is EventKind.DISARM else None,
        reason=reason,
    )


def _is_latched(snapshot: FuseSnapshot, trigger: Trigger) -> bool:
    return any(item.trigger is trigger for item in snapshot.latched)


def _person(person: str, who: str) -> list[ResetDenial]:
    if person.strip():
        return []
    return [_deny(ResetDenialCode.NO_PERSON, f"no person named: {who}")]


def _reason(reason: str) -> list[ResetDenial]:
    if reason.strip():
        return []
    return [_deny(ResetDenialCode.NO_REASON, "a reason is needed")]


def _state(snapshot: FuseSnapshot) -> list[ResetDenial]:
    if snapshot.state in (FuseState.TRIPPED, FuseState.DISARMED):
        return []
    words = f"the fuse is {snapshot.state}; only a TRIPPED or DISARMED fuse can be re-armed"
    return [_deny(ResetDenialCode.WRONG_STATE, words)]


def _director(
    snapshot: FuseSnapshot, approval: ResetApproval, at: datetime, limits: LimitSet
) -> list[ResetDenial]:
    if not is_director_needed(snapshot=snapshot, at=at, limits=limits):
        return []
    director = (approval.director or "").strip()
    if director and director not in (approval.approver, approval.proposal.proposer):
        return []
    words = (
        f"a second drawdown reset within {limits.second_drawdown_days:f} days also needs a fund "
        "director, as a third person"
    )
    return [_deny(ResetDenialCode.DIRECTOR_NEEDED, words)]


def _reconciled(snapshot: FuseSnapshot, facts: ResetFacts, at: datetime) -> list[ResetDenial]:
    if facts.reconciliation is not Reconciliation.CLEAN or facts.reconciled_at is None:
        return [_deny(ResetDenialCode.NOT_RECONCILED, "the latest reconciliation has breaks")]
    moments = [item.tripped_at for item in snapshot.latched]
    if snapshot.since is not None:
        moments.append(snapshot.since)
    if facts.reconciled_at > at or any(facts.reconciled_at < moment for moment in moments):
        words = "the clean reconciliation must be newer than the last trip or disarming"
        return [_deny(ResetDenialCode.RECONCILIATION_TOO_OLD, words)]
    return []


def _next_day(snapshot: FuseSnapshot, at: datetime) -> list[ResetDenial]:
    for item in snapshot.latched:
        if item.trigger is Trigger.DAILY_LOSS and at < next_midnight(item.tripped_at):
            until = next_midnight(item.tripped_at)
            words = (
                f"after a daily-loss trip, re-arming is possible from {until:%Y-%m-%d %H:%M} UTC"
            )
            return [_deny(ResetDenialCode.TOO_EARLY, words)]
    return []


def _conditions(
    snapshot: FuseSnapshot, facts: ResetFacts, at: datetime, limits: LimitSet
) -> list[ResetDenial]:
    """Arming into a condition that would trip at once is refused; a drawdown is re-based."""
    value = facts.unit_value
    if (
        value is None
        or not is_number(value)
        or value <= 0.0
        or not is_fresh(reading_at=facts.unit_value_at, now=at, limits=limits)
    ):
        return [_deny(ResetDenialCode.STALE_EQUITY, "an up-to-date unit value is required")]
    holds = []
    if snapshot.day_start is not None and snapshot.day == utc_midnight(at):
        level = find_day_threshold(snapshot.day_start, float(limits.daily_loss_share))
        if value <= level:
            holds.append("the daily loss")
    if snapshot.peak is not None and not _is_latched(snapshot, Trigger.DRAWDOWN):
        level = find_drawdown_threshold(snapshot.peak, float(limits.drawdown_share))
        if value <= level:
            holds.append("the drawdown")
    if not holds:
        return []
    words = f"the fuse would trip again immediately: {' and '.join(holds)} is still over its limit"
    return [_deny(ResetDenialCode.CONDITION_HOLDS, words)]
