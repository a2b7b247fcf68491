"""The fuse: what trips it, what reduces, what locks, and what it shows (FUSE-1, FUSE-2, FUSE-4)."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from risk.domain.fuse import (
    ClosedTrade,
    EventKind,
    FuseAction,
    FuseEvaluation,
    FuseReading,
    FuseSnapshot,
    FuseState,
    Gauge,
    GaugeStatus,
    InstrumentReading,
    PositionReading,
    Reconciliation,
    StrategyReading,
    Trigger,
    evaluate_fuse,
    find_cut_share,
    find_further_cut_share,
    find_liquidity_score,
    find_loss_threshold,
    find_severity,
    find_trip_level,
    find_trip_price,
)
from risk.domain.limits import DEFAULT_LIMITS, OPTION_STRATEGY_LIMITS, LimitSet

NOON = datetime(2025, 6, 2, 12, tzinfo=UTC)
MIDNIGHT = datetime(2025, 6, 3, tzinfo=UTC)
BTC = "BTC/USDT:USDT"
HOUR = timedelta(hours=1)


def armed(**changes: object) -> FuseSnapshot:
    base = FuseSnapshot(
        state=FuseState.ARMED,
        since=NOON - 2 * HOUR,
        unit_value=100.0,
        unit_value_at=NOON,
        day=NOON.replace(hour=0),
        day_start=100.0,
        peak=100.0,
        peak_unreset=100.0,
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def reading(unit_value: float | None = 100.0, at: datetime = NOON, **more: object) -> FuseReading:
    more.setdefault("reconciliation", Reconciliation.CLEAN)
    return FuseReading(unit_value=unit_value, unit_value_at=at, **more)  # type: ignore[arg-type]


def evaluate(
    snapshot: FuseSnapshot, given: FuseReading, now: datetime = NOON, **more: object
) -> FuseEvaluation:
    return evaluate_fuse(
        snapshot=snapshot,
        reading=given,
        now=now,
        limits=more.pop("limits", DEFAULT_LIMITS),  # type: ignore[arg-type]
        **more,  # type: ignore[arg-type]
    )


def gauge(evaluation: FuseEvaluation, trigger: Trigger) -> Gauge:
    return next(item for item in evaluation.gauges if item.trigger is trigger)


def kinds(evaluation: FuseEvaluation) -> list[EventKind]:
    return [event.kind for event in evaluation.events]


def position(bar: datetime = NOON, **changes: object) -> PositionReading:
    base = PositionReading(
        position_id="p1",
        instrument=BTC,
        strategy="magnet",
        side=1,
        bar_closed_at=bar,
        conflict=0.1,
        opposite_strength=20.0,
        target_strength=80.0,
        trend=1,
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def market(**changes: object) -> InstrumentReading:
    base = InstrumentReading(
        instrument=BTC,
        volatility_ratio=1.0,
        depth_value=4_000_000.0,
        notional_intended=100_000.0,
        notional=100_000.0,
    )
    return replace(base, **changes)  # type: ignore[arg-type]


# --- fund triggers ------------------------------------------------------------------------------


@pytest.mark.parametrize(("unit_value", "trips"), [(97.5001, False), (97.5, True), (97.4999, True)])
def test_daily_loss_trips_at_two_and_a_half_percent(unit_value: float, trips: bool) -> None:
    done = evaluate(armed(), reading(unit_value))
    assert (done.snapshot.state is FuseState.TRIPPED) is trips
    assert (EventKind.TRIP in kinds(done)) is trips
    if trips:
        event = done.events[0]
        assert (event.trigger, event.action) == (Trigger.DAILY_LOSS, FuseAction.CLOSE_ALL)
        assert event.value == pytest.approx(1 - unit_value / 100)
        assert event.threshold == 0.025
        assert done.snapshot.latched[0].tripped_at == NOON


@pytest.mark.parametrize(
    ("unit_value", "trips"), [(114.0001, False), (114.0, True), (113.9999, True)]
)
def test_drawdown_trips_at_five_percent_from_the_peak(unit_value: float, trips: bool) -> None:
    done = evaluate(armed(peak=120.0, day_start=115.0), reading(unit_value))
    assert (done.snapshot.state is FuseState.TRIPPED) is trips
    if trips:
        assert done.events[0].trigger is Trigger.DRAWDOWN


def test_subscriptions_do_not_move_the_fuse_because_it_reads_unit_value() -> None:
    # Equity doubles by a subscription; the unit value stands still.
    done = evaluate(armed(), reading(100.0, equity=2_000_000.0))
    assert done.snapshot.peak == 100.0
    assert gauge(done, Trigger.DAILY_LOSS).value == 0.0


def test_the_extreme_of_a_bar_trips_before_its_close_can_lift_the_peak() -> None:
    done = evaluate(armed(), reading(110.0, unit_value_extreme=97.0))
    assert done.snapshot.state is FuseState.TRIPPED
    calm = evaluate(armed(), reading(110.0, unit_value_extreme=99.0))
    assert calm.snapshot.state is FuseState.ARMED
    assert calm.snapshot.peak == 110.0
    # 110 -> low 105 would be -4.5 % from the new peak, but the peak was still 100 in this bar.
    assert gauge(calm, Trigger.DRAWDOWN).value == pytest.approx(0.01)


def test_the_peak_rises_and_never_falls() -> None:
    up = evaluate(armed(), reading(103.0)).snapshot
    assert (up.peak, up.peak_unreset) == (103.0, 103.0)
    down = evaluate(up, reading(102.0)).snapshot
    assert (down.peak, down.peak_unreset) == (103.0, 103.0)


def test_a_new_utc_day_begins_at_the_last_value_known() -> None:
    later = MIDNIGHT + timedelta(minutes=5)
    done = evaluate(armed(unit_value=99.0), reading(98.0, later), later)
    assert done.snapshot.day == MIDNIGHT
    assert done.snapshot.day_start == 99.0
    assert gauge(done, Trigger.DAILY_LOSS).value == pytest.approx(1 - 98 / 99)


def test_at_midnight_the_value_is_tested_against_the_day_that_ends() -> None:
    done = evaluate(armed(), reading(97.0, MIDNIGHT), MIDNIGHT)
    assert done.snapshot.state is FuseState.TRIPPED
    assert done.snapshot.day_start == 97.0
    assert done.snapshot.day == MIDNIGHT
    calm = evaluate(armed(), reading(99.0, MIDNIGHT), MIDNIGHT)
    assert (calm.snapshot.state, calm.snapshot.day_start) == (FuseState.ARMED, 99.0)


def test_a_given_day_start_rules_over_the_remembered_one() -> None:
    done = evaluate(armed(), reading(97.0, day_start_unit_value=98.0))
    assert done.snapshot.day_start == 98.0
    assert done.snapshot.state is FuseState.ARMED


@pytest.mark.parametrize(
    ("age_s", "trips"),
    [(0, False), (179, False), (180, False), (180.001, True), (-0.9, False), (-1.5, True)],
)
def test_stale_or_future_equity_trips(age_s: float, trips: bool) -> None:
    at = NOON - timedelta(seconds=age_s)
    done = evaluate(armed(), reading(100.0, at))
    assert (done.snapshot.state is FuseState.TRIPPED) is trips
    if trips:
        assert done.events[0].trigger is Trigger.EQUITY_STALE


@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_equity_without_a_usable_value_trips_and_leaves_the_memory(value: float | None) -> None:
    done = evaluate(armed(), reading(value))
    assert done.snapshot.state is FuseState.TRIPPED
    assert (done.snapshot.unit_value, done.snapshot.peak) == (100.0, 100.0)
    assert gauge(done, Trigger.DAILY_LOSS).status is GaugeStatus.NO_SOURCE


def test_a_wiped_out_unit_value_is_a_loss_not_a_missing_value() -> None:
    done = evaluate(armed(), reading(-5.0))
    assert {item.trigger for item in done.snapshot.latched} == {
        Trigger.DAILY_LOSS,
        Trigger.DRAWDOWN,
    }


def test_a_break_trips_and_a_missing_reconciliation_is_shown() -> None:
    broken = evaluate(armed(), reading(reconciliation=Reconciliation.BROKEN))
    assert broken.events[0].trigger is Trigger.RECONCILIATION_BREAK
    unknown = evaluate(armed(), reading(reconciliation=None))
    assert unknown.snapshot.state is FuseState.ARMED
    assert gauge(unknown, Trigger.RECONCILIATION_BREAK).status is GaugeStatus.NO_SOURCE


def test_a_manual_stop_trips_from_every_state() -> None:
    for state in (FuseState.ARMED, FuseState.DISARMED):
        done = evaluate(armed(state=state), reading(manual_reason="odd fills"))
        assert done.snapshot.state is FuseState.TRIPPED
        assert done.events[0].reason == "odd fills"


def test_disarmed_is_the_first_state_and_trips_only_over_open_positions() -> None:
    assert FuseSnapshot().state is FuseState.DISARMED
    flat = evaluate(FuseSnapshot(), reading(None))
    assert flat.snapshot.state is FuseState.DISARMED
    held = evaluate(armed(state=FuseState.DISARMED), reading(97.0, positions_open=1))
    assert held.snapshot.state is FuseState.TRIPPED


def test_a_trip_is_told_once_and_further_triggers_are_latched_on_top() -> None:
    first = evaluate(armed(), reading(97.0))
    again = evaluate(first.snapshot, reading(97.0, NOON + HOUR), NOON + HOUR)
    assert kinds(again) == []
    more = evaluate(first.snapshot, reading(94.0, NOON + HOUR), NOON + HOUR)
    assert [event.trigger for event in more.events] == [Trigger.DRAWDOWN]
    assert {item.trigger for item in more.snapshot.latched} == {
        Trigger.DAILY_LOSS,
        Trigger.DRAWDOWN,
    }
    assert more.snapshot.since == NOON


def test_a_daily_loss_on_a_later_day_moves_the_date_that_its_reset_waits_for() -> None:
    first = evaluate(armed(peak=200.0, day_start=200.0, unit_value=195.0), reading(195.0)).snapshot
    tomorrow = NOON + timedelta(days=1)
    second = evaluate(first, reading(189.0, tomorrow), tomorrow)
    latched = {item.trigger: item.tripped_at for item in second.snapshot.latched}
    assert latched[Trigger.DAILY_LOSS] == tomorrow


def test_an_evaluation_never_arms() -> None:
    tripped = evaluate(armed(), reading(97.0)).snapshot
    for days in range(1, 60):
        now = NOON + timedelta(days=days)
        tripped = evaluate(tripped, reading(150.0, now), now).snapshot
        assert tripped.state is FuseState.TRIPPED


@pytest.mark.parametrize(
    ("unit_value", "status"),
    [(98.126, GaugeStatus.OK), (98.12, GaugeStatus.WARN), (97.5, GaugeStatus.OVER)],
)
def test_gauges_warn_from_three_quarters_of_the_threshold(
    unit_value: float, status: GaugeStatus
) -> None:
    shown = gauge(evaluate(armed(), reading(unit_value)), Trigger.DAILY_LOSS)
    assert shown.status is status
    assert shown.room == pytest.approx(0.025 - (1 - unit_value / 100))
    assert shown.used_share == pytest.approx((1 - unit_value / 100) / 0.025)


def test_a_warning_is_told_once_until_it_was_fine_again() -> None:
    warned = evaluate(armed(), reading(98.0))
    assert kinds(warned) == [EventKind.WARNING]
    still = evaluate(warned.snapshot, reading(98.0))
    assert kinds(still) == []
    fine = evaluate(still.snapshot, reading(99.5))
    assert kinds(evaluate(fine.snapshot, reading(98.0))) == [EventKind.WARNING]


def test_the_trip_level_is_the_higher_of_day_and_drawdown_level() -> None:
    assert find_trip_level(snapshot=armed(), limits=DEFAULT_LIMITS) == pytest.approx(97.5)
    assert find_trip_level(snapshot=armed(peak=120.0), limits=DEFAULT_LIMITS) == pytest.approx(
        114.0
    )
    assert find_trip_level(snapshot=FuseSnapshot(), limits=DEFAULT_LIMITS) is None
    assert find_loss_threshold(100.0, 100.0, 0.025, 0.05) == 97.5
    assert find_loss_threshold(100.0, 110.0, 0.025, 0.05) == pytest.approx(104.5)


def test_trip_price_is_where_equity_meets_the_threshold() -> None:
    # 2 units long at 60,000, equity 430,000, threshold 419,250: 10,750 / 2 below.
    assert find_trip_price(60_000.0, 430_000.0, 419_250.0, 2.0, 1.0) == 54_625.0
    assert find_trip_price(60_000.0, 430_000.0, 419_250.0, -2.0, 1.0) == 65_375.0
    assert find_trip_price(60_000.0, 430_000.0, 430_000.0, 2.0, 1.0) == 60_000.0
    assert find_trip_price(60_000.0, 430_000.0, 419_250.0, 0.0, 1.0) == 0.0
    assert find_trip_price(60_000.0, 430_000.0, 1_000.0, 0.001, 1.0) == 0.0


# --- market triggers ----------------------------------------------------------------------------


@pytest.mark.parametrize(("ratio", "reduces"), [(1.999, False), (2.0, False), (2.001, True)])
def test_volatility_reduces_its_instrument_above_two(ratio: float, reduces: bool) -> None:
    done = evaluate(armed(), reading(instruments=(market(volatility_ratio=ratio),)))
    assert (EventKind.REDUCE in kinds(done)) is reduces
    assert done.snapshot.state is FuseState.ARMED
    expected = FuseState.REDUCING if reduces else FuseState.ARMED
    assert done.snapshot.state_of(BTC) is expected
    assert done.snapshot.state_of("ETH/USDT:USDT") is FuseState.ARMED
    assert done.snapshot.displayed_state is expected


@pytest.mark.parametrize(
    ("ratio", "severity", "cut"),
    [(2.4, 0.2, 0.38), (3.0, 0.5, 0.5), (4.0, 1.0, 0.7), (9.0, 1.0, 0.7)],
)
def test_the_cut_is_thirty_percent_plus_forty_times_severity(
    ratio: float, severity: float, cut: float
) -> None:
    done = evaluate(
        armed(), reading(instruments=(market(volatility_ratio=ratio),), positions=(position(),))
    )
    event = done.events[0]
    assert event.kind is EventKind.REDUCE
    assert event.action is FuseAction.CUT_EXPOSURE
    assert event.severity == pytest.approx(severity)
    assert event.cut_share == pytest.approx(cut)
    assert event.cut_share_now == pytest.approx(cut)
    assert event.until == NOON + timedelta(seconds=180)


def test_without_a_position_a_reduction_only_stops_entries() -> None:
    done = evaluate(armed(), reading(instruments=(market(volatility_ratio=3.0, notional=0.0),)))
    assert done.events[0].action is FuseAction.STOP_ENTRIES


def test_one_cut_an_episode_deepened_only_when_severity_rises() -> None:
    snapshot, cuts = armed(), []
    for minute, ratio in enumerate((2.4, 2.2, 2.4, 3.0, 2.6, 4.0, 8.0)):
        now = NOON + timedelta(minutes=minute)
        done = evaluate(
            snapshot,
            reading(
                at=now,
                instruments=(market(volatility_ratio=ratio),),
                positions=(position(),),
            ),
            now,
        )
        snapshot = done.snapshot
        cuts += [(e.kind, round(e.cut_share or 0, 6)) for e in done.events if e.cut_share_now]
    assert cuts == [
        (EventKind.REDUCE, 0.38),
        (EventKind.DEEPEN, 0.5),
        (EventKind.DEEPEN, 0.7),
    ]
    assert snapshot.episodes[0].started_at == NOON


def test_a_deepening_cuts_only_what_is_still_missing() -> None:
    # 100 -> 62 after 38 %; to stand at 50 another 12 of 62 go.
    assert find_further_cut_share(0.38, 0.5) == pytest.approx(12 / 62)
    assert find_further_cut_share(0.5, 0.38) == 0.0
    assert find_further_cut_share(0.5, 0.5) == 0.0
    assert find_further_cut_share(1.0, 1.0) == 0.0
    assert find_cut_share(0.0, 0.3, 0.7) == 0.3
    assert find_severity(math.nan, 2.0) == 0.0
    assert find_severity(2.0, 0.0) == 0.0


def test_reducing_means_the_whole_book_at_most_one_times_equity() -> None:
    eth = InstrumentReading(instrument="ETH", volatility_ratio=1.0, notional=80_000.0)
    done = evaluate(
        armed(),
        reading(
            equity=100_000.0,
            instruments=(market(volatility_ratio=2.4, notional=60_000.0), eth),
            positions=(position(),),
        ),
    )
    # The cut leaves 37,200, but 80,000 are held elsewhere: only 20,000 fit under 1.0x.
    assert done.events[0].notional_max == pytest.approx(20_000.0)
    alone = evaluate(
        armed(),
        reading(
            equity=100_000.0,
            instruments=(market(volatility_ratio=2.4, notional=60_000.0),),
            positions=(position(),),
        ),
    )
    assert alone.events[0].notional_max == pytest.approx(37_200.0)


def test_entries_return_five_minutes_after_the_condition_cleared() -> None:
    hot = reading(instruments=(market(volatility_ratio=3.0),))
    snapshot = evaluate(armed(), hot).snapshot
    cleared_at = NOON + timedelta(minutes=10)
    calm = evaluate(snapshot, reading(at=cleared_at, instruments=(market(),)), cleared_at)
    assert kinds(calm) == [EventKind.CLEARED]
    assert calm.snapshot.state_of(BTC) is FuseState.REDUCING
    early = cleared_at + timedelta(seconds=299)
    waiting = evaluate(calm.snapshot, reading(at=early, instruments=(market(),)), early)
    assert kinds(waiting) == []
    due = cleared_at + timedelta(seconds=300)
    done = evaluate(waiting.snapshot, reading(at=due, instruments=(market(),)), due)
    assert kinds(done) == [EventKind.REARM]
    assert done.snapshot.state_of(BTC) is FuseState.ARMED


def test_a_condition_that_comes_back_restarts_the_wait_without_a_second_cut() -> None:
    snapshot = evaluate(armed(), reading(instruments=(market(volatility_ratio=3.0),))).snapshot
    times = [(1, 1.0), (5, 2.5), (7, 1.0), (11.9, 1.0), (12, 1.0)]
    seen = []
    for minutes, ratio in times:
        now = NOON + timedelta(minutes=minutes)
        done = evaluate(
            snapshot, reading(at=now, instruments=(market(volatility_ratio=ratio),)), now
        )
        snapshot = done.snapshot
        seen.append([kind for kind in kinds(done) if kind is not EventKind.WARNING])
    assert seen == [[EventKind.CLEARED], [], [EventKind.CLEARED], [], [EventKind.REARM]]


def test_a_condition_that_cannot_be_seen_has_not_cleared() -> None:
    snapshot = evaluate(armed(), reading(instruments=(market(volatility_ratio=3.0),))).snapshot
    for minutes in range(1, 60):
        now = NOON + timedelta(minutes=minutes)
        done = evaluate(
            snapshot, reading(at=now, instruments=(market(volatility_ratio=None),)), now
        )
        snapshot = done.snapshot
        assert gauge(done, Trigger.VOLATILITY).status is GaugeStatus.NO_SOURCE
    assert snapshot.state_of(BTC) is FuseState.REDUCING


def test_conflict_counts_after_two_closed_bars() -> None:
    first = evaluate(armed(), reading(positions=(position(conflict=0.81),)))
    assert EventKind.REDUCE not in kinds(first)
    assert gauge(first, Trigger.CONFLICT).status is GaugeStatus.WARN
    same_bar = evaluate(first.snapshot, reading(positions=(position(conflict=0.81),)))
    assert EventKind.REDUCE not in kinds(same_bar)
    now = NOON + HOUR
    second = evaluate(
        same_bar.snapshot, reading(at=now, positions=(position(now, conflict=0.88),)), now
    )
    assert second.events[0].trigger is Trigger.CONFLICT
    assert second.events[0].severity == pytest.approx(0.1)


def test_conflict_of_exactly_the_limit_never_counts_and_a_calm_bar_starts_anew() -> None:
    snapshot = armed()
    for hours, conflict in enumerate((0.8, 0.8, 0.81, 0.5, 0.81)):
        now = NOON + hours * HOUR
        done = evaluate(
            snapshot, reading(at=now, positions=(position(now, conflict=conflict),)), now
        )
        snapshot = done.snapshot
        assert snapshot.state_of(BTC) is FuseState.ARMED


def test_a_conflict_without_a_source_neither_adds_nor_clears() -> None:
    snapshot = armed()
    for hours, conflict in enumerate((0.9, None, 0.9)):
        now = NOON + hours * HOUR
        done = evaluate(
            snapshot, reading(at=now, positions=(position(now, conflict=conflict),)), now
        )
        snapshot = done.snapshot
    assert snapshot.state_of(BTC) is FuseState.REDUCING


def test_the_trend_must_stand_against_the_position_for_two_closed_bars() -> None:
    snapshot, states = armed(), []
    for hours, trend in enumerate((-1, 1, -1, 0, -1, -1)):
        now = NOON + hours * HOUR
        done = evaluate(snapshot, reading(at=now, positions=(position(now, trend=trend),)), now)
        snapshot = done.snapshot
        states.append(snapshot.state_of(BTC))
    assert states == [FuseState.ARMED] * 5 + [FuseState.REDUCING]
    assert snapshot.episodes[0].trigger is Trigger.TREND_FLIP
    assert snapshot.episodes[0].cut_share == pytest.approx(0.3)


def test_a_short_is_hit_by_a_rising_trend() -> None:
    snapshot = armed()
    for hours in range(2):
        now = NOON + hours * HOUR
        done = evaluate(
            snapshot, reading(at=now, positions=(position(now, side=-1, trend=1),)), now
        )
        snapshot = done.snapshot
    assert snapshot.state_of(BTC) is FuseState.REDUCING


@pytest.mark.parametrize(("opposite", "reduces"), [(79.9, False), (80.0, False), (80.1, True)])
def test_an_opposite_zone_stronger_than_the_recorded_target_reduces(
    opposite: float, reduces: bool
) -> None:
    done = evaluate(armed(), reading(positions=(position(opposite_strength=opposite),)))
    assert (EventKind.REDUCE in kinds(done)) is reduces


@pytest.mark.parametrize(
    ("depth", "score", "reduces"),
    [(600_000.0, 30.0, False), (599_000.0, 29.95, True), (9e9, 100.0, False), (0.0, 0.0, True)],
)
def test_liquidity_below_thirty_reduces(depth: float, score: float, reduces: bool) -> None:
    # 100 x min(1, depth / (20 x 100,000)).
    assert find_liquidity_score(depth, 100_000.0) == pytest.approx(score)
    done = evaluate(
        armed(), reading(instruments=(market(depth_value=depth),), positions=(position(),))
    )
    assert (EventKind.REDUCE in kinds(done)) is reduces
    assert gauge(done, Trigger.LIQUIDITY).value == pytest.approx(score)


def test_position_triggers_are_tested_only_while_a_position_is_open() -> None:
    done = evaluate(armed(), reading(instruments=(market(depth_value=0.0),)))
    for trigger in (
        Trigger.CONFLICT,
        Trigger.OPPOSITE_MAGNET,
        Trigger.TREND_FLIP,
        Trigger.LIQUIDITY,
    ):
        assert gauge(done, trigger).status is GaugeStatus.NOT_TESTED
    assert done.snapshot.state_of(BTC) is FuseState.ARMED


def test_triggers_that_do_not_concern_a_strategy_are_not_tested_for_it() -> None:
    held = position(
        opposite_strength=99.0,
        conflict=None,
        trend=None,
        triggers=frozenset({Trigger.VOLATILITY}),
    )
    done = evaluate(armed(), reading(instruments=(market(),), positions=(held,)))
    assert gauge(done, Trigger.OPPOSITE_MAGNET).status is GaugeStatus.NOT_TESTED
    assert gauge(done, Trigger.CONFLICT).status is GaugeStatus.NOT_TESTED
    assert kinds(done) == []


def test_a_trigger_without_a_source_is_shown_as_such() -> None:
    held = position(conflict=None, opposite_strength=None, trend=None)
    done = evaluate(
        armed(),
        reading(
            instruments=(market(volatility_ratio=math.nan, depth_value=None),), positions=(held,)
        ),
    )
    for trigger in (
        Trigger.VOLATILITY,
        Trigger.CONFLICT,
        Trigger.OPPOSITE_MAGNET,
        Trigger.TREND_FLIP,
        Trigger.LIQUIDITY,
    ):
        assert gauge(done, trigger).status is GaugeStatus.NO_SOURCE


def test_every_trigger_has_a_gauge_even_when_nothing_is_traded() -> None:
    done = evaluate(armed(), reading())
    shown = {item.trigger for item in done.gauges}
    assert shown == set(Trigger) - {Trigger.STRATEGY_DAILY_LOSS}


def test_the_worst_of_several_conditions_sets_the_cut() -> None:
    done = evaluate(
        armed(),
        reading(
            instruments=(market(volatility_ratio=2.2),),
            positions=(position(opposite_strength=120.0),),
        ),
    )
    assert done.events[0].trigger is Trigger.OPPOSITE_MAGNET
    assert done.events[0].severity == pytest.approx(0.5)


def test_closing_the_position_clears_its_own_triggers() -> None:
    held = reading(positions=(position(opposite_strength=99.0),), instruments=(market(),))
    snapshot = evaluate(armed(), held).snapshot
    assert snapshot.state_of(BTC) is FuseState.REDUCING
    now = NOON + timedelta(minutes=1)
    done = evaluate(snapshot, reading(at=now, instruments=(market(),)), now)
    assert kinds(done) == [EventKind.CLEARED]
    assert done.snapshot.positions == ()


def test_a_tripped_fund_keeps_watching_but_orders_no_cuts() -> None:
    tripped = evaluate(armed(), reading(97.0)).snapshot
    done = evaluate(
        tripped,
        reading(97.0, instruments=(market(volatility_ratio=3.0),), positions=(position(),)),
    )
    assert [event.action for event in done.events] == [FuseAction.STOP_ENTRIES]
    assert done.snapshot.state_of(BTC) is FuseState.TRIPPED
    assert done.snapshot.displayed_state is FuseState.TRIPPED


# --- strategies ---------------------------------------------------------------------------------


def trades(*results: float, start: int = 1, strategy: str = "trend") -> tuple[ClosedTrade, ...]:
    return tuple(
        ClosedTrade(strategy=strategy, sequence=start + i, net=net, closed_at=NOON)
        for i, net in enumerate(results)
    )


def test_three_losses_in_a_row_lock_their_strategy_until_midnight() -> None:
    done = evaluate(armed(), reading(closed_trades=trades(-1, -2, -0.01)))
    event = next(e for e in done.events if e.kind is EventKind.LOCK)
    assert (event.strategy, event.until) == ("trend", MIDNIGHT)
    assert done.snapshot.state is FuseState.ARMED
    assert done.snapshot.locked_until("trend", NOON) == MIDNIGHT
    assert done.snapshot.locked_until("magnet", NOON) is None
    assert done.snapshot.locked_until("trend", MIDNIGHT) is None
    unlocked = evaluate(done.snapshot, reading(at=MIDNIGHT), MIDNIGHT)
    assert EventKind.UNLOCK in kinds(unlocked)
    assert unlocked.snapshot.strategies[0].losses_in_a_row == 0


@pytest.mark.parametrize("results", [(-1, -1), (-1, -1, 0.0, -1), (-1, 5, -1, -1), (0, 0, 0)])
def test_fewer_or_broken_streaks_do_not_lock(results: tuple[float, ...]) -> None:
    done = evaluate(armed(), reading(closed_trades=trades(*results)))
    assert EventKind.LOCK not in kinds(done)


def test_a_round_trip_counts_once_however_often_it_is_read() -> None:
    first = evaluate(armed(), reading(closed_trades=trades(-1, -1)))
    assert gauge(first, Trigger.LOSS_STREAK).status is GaugeStatus.WARN
    again = evaluate(first.snapshot, reading(closed_trades=trades(-1, -1)))
    assert again.snapshot.strategies[0].losses_in_a_row == 2
    third = evaluate(again.snapshot, reading(closed_trades=trades(-1, start=3)))
    assert EventKind.LOCK in kinds(third)


def test_losses_of_two_strategies_do_not_add_up() -> None:
    mixed = trades(-1, -1) + trades(-1, -1, strategy="magnet")
    assert EventKind.LOCK not in kinds(evaluate(armed(), reading(closed_trades=mixed)))


def test_a_streak_found_only_on_the_next_day_locks_no_more() -> None:
    late = MIDNIGHT + HOUR
    done = evaluate(armed(), reading(at=late, closed_trades=trades(-1, -1, -1)), late)
    assert EventKind.LOCK not in kinds(done)


@pytest.mark.parametrize(("result", "locks"), [(-0.0299, False), (-0.03, True), (-0.05, True)])
def test_option_strategies_stop_for_the_day_at_three_percent(result: float, locks: bool) -> None:
    done = evaluate(
        armed(),
        reading(strategies=(StrategyReading(strategy="condor", day_result_share=result),)),
        strategy_limits={"condor": OPTION_STRATEGY_LIMITS},
    )
    assert (EventKind.LOCK in kinds(done)) is locks
    again = evaluate(
        done.snapshot,
        reading(strategies=(StrategyReading(strategy="condor", day_result_share=result),)),
        strategy_limits={"condor": OPTION_STRATEGY_LIMITS},
    )
    assert EventKind.LOCK not in kinds(again)


def test_the_version_of_the_limits_is_on_every_event() -> None:
    limits = LimitSet(version=9, daily_loss_share=Decimal("0.01"))
    done = evaluate(armed(), reading(99.0), limits=limits)
    assert done.snapshot.state is FuseState.TRIPPED
    assert {event.limits_version for event in done.events} == {9}
