"""The market triggers of instruments and open positions.

Volatility is tested always; conflict, opposite magnet, trend flip and liquidity only while a
position is open in the instrument.  Conflict and trend flip count after the confirming number of
closed bars.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from risk.domain.fuse.episodes import Condition, step_episode
from risk.domain.fuse.gauges import build_blank, build_gauge, is_number
from risk.domain.fuse.thresholds import (
    find_liquidity_score,
    find_severity,
    find_shortfall_severity,
)
from risk.domain.fuse.types import (
    FuseEvent,
    FuseReading,
    FuseSnapshot,
    Gauge,
    GaugeStatus,
    InstrumentReading,
    PositionMemory,
    PositionReading,
    ReducingEpisode,
    Trigger,
)
from risk.domain.limits import LimitSet

_POSITION_TRIGGERS = (
    Trigger.CONFLICT,
    Trigger.OPPOSITE_MAGNET,
    Trigger.TREND_FLIP,
    Trigger.LIQUIDITY,
)


def remember_positions(
    *, snapshot: FuseSnapshot, reading: FuseReading, limits: LimitSet
) -> tuple[PositionMemory, ...]:
    """Count the closed bars that stood against each open position; closed positions drop out.

    A bar counts once however often it is read; a reading without a source neither adds nor clears.
    """
    known = {memory.position_id: memory for memory in snapshot.positions}
    counted = []
    for position in reading.positions:
        memory = known.get(position.position_id)
        if memory is not None and position.bar_closed_at <= memory.last_bar_at:
            counted.append(memory)
            continue
        conflict = memory.conflict_bars if memory is not None else 0
        flips = memory.flip_bars if memory is not None else 0
        if position.conflict is not None and is_number(position.conflict):
            conflict = conflict + 1 if position.conflict > float(limits.conflict_max) else 0
        if position.trend is not None:
            flips = flips + 1 if position.trend * position.side < 0 else 0
        counted.append(
            PositionMemory(
                position_id=position.position_id,
                last_bar_at=position.bar_closed_at,
                conflict_bars=conflict,
                flip_bars=flips,
            )
        )
    return tuple(counted)


def evaluate_market(
    *, snapshot: FuseSnapshot, reading: FuseReading, limits: LimitSet, now: datetime
) -> tuple[FuseSnapshot, tuple[Gauge, ...], list[FuseEvent]]:
    """Gauges of every instrument, episodes begun, deepened, cleared and ended, and their events."""
    snapshot = replace(
        snapshot, positions=remember_positions(snapshot=snapshot, reading=reading, limits=limits)
    )
    gauges: list[Gauge] = []
    events: list[FuseEvent] = []
    episodes: list[ReducingEpisode] = []
    running = {episode.instrument: episode for episode in snapshot.episodes}
    for instrument in _instruments(reading, snapshot):
        found, conditions = _read_instrument(instrument, snapshot, reading, limits)
        gauges.extend(found)
        episode, event = step_episode(
            instrument=instrument,
            episode=running.get(instrument),
            gauges=found,
            conditions=conditions,
            snapshot=snapshot,
            reading=reading,
            limits=limits,
            now=now,
        )
        if episode is not None:
            episodes.append(episode)
        if event is not None:
            events.append(event)
    if not gauges:
        gauges.extend(_without_instruments())
    return replace(snapshot, episodes=tuple(episodes)), tuple(gauges), events


def _instruments(reading: FuseReading, snapshot: FuseSnapshot) -> list[str]:
    names = [item.instrument for item in reading.instruments]
    names += [item.instrument for item in reading.positions]
    names += [item.instrument for item in snapshot.episodes]
    return list(dict.fromkeys(names))


def _without_instruments() -> list[Gauge]:
    words = "no instrument data"
    blank = [
        build_blank(
            trigger=Trigger.VOLATILITY, scope="market", status=GaugeStatus.NO_SOURCE, words=words
        )
    ]
    return blank + [_not_tested(trigger, "market", None) for trigger in _POSITION_TRIGGERS]


def _read_instrument(
    instrument: str, snapshot: FuseSnapshot, reading: FuseReading, limits: LimitSet
) -> tuple[list[Gauge], list[Condition]]:
    market = next((m for m in reading.instruments if m.instrument == instrument), None)
    held = [p for p in reading.positions if p.instrument == instrument]
    memories = {memory.position_id: memory for memory in snapshot.positions}
    conditions: list[Condition] = []
    gauges = [_volatility(instrument, market, limits, conditions)]
    if not held:
        gauges += [_not_tested(trigger, instrument, None) for trigger in _POSITION_TRIGGERS]
        return gauges, conditions
    for position in held:
        memory = memories[position.position_id]
        gauges.append(_conflict(position, memory, limits, conditions))
        gauges.append(_opposite(position, limits, conditions))
        gauges.append(_trend_flip(position, memory, limits, conditions))
    gauges.append(_liquidity(instrument, market, held, limits, conditions))
    return gauges, conditions


def _volatility(
    instrument: str,
    market: InstrumentReading | None,
    limits: LimitSet,
    conditions: list[Condition],
) -> Gauge:
    threshold = float(limits.volatility_ratio_max)
    value = None if market is None else market.volatility_ratio
    if value is None or not is_number(value):
        return _no_source(Trigger.VOLATILITY, instrument, threshold)
    gauge = build_gauge(
        trigger=Trigger.VOLATILITY,
        scope=instrument,
        value=value,
        threshold=threshold,
        used_share=_share(value, threshold),
        is_over=value > threshold,
        limits=limits,
        words=f"volatility ratio (short over long) {value:.2f}, limit {threshold:.2f}",
    )
    _note(gauge, find_severity(value, threshold), conditions)
    return gauge


def _conflict(
    position: PositionReading,
    memory: PositionMemory,
    limits: LimitSet,
    conditions: list[Condition],
) -> Gauge:
    trigger, threshold = Trigger.CONFLICT, float(limits.conflict_max)
    if trigger not in position.triggers:
        return _not_tested(trigger, position.instrument, position.position_id)
    value = position.conflict
    if value is None or not is_number(value):
        return _no_source(trigger, position.instrument, threshold, position.position_id)
    bars = int(limits.confirmation_bars)
    gauge = build_gauge(
        trigger=trigger,
        scope=position.instrument,
        value=value,
        threshold=threshold,
        used_share=_share(value, threshold),
        is_over=value > threshold and memory.conflict_bars >= bars,
        limits=limits,
        words=f"conflict {value:.2f}, limit {threshold:.2f}, {memory.conflict_bars} of {bars} bars",
        position_id=position.position_id,
    )
    _note(gauge, find_severity(value, threshold), conditions)
    return gauge


def _opposite(position: PositionReading, limits: LimitSet, conditions: list[Condition]) -> Gauge:
    trigger = Trigger.OPPOSITE_MAGNET
    if trigger not in position.triggers:
        return _not_tested(trigger, position.instrument, position.position_id)
    value, threshold = position.opposite_strength, position.target_strength
    if value is None or threshold is None or not is_number(value) or not is_number(threshold):
        return _no_source(trigger, position.instrument, threshold, position.position_id)
    gauge = build_gauge(
        trigger=trigger,
        scope=position.instrument,
        value=value,
        threshold=threshold,
        used_share=_share(value, threshold),
        is_over=value > threshold,
        limits=limits,
        words=f"strongest opposing zone {value:.0f}, target zone at entry {threshold:.0f}",
        position_id=position.position_id,
    )
    _note(gauge, find_severity(value, threshold), conditions)
    return gauge


def _trend_flip(
    position: PositionReading,
    memory: PositionMemory,
    limits: LimitSet,
    conditions: list[Condition],
) -> Gauge:
    trigger, bars = Trigger.TREND_FLIP, int(limits.confirmation_bars)
    if trigger not in position.triggers:
        return _not_tested(trigger, position.instrument, position.position_id)
    if position.trend is None:
        return _no_source(trigger, position.instrument, float(bars), position.position_id)
    gauge = build_gauge(
        trigger=trigger,
        scope=position.instrument,
        value=float(memory.flip_bars),
        threshold=float(bars),
        # Counted in whole bars: one bar short of the threshold already warns.
        used_share=1.0 if memory.flip_bars + 1 >= bars and memory.flip_bars else 0.0,
        is_over=memory.flip_bars >= bars,
        limits=limits,
        words=f"trend against the position for {memory.flip_bars} of {bars} bars",
        position_id=position.position_id,
    )
    # A flip is yes or no: there is nothing to grade, so it cuts by the smallest share.
    _note(gauge, 0.0, conditions)
    return gauge


def _liquidity(
    instrument: str,
    market: InstrumentReading | None,
    held: Sequence[PositionReading],
    limits: LimitSet,
    conditions: list[Condition],
) -> Gauge:
    trigger, threshold = Trigger.LIQUIDITY, float(limits.liquidity_score_min)
    if not any(trigger in position.triggers for position in held):
        return _not_tested(trigger, instrument, None)
    depth = None if market is None else market.depth_value
    intended = None if market is None else market.notional_intended
    if depth is None or intended is None or not is_number(depth) or not is_number(intended):
        return _no_source(trigger, instrument, threshold)
    score = find_liquidity_score(depth, intended)
    gauge = build_gauge(
        trigger=trigger,
        scope=instrument,
        value=score,
        threshold=threshold,
        used_share=_share(threshold, score) if score > 0.0 else 1.0,
        is_over=score < threshold,
        limits=limits,
        words=f"liquidity score {score:.0f}, at least {threshold:.0f}",
        room=score - threshold,
    )
    _note(gauge, find_shortfall_severity(score, threshold), conditions)
    return gauge


def _share(value: float, threshold: float) -> float:
    return value / threshold if threshold > 0.0 else float(value > threshold)


def _note(gauge: Gauge, severity: float, conditions: list[Condition]) -> None:
    if gauge.status is GaugeStatus.OVER:
        conditions.append(Condition(gauge=gauge, severity=severity))


def _no_source(
    trigger: Trigger, instrument: str, threshold: float | None, position_id: str | None = None
) -> Gauge:
    return build_blank(
        trigger=trigger,
        scope=instrument,
        status=GaugeStatus.NO_SOURCE,
        threshold=threshold,
        words="no source",
        position_id=position_id,
    )


def _not_tested(trigger: Trigger, instrument: str, position_id: str | None) -> Gauge:
    return build_blank(
        trigger=trigger,
        scope=instrument,
        status=GaugeStatus.NOT_TESTED,
        words="applies only to open positions of this strategy",
        position_id=position_id,
    )
