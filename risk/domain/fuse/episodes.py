"""Reducing episodes: REDUCING on one instrument from its first condition to its re-arming.

One cut an episode, deepened only when severity rises.  Entries return a fixed time after a reading
cleared the condition, never while it holds.  No news between two closes is no clearing, and neither
is a reading that could not see the episode's own trigger.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from enum import Enum, auto

from risk.domain.fuse.rules import FuseRules
from risk.domain.fuse.thresholds import compute_cut_share
from risk.domain.fuse.types import NO_EPISODE, Condition, Episode


class Sight(Enum):
    """What a step could see of the market."""

    NOTHING = auto()  # no bar closed since the last step: nothing moves
    BLIND = auto()  # a bar closed, the episode's own trigger had no source
    CLEAR = auto()  # a bar closed and was read


class Move(Enum):
    """What a step did to an episode."""

    NONE = auto()
    BEGUN = auto()
    DEEPENED = auto()
    ENDED = auto()


def find_worst(conditions: Iterable[Condition]) -> Condition | None:
    """The most severe of several; of equals the first."""
    worst: Condition | None = None
    for condition in conditions:
        if worst is None or condition.severity > worst.severity:
            worst = condition
    return worst


def step_episode(
    *, episode: Episode, condition: Condition | None, sight: Sight, now_ms: int, rules: FuseRules
) -> tuple[Episode, Move]:
    """The episode after one step, and what moved; ``condition`` is the worst that holds."""
    if condition is not None:
        return _hold(episode, condition, now_ms, rules)
    if not episode.active or sight is Sight.NOTHING:
        return episode, Move.NONE
    if sight is Sight.BLIND:
        return _keep(episode), Move.NONE
    if not episode.cleared_at:
        return replace(episode, cleared_at=now_ms), Move.NONE
    waited = now_ms - episode.cleared_at >= rules.rearm_after_clear_ms
    if waited and now_ms >= episode.no_new_trades_until:
        return NO_EPISODE, Move.ENDED
    return episode, Move.NONE


def _hold(
    episode: Episode, condition: Condition, now_ms: int, rules: FuseRules
) -> tuple[Episode, Move]:
    """Begin an episode, deepen it where severity rose, or only keep it open."""
    if episode.active and condition.severity <= episode.severity:
        return _keep(episode), Move.NONE
    begun = Episode(
        active=True,
        trigger=int(condition.trigger),
        severity=condition.severity,
        cut_share=compute_cut_share(condition.severity, rules.cut_share_min, rules.cut_share_max),
        started_at=episode.started_at if episode.active else now_ms,
        no_new_trades_until=now_ms + rules.no_new_trades_ms,
    )
    return begun, Move.DEEPENED if episode.active else Move.BEGUN


def _keep(episode: Episode) -> Episode:
    return replace(episode, cleared_at=0) if episode.cleared_at else episode
