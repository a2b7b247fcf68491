"""Reducing episodes: REDUCING on one instrument from its first condition to its re-arming.

One cut an episode, deepened only when severity rises; entries return a fixed time after the
condition cleared, never while it holds or cannot be seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from risk.domain.fuse.gauges import is_number
from risk.domain.fuse.thresholds import find_cut_share, find_further_cut_share
from risk.domain.fuse.types import (
    EventKind,
    FuseAction,
    FuseEvent,
    FuseReading,
    FuseSnapshot,
    FuseState,
    Gauge,
    GaugeStatus,
    ReducingEpisode,
)
from risk.domain.limits import LimitSet


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A trigger that fires, with its severity 0..1."""

    gauge: Gauge
    severity: float


def step_episode(
    *,
    instrument: str,
    episode: ReducingEpisode | None,
    gauges: Sequence[Gauge],
    conditions: Sequence[Condition],
    snapshot: FuseSnapshot,
    reading: FuseReading,
    limits: LimitSet,
    now: datetime,
) -> tuple[ReducingEpisode | None, FuseEvent | None]:
    """One step of an instrument's episode: at most one event."""
    if conditions:
        worst = max(conditions, key=lambda condition: condition.severity)
        return _reduce(instrument, episode, worst, snapshot, reading, limits, now)
    if episode is None:
        return None, None
    if any(
        gauge.trigger is episode.trigger and gauge.status is GaugeStatus.NO_SOURCE
        for gauge in gauges
    ):
        return replace(episode, cleared_at=None), None  # not seen is not cleared
    if episode.cleared_at is None:
        cleared = replace(episode, cleared_at=now)
        return cleared, _event(EventKind.CLEARED, FuseAction.NOTIFY, cleared, limits, now)
    waited = episode.cleared_at + timedelta(seconds=float(limits.rearm_after_clear_s))
    if now < waited or now < episode.no_new_trades_until:
        return episode, None
    return None, _event(EventKind.REARM, FuseAction.ALLOW_ENTRIES, episode, limits, now)


def _reduce(
    instrument: str,
    episode: ReducingEpisode | None,
    worst: Condition,
    snapshot: FuseSnapshot,
    reading: FuseReading,
    limits: LimitSet,
    now: datetime,
) -> tuple[ReducingEpisode, FuseEvent | None]:
    """Begin an episode, deepen it where severity rose, or only keep it open."""
    if episode is not None and worst.severity <= episode.severity:
        return replace(episode, cleared_at=None), None
    cut = find_cut_share(worst.severity, float(limits.cut_share_min), float(limits.cut_share_max))
    before = 0.0 if episode is None else episode.cut_share
    cut = max(cut, before)
    cut_now = find_further_cut_share(before, cut)
    begun = ReducingEpisode(
        instrument=instrument,
        trigger=worst.gauge.trigger,
        severity=worst.severity,
        cut_share=cut,
        started_at=now if episode is None else episode.started_at,
        no_new_trades_until=now + timedelta(seconds=float(limits.no_new_trades_s)),
    )
    is_held = any(position.instrument == instrument for position in reading.positions)
    is_cutting = is_held and snapshot.state is not FuseState.TRIPPED
    event = replace(
        _event(
            EventKind.REDUCE if episode is None else EventKind.DEEPEN,
            FuseAction.CUT_EXPOSURE if is_cutting else FuseAction.STOP_ENTRIES,
            begun,
            limits,
            now,
        ),
        value=worst.gauge.value,
        threshold=worst.gauge.threshold,
        cut_share_now=cut_now,
        notional_max=_find_notional_max(instrument, cut_now, reading),
        until=begun.no_new_trades_until,
        reason=worst.gauge.words,
    )
    return begun, event


def _find_notional_max(instrument: str, cut_share_now: float, reading: FuseReading) -> float | None:
    """What the instrument may hold after the cut so that the whole book is at most 1.0x."""
    held = next((m.notional for m in reading.instruments if m.instrument == instrument), None)
    if held is None or not is_number(held):
        return None
    after_cut = held * (1.0 - cut_share_now)
    others = [m.notional for m in reading.instruments if m.instrument != instrument]
    if reading.equity is None or not is_number(reading.equity):
        return after_cut
    rest = sum(other for other in others if other is not None and is_number(other))
    return min(after_cut, max(0.0, reading.equity - rest))


def _event(
    kind: EventKind,
    action: FuseAction,
    episode: ReducingEpisode,
    limits: LimitSet,
    now: datetime,
) -> FuseEvent:
    return FuseEvent(
        kind=kind,
        scope=episode.instrument,
        action=action,
        occurred_at=now,
        limits_version=limits.version,
        trigger=episode.trigger,
        severity=episode.severity,
        cut_share=episode.cut_share,
    )
