"""Loss streaks and locks: they act on their strategy alone, until the next 00:00 UTC.

A loss is a round trip with net result below zero, fuse closures included.  A lock begins the count
anew, so the first loss of the next day is the first again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from magnetfund.kernel.clock import utc_midnight
from risk.domain.fuse.gauges import build_blank, build_gauge, is_number
from risk.domain.fuse.types import (
    EventKind,
    FuseAction,
    FuseEvent,
    FuseReading,
    FuseSnapshot,
    Gauge,
    GaugeStatus,
    StrategyMemory,
    Trigger,
)
from risk.domain.limits import NO_STRATEGY_LIMITS, LimitSet, StrategyLimits


def next_midnight(instant: datetime) -> datetime:
    """The first 00:00 UTC after ``instant``."""
    return utc_midnight(instant) + timedelta(days=1)


def evaluate_strategies(
    *,
    snapshot: FuseSnapshot,
    reading: FuseReading,
    limits: LimitSet,
    strategy_limits: Mapping[str, StrategyLimits],
    now: datetime,
) -> tuple[FuseSnapshot, tuple[Gauge, ...], list[FuseEvent]]:
    """Count new round trips, lock and unlock strategies, and show where each stands."""
    gauges: list[Gauge] = []
    events: list[FuseEvent] = []
    memories: list[StrategyMemory] = []
    known = {memory.strategy: memory for memory in snapshot.strategies}
    for name in _names(reading, snapshot):
        memory = known.get(name, StrategyMemory(strategy=name))
        own = strategy_limits.get(name, NO_STRATEGY_LIMITS)
        count_max = int(limits.losses_in_a_row_count)
        if own.losses_in_a_row_count is not None:
            count_max = min(count_max, own.losses_in_a_row_count)
        memory = _unlock(memory, limits, now, events)
        memory = _count_trades(memory, reading, count_max, limits, now, events)
        memory, day_gauge = _test_day(memory, reading, own, limits, now, events)
        gauges.append(_streak_gauge(memory, count_max, limits))
        if day_gauge is not None:
            gauges.append(day_gauge)
        memories.append(memory)
    if not gauges:
        gauges.append(
            build_blank(
                trigger=Trigger.LOSS_STREAK,
                scope="strategies",
                status=GaugeStatus.NOT_TESTED,
                words="no strategy has closed a trade",
            )
        )
    return replace(snapshot, strategies=tuple(memories)), tuple(gauges), events


def _names(reading: FuseReading, snapshot: FuseSnapshot) -> list[str]:
    names = [memory.strategy for memory in snapshot.strategies]
    names += [item.strategy for item in reading.strategies]
    names += [trade.strategy for trade in reading.closed_trades]
    return list(dict.fromkeys(names))


def _unlock(
    memory: StrategyMemory, limits: LimitSet, now: datetime, events: list[FuseEvent]
) -> StrategyMemory:
    if memory.locked_until is None or now < memory.locked_until:
        return memory
    events.append(
        FuseEvent(
            kind=EventKind.UNLOCK,
            scope=_scope(memory.strategy),
            action=FuseAction.ALLOW_ENTRIES,
            occurred_at=now,
            limits_version=limits.version,
            trigger=memory.locked_by,
            strategy=memory.strategy,
        )
    )
    return replace(memory, locked_until=None, locked_by=None)


def _count_trades(
    memory: StrategyMemory,
    reading: FuseReading,
    count_max: int,
    limits: LimitSet,
    now: datetime,
    events: list[FuseEvent],
) -> StrategyMemory:
    trades = [
        trade
        for trade in reading.closed_trades
        if trade.strategy == memory.strategy and trade.sequence > memory.last_sequence
    ]
    for trade in sorted(trades, key=lambda item: item.sequence):
        is_loss = not trade.net >= 0.0  # a result that is no number counts as a loss
        losses = memory.losses_in_a_row + 1 if is_loss else 0
        memory = replace(memory, losses_in_a_row=losses, last_sequence=trade.sequence)
        until = next_midnight(trade.closed_at)
        if losses >= count_max:
            memory = replace(memory, losses_in_a_row=0)
            if until > now:
                memory = _lock(
                    memory,
                    Trigger.LOSS_STREAK,
                    until,
                    (float(losses), float(count_max)),
                    limits,
                    now,
                    events,
                )
    return memory


def _test_day(
    memory: StrategyMemory,
    reading: FuseReading,
    own: StrategyLimits,
    limits: LimitSet,
    now: datetime,
    events: list[FuseEvent],
) -> tuple[StrategyMemory, Gauge | None]:
    """The strategy's own daily stop, where it has one."""
    if own.daily_loss_share is None:
        return memory, None
    trigger, share = Trigger.STRATEGY_DAILY_LOSS, float(own.daily_loss_share)
    scope = _scope(memory.strategy)
    day = next((r for r in reading.strategies if r.strategy == memory.strategy), None)
    result = None if day is None else day.day_result_share
    if result is None or not is_number(result):
        return memory, build_blank(
            trigger=trigger,
            scope=scope,
            status=GaugeStatus.NO_SOURCE,
            threshold=share,
            words="the strategy's result of the day has no source",
        )
    gauge = build_gauge(
        trigger=trigger,
        scope=scope,
        value=-result,
        threshold=share,
        used_share=-result / share,
        is_over=-result >= share,
        limits=limits,
        words=f"{result:+.2%} today, limit {-share:.2%}",
    )
    until = next_midnight(now)
    if gauge.status is GaugeStatus.OVER and (
        memory.locked_until is None or memory.locked_until < until
    ):
        memory = _lock(memory, trigger, until, (-result, share), limits, now, events)
    return memory, gauge


def _lock(
    memory: StrategyMemory,
    trigger: Trigger,
    until: datetime,
    measured: tuple[float, float],
    limits: LimitSet,
    now: datetime,
    events: list[FuseEvent],
) -> StrategyMemory:
    if memory.locked_until is not None:
        until = max(until, memory.locked_until)
    events.append(
        FuseEvent(
            kind=EventKind.LOCK,
            scope=_scope(memory.strategy),
            action=FuseAction.STOP_ENTRIES,
            occurred_at=now,
            limits_version=limits.version,
            trigger=trigger,
            strategy=memory.strategy,
            value=measured[0],
            threshold=measured[1],
            until=until,
        )
    )
    return replace(memory, locked_until=until, locked_by=trigger)


def _streak_gauge(memory: StrategyMemory, count_max: int, limits: LimitSet) -> Gauge:
    is_locked = memory.locked_until is not None
    losses = memory.losses_in_a_row
    if is_locked:
        words = f"no new entry until {memory.locked_until:%Y-%m-%d %H:%M} UTC"
    else:
        words = f"{losses} of {count_max} consecutive losing trades"
    return build_gauge(
        trigger=Trigger.LOSS_STREAK,
        scope=_scope(memory.strategy),
        value=float(losses),
        threshold=float(count_max),
        # Counted in whole trades: one loss short of the threshold already warns.
        used_share=1.0 if losses and losses + 1 >= count_max else losses / count_max,
        is_over=is_locked and memory.locked_by is Trigger.LOSS_STREAK,
        limits=limits,
        words=words,
    )


def _scope(strategy: str) -> str:
    return f"strategy:{strategy}"
