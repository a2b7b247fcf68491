"""The market triggers: of an instrument, of an open position, and of an entry that is asked for.

Volatility acts on its instrument, whether something is held or not.  Conflict, opposite magnet and
trend flip are tested against open positions; conflict and trend flip count after the confirming
number of closed bars.  An entry is refused as soon as one of them holds, because the next closes
would cut it.  NaN is no source: it never fires and never counts as fine.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from risk.domain.fuse.rules import FuseRules
from risk.domain.fuse.thresholds import (
    compute_liquidity_score,
    compute_severity,
    compute_shortfall_severity,
)
from risk.domain.fuse.types import Condition, Trigger


class Watched(Protocol):
    """Which market triggers are tested for whoever holds or opens a position.

    ``conflict_bars`` is how many closed bars in a row conflict must hold, where fewer than the
    fund's ``confirmation_bars``.
    """

    @property
    def trigger_volatility(self) -> bool: ...
    @property
    def trigger_conflict(self) -> bool: ...
    @property
    def trigger_opposite(self) -> bool: ...
    @property
    def trigger_trend_flip(self) -> bool: ...
    @property
    def conflict_bars(self) -> int: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchList:
    """A plain :class:`Watched`."""

    trigger_volatility: bool = True
    trigger_conflict: bool = False
    trigger_opposite: bool = False
    trigger_trend_flip: bool = False
    conflict_bars: int = 2


MANUAL_WATCH = WatchList(trigger_conflict=True)
"""An entry by hand has no target zone of its own to compare and no trend to follow, so volatility
and conflict in its direction are what may refuse it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketReading:
    """What a closed bar says about one side (+1 long, -1 short) of one instrument.

    ``conflict`` is C toward the target zone: the present one for an entry, the recorded one for a
    position.  ``opposite_strength`` is that of the strongest opposite zone within reach,
    ``target_strength`` that of the target zone; ``trend`` the sign of EMA21 - EMA55.
    """

    side: int
    volatility_ratio: float = math.nan
    conflict: float = math.nan
    opposite_strength: float = math.nan
    target_strength: float = math.nan
    trend: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionTest:
    """What a close did to a position: its counters, what holds, and what could not be seen."""

    conflict_bars: int
    flip_bars: int
    conditions: tuple[Condition, ...]
    unseen: tuple[Trigger, ...]


def check_volatility(ratio: float, rules: FuseRules) -> Condition | None:
    """The volatility trigger of an instrument, or None."""
    limit = rules.volatility_ratio_max
    if not ratio > limit:
        return None
    return Condition(
        trigger=Trigger.VOLATILITY,
        value=ratio,
        threshold=limit,
        severity=compute_severity(ratio, limit),
    )


def check_liquidity(depth_value: float, notional: float, rules: FuseRules) -> Condition | None:
    """The liquidity trigger of what is held; ``depth_value`` lies within 10 bp of mid."""
    if math.isnan(depth_value):
        return None
    score, limit = compute_liquidity_score(depth_value, notional), rules.liquidity_score_min
    if not score < limit:
        return None
    return Condition(
        trigger=Trigger.LIQUIDITY,
        value=score,
        threshold=limit,
        severity=compute_shortfall_severity(score, limit),
    )


def check_position(
    *,
    reading: MarketReading,
    watched: Watched,
    rules: FuseRules,
    conflict_bars: int,
    flip_bars: int,
) -> PositionTest:
    """The triggers of an open position at a close; its counters of closed bars move here."""
    found: list[Condition] = []
    unseen: list[Trigger] = []
    if watched.trigger_conflict:
        conflict = _find_conflict(reading, rules)
        conflict_bars = 0 if conflict is None else conflict_bars + 1
        if conflict is not None and conflict_bars >= confirming_bars(watched, rules):
            found.append(conflict)
        if math.isnan(reading.conflict):
            unseen.append(Trigger.CONFLICT)
    if watched.trigger_opposite:
        opposite = _find_opposite(reading)
        if opposite is not None:
            found.append(opposite)
        if math.isnan(reading.opposite_strength):
            unseen.append(Trigger.OPPOSITE_MAGNET)
    if watched.trigger_trend_flip:
        flip_bars = flip_bars + 1 if reading.trend * reading.side < 0 else 0
        if flip_bars >= rules.confirmation_bars:
            found.append(_flip(reading))
    return PositionTest(
        conflict_bars=conflict_bars,
        flip_bars=flip_bars,
        conditions=tuple(found),
        unseen=tuple(unseen),
    )


def confirming_bars(watched: Watched, rules: FuseRules) -> int:
    """Closed bars in a row before a conflict counts: the fund's number or a strategy's stricter."""
    return min(watched.conflict_bars, rules.confirmation_bars)


def find_entry_block(
    *, reading: MarketReading, watched: Watched, rules: FuseRules
) -> Condition | None:
    """The first market trigger that holds against an entry now, or None.

    Nobody opens what the fuse would cut: no bar has to confirm it first.
    """
    if not (rules.acting and rules.market_acting):
        return None
    if watched.trigger_volatility:
        volatility = check_volatility(reading.volatility_ratio, rules)
        if volatility is not None:
            return volatility
    if watched.trigger_conflict:
        conflict = _find_conflict(reading, rules)
        if conflict is not None:
            return conflict
    if watched.trigger_opposite:
        opposite = _find_opposite(reading)
        if opposite is not None:
            return opposite
    if watched.trigger_trend_flip and reading.trend * reading.side < 0:
        return _flip(reading)
    return None


def _find_conflict(reading: MarketReading, rules: FuseRules) -> Condition | None:
    value, limit = reading.conflict, rules.conflict_max
    if not value > limit:
        return None
    return Condition(
        trigger=Trigger.CONFLICT,
        value=value,
        threshold=limit,
        severity=compute_severity(value, limit),
    )


def _find_opposite(reading: MarketReading) -> Condition | None:
    value, strength = reading.opposite_strength, reading.target_strength
    if not value > strength:
        return None
    return Condition(
        trigger=Trigger.OPPOSITE_MAGNET,
        value=value,
        threshold=strength,
        severity=compute_severity(value, strength),
    )


def _flip(reading: MarketReading) -> Condition:
    # A flip is yes or no: there is nothing to grade, so it cuts by the smallest share.
    return Condition(trigger=Trigger.TREND_FLIP, value=float(reading.trend), threshold=0.0)
