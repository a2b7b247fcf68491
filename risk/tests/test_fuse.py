"""The survival fuse: the functions that engine, services and pages call."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from magnetfund.kernel.errors import InvalidInput
from risk.domain.fuse import (
    MANUAL_WATCH,
    NEVER_MS,
    NO_EPISODE,
    Condition,
    Episode,
    FuseBook,
    FuseMove,
    FuseRules,
    MarketReading,
    Move,
    ResetDenialCode,
    ResetPolicy,
    Sight,
    Trigger,
    Trip,
    WatchList,
    begin_capital,
    check_liquidity,
    check_position,
    check_strategy_day,
    check_volatility,
    compute_trip_level,
    count_round_trip,
    find_entry_block,
    find_heaviest,
    find_reset_denial,
    find_worst,
    is_equity_stale,
    is_reconciled_since,
    lift_peaks,
    lock_end,
    losses_allowed,
    open_fuse,
    rearm,
    scale_for_flow,
    step_episode,
    trip_from_outside,
    trip_on_loss,
    turn_day,
)
from risk.domain.fuse.thresholds import (
    compute_cut_lots,
    compute_cut_share,
    compute_liquidity_score,
    compute_loss_threshold,
    compute_open_conflict,
    compute_severity,
    compute_shortfall_severity,
)
from risk.domain.limits import Limits, StrategyLimits, group_correlated

DAY = 86_400_000
MIDNIGHT = 20_000 * DAY
NOON = MIDNIGHT + DAY // 2
HOUR = 3_600_000
RULES = FuseRules()
EVERYTHING = WatchList(
    trigger_conflict=True, trigger_opposite=True, trigger_trend_flip=True, conflict_bars=2
)


def fuse(**changes: object) -> FuseBook:
    opened = open_fuse(time_ms=NOON, equity=100.0, strategies=2, instruments=1)
    return replace(opened, **changes)  # type: ignore[arg-type]


# ---- losses --------------------------------------------------------------------------------------


def test_an_open_fuse_is_armed_and_starts_its_day_at_midnight() -> None:
    opened = fuse()
    assert (opened.tripped_by, opened.day_start_ms, opened.rearm_at) == (0, MIDNIGHT, NEVER_MS)
    assert opened.episodes == (NO_EPISODE,)


@pytest.mark.parametrize(("peak", "level"), [(100.0, 97.5), (110.0, 104.5), (102.0, 97.5)])
def test_the_trip_level_is_the_higher_of_day_and_drawdown(peak: float, level: float) -> None:
    assert compute_trip_level(fuse(peak_equity=peak), RULES) == pytest.approx(level)


def test_a_book_without_capital_has_no_trip_level_and_a_small_one_has() -> None:
    assert compute_trip_level(begin_capital(fuse(), equity=0.0), RULES) == -math.inf
    assert compute_trip_level(begin_capital(fuse(), equity=0.5), RULES) == pytest.approx(0.4875)


def test_first_capital_is_the_start_of_the_day_and_both_peaks() -> None:
    empty = open_fuse(time_ms=NOON, equity=0.0, strategies=2, instruments=1)
    assert begin_capital(empty, equity=100.0) == fuse()


@pytest.mark.parametrize(
    ("equity", "peak", "trigger", "value", "threshold"),
    [
        (97.5, 100.0, Trigger.DAILY_LOSS, 0.025, 0.025),
        (95.0, 100.0, Trigger.DRAWDOWN, 0.05, 0.05),
        (99.0, 110.0, Trigger.DRAWDOWN, 0.1, 0.05),
    ],
)
def test_a_trip_names_its_trigger_with_value_and_threshold(
    equity: float, peak: float, trigger: Trigger, value: float, threshold: float
) -> None:
    after, event = trip_on_loss(
        fuse(peak_equity=peak), equity=equity, time_ms=NOON, positions=2, rules=RULES
    )
    assert (after.tripped_by, after.tripped_at) == (trigger, NOON)
    assert event.trigger == trigger
    assert event.value == pytest.approx(value)
    assert (event.threshold, event.severity, event.positions) == (threshold, 1.0, 2)
    assert (event.cut_share, event.instrument, event.strategy) == (1.0, -1, -1)


@pytest.mark.parametrize(
    ("policy", "equity", "wait"),
    [
        (ResetPolicy.NONE, 97.0, NEVER_MS - NOON),
        (ResetPolicy.NEXT_DAY, 90.0, DAY // 2),
        (ResetPolicy.COOLDOWN_7D, 97.0, DAY // 2),
        (ResetPolicy.COOLDOWN_7D, 90.0, 7 * DAY),
    ],
)
def test_a_scenario_rearms_by_its_policy(policy: ResetPolicy, equity: float, wait: int) -> None:
    rules = FuseRules(reset_policy=policy)
    after, _ = trip_on_loss(fuse(), equity=equity, time_ms=NOON, positions=0, rules=rules)
    assert after.rearm_at - NOON == wait


def test_a_new_day_starts_at_the_last_mark_and_a_due_reset_rebases_a_drawdown() -> None:
    results = (5.0, -1.0)
    same, told = turn_day(fuse(), time_ms=NOON, equity=99.0, results=results)
    assert (same, told) == (fuse(), None)
    turned, told = turn_day(fuse(), time_ms=MIDNIGHT + DAY, equity=99.0, results=results)
    assert told is None
    assert (turned.day_start_equity, turned.result_day_start) == (99.0, results)
    fell, _ = trip_on_loss(fuse(), equity=90.0, time_ms=NOON, positions=0, rules=RULES)
    waiting, told = turn_day(fell, time_ms=NOON + 7 * DAY - 1, equity=91.0, results=results)
    assert told is None
    assert waiting.tripped_by == Trigger.DRAWDOWN
    back, told = turn_day(fell, time_ms=NOON + 7 * DAY, equity=91.0, results=results)
    assert told is not None
    assert (told.trigger, told.value, told.threshold) == (Trigger.RESET, 2.0, 91.0)
    assert (told.positions, told.cut_share, told.severity) == (0, 0.0, 0.0)
    assert (back.tripped_by, back.peak_equity, back.peak_equity_unreset) == (0, 91.0, 100.0)


def test_what_never_rearms_is_tripped_in_a_thousand_years() -> None:
    never = FuseRules(reset_policy=ResetPolicy.NONE)
    lost, _ = trip_on_loss(fuse(), equity=90.0, time_ms=NOON, positions=0, rules=never)
    for book in (lost, trip_from_outside(fuse(), time_ms=NOON)):
        later, told = turn_day(book, time_ms=NOON + 365_250 * DAY, equity=90.0, results=())
        assert (later.tripped_by, told) == (book.tripped_by, None)


def test_only_a_drawdown_rebases_the_peak() -> None:
    lost, _ = trip_on_loss(fuse(), equity=97.0, time_ms=NOON, positions=0, rules=RULES)
    assert rearm(lost, equity=97.0).peak_equity == 100.0
    stopped = trip_from_outside(fuse(), time_ms=NOON)
    assert (stopped.tripped_by, stopped.rearm_at) == (Trigger.MANUAL, NEVER_MS)
    assert rearm(stopped, equity=97.0) == fuse()


def test_peaks_rise_with_equity_and_only_the_unreset_one_while_tripped() -> None:
    assert lift_peaks(fuse(), equity=99.0) == fuse()
    up = lift_peaks(fuse(), equity=101.0)
    assert (up.peak_equity, up.peak_equity_unreset) == (101.0, 101.0)
    stopped = lift_peaks(trip_from_outside(fuse(), time_ms=NOON), equity=101.0)
    assert (stopped.peak_equity, stopped.peak_equity_unreset) == (100.0, 101.0)


def test_a_flow_moves_no_share() -> None:
    before = fuse(peak_equity=110.0, day_start_equity=105.0)
    after = scale_for_flow(before, factor=2.0)
    level = compute_trip_level(before, RULES)
    assert compute_trip_level(after, RULES) == pytest.approx(2.0 * level)
    assert (after.day_start_equity, after.peak_equity_unreset) == (210.0, 200.0)


@pytest.mark.parametrize(
    ("age", "is_stale"), [(0, False), (180_000, False), (180_001, True), (None, True)]
)
def test_equity_is_stale_beyond_its_age(age: int | None, is_stale: bool) -> None:
    valued = None if age is None else NOON - age
    assert is_equity_stale(valued_ms=valued, now_ms=NOON, rules=RULES) is is_stale


# ---- strategies ----------------------------------------------------------------------------------


def test_three_losses_in_a_row_lock_their_strategy_until_midnight() -> None:
    state, told = fuse(), None
    for net in (-1.0, 0.0, -1.0, -1.0):
        state, told = count_round_trip(state, strategy=1, net=net, time_ms=NOON, rules=RULES)
        assert told is None
    state, told = count_round_trip(state, strategy=1, net=-1.0, time_ms=NOON, rules=RULES)
    assert told is not None
    assert (told.trigger, told.strategy, told.value, told.threshold) == (
        Trigger.LOSS_STREAK, 1, 3.0, 3.0,
    )  # fmt: skip
    assert told.instrument == -1
    assert state.lock_until == (0, MIDNIGHT + DAY)
    assert state.losses_in_a_row == (0, 0)
    assert state.result_closed == (0.0, -4.0)


def test_a_fuse_that_does_not_act_counts_and_locks_nobody() -> None:
    state = fuse()
    for _ in range(5):
        state, told = count_round_trip(
            state, strategy=0, net=-1.0, time_ms=NOON, rules=FuseRules(acting=False)
        )
        assert told is None
    assert (state.losses_in_a_row[0], state.lock_until[0]) == (5, 0)


def test_the_stricter_number_of_losses_rules() -> None:
    assert losses_allowed(RULES, StrategyLimits(losses_in_a_row_count=2)) == 2
    assert losses_allowed(RULES, StrategyLimits(losses_in_a_row_count=9)) == 3
    assert losses_allowed(RULES, StrategyLimits()) == 3
    assert lock_end(NOON) == lock_end(MIDNIGHT) == MIDNIGHT + DAY


def test_a_strategys_own_daily_loss_locks_it_once() -> None:
    own = StrategyLimits(daily_loss_share=Decimal("0.03"))
    state = fuse(result_day_start=(10.0, 0.0))

    def check(result: float, book: FuseBook = state) -> tuple[FuseBook, object]:
        return check_strategy_day(
            book, strategy=0, result=result, time_ms=NOON, rules=RULES, own=own
        )

    assert check(7.001) == (state, None)
    locked, told = check(7.0)
    assert told is not None
    assert locked.lock_until == (MIDNIGHT + DAY, 0)
    assert told.trigger == Trigger.STRATEGY_DAILY_LOSS  # type: ignore[attr-defined]
    assert told.value == pytest.approx(0.03)  # type: ignore[attr-defined]
    assert check(2.0, locked) == (locked, None)
    again, told = check(2.0, replace(locked, lock_until=(NOON, 0)))  # the lock ended just now
    assert (again, told is None) == (locked, False)


@pytest.mark.parametrize(
    ("equity", "rules", "share"),
    [(100.0, RULES, None), (100.0, FuseRules(acting=False), "0.03"), (0.0, RULES, "0.03")],
)
def test_no_strategy_is_locked_without_a_limit_an_acting_fuse_and_capital(
    equity: float, rules: FuseRules, share: str | None
) -> None:
    own = StrategyLimits(daily_loss_share=None if share is None else Decimal(share))
    state = fuse(day_start_equity=equity)
    found = check_strategy_day(state, strategy=0, result=-50.0, time_ms=NOON, rules=rules, own=own)
    assert found == (state, None)


def test_a_small_capital_is_capital() -> None:
    own = StrategyLimits(daily_loss_share=Decimal("0.03"))
    state, told = check_strategy_day(
        fuse(day_start_equity=0.5), strategy=1, result=-0.1, time_ms=NOON, rules=RULES, own=own
    )
    assert told is not None
    assert (told.strategy, told.value, told.threshold) == (1, pytest.approx(0.2), 0.03)
    assert state.lock_until == (0, MIDNIGHT + DAY)


# ---- market triggers -----------------------------------------------------------------------------


@pytest.mark.parametrize(("ratio", "holds"), [(2.0, False), (2.001, True), (math.nan, False)])
def test_volatility_holds_above_its_limit(ratio: float, holds: bool) -> None:
    found = check_volatility(ratio, RULES)
    assert (found is not None) is holds
    if found is not None:
        assert found.words == "volatility 2.00, limit 2.00"


def test_liquidity_is_judged_against_what_is_held() -> None:
    assert check_liquidity(600_000.0, 100_000.0, RULES) is None  # a score of exactly 30
    thin = check_liquidity(300_000.0, 100_000.0, RULES)
    assert thin is not None
    assert (thin.value, thin.threshold, thin.severity) == (15.0, 30.0, 0.5)
    assert check_liquidity(math.nan, 100_000.0, RULES) is None
    assert check_liquidity(0.0, 0.0, RULES) is None
    assert check_liquidity(0.0, 0.5, RULES) is not None


def held(**changes: object) -> MarketReading:
    base = MarketReading(
        side=1, conflict=0.1, opposite_strength=20.0, target_strength=80.0, trend=1
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def test_conflict_and_flip_count_after_confirming_bars() -> None:
    bars = (0, 0)
    for expected in ((), (Trigger.CONFLICT, Trigger.TREND_FLIP)):
        found = check_position(
            reading=held(conflict=1.2, trend=-1), watched=EVERYTHING, rules=RULES,
            conflict_bars=bars[0], flip_bars=bars[1],
        )  # fmt: skip
        bars = (found.conflict_bars, found.flip_bars)
        assert tuple(item.trigger for item in found.conditions) == expected
    assert bars == (2, 2)
    calm = check_position(
        reading=held(), watched=EVERYTHING, rules=RULES, conflict_bars=2, flip_bars=2
    )
    assert (calm.conflict_bars, calm.flip_bars, calm.conditions) == (0, 0, ())


@pytest.mark.parametrize(
    ("side", "trend", "flips"),
    [(1, -1, True), (-1, 1, True), (1, 0, False), (-1, 0, False), (-1, -1, False)],
)
def test_a_flip_is_a_trend_against_the_side_and_has_no_grade(
    side: int, trend: int, flips: bool
) -> None:
    found = check_position(
        reading=held(side=side, trend=trend), watched=EVERYTHING, rules=RULES,
        conflict_bars=0, flip_bars=1,
    )  # fmt: skip
    flip = Condition(trigger=Trigger.TREND_FLIP, value=float(trend), threshold=0.0, severity=0.0)
    assert found.conditions == ((flip,) if flips else ())


def test_a_strategy_may_need_fewer_bars_and_the_limits_too() -> None:
    eager = replace(EVERYTHING, conflict_bars=1)
    one = FuseRules(confirmation_bars=1)
    for watched, rules, expected in (
        (eager, RULES, {Trigger.CONFLICT}),
        (EVERYTHING, one, {Trigger.CONFLICT, Trigger.TREND_FLIP}),
    ):
        found = check_position(
            reading=held(conflict=1.2, trend=-1), watched=watched, rules=rules,
            conflict_bars=0, flip_bars=0,
        )  # fmt: skip
        assert {item.trigger for item in found.conditions} == expected


def test_an_opposite_zone_counts_at_once_and_only_what_is_watched_is_tested() -> None:
    strong = held(opposite_strength=88.0, conflict=5.0)
    found = check_position(
        reading=strong, watched=EVERYTHING, rules=RULES, conflict_bars=0, flip_bars=0
    )
    assert [item.trigger for item in found.conditions] == [Trigger.OPPOSITE_MAGNET]
    assert found.conditions[0].severity == pytest.approx(0.1)
    nobody = check_position(
        reading=strong, watched=WatchList(), rules=RULES, conflict_bars=1, flip_bars=1
    )
    assert (nobody.conditions, nobody.conflict_bars, nobody.flip_bars) == ((), 1, 1)


def test_what_has_no_source_is_unseen() -> None:
    blind = held(conflict=math.nan, opposite_strength=math.nan)
    found = check_position(
        reading=blind, watched=EVERYTHING, rules=RULES, conflict_bars=1, flip_bars=0
    )
    assert found.conditions == ()
    assert set(found.unseen) == {Trigger.CONFLICT, Trigger.OPPOSITE_MAGNET}


@pytest.mark.parametrize(
    ("changes", "watched", "trigger"),
    [
        ({"volatility_ratio": 2.5}, EVERYTHING, Trigger.VOLATILITY),
        ({"conflict": 0.81}, EVERYTHING, Trigger.CONFLICT),
        ({"conflict": 0.8}, EVERYTHING, None),
        ({"opposite_strength": 81.0}, EVERYTHING, Trigger.OPPOSITE_MAGNET),
        ({"opposite_strength": 80.0}, EVERYTHING, None),
        ({"trend": -1}, EVERYTHING, Trigger.TREND_FLIP),
        ({"trend": 0}, EVERYTHING, None),
        ({"volatility_ratio": 2.5}, MANUAL_WATCH, Trigger.VOLATILITY),
        ({"conflict": 0.81}, MANUAL_WATCH, Trigger.CONFLICT),
        ({"opposite_strength": 81.0, "trend": -1}, MANUAL_WATCH, None),
        ({"conflict": math.nan, "volatility_ratio": math.nan}, EVERYTHING, None),
    ],
)
def test_nobody_opens_what_the_fuse_would_cut(
    changes: dict[str, object], watched: WatchList, trigger: Trigger | None
) -> None:
    reading = held(**changes)
    found = find_entry_block(reading=reading, watched=watched, rules=RULES)
    assert (None if found is None else found.trigger) is trigger
    for rules in (FuseRules(acting=False), FuseRules(market_acting=False)):
        assert find_entry_block(reading=reading, watched=watched, rules=rules) is None


@pytest.mark.parametrize("side", [1, -1])
def test_a_reading_without_any_source_blocks_nobody(side: int) -> None:
    blind = MarketReading(side=side)
    assert find_entry_block(reading=blind, watched=EVERYTHING, rules=RULES) is None


# ---- episodes ------------------------------------------------------------------------------------


def volatile(ratio: float) -> Condition:
    found = check_volatility(ratio, RULES)
    assert found is not None
    return found


def step(
    episode: Episode, now: int, condition: Condition | None = None, sight: Sight = Sight.CLEAR
) -> tuple[Episode, Move]:
    return step_episode(episode=episode, condition=condition, sight=sight, now_ms=now, rules=RULES)


def test_an_episode_cuts_once_and_deepens_only_when_severity_rises() -> None:
    episode, move = step(NO_EPISODE, NOON, volatile(3.0))
    assert move is Move.BEGUN
    assert (episode.severity, episode.cut_share) == (0.5, pytest.approx(0.5))
    assert episode.no_new_trades_until == NOON + 180_000
    for ratio in (3.0, 2.5):
        same, move = step(episode, NOON + HOUR, volatile(ratio))
        assert (same, move) == (episode, Move.NONE)
    deeper, move = step(episode, NOON + HOUR, volatile(4.0))
    assert move is Move.DEEPENED
    assert (deeper.cut_share, deeper.started_at) == (pytest.approx(0.7), NOON)
    assert deeper.no_new_trades_until == NOON + HOUR + 180_000


def test_only_a_reading_that_sees_the_trigger_clears_it() -> None:
    episode, _ = step(NO_EPISODE, NOON, volatile(3.0))
    for sight in (Sight.NOTHING, Sight.BLIND):
        assert step(episode, NOON + HOUR, None, sight) == (episode, Move.NONE)
    clearing, move = step(episode, NOON + HOUR)
    assert (clearing.cleared_at, move) == (NOON + HOUR, Move.NONE)
    assert step(clearing, NOON + 2 * HOUR, None, Sight.NOTHING) == (clearing, Move.NONE)
    again, move = step(clearing, NOON + 2 * HOUR, None, Sight.BLIND)
    assert (again.cleared_at, move) == (0, Move.NONE)
    back, move = step(clearing, NOON + 2 * HOUR, volatile(2.5))
    assert (back.cleared_at, move) == (0, Move.NONE)


@pytest.mark.parametrize(("wait", "ends"), [(299_999, False), (300_000, True)])
def test_entries_return_a_fixed_time_after_the_clearing(wait: int, ends: bool) -> None:
    episode, _ = step(NO_EPISODE, NOON, volatile(3.0))
    clearing, _ = step(episode, NOON + HOUR)
    after, move = step(clearing, NOON + HOUR + wait)
    assert (move is Move.ENDED) is ends
    assert after == (NO_EPISODE if ends else clearing)


def test_no_new_trades_holds_longer_where_the_limits_say_so() -> None:
    rules = FuseRules(no_new_trades_ms=3 * HOUR)
    episode, _ = step_episode(
        episode=NO_EPISODE, condition=volatile(3.0), sight=Sight.CLEAR, now_ms=NOON, rules=rules
    )
    clearing = replace(episode, cleared_at=NOON + HOUR)
    for hours, expected in ((2, Move.NONE), (3, Move.ENDED)):
        _, move = step_episode(
            episode=clearing, condition=None, sight=Sight.CLEAR,
            now_ms=NOON + hours * HOUR, rules=rules,
        )  # fmt: skip
        assert move is expected


def test_the_most_severe_condition_rules_and_of_equals_the_first() -> None:
    mild, grave = volatile(2.5), volatile(3.5)
    assert find_worst([mild, grave]) is grave
    flip = Condition(trigger=Trigger.TREND_FLIP, value=-1.0, threshold=0.0)
    other = replace(flip, trigger=Trigger.CONFLICT)
    assert find_worst([flip, other]) is flip
    assert find_worst([]) is None


def test_a_clearing_measures_nothing_and_belongs_to_no_strategy() -> None:
    move = FuseMove(time_ms=NOON, trigger=int(Trigger.CLEARED), instrument=0)
    assert (move.value, move.threshold, move.severity, move.cut_share) == (0.0, 0.0, 0.0, 0.0)
    assert (move.strategy, move.positions) == (-1, 0)


def test_a_trigger_has_a_number_of_its_own_and_none_is_zero() -> None:
    assert min(Trigger) > NO_EPISODE.trigger == fuse().tripped_by == 0


# ---- thresholds ----------------------------------------------------------------------------------


def test_thresholds_and_severities_by_hand() -> None:
    assert compute_loss_threshold(100.0, 200.0, 0.1, 0.25) == 150.0
    assert compute_loss_threshold(100.0, 100.0, 0.1, 0.25) == 90.0
    assert (compute_severity(3.0, 2.0), compute_severity(9.0, 2.0), compute_severity(2.0, 2.0)) == (
        0.5, 1.0, 0.0,
    )  # fmt: skip
    assert (compute_severity(1.0, 0.0), compute_severity(math.nan, 2.0)) == (0.0, 0.0)
    assert (compute_shortfall_severity(15.0, 30.0), compute_shortfall_severity(30.0, 30.0)) == (
        0.5,
        0.0,
    )
    assert (compute_shortfall_severity(-60.0, 30.0), compute_shortfall_severity(-1.0, 0.0)) == (
        1.0,
        0.0,
    )
    assert compute_cut_share(0.25, 0.3, 0.7) == pytest.approx(0.4)
    assert compute_liquidity_score(1_000_000.0, 100_000.0) == 50.0
    assert compute_liquidity_score(1e12, 1.0) == compute_liquidity_score(1.0, 0.0) == 100.0
    assert compute_liquidity_score(math.nan, 1.0) == compute_liquidity_score(0.0, 1.0) == 0.0
    assert compute_liquidity_score(1.0, 0.5) == pytest.approx(10.0)


def cut_lots(
    lots: int,
    at_start: int,
    equity: float,
    notional: float,
    *,
    value: float = 1.0,
    least: float = 0.0,
) -> int:
    return compute_cut_lots(lots, at_start, 0.3, equity, notional, value, least)


def test_a_cut_leaves_no_rest_below_the_smallest_order() -> None:
    # 70 lots of 1 would remain: enough for an order of 70, too little for one of 71.
    assert cut_lots(100, 100, 1_000.0, 100.0, least=70.0) == 30
    assert cut_lots(100, 100, 1_000.0, 100.0, least=70.5) == 100
    # A position that an earlier cut left below it is closed by the next one.
    assert cut_lots(60, 100, 1_000.0, 60.0, least=61.0) == 60
    assert cut_lots(60, 100, 1_000.0, 60.0, value=2.0, least=61.0) == 0


def test_a_cut_leaves_its_share_and_no_more_than_equity() -> None:
    assert cut_lots(100, 100, 1_000.0, 500.0) == 30
    assert cut_lots(80, 100, 1_000.0, 500.0) == 10
    assert cut_lots(60, 100, 1_000.0, 500.0) == 0
    assert cut_lots(100, 100, 1_000.0, 2_000.0) == 50
    assert cut_lots(100, 100, -5.0, 2_000.0) == 100
    assert cut_lots(100, 100, 0.25, 0.5) == 50
    assert cut_lots(100, 100, -5.0, 2.0) == 100
    assert cut_lots(100, 100, -5.0, 0.0) == 30


def test_open_conflict_is_the_opposite_pull_over_the_recorded_targets() -> None:
    # The target of strength 100 stands 3 ATR away: pull exp(-1).
    found = compute_open_conflict(100.0, 1.0, 103.0, 100.0, 0.5)
    assert found == pytest.approx(0.5 / math.exp(-1.0))
    assert compute_open_conflict(100.0, 1.0, 103.0, 100.0, 50.0) == 9.99
    for odd in ((100.0, 0.0, 103.0, 100.0, 0.5), (100.0, 1.0, 103.0, 40.0, 0.5),
                (100.0, 1.0, 103.0, 100.0, math.nan)):  # fmt: skip
        assert math.isnan(compute_open_conflict(*odd))
    assert compute_open_conflict(100.0, 1.0, 103.0, 100.0, 0.0) == 0.0  # nothing pulls back
    assert math.isnan(compute_open_conflict(100.0, 1.0, 103.0, 100.0, -0.1))
    # A target so far away that its pull is no number above zero compares with nothing.
    assert math.isnan(compute_open_conflict(100.0, 1.0, 1e6, 100.0, 0.5))


# ---- rules and groups ----------------------------------------------------------------------------


def test_the_rules_are_those_of_the_limit_set() -> None:
    made = FuseRules.of_limit_set(Limits())
    assert replace(made, reset_policy=RULES.reset_policy) == RULES
    assert made.reset_policy is ResetPolicy.NONE


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("none", ResetPolicy.NONE),
        ("next-day", ResetPolicy.NEXT_DAY),
        ("cooldown:7d", ResetPolicy.COOLDOWN_7D),
    ],
)
def test_a_reset_policy_is_read_from_its_word(text: str, policy: ResetPolicy) -> None:
    assert ResetPolicy.parse(text) is policy
    assert policy.code == text


def test_an_unknown_reset_policy_is_refused_by_code() -> None:
    with pytest.raises(InvalidInput) as refused:
        ResetPolicy.parse("NONE")
    assert refused.value.code == "reset_policy"


@pytest.mark.parametrize(
    ("rho", "minimum", "together"),
    [(0.69, 0.7, False), (0.7, 0.7, True), (-0.9, 0.7, True), (0.69, 0.5, True), (None, 0.7, True)],
)
def test_correlated_and_unmeasured_pairs_are_one_group(
    rho: float | None, minimum: float, together: bool
) -> None:
    known = {} if rho is None else {("A", "B"): rho}
    groups = group_correlated(names=["B", "A"], correlations=known, minimum=minimum)
    assert (groups["A"] == groups["B"]) is together


def test_groups_join_through_a_third_name() -> None:
    known = {("A", "B"): 0.0, ("A", "C"): 0.9, ("B", "C"): 0.9, ("A", "D"): 0.0,
             ("B", "D"): 0.0, ("C", "D"): 0.1}  # fmt: skip
    groups = group_correlated(names=["A", "B", "C", "D"], correlations=known, minimum=0.7)
    assert groups == {"A": 0, "B": 0, "C": 0, "D": 1}


# ---- resets --------------------------------------------------------------------------------------

AT = datetime(2025, 6, 2, 12, tzinfo=UTC)


def denial(*trips: Trip, at: datetime = AT, resets: tuple[datetime, ...] = (),
           has_director: bool = False, days: float = 30.0) -> ResetDenialCode | None:  # fmt: skip
    found = find_reset_denial(
        trips=trips, drawdown_resets=resets, has_director=has_director, at=at,
        rules=FuseRules(second_drawdown_days=days),
    )  # fmt: skip
    return None if found is None else found.code


def test_a_daily_loss_waits_for_the_next_utc_day() -> None:
    loss = Trip(trigger="daily_loss", tripped_at=AT)
    assert denial(loss) is ResetDenialCode.SAME_DAY
    assert denial(loss, at=AT.replace(hour=23, minute=59)) is ResetDenialCode.SAME_DAY
    assert denial(loss, at=AT.replace(hour=0) + timedelta(days=1)) is None
    assert denial(Trip(trigger="manual", tripped_at=AT)) is None


def test_a_second_drawdown_reset_needs_a_director_within_the_approved_days() -> None:
    fell = Trip(trigger="drawdown", tripped_at=AT - timedelta(days=1))
    month = (AT - timedelta(days=29),)
    assert denial(fell) is None
    assert denial(fell, resets=month) is ResetDenialCode.NEEDS_DIRECTOR
    assert denial(fell, resets=month, has_director=True) is None
    assert denial(fell, resets=(AT - timedelta(days=30),)) is None
    longer = denial(fell, resets=(AT - timedelta(days=40),), days=60.0)
    assert longer is ResetDenialCode.NEEDS_DIRECTOR


def test_a_reset_is_filed_under_the_heaviest_trip() -> None:
    names = ["manual", "daily_loss", "drawdown"]
    trips = [Trip(trigger=name, tripped_at=AT) for name in names]
    assert find_heaviest(trips) == "drawdown"
    assert find_heaviest(trips[:2]) == "daily_loss"
    assert find_heaviest(trips[:1]) == "manual"
    halted = Trip(trigger="equity_stale", tripped_at=AT - timedelta(hours=1))
    assert find_heaviest([trips[0], halted]) == "manual"  # the newest comes first
    assert find_heaviest([]) == ""


def test_a_request_rests_on_a_reconciliation_since_the_trip() -> None:
    assert is_reconciled_since(reconciled_at=AT, tripped_at=AT)
    assert is_reconciled_since(reconciled_at=AT, tripped_at=None)
    assert not is_reconciled_since(reconciled_at=AT, tripped_at=AT + timedelta(seconds=1))
    assert not is_reconciled_since(reconciled_at=None, tripped_at=None)


def test_triggers_keep_the_numbers_that_are_stored_and_no_episode_cuts_nothing() -> None:
    assert [trigger.value for trigger in Trigger] == list(range(1, 14))
    assert Episode() == Episode(active=False, severity=0.0, cut_share=0.0)
