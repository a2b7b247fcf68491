"""One evaluation of the fuse: everything is measured, then the memory moves, then it is told.

Invariants: an evaluation never leads to ARMED and never ends a trip; TRIPPED and DISARMED are left
by people alone (:mod:`.resets`).  The same memory, reading, limits and instant give the same
answer, so a service may evaluate again after a crash.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType

from magnetfund.kernel.clock import require_utc, utc_midnight
from risk.domain.fuse.equity import (
    is_fresh,
    latch_trips,
    lift_peaks,
    read_fund_gauges,
    roll_day,
)
from risk.domain.fuse.gauges import is_number
from risk.domain.fuse.market import evaluate_market
from risk.domain.fuse.strategies import evaluate_strategies
from risk.domain.fuse.types import (
    EventKind,
    FuseAction,
    FuseEvaluation,
    FuseEvent,
    FuseReading,
    FuseSnapshot,
    Gauge,
    GaugeStatus,
)
from risk.domain.limits import LimitSet, StrategyLimits

_NO_STRATEGY_LIMITS: Mapping[str, StrategyLimits] = MappingProxyType({})


def evaluate_fuse(
    *,
    snapshot: FuseSnapshot,
    reading: FuseReading,
    limits: LimitSet,
    now: datetime,
    strategy_limits: Mapping[str, StrategyLimits] = _NO_STRATEGY_LIMITS,
) -> FuseEvaluation:
    """Test every trigger at ``now`` and say what must be done (FUSE-1, FUSE-2).

    Fund triggers trip and close all; market triggers reduce their instrument; loss streaks lock
    their strategy.  ``strategy_limits`` are the strategies' own figures by name; the stricter rule.
    Raises ``InvalidInput`` only for a naive ``now``.
    """
    now = require_utc(now)
    value = reading.unit_value
    is_usable = (
        is_number(value)
        and (reading.unit_value_extreme is None or is_number(reading.unit_value_extreme))
        and is_fresh(reading_at=reading.unit_value_at, now=now, limits=limits)
    )
    is_midnight = now == utc_midnight(now)
    is_day_ending = is_midnight and snapshot.day is not None and snapshot.day < now
    if not is_day_ending:
        snapshot = roll_day(snapshot=snapshot, reading=reading, now=now, is_usable=is_usable)
    fund_gauges = read_fund_gauges(
        snapshot=snapshot, reading=reading, limits=limits, now=now, is_usable=is_usable
    )
    snapshot, events = latch_trips(
        snapshot=snapshot, gauges=fund_gauges, reading=reading, limits=limits, now=now
    )
    if is_day_ending:
        snapshot = roll_day(snapshot=snapshot, reading=reading, now=now, is_usable=is_usable)
    if is_usable and value is not None and reading.unit_value_at is not None:
        snapshot = lift_peaks(snapshot=snapshot, unit_value=value, at=reading.unit_value_at)
    snapshot, market_gauges, market_events = evaluate_market(
        snapshot=snapshot, reading=reading, limits=limits, now=now
    )
    snapshot, strategy_gauges, strategy_events = evaluate_strategies(
        snapshot=snapshot,
        reading=reading,
        limits=limits,
        strategy_limits=strategy_limits,
        now=now,
    )
    gauges = (*fund_gauges, *market_gauges, *strategy_gauges)
    snapshot, warnings = _warn(snapshot, gauges, limits, now)
    return FuseEvaluation(
        snapshot=snapshot,
        gauges=gauges,
        events=(*events, *market_events, *strategy_events, *warnings),
    )


def _warn(
    snapshot: FuseSnapshot, gauges: Sequence[Gauge], limits: LimitSet, now: datetime
) -> tuple[FuseSnapshot, list[FuseEvent]]:
    """Warn once when a gauge enters its warning range from below; again after it was fine."""
    warned: set[str] = set()
    events: list[FuseEvent] = []
    for gauge in gauges:
        if gauge.status not in (GaugeStatus.WARN, GaugeStatus.OVER):
            continue
        key = f"{gauge.scope}/{gauge.trigger}/{gauge.position_id or ''}"
        warned.add(key)
        if gauge.status is GaugeStatus.WARN and key not in snapshot.warned:
            events.append(
                FuseEvent(
                    kind=EventKind.WARNING,
                    scope=gauge.scope,
                    action=FuseAction.NOTIFY,
                    occurred_at=now,
                    limits_version=limits.version,
                    trigger=gauge.trigger,
                    value=gauge.value,
                    threshold=gauge.threshold,
                    reason=gauge.words,
                )
            )
    return replace(snapshot, warned=frozenset(warned)), events
