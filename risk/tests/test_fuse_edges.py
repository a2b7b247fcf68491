"""The fuse at its edges: gauges by hand, values that are odd, and what is remembered of a trip."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from risk.domain.fuse import (
    ClosedTrade,
    EventKind,
    FuseEvaluation,
    FuseReading,
    FuseSnapshot,
    FuseState,
    Gauge,
    GaugeStatus,
    InstrumentReading,
    LatchedTrigger,
    PositionReading,
    Reconciliation,
    ReducingEpisode,
    ResetApproval,
    ResetDenialCode,
    ResetFacts,
    ResetProposal,
    StrategyMemory,
    StrategyReading,
    Trigger,
    arm,
    disarm,
    evaluate_fuse,
    find_cut_share,
    find_further_cut_share,
    find_liquidity_score,
    find_loss_threshold,
    find_severity,
    find_trip_level,
    find_trip_price,
)
from risk.domain.fuse.thresholds import find_shortfall_severity
from risk.domain.limits import DEFAULT_LIMITS, LimitSet, StrategyLimits

NOON = datetime(2025, 6, 2, 12, tzinfo=UTC)
MIDNIGHT = datetime(2025, 6, 3, tzinfo=UTC)
SECOND, MINUTE, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(days=1)
BTC, ETH = "BTC", "ETH"


def armed(**changes: object) -> FuseSnapshot:
    base = FuseSnapshot(
        state=FuseState.ARMED,
        since=NOON - DAY,
        unit_value=100.0,
        unit_value_at=NOON,
        day=NOON.replace(hour=0),
        day_start=100.0,
        peak=100.0,
        peak_unreset=100.0,
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def evaluate(
    snapshot: FuseSnapshot | None = None,
    unit_value: float | None = 100.0,
    now: datetime = NOON,
    limits: LimitSet = DEFAULT_LIMITS,
    own: dict[str, StrategyLimits] | None = None,
    **more: object,
) -> FuseEvaluation:
    plain = {"unit_value_at": now, "reconciliation": Reconciliation.CLEAN, **more}
    return evaluate_fuse(
        snapshot=armed() if snapshot is None else snapshot,
        reading=FuseReading(unit_value=unit_value, **plain),  # type: ignore[arg-type]
        now=now,
        limits=limits,
        strategy_limits=own or {},
    )


def gauge(found: FuseEvaluation, trigger: Trigger) -> Gauge:
    return next(item for item in found.gauges if item.trigger is trigger)


def numbers(item: Gauge) -> tuple[float | None, float | None, float | None, float | None]:
    return item.value, item.threshold, item.room, item.used_share


# ---- the fund ------------------------------------------------------------------------------------


def test_gauges_of_the_fund_by_hand() -> None:
    found = evaluate(armed(peak=104.0), 99.0, unit_value_at=NOON - 45 * SECOND)
    day, fall = gauge(found, Trigger.DAILY_LOSS), gauge(found, Trigger.DRAWDOWN)
    assert numbers(day) == pytest.approx((0.01, 0.025, 0.015, 0.4))
    assert numbers(fall) == pytest.approx((5 / 104, 0.05, 0.05 - 5 / 104, 100 / 104))
    assert (day.status, fall.status) == (GaugeStatus.OK, GaugeStatus.WARN)
    assert numbers(gauge(found, Trigger.EQUITY_STALE)) == (45.0, 180.0, 135.0, 0.25)
    assert numbers(gauge(found, Trigger.RECONCILIATION_BREAK)) == (0.0, 1.0, 1.0, 0.0)
    assert numbers(gauge(found, Trigger.MANUAL)) == (0.0, 1.0, 1.0, 0.0)
    stopped = gauge(evaluate(manual_reason="enough"), Trigger.MANUAL)
    assert numbers(stopped) == (1.0, 1.0, 0.0, 1.0)
    assert (stopped.status, stopped.words) == (GaugeStatus.OVER, "enough")


def test_a_gauge_warns_at_three_quarters_exactly() -> None:
    at_it = gauge(evaluate(unit_value_at=NOON - 135 * SECOND), Trigger.EQUITY_STALE)
    below = gauge(evaluate(unit_value_at=NOON - 134 * SECOND), Trigger.EQUITY_STALE)
    assert (at_it.status, below.status) == (GaugeStatus.WARN, GaugeStatus.OK)
    ahead = gauge(evaluate(unit_value_at=NOON + SECOND), Trigger.EQUITY_STALE)
    assert (ahead.value, ahead.used_share, ahead.status) == (-1.0, 0.0, GaugeStatus.OK)


def test_a_limit_of_zero_is_used_up_by_the_first_cent() -> None:
    limits = LimitSet(daily_loss_share=Decimal(0), drawdown_share=Decimal(0))
    for unit_value, used in ((100.0, 1.0), (100.5, 0.0)):
        found = evaluate(armed(), unit_value, limits=limits)
        assert gauge(found, Trigger.DAILY_LOSS).used_share == used
        assert gauge(found, Trigger.DRAWDOWN).used_share == used


def test_the_first_value_ever_has_nothing_to_fall_from() -> None:
    new = armed(peak=None, peak_unreset=None, day=None, day_start=None, unit_value=None)
    found = evaluate(new, 50.0)
    assert gauge(found, Trigger.DRAWDOWN).value == 0.0
    assert found.snapshot.state is FuseState.ARMED
    assert (found.snapshot.peak, found.snapshot.day_start) == (50.0, 50.0)
    none = evaluate(armed(day_start=None, unit_value=None), None)
    assert gauge(none, Trigger.DAILY_LOSS).status is GaugeStatus.NO_SOURCE


@pytest.mark.parametrize("given", [0.0, -0.5, math.nan, math.inf, None])
def test_a_day_start_that_is_no_price_is_not_taken(given: float | None) -> None:
    assert evaluate(day_start_unit_value=given).snapshot.day_start == 100.0


def test_a_small_unit_value_is_a_value() -> None:
    assert evaluate(armed(), 0.5, day_start_unit_value=0.5).snapshot.day_start == 0.5
    fresh = FuseSnapshot(state=FuseState.ARMED)
    assert evaluate(fresh, 0.5).snapshot.day_start == 0.5
    gone = evaluate(fresh, 0.0).snapshot
    assert (gone.day_start, gone.peak, gone.unit_value) == (None, None, 0.0)
    assert evaluate(fresh, -0.5).snapshot.day_start is None
    low = evaluate(armed(peak=0.25, peak_unreset=0.25), 0.5).snapshot
    assert (low.peak, low.peak_unreset) == (0.5, 0.5)


def test_a_day_without_a_start_takes_the_present_value_once() -> None:
    found = evaluate(armed(day_start=None), 98.0).snapshot
    assert found.day_start == 98.0
    assert evaluate(found, 99.0, NOON + MINUTE).snapshot.day_start == 98.0


def test_a_fall_of_the_bars_extreme_counts_whichever_is_lower() -> None:
    assert evaluate(None, 97.0, unit_value_extreme=99.0).snapshot.state is FuseState.TRIPPED
    for odd in (math.nan, math.inf):
        found = evaluate(None, 100.0, unit_value_extreme=odd)
        assert gauge(found, Trigger.EQUITY_STALE).status is GaugeStatus.OVER
        assert gauge(found, Trigger.EQUITY_STALE).words == "the unit value is not a number"


def test_a_value_without_an_instant_is_not_used() -> None:
    found = evaluate(None, 110.0, unit_value_at=None)
    assert (found.snapshot.peak, found.snapshot.unit_value) == (100.0, 100.0)
    assert gauge(found, Trigger.DAILY_LOSS).status is GaugeStatus.NO_SOURCE


def test_an_age_of_nothing_allowed_is_used_up_at_once() -> None:
    found = evaluate(limits=LimitSet(equity_age_max_s=Decimal(0)))
    assert gauge(found, Trigger.EQUITY_STALE).used_share == 1.0
    assert found.snapshot.state is FuseState.ARMED


def test_a_trip_is_latched_as_it_was_measured_and_is_severe() -> None:
    found = evaluate(None, 97.0)
    (latched,), event = found.snapshot.latched, found.events[0]
    assert (latched.trigger, latched.tripped_at) == (Trigger.DAILY_LOSS, NOON)
    assert (latched.value, latched.threshold) == (pytest.approx(0.03), 0.025)
    assert (event.severity, event.kind, found.snapshot.since) == (1.0, EventKind.TRIP, NOON)


def test_a_daily_loss_of_a_later_day_replaces_the_one_that_was_latched() -> None:
    first = evaluate(None, 97.0).snapshot
    later = MIDNIGHT + 6 * timedelta(hours=1)
    again = evaluate(replace(first, day=MIDNIGHT, day_start=97.0), 94.0, later).snapshot
    days = [item for item in again.latched if item.trigger is Trigger.DAILY_LOSS]
    assert [item.tripped_at for item in days] == [later]
    assert again.since == NOON
    same_day = evaluate(first, 96.0, NOON + MINUTE).snapshot
    assert [item.tripped_at for item in same_day.latched] == [NOON]


def test_a_disarmed_fuse_with_one_open_position_trips_again_on_what_is_latched() -> None:
    latched = evaluate(None, 97.0).snapshot
    disarmed = replace(latched, state=FuseState.DISARMED, since=NOON + MINUTE)
    now = NOON + 2 * MINUTE
    found = evaluate(disarmed, 97.0, now, positions_open=1)
    assert (found.snapshot.state, found.snapshot.since) == (FuseState.TRIPPED, now)
    assert [item.tripped_at for item in found.snapshot.latched] == [NOON]
    calm = evaluate(disarmed, 97.0, now)
    assert (calm.snapshot.state, calm.events) == (FuseState.DISARMED, ())


def test_a_tripped_fuse_does_not_latch_stale_equity_on_top() -> None:
    tripped = evaluate(None, 97.0).snapshot
    found = evaluate(tripped, None, NOON + MINUTE)
    assert [item.trigger for item in found.snapshot.latched] == [Trigger.DAILY_LOSS]


def test_the_trip_level_follows_what_is_known() -> None:
    def level(**changes: object) -> float | None:
        return find_trip_level(snapshot=armed(**changes), limits=DEFAULT_LIMITS)

    assert level(peak=None) == 97.5
    assert level(day_start=None) == 95.0
    assert level(peak=110.0) == pytest.approx(104.5)
    assert level(day_start=None, peak=None) is None


def test_thresholds_and_severities_by_hand() -> None:
    assert find_loss_threshold(100.0, 200.0, 0.1, 0.25) == 150.0
    assert find_loss_threshold(100.0, 100.0, 0.1, 0.25) == 90.0
    assert find_trip_price(50.0, 1_000.0, 900.0, 4.0, 5.0) == 45.0
    assert find_trip_price(50.0, 1_000.0, 900.0, -4.0, 5.0) == 55.0
    assert find_trip_price(50.0, 1_000.0, 900.0, 1.0, 1.0) == 0.0
    assert find_trip_price(50.0, 1_000.0, 949.5, 1.0, 1.0) == 0.0
    assert find_trip_price(50.0, 1_000.0, 950.5, 1.0, 1.0) == 0.5
    assert find_trip_price(50.0, 900.0, 900.0, 1.0, 1.0) == 50.0
    assert find_trip_price(50.0, 1_000.0, 900.0, 0.0, 1.0) == 0.0
    assert find_trip_price(50.0, 900.0, 900.0, 0.0, 1.0) == 50.0
    assert (find_severity(3.0, 2.0), find_severity(9.0, 2.0), find_severity(2.0, 2.0)) == (
        0.5,
        1,
        0,
    )
    assert (find_severity(0.75, 0.5), find_severity(1.0, 0.0), find_severity(1.0, -1.0)) == (
        0.5,
        0.0,
        0.0,
    )
    assert (find_shortfall_severity(15.0, 30.0), find_shortfall_severity(30.0, 30.0)) == (0.5, 0.0)
    assert (find_shortfall_severity(-60.0, 30.0), find_shortfall_severity(-1.0, 0.0)) == (1.0, 0.0)
    assert find_shortfall_severity(0.25, 0.5) == 0.5
    assert find_cut_share(0.25, 0.3, 0.7) == pytest.approx(0.4)
    assert find_further_cut_share(0.4, 0.7) == pytest.approx(0.5)
    assert find_further_cut_share(0.4, 0.4) == find_further_cut_share(1.0, 1.0) == 0.0
    assert find_further_cut_share(0.0, 0.3) == pytest.approx(0.3)
    assert find_liquidity_score(1_000_000.0, 100_000.0) == 50.0
    assert find_liquidity_score(1e12, 1.0) == find_liquidity_score(1.0, 0.0) == 100.0
    assert find_liquidity_score(0.0, 1.0) == 0.0
    assert find_liquidity_score(math.nan, 1.0) == find_liquidity_score(1.0, math.nan) == 0.0
    assert find_liquidity_score(1.0, 0.5) == 10.0


# ---- the market ----------------------------------------------------------------------------------


def position(bar: datetime = NOON, **changes: object) -> PositionReading:
    base = PositionReading(
        position_id="p1", instrument=BTC, strategy="magnet", side=1, bar_closed_at=bar,
        conflict=0.1, opposite_strength=20.0, target_strength=80.0, trend=1,
    )  # fmt: skip
    return replace(base, **changes)  # type: ignore[arg-type]


def market(**changes: object) -> InstrumentReading:
    base = InstrumentReading(
        instrument=BTC, volatility_ratio=1.0, depth_value=4_000_000.0,
        notional_intended=100_000.0, notional=100_000.0,
    )  # fmt: skip
    return replace(base, **changes)  # type: ignore[arg-type]


def test_gauges_of_a_position_by_hand() -> None:
    found = evaluate(
        instruments=(market(volatility_ratio=1.5, depth_value=1_000_000.0),),
        positions=(position(conflict=0.4),),
    )
    assert numbers(gauge(found, Trigger.VOLATILITY)) == (1.5, 2.0, 0.5, 0.75)
    assert gauge(found, Trigger.VOLATILITY).status is GaugeStatus.WARN
    assert numbers(gauge(found, Trigger.CONFLICT)) == (0.4, 0.8, 0.4, 0.5)
    assert numbers(gauge(found, Trigger.OPPOSITE_MAGNET)) == (20.0, 80.0, 60.0, 0.25)
    assert numbers(gauge(found, Trigger.TREND_FLIP)) == (0.0, 2.0, 2.0, 0.0)
    assert numbers(gauge(found, Trigger.LIQUIDITY)) == (50.0, 30.0, 20.0, 0.6)
    thin = evaluate(instruments=(market(depth_value=0.0),), positions=(position(),))
    assert gauge(thin, Trigger.LIQUIDITY).used_share == 1.0
    faint = evaluate(instruments=(market(depth_value=10_000.0),), positions=(position(),))
    assert gauge(faint, Trigger.LIQUIDITY).used_share == 60.0


def test_a_target_of_no_strength_is_passed_by_any_opposite_zone() -> None:
    for opposite, used in ((0.0, 0.0), (0.5, 1.0)):
        found = evaluate(positions=(position(opposite_strength=opposite, target_strength=0.0),))
        assert gauge(found, Trigger.OPPOSITE_MAGNET).used_share == used


def test_a_flip_warns_one_bar_before_it_acts_and_a_flat_trend_is_none() -> None:
    flipped = evaluate(positions=(position(trend=-1),))
    assert gauge(flipped, Trigger.TREND_FLIP).status is GaugeStatus.WARN
    assert gauge(flipped, Trigger.TREND_FLIP).used_share == 1.0
    flat = evaluate(flipped.snapshot, positions=(position(NOON + MINUTE, trend=0),))
    assert gauge(flat, Trigger.TREND_FLIP).value == 0.0
    slow = LimitSet(confirmation_bars=Decimal(1))
    calm = evaluate(limits=slow, positions=(position(),))
    assert gauge(calm, Trigger.TREND_FLIP).status is GaugeStatus.OK


def test_every_position_counts_its_own_bars() -> None:
    first = evaluate(positions=(position(trend=-1), position(position_id="p2", trend=-1)))
    again = evaluate(
        first.snapshot,
        positions=(position(trend=-1), position(NOON + MINUTE, position_id="p2", trend=-1)),
    )
    # The first bar was read before; the second position stands behind it all the same.
    assert [item.flip_bars for item in again.snapshot.positions] == [1, 2]
    odd = evaluate(again.snapshot, positions=(position(NOON + MINUTE, conflict=math.nan),))
    assert [item.conflict_bars for item in odd.snapshot.positions] == [0]


def test_a_conflict_that_is_no_number_neither_adds_nor_clears() -> None:
    hot = evaluate(positions=(position(conflict=0.9),)).snapshot
    for odd in (math.nan, math.inf, None):
        found = evaluate(hot, positions=(position(NOON + MINUTE, conflict=odd),))
        assert [item.conflict_bars for item in found.snapshot.positions] == [1]
        assert gauge(found, Trigger.CONFLICT).status is GaugeStatus.NO_SOURCE


@pytest.mark.parametrize(
    ("equity", "held", "other", "expected"),
    [
        (500_000.0, 100_000.0, 50_000.0, 30_000.0),
        (70_000.0, 100_000.0, 50_000.0, 20_000.0),
        (40_000.0, 100_000.0, 50_000.0, 0.0),
        (20_000.0, 100_000.0, None, 20_000.0),
        (20_000.0, 100_000.0, math.nan, 20_000.0),
        (None, 100_000.0, 50_000.0, 30_000.0),
        (math.nan, 100_000.0, 50_000.0, 30_000.0),
        (500_000.0, None, 50_000.0, None),
        (500_000.0, math.nan, 50_000.0, None),
    ],
)
def test_what_may_be_held_after_a_cut(
    equity: float | None, held: float | None, other: float | None, expected: float | None
) -> None:
    found = evaluate(
        equity=equity,
        instruments=(
            market(notional=held),
            InstrumentReading(instrument=ETH, volatility_ratio=1.0, notional=other),
        ),
        # Twice as strong as the target: severity 1, a cut of 70 %.
        positions=(position(opposite_strength=160.0, target_strength=80.0),),
    )
    (event,) = [item for item in found.events if item.kind is EventKind.REDUCE]
    assert (event.severity, event.cut_share) == (1.0, pytest.approx(0.7))
    if expected is None:
        assert event.notional_max is None
    else:
        assert event.notional_max == pytest.approx(expected)


def test_an_episode_ends_when_both_waits_are_over() -> None:
    cleared = ReducingEpisode(
        instrument=BTC, trigger=Trigger.VOLATILITY, severity=0.1, cut_share=0.34,
        started_at=NOON - DAY, no_new_trades_until=NOON, cleared_at=NOON - 300 * SECOND,
    )  # fmt: skip
    for change, is_over in (
        ({}, True),
        ({"cleared_at": NOON - 299 * SECOND}, False),
        ({"no_new_trades_until": NOON + SECOND}, False),
    ):
        snapshot = armed(episodes=(replace(cleared, **change),))
        found = evaluate(snapshot, instruments=(market(),))
        assert (found.snapshot.episodes == ()) is is_over


# ---- strategies ----------------------------------------------------------------------------------


def lost(sequence: int, net: float = -1.0, closed_at: datetime = NOON) -> ClosedTrade:
    return ClosedTrade(strategy="magnet", sequence=sequence, net=net, closed_at=closed_at)


def test_a_streak_gauge_by_hand() -> None:
    found = evaluate(closed_trades=(lost(1),))
    assert numbers(gauge(found, Trigger.LOSS_STREAK)) == pytest.approx((1, 3, 2, 1 / 3))
    two = evaluate(closed_trades=(lost(1), lost(2)))
    assert numbers(gauge(two, Trigger.LOSS_STREAK)) == (2.0, 3.0, 1.0, 1.0)
    assert gauge(two, Trigger.LOSS_STREAK).status is GaugeStatus.WARN
    even = evaluate(closed_trades=(lost(1), lost(2), lost(3, 0.0)))
    assert gauge(even, Trigger.LOSS_STREAK).value == 0.0
    unknown = evaluate(closed_trades=(lost(1), lost(2), lost(3, math.nan)))
    assert gauge(unknown, Trigger.LOSS_STREAK).status is GaugeStatus.OVER
    first = evaluate(closed_trades=(lost(1, 5.0),), own={"magnet": StrategyLimits(
        losses_in_a_row_count=1)})  # fmt: skip
    assert gauge(first, Trigger.LOSS_STREAK).status is GaugeStatus.OK


def test_a_lock_ends_at_midnight_and_keeps_the_later_end() -> None:
    memory = StrategyMemory(
        strategy="magnet", locked_until=MIDNIGHT, locked_by=Trigger.LOSS_STREAK, last_sequence=3
    )
    snapshot = armed(strategies=(memory,))
    assert snapshot.locked_until("magnet", MIDNIGHT - SECOND) == MIDNIGHT
    assert snapshot.locked_until("magnet", MIDNIGHT) is None
    assert snapshot.locked_until("trend", NOON) is None
    early = evaluate(snapshot, 100.0, MIDNIGHT - SECOND)
    assert early.snapshot.strategies[0].locked_until == MIDNIGHT
    ended = evaluate(snapshot, 100.0, MIDNIGHT)
    assert ended.snapshot.strategies[0].locked_until is None
    assert [event.kind for event in ended.events] == [EventKind.UNLOCK]
    longer = replace(memory, locked_until=MIDNIGHT + DAY)
    streak = tuple(lost(number) for number in (4, 5, 6))
    kept = evaluate(armed(strategies=(longer,)), closed_trades=streak).snapshot.strategies[0]
    assert (kept.locked_until, kept.losses_in_a_row) == (MIDNIGHT + DAY, 0)


def test_a_streak_of_a_day_that_just_ended_locks_no_more() -> None:
    ended = evaluate(None, 100.0, MIDNIGHT, closed_trades=tuple(lost(n) for n in (1, 2, 3)))
    assert ended.snapshot.strategies[0].locked_until is None
    last = MIDNIGHT - SECOND
    locked = evaluate(None, 100.0, last, closed_trades=tuple(lost(n) for n in (1, 2, 3)))
    assert locked.snapshot.strategies[0].locked_until == MIDNIGHT
    assert [event.scope for event in locked.events] == ["strategy:magnet"]
    new = StrategyMemory(strategy="magnet")
    assert (new.losses_in_a_row, new.last_sequence) == (0, 0)


def test_a_lock_of_the_day_is_no_streak() -> None:
    memory = StrategyMemory(
        strategy="magnet", locked_until=MIDNIGHT, locked_by=Trigger.STRATEGY_DAILY_LOSS
    )
    found = gauge(evaluate(armed(strategies=(memory,))), Trigger.LOSS_STREAK)
    assert found.status is GaugeStatus.OK
    assert "until 2025-06-03 00:00 UTC" in found.words


def test_a_strategys_own_day_by_hand() -> None:
    own = {"magnet": StrategyLimits(daily_loss_share=Decimal("0.04"))}

    def day(result: float | None, snapshot: FuseSnapshot | None = None) -> FuseEvaluation:
        asked = StrategyReading(strategy="magnet", day_result_share=result)
        return evaluate(snapshot, own=own, strategies=(asked,))

    trigger = Trigger.STRATEGY_DAILY_LOSS
    assert numbers(gauge(day(-0.01), trigger)) == pytest.approx((0.01, 0.04, 0.03, 0.25))
    assert gauge(day(-0.04), trigger).status is GaugeStatus.OVER
    for odd in (None, math.nan):
        assert gauge(day(odd), trigger).status is GaugeStatus.NO_SOURCE
    locked = day(-0.05)
    (event,) = [item for item in locked.events if item.kind is EventKind.LOCK]
    assert (event.value, event.threshold, event.until) == (0.05, 0.04, MIDNIGHT)
    again = day(-0.06, locked.snapshot)
    assert EventKind.LOCK not in [item.kind for item in again.events]


# ---- resets --------------------------------------------------------------------------------------


def carry_out(snapshot: FuseSnapshot, at: datetime, unit_value: float = 99.0, **change: object):
    facts = ResetFacts(
        reconciliation=Reconciliation.CLEAN, reconciled_at=at, unit_value=unit_value,
        unit_value_at=at,
    )  # fmt: skip
    proposal = ResetProposal(
        proposer="ann", reason="mended", proposed_at=at, state=snapshot.state,
        latched=snapshot.latched,
    )  # fmt: skip
    return arm(
        snapshot=snapshot,
        approval=ResetApproval(proposal=proposal, approver="ben", approved_at=at),
        facts=replace(facts, **change),
        at=at,
        limits=DEFAULT_LIMITS,
    )


def after_drawdown(**changes: object) -> FuseSnapshot:
    latched = LatchedTrigger(trigger=Trigger.DRAWDOWN, tripped_at=NOON, value=0.06, threshold=0.05)
    base = armed(state=FuseState.TRIPPED, since=NOON, latched=(latched,), day_start=94.0)
    return replace(base, **changes)


def test_old_drawdown_resets_are_forgotten_after_two_years_and_newer_ones_kept() -> None:
    at = NOON + MINUTE
    old, kept = at - 733 * DAY, at - 732 * DAY
    done = carry_out(after_drawdown(drawdown_resets=(old, kept)), at, 94.0)
    assert done.denials == ()
    assert done.snapshot.drawdown_resets == (kept, at)
    assert (done.snapshot.peak, done.snapshot.peak_unreset) == (94.0, 100.0)


@pytest.mark.parametrize(("days", "is_needed"), [(30, True), (31, False)])
def test_a_director_is_needed_up_to_the_thirtieth_day(days: int, is_needed: bool) -> None:
    at = NOON + MINUTE
    done = carry_out(after_drawdown(drawdown_resets=(at - days * DAY,)), at, 94.0)
    codes = {denial.code for denial in done.denials}
    assert (ResetDenialCode.DIRECTOR_NEEDED in codes) is is_needed


def test_a_reconciliation_older_than_a_disarming_does_not_count() -> None:
    disarmed = armed(state=FuseState.DISARMED, since=NOON)
    at = NOON + MINUTE
    late = carry_out(disarmed, at, reconciled_at=NOON - SECOND)
    assert [denial.code for denial in late.denials] == [ResetDenialCode.RECONCILIATION_TOO_OLD]
    assert carry_out(disarmed, at, reconciled_at=NOON).denials == ()
    assert carry_out(disarmed, at, reconciled_at=at + SECOND).denials != ()


@pytest.mark.parametrize("value", [0.0, -0.5, math.nan])
def test_arming_needs_a_unit_value_above_zero(value: float) -> None:
    done = carry_out(armed(state=FuseState.DISARMED, since=NOON), NOON + MINUTE, value)
    assert [denial.code for denial in done.denials] == [ResetDenialCode.STALE_EQUITY]


def test_arming_at_a_level_that_trips_is_refused_and_just_above_is_not() -> None:
    disarmed = armed(state=FuseState.DISARMED, since=NOON, peak=110.0)
    at = NOON + MINUTE
    for value, refused in ((104.5, True), (104.6, False)):
        assert bool(carry_out(disarmed, at, value).denials) is refused
    no_peak = replace(disarmed, peak=100.0)
    assert carry_out(no_peak, at, 97.5).denials != ()
    assert carry_out(no_peak, at, 97.6).denials == ()
    # Yesterday's start says nothing of today.
    assert carry_out(replace(no_peak, day=NOON.replace(hour=0) - DAY), at, 97.0).denials == ()
    small = replace(disarmed, peak=None, peak_unreset=None, day_start=None)
    first = carry_out(small, at, 0.5).snapshot
    assert (first.peak, first.peak_unreset) == (0.5, 0.5)


def test_a_strategys_own_count_of_losses_rules_when_it_is_smaller() -> None:
    for own, locks in ((1, True), (5, False)):
        limits = {"magnet": StrategyLimits(losses_in_a_row_count=own)}
        found = evaluate(own=limits, closed_trades=(lost(1),))
        assert (found.snapshot.strategies[0].locked_until is not None) is locks
    three = tuple(lost(number) for number in (1, 2, 3))
    found = evaluate(own={"magnet": StrategyLimits(losses_in_a_row_count=5)}, closed_trades=three)
    assert found.snapshot.strategies[0].locked_until == MIDNIGHT


def test_an_arming_has_no_trigger_and_a_disarming_is_by_hand() -> None:
    done = carry_out(armed(state=FuseState.DISARMED, since=NOON), NOON + MINUTE)
    assert done.event is not None
    assert (done.event.kind, done.event.trigger) == (EventKind.ARM, None)
    stopped = disarm(
        snapshot=done.snapshot, actor="ann", reason="holiday", at=NOON + DAY, limits=DEFAULT_LIMITS
    )
    assert stopped.event is not None
    assert (stopped.event.kind, stopped.event.trigger) == (EventKind.DISARM, Trigger.MANUAL)
