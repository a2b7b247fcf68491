"""The walk's scratch of one bar as frozen records: zones with their members, both directions."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trading.domain.magnets.parameters import MagnetParameters
from trading.domain.magnets.state import (
    BAR_COLUMNS,
    EVENTS,
    FAMILIES,
    KINDS,
    N_ACTIVE,
    N_EVENTS,
    N_MEMBERS,
    SIDE_COLUMNS,
    SIDES,
    TIMEFRAMES,
    State,
)
from trading.domain.magnets.types import (
    LONG,
    SHORT,
    Family,
    Level,
    LevelEvent,
    MagnetMap,
    MagnetReading,
    ReadingReason,
    SideRule,
    StrengthParts,
    Zone,
    ZoneMember,
)

_ROUND = FAMILIES.index(Family.ROUND)
_EVENTS_SHOWN = 2000
"""How far back in the event log a map looks for the events of its levels."""


def _events_by_level(state: State) -> dict[int, list[LevelEvent]]:
    newest = int(state.counts[N_EVENTS])
    found: dict[int, list[LevelEvent]] = {}
    for level, kind, price, known_at in state.events[
        max(0, newest - _EVENTS_SHOWN) : newest
    ].tolist():
        found.setdefault(level, []).append(
            LevelEvent(kind=EVENTS[kind], known_at=known_at, price=price)
        )
    return found


def _build_level(
    state: State,
    level_id: int,
    events: dict[int, list[LevelEvent]],
    parts: StrengthParts | None,
) -> Level:
    row = dict(zip(state.levels.dtype.names or (), state.levels[level_id].item(), strict=True))
    return Level(
        level_id=level_id,
        price=row["price"],
        price_far=row["price_far"],
        kind=KINDS[row["kind"]],
        family=FAMILIES[row["family"]],
        side_rule=SIDES[row["side"]],
        timeframe=TIMEFRAMES[row["timeframe"]],
        created_at=row["created_at"],
        known_at=row["known_at"],
        dead_at=None if row["dead_at"] < 0 else row["dead_at"],
        touches=row["touches"],
        events=tuple(events.get(level_id, ())),
        parts=parts,
    )


def _build_member(
    state: State,
    member: dict[str, Any],
    known_at: int,
    parameters: MagnetParameters,
    events: dict[int, list[LevelEvent]],
) -> ZoneMember:
    level_id = member["level"]
    if level_id < 0:
        major = KINDS[member["kind"]].value == "round_major"
        weight, factor = parameters.weight_round, parameters.factor_round[int(major)]
    else:
        weight = float(state.levels[level_id]["weight"])
        factor = float(state.levels[level_id]["timeframe_factor"])
    parts = StrengthParts(
        weight=weight,
        timeframe=factor,
        touch=member["touch"],
        recency=member["recency"],
        volume=member["volume"],
    )
    if level_id >= 0:
        level = _build_level(state, level_id, events, parts)
    else:
        level = Level(
            level_id=-1,
            price=member["price"],
            price_far=member["price"],
            kind=KINDS[member["kind"]],
            family=Family.ROUND,
            side_rule=SideRule.EITHER,
            timeframe="",
            created_at=known_at,
            known_at=known_at,
            dead_at=None,
            touches=0,
            events=(),
            parts=parts,
        )
    return ZoneMember(level=level, strength=member["strength"], age_ms=known_at - level.created_at)


def _build_zone(zone: dict[str, Any], members: list[ZoneMember]) -> Zone:
    best: dict[Family, ZoneMember] = {}
    for member in members:  # strongest first, so the first of a family is its best
        best.setdefault(member.level.family, member)
    without: dict[Family, float] = {}
    for left_out in best:
        absent = 1.0
        for family, member in best.items():
            if family is not left_out:
                absent *= 1.0 - member.strength
        without[left_out] = 100.0 * (1.0 - absent)
    return Zone(
        price=zone["price"],
        low=zone["low"],
        high=zone["high"],
        strength=zone["strength"],
        distance=zone["distance"],
        pull=zone["pull"],
        members=tuple(members),
        best_by_family=MappingProxyType(best),
        strength_without=MappingProxyType(without),
    )


def _build_zones(
    state: State, known_at: int, parameters: MagnetParameters, events: dict[int, list[LevelEvent]]
) -> dict[int, Zone]:
    count = int(state.counts[N_MEMBERS])
    names = state.members.dtype.names or ()
    grouped: dict[int, list[ZoneMember]] = {}
    for i in state.order[:count].tolist():
        member = dict(zip(names, state.members[i].item(), strict=True))
        if state.zones[member["zone"]]["kept"]:
            grouped.setdefault(member["zone"], []).append(
                _build_member(state, member, known_at, parameters, events)
            )
    zone_names = state.zones.dtype.names or ()
    return {
        number: _build_zone(dict(zip(zone_names, state.zones[number].item(), strict=True)), members)
        for number, members in grouped.items()
    }


def _build_reading(
    values: dict[str, float], direction: int, zones: dict[int, Zone]
) -> MagnetReading:
    return MagnetReading(
        direction=direction,
        reason=ReadingReason(int(values["reason"])),
        target=zones.get(int(values["target_zone"])),
        opposite=zones.get(int(values["opposite_zone"])),
        protective=zones.get(int(values["protective_zone"])),
        distance=values["distance"],
        strength=values["target_strength"],
        conflict=values["conflict"],
        target_pull=values["target_pull"],
        opposite_pull=values["opposite_pull"],
        opposite_zones=int(values["opposite_zones"]),
        heavy_opposite_strength=values["heavy_opposite_strength"],
    )


def _find_better(long: MagnetReading, short: MagnetReading) -> int | None:
    usable = [
        (reading.conflict, reading.direction)
        for reading in (long, short)
        if reading.reason is ReadingReason.OK
    ]
    return min(usable)[1] if usable else None


def build_map(
    state: State, row: NDArray[np.float64], known_at: int, parameters: MagnetParameters
) -> MagnetMap:
    """The map of the bar that the walk has just taken in; ``row`` is that bar's line."""
    base, width = len(BAR_COLUMNS), len(SIDE_COLUMNS)
    values = row.tolist()
    bar = dict(zip(BAR_COLUMNS, values[:base], strict=True))
    sides = [
        dict(zip(SIDE_COLUMNS, values[base + k * width : base + (k + 1) * width], strict=True))
        for k in (LONG, SHORT)
    ]
    events = _events_by_level(state)
    zones = _build_zones(state, known_at, parameters, events)
    long = _build_reading(sides[LONG], LONG, zones)
    short = _build_reading(sides[SHORT], SHORT, zones)
    active = state.active[: state.counts[N_ACTIVE]]
    living = active[(state.levels["dead_at"][active] < 0) & (state.levels["weight"][active] <= 0)]
    near = np.abs(state.levels["price"][living] - bar["close"]) <= (
        parameters.level_reach * bar["atr"]
    )
    return MagnetMap(
        known_at=known_at,
        close=bar["close"],
        atr=bar["atr"],
        volatility_ratio=bar["volatility_ratio"],
        volatility_pressure=bar["volatility_pressure"],
        zones=tuple(sorted(zones.values(), key=lambda zone: zone.price)),
        long=long,
        short=short,
        better=_find_better(long, short),
        context=tuple(_build_level(state, int(i), events, None) for i in living[near]),
        parameters_version=parameters.version,
    )
