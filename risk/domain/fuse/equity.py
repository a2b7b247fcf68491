"""The fund's own triggers: daily loss, drawdown, stale equity, break, manual stop.

The unit value is tested before it may lift the peak, and a bar's adverse extreme before its close.
At exactly 00:00 UTC a value still belongs to the day that ends: it is tested against that day's
start and becomes the next day's.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from magnetfund.kernel.clock import utc_midnight
from risk.domain.fuse.gauges import build_blank, build_gauge, is_number
from risk.domain.fuse.thresholds import find_day_threshold, find_drawdown_threshold
from risk.domain.fuse.types import (
    FUND_SCOPE,
    EventKind,
    FuseAction,
    FuseEvent,
    FuseReading,
    FuseSnapshot,
    FuseState,
    Gauge,
    GaugeStatus,
    LatchedTrigger,
    Reconciliation,
    Trigger,
)
from risk.domain.limits import LimitSet

SKEW_MAX = timedelta(seconds=1)
"""A reading further in the future than this is as doubtful as a stale one."""


def is_fresh(*, reading_at: datetime | None, now: datetime, limits: LimitSet) -> bool:
    """Whether an instant is recent enough to act on, and not in the future."""
    if reading_at is None:
        return False
    age = now - reading_at
    return -SKEW_MAX <= age <= timedelta(seconds=float(limits.equity_age_max_s))


def roll_day(
    *, snapshot: FuseSnapshot, reading: FuseReading, now: datetime, is_usable: bool
) -> FuseSnapshot:
    """Begin the UTC day of ``now`` where it has not begun, and take a given day start.

    The start is the given one, else the last value known before, else the present one.
    """
    day = utc_midnight(now)
    given = reading.day_start_unit_value
    if given is not None and is_number(given) and given > 0.0:
        return replace(snapshot, day=day, day_start=given)
    present = reading.unit_value if is_usable else None
    if present is not None and present <= 0.0:
        present = None
    if snapshot.day is None or day > snapshot.day:
        before = snapshot.unit_value
        start = present if day == now and present is not None else before or present
        return replace(snapshot, day=day, day_start=start)
    if snapshot.day_start is None and present is not None:
        return replace(snapshot, day_start=present)
    return snapshot


def lift_peaks(*, snapshot: FuseSnapshot, unit_value: float, at: datetime) -> FuseSnapshot:
    """Remember a usable unit value and lift both peaks; called after the tests."""
    if unit_value <= 0.0:
        return replace(snapshot, unit_value=unit_value, unit_value_at=at)
    return replace(
        snapshot,
        unit_value=unit_value,
        unit_value_at=at,
        peak=max(snapshot.peak or unit_value, unit_value),
        peak_unreset=max(snapshot.peak_unreset or unit_value, unit_value),
    )


def read_fund_gauges(
    *,
    snapshot: FuseSnapshot,
    reading: FuseReading,
    limits: LimitSet,
    now: datetime,
    is_usable: bool,
) -> tuple[Gauge, ...]:
    """The five fund triggers, in their order."""
    worst = _worst(reading) if is_usable else None
    return (
        _daily_loss(snapshot, worst, limits),
        _drawdown(snapshot, worst, limits),
        _equity_age(reading, limits, now, is_usable),
        _reconciliation(reading),
        _manual(reading),
    )


def latch_trips(
    *,
    snapshot: FuseSnapshot,
    gauges: tuple[Gauge, ...],
    reading: FuseReading,
    limits: LimitSet,
    now: datetime,
) -> tuple[FuseSnapshot, list[FuseEvent]]:
    """Trip on every fund trigger that is over, and latch those not latched yet.

    ARMED trips on any of them, and on equity without a source.  DISARMED trips only where a
    position is open, or by hand.  TRIPPED stays so and latches what came on top, because each
    latched trigger has its own condition of reset.
    """
    events: list[FuseEvent] = []
    latched = list(snapshot.latched)
    state, since = snapshot.state, snapshot.since
    for gauge in gauges:
        if not _acts(gauge, snapshot.state, reading):
            continue
        known = next((item for item in latched if item.trigger is gauge.trigger), None)
        is_new = known is None or _is_later_daily_loss(known, now)
        if state is not FuseState.DISARMED and not is_new:
            continue
        if known is not None:
            latched.remove(known)
        latched.append(
            LatchedTrigger(
                trigger=gauge.trigger,
                tripped_at=now if is_new or known is None else known.tripped_at,
                value=gauge.value,
                threshold=gauge.threshold,
            )
        )
        if state is not FuseState.TRIPPED:
            state, since = FuseState.TRIPPED, now
        events.append(
            FuseEvent(
                kind=EventKind.TRIP,
                scope=FUND_SCOPE,
                action=FuseAction.CLOSE_ALL,
                occurred_at=now,
                limits_version=limits.version,
                trigger=gauge.trigger,
                severity=1.0,
                value=gauge.value,
                threshold=gauge.threshold,
                reason=gauge.words,
            )
        )
    return replace(snapshot, state=state, since=since, latched=tuple(latched)), events


def find_trip_level(*, snapshot: FuseSnapshot, limits: LimitSet) -> float | None:
    """The unit value at which the loss fuse trips: the higher of day and drawdown level.

    None before anything was measured.
    """
    levels = []
    if snapshot.day_start is not None:
        levels.append(find_day_threshold(snapshot.day_start, float(limits.daily_loss_share)))
    if snapshot.peak is not None:
        levels.append(find_drawdown_threshold(snapshot.peak, float(limits.drawdown_share)))
    return max(levels, default=None)


def _acts(gauge: Gauge, state: FuseState, reading: FuseReading) -> bool:
    is_over = gauge.status is GaugeStatus.OVER
    if gauge.trigger is Trigger.EQUITY_STALE:
        is_over = is_over or gauge.status is GaugeStatus.NO_SOURCE
    if not is_over:
        return False
    if gauge.trigger is Trigger.MANUAL or state is FuseState.ARMED:
        return True
    if state is FuseState.DISARMED:
        return reading.positions_open > 0
    return gauge.trigger is not Trigger.EQUITY_STALE


def _is_later_daily_loss(known: LatchedTrigger, now: datetime) -> bool:
    return known.trigger is Trigger.DAILY_LOSS and utc_midnight(now) > utc_midnight(
        known.tripped_at
    )


def _worst(reading: FuseReading) -> float | None:
    if reading.unit_value is None:
        return None
    if reading.unit_value_extreme is None:
        return reading.unit_value
    return min(reading.unit_value, reading.unit_value_extreme)


def _daily_loss(snapshot: FuseSnapshot, worst: float | None, limits: LimitSet) -> Gauge:
    share = float(limits.daily_loss_share)
    start = snapshot.day_start
    if worst is None or start is None:
        return _no_source(Trigger.DAILY_LOSS, share, "no unit value to compare with the day start")
    loss = 1.0 - worst / start
    return build_gauge(
        trigger=Trigger.DAILY_LOSS,
        scope=FUND_SCOPE,
        value=loss,
        threshold=share,
        used_share=loss / share if share > 0.0 else float(loss >= 0.0),
        is_over=worst <= find_day_threshold(start, share),
        limits=limits,
        words=f"{-loss:+.2%} since 00:00 UTC, limit {-share:.2%}",
    )


def _drawdown(snapshot: FuseSnapshot, worst: float | None, limits: LimitSet) -> Gauge:
    share = float(limits.drawdown_share)
    peak = snapshot.peak
    if worst is None:
        return _no_source(Trigger.DRAWDOWN, share, "no unit value to compare with the peak")
    if peak is None:
        peak = worst  # the first value ever: nothing to fall from
    fall = 1.0 - worst / peak if peak > 0.0 else 0.0
    return build_gauge(
        trigger=Trigger.DRAWDOWN,
        scope=FUND_SCOPE,
        value=fall,
        threshold=share,
        used_share=fall / share if share > 0.0 else float(fall >= 0.0),
        is_over=snapshot.peak is not None and worst <= find_drawdown_threshold(peak, share),
        limits=limits,
        words=f"{-fall:+.2%} from the peak, limit {-share:.2%}",
    )


def _equity_age(reading: FuseReading, limits: LimitSet, now: datetime, is_usable: bool) -> Gauge:
    maximum = float(limits.equity_age_max_s)
    if reading.unit_value is None or reading.unit_value_at is None:
        return _no_source(Trigger.EQUITY_STALE, maximum, "the unit value has no source")
    age = (now - reading.unit_value_at).total_seconds()
    words = f"unit value is {age:.0f} s old, at most {maximum:.0f} s"
    if not is_usable and is_fresh(reading_at=reading.unit_value_at, now=now, limits=limits):
        words = "the unit value is not a number"
    return build_gauge(
        trigger=Trigger.EQUITY_STALE,
        scope=FUND_SCOPE,
        value=age,
        threshold=maximum,
        used_share=max(0.0, age) / maximum if maximum > 0.0 else 1.0,
        is_over=not is_usable,
        limits=limits,
        words=words,
    )


def _reconciliation(reading: FuseReading) -> Gauge:
    trigger = Trigger.RECONCILIATION_BREAK
    if reading.reconciliation is None:
        return _no_source(trigger, None, "no reconciliation has run")
    is_broken = reading.reconciliation is Reconciliation.BROKEN
    return _flag(trigger, is_broken, f"reconciliation is {reading.reconciliation.value}")


def _manual(reading: FuseReading) -> Gauge:
    reason = reading.manual_reason
    return _flag(Trigger.MANUAL, reason is not None, reason or "no manual stop")


def _flag(trigger: Trigger, is_over: bool, words: str) -> Gauge:
    return Gauge(
        trigger=trigger,
        scope=FUND_SCOPE,
        status=GaugeStatus.OVER if is_over else GaugeStatus.OK,
        value=float(is_over),
        threshold=1.0,
        room=float(not is_over),
        used_share=float(is_over),
        words=words,
    )


def _no_source(trigger: Trigger, threshold: float | None, words: str) -> Gauge:
    return build_blank(
        trigger=trigger,
        scope=FUND_SCOPE,
        status=GaugeStatus.NO_SOURCE,
        threshold=threshold,
        words=words,
    )
