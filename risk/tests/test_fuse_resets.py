"""Arming again: two people, a reason, a clean reconciliation, and no other way (FUSE-2)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from magnetfund.kernel.errors import InvalidInput
from risk.domain.fuse import (
    FuseReading,
    FuseSnapshot,
    FuseState,
    LatchedTrigger,
    Reconciliation,
    ResetApproval,
    ResetDenial,
    ResetDenialCode,
    ResetFacts,
    ResetProposal,
    StateOutcome,
    Trigger,
    approve_reset,
    arm,
    disarm,
    evaluate_fuse,
    propose_reset,
)
from risk.domain.limits import DEFAULT_LIMITS

TRIP_AT = datetime(2025, 6, 2, 12, tzinfo=UTC)
NEXT_DAY = datetime(2025, 6, 3, tzinfo=UTC)
HOUR = timedelta(hours=1)


def tripped(trigger: Trigger = Trigger.MANUAL, **changes: object) -> FuseSnapshot:
    base = FuseSnapshot(
        state=FuseState.TRIPPED,
        since=TRIP_AT,
        latched=(LatchedTrigger(trigger=trigger, tripped_at=TRIP_AT, value=1.0, threshold=1.0),),
        day=TRIP_AT.replace(hour=0),
        day_start=100.0,
        peak=100.0,
        peak_unreset=100.0,
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def facts(at: datetime, unit_value: float | None = 99.0, **changes: object) -> ResetFacts:
    base = ResetFacts(
        reconciliation=Reconciliation.CLEAN,
        reconciled_at=at,
        unit_value=unit_value,
        unit_value_at=at,
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def approval(snapshot: FuseSnapshot, **changes: object) -> ResetApproval:
    proposal = ResetProposal(
        proposer="ana",
        reason="cause found and mended",
        proposed_at=TRIP_AT,
        state=snapshot.state,
        latched=snapshot.latched,
    )
    base = ResetApproval(proposal=proposal, approver="ben", approved_at=TRIP_AT)
    return replace(base, **changes)  # type: ignore[arg-type]


def carry_out(
    snapshot: FuseSnapshot,
    at: datetime = TRIP_AT + HOUR,
    given_facts: ResetFacts | None = None,
    **changes: object,
) -> StateOutcome:
    return arm(
        snapshot=snapshot,
        approval=approval(snapshot, **changes),
        facts=given_facts or facts(at),
        at=at,
        limits=DEFAULT_LIMITS,
    )


def codes(denials: tuple[ResetDenial, ...]) -> set[ResetDenialCode]:
    return {denial.code for denial in denials}


@pytest.mark.parametrize(
    "trigger", [Trigger.MANUAL, Trigger.EQUITY_STALE, Trigger.RECONCILIATION_BREAK]
)
def test_two_people_with_a_reason_and_a_clean_reconciliation_arm_again(trigger: Trigger) -> None:
    snapshot, at = tripped(trigger), TRIP_AT + HOUR
    proposed = propose_reset(
        snapshot=snapshot, proposer="ana", reason="cause mended", facts=facts(at), at=at
    )
    assert proposed.proposal is not None
    approved = approve_reset(
        snapshot=snapshot,
        proposal=proposed.proposal,
        approver="ben",
        facts=facts(at),
        at=at,
        limits=DEFAULT_LIMITS,
    )
    assert approved.approval is not None
    done = arm(
        snapshot=snapshot, approval=approved.approval, facts=facts(at), at=at, limits=DEFAULT_LIMITS
    )
    assert (done.snapshot.state, done.snapshot.latched, done.denials) == (FuseState.ARMED, (), ())
    assert done.event is not None
    assert done.event.reason == "cause mended"


def test_nobody_approves_their_own_proposal() -> None:
    snapshot = tripped()
    done = carry_out(snapshot, approver="ana")
    assert codes(done.denials) == {ResetDenialCode.SAME_PERSON}
    assert done.snapshot is snapshot
    assert done.event is None


def test_a_proposal_without_a_person_a_reason_or_a_reconciliation_is_refused() -> None:
    at = TRIP_AT + HOUR
    done = propose_reset(
        snapshot=tripped(),
        proposer=" ",
        reason="",
        facts=facts(at, reconciliation=Reconciliation.BROKEN),
        at=at,
    )
    assert done.proposal is None
    assert codes(done.denials) == {
        ResetDenialCode.NO_PERSON,
        ResetDenialCode.NO_REASON,
        ResetDenialCode.NOT_RECONCILED,
    }


def test_an_armed_fuse_is_not_armed_again() -> None:
    done = carry_out(tripped(state=FuseState.ARMED, latched=()))
    assert codes(done.denials) == {ResetDenialCode.WRONG_STATE}


def test_a_reconciliation_from_before_the_trip_or_from_the_future_does_not_count() -> None:
    at = TRIP_AT + HOUR
    for moment in (TRIP_AT - timedelta(seconds=1), at + timedelta(seconds=1)):
        done = carry_out(tripped(), at, facts(at, reconciled_at=moment))
        assert codes(done.denials) == {ResetDenialCode.RECONCILIATION_TOO_OLD}


def test_a_daily_loss_waits_for_the_next_utc_day() -> None:
    snapshot = tripped(Trigger.DAILY_LOSS)
    early = NEXT_DAY - timedelta(seconds=1)
    assert ResetDenialCode.TOO_EARLY in codes(carry_out(snapshot, early).denials)
    assert carry_out(snapshot, NEXT_DAY).snapshot.state is FuseState.ARMED


def test_a_daily_loss_latched_behind_another_trigger_still_waits() -> None:
    both = tripped().latched + tripped(Trigger.DAILY_LOSS).latched
    assert codes(carry_out(tripped(latched=both)).denials) == {ResetDenialCode.TOO_EARLY}


def test_disarming_does_not_shorten_what_a_trip_asks_for() -> None:
    off = disarm(
        snapshot=tripped(Trigger.DAILY_LOSS),
        actor="ana",
        reason="overnight",
        at=TRIP_AT + HOUR,
        limits=DEFAULT_LIMITS,
    ).snapshot
    assert off.state is FuseState.DISARMED
    assert ResetDenialCode.TOO_EARLY in codes(carry_out(off, TRIP_AT + 2 * HOUR).denials)


def test_a_new_trip_voids_the_proposal() -> None:
    old = approval(tripped())
    at = TRIP_AT + HOUR
    worse = tripped(latched=tripped().latched + tripped(Trigger.DRAWDOWN).latched)
    done = arm(snapshot=worse, approval=old, facts=facts(at), at=at, limits=DEFAULT_LIMITS)
    assert codes(done.denials) == {ResetDenialCode.STATE_CHANGED}


def test_a_drawdown_reset_rebases_the_peak_and_keeps_the_unreset_one() -> None:
    at = TRIP_AT + HOUR
    done = carry_out(tripped(Trigger.DRAWDOWN, day_start=94.0), at, facts(at, 94.0))
    assert (done.snapshot.peak, done.snapshot.peak_unreset) == (94.0, 100.0)
    assert done.snapshot.drawdown_resets == (at,)


@pytest.mark.parametrize(("days", "needs_director"), [(29, True), (30, True), (31, False)])
def test_a_second_drawdown_reset_within_thirty_days_needs_a_director(
    days: int, needs_director: bool
) -> None:
    at = TRIP_AT + HOUR
    snapshot = tripped(Trigger.DRAWDOWN, drawdown_resets=(at - timedelta(days=days),))
    alone = carry_out(snapshot, at)
    assert (ResetDenialCode.DIRECTOR_NEEDED in codes(alone.denials)) is needs_director
    assert carry_out(snapshot, at, director="dora").snapshot.state is FuseState.ARMED
    for same in ("ana", "ben"):
        doubled = carry_out(snapshot, at, director=same)
        assert (ResetDenialCode.DIRECTOR_NEEDED in codes(doubled.denials)) is needs_director


@pytest.mark.parametrize(
    ("unit_value", "code"),
    [
        (None, ResetDenialCode.STALE_EQUITY),
        (float("nan"), ResetDenialCode.STALE_EQUITY),
        (0.0, ResetDenialCode.STALE_EQUITY),
        (97.5, ResetDenialCode.CONDITION_HOLDS),
        (94.0, ResetDenialCode.CONDITION_HOLDS),
    ],
)
def test_arming_into_a_condition_that_would_trip_at_once_is_refused(
    unit_value: float | None, code: ResetDenialCode
) -> None:
    at = TRIP_AT + HOUR
    assert codes(carry_out(tripped(), at, facts(at, unit_value)).denials) == {code}


def test_a_wipe_out_right_after_the_first_arming_trips() -> None:
    at = TRIP_AT + HOUR
    first = carry_out(FuseSnapshot(), at, facts(at, 100.0)).snapshot
    assert first.state is FuseState.ARMED
    reading = FuseReading(
        unit_value=-1.0, unit_value_at=at, reconciliation=Reconciliation.CLEAN, positions_open=1
    )
    done = evaluate_fuse(snapshot=first, reading=reading, limits=DEFAULT_LIMITS, now=at)
    assert done.snapshot.state is FuseState.TRIPPED


def test_disarming_takes_a_person_and_a_reason_and_happens_once() -> None:
    done = disarm(snapshot=tripped(), actor="", reason=" ", at=TRIP_AT, limits=DEFAULT_LIMITS)
    assert codes(done.denials) == {ResetDenialCode.NO_PERSON, ResetDenialCode.NO_REASON}
    twice = disarm(
        snapshot=FuseSnapshot(), actor="ana", reason="x", at=TRIP_AT, limits=DEFAULT_LIMITS
    )
    assert codes(twice.denials) == {ResetDenialCode.WRONG_STATE}


def test_a_naive_instant_is_refused() -> None:
    with pytest.raises(InvalidInput):
        carry_out(tripped(), datetime(2025, 6, 2, 13))  # noqa: DTZ001 - the naive one is the point


PEOPLE = st.sampled_from(["ana", "ben", "dora", ""])
STEPS = st.one_of(
    st.tuples(
        st.just("read"),
        st.one_of(st.none(), st.floats(80.0, 120.0)),
        st.sampled_from([*Reconciliation, None]),
        st.sampled_from([None, "stop"]),
    ),
    st.tuples(st.just("arm"), PEOPLE, PEOPLE, st.sampled_from(["mended", ""])),
    st.tuples(st.just("disarm"), PEOPLE, st.just(None), st.just(None)),
)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 40), st.booleans(), STEPS), max_size=25))
def test_the_fuse_is_armed_only_by_what_the_rules_ask_for(
    history: list[tuple[int, bool, tuple[str, object, object, object]]],
) -> None:
    """Over any history, ARMED is entered only with two people, a reason and each trip's terms."""
    snapshot, now = FuseSnapshot(), TRIP_AT
    for hours, is_clean, (step, first, second, third) in history:
        now += timedelta(hours=hours)
        before = snapshot
        if step == "read":
            reading = FuseReading(
                unit_value=first,  # type: ignore[arg-type]
                unit_value_at=now,
                reconciliation=second,  # type: ignore[arg-type]
                manual_reason=third,  # type: ignore[arg-type]
                positions_open=hours % 2,
            )
            snapshot = evaluate_fuse(
                snapshot=snapshot, reading=reading, limits=DEFAULT_LIMITS, now=now
            ).snapshot
            assert before.state is FuseState.ARMED or snapshot.state is not FuseState.ARMED
            assert before.state is not FuseState.TRIPPED or snapshot.state is FuseState.TRIPPED
            continue
        if step == "disarm":
            snapshot = disarm(
                snapshot=snapshot, actor=str(first), reason="x", at=now, limits=DEFAULT_LIMITS
            ).snapshot
            assert snapshot.state is not FuseState.ARMED or snapshot is before
            continue
        state = Reconciliation.CLEAN if is_clean else Reconciliation.BROKEN
        asked = approval(snapshot, approver=second)
        asked = replace(
            asked, proposal=replace(asked.proposal, proposer=str(first), reason=str(third))
        )
        done = arm(
            snapshot=snapshot,
            approval=asked,
            facts=facts(now, snapshot.unit_value or 100.0, reconciliation=state),
            at=now,
            limits=DEFAULT_LIMITS,
        )
        snapshot = done.snapshot
        if snapshot is before:
            assert done.denials
            continue
        assert before.state in (FuseState.TRIPPED, FuseState.DISARMED)
        assert first
        assert second
        assert third
        assert first != second
        assert is_clean
        for item in before.latched:
            is_daily = item.trigger is Trigger.DAILY_LOSS
            assert not is_daily or now.date() > item.tripped_at.date()
