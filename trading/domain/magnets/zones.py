"""From living levels to zones, pulls, targets and conflict at one bar.

Member: ``s = weight * timeframe * (0.20 + 0.30 touch + 0.25 recency + 0.25 volume)``, at most 0.95.
Zone: the strongest unused level is a seed and takes every unused level within 0.25 A; its price is
the seed's, one term a family counts: ``S = 100 (1 - prod(1 - max s))``.
Pull: ``max(0, S - 40)/60 * exp(-d/3)``.  Target: the largest pull at 1.5..6 A; opposite: the
largest at 0.25..6 A on the other side; ``C = min(opposite / target, 9.99)``.

Levels further than 8 A from the price are left out before zones are formed: a zone within 6 A
could feel them only through a chain of eight neighbouring seeds.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from trading.domain.compiled import compiled_part
from trading.domain.magnets.levels import fade
from trading.domain.magnets.round_numbers import ROUND, add_round_lines
from trading.domain.magnets.state import (
    BAR_COLUMNS,
    FAMILIES,
    N_ACTIVE,
    N_MEMBERS,
    N_ZONES,
    SIDE_COLUMNS,
    Constants,
    State,
)
from trading.domain.magnets.types import ReadingReason

OK = int(ReadingReason.OK)
NO_TARGET = int(ReadingReason.NO_TARGET)
UNMAPPED_SIDE = int(ReadingReason.UNMAPPED_SIDE)
WARM_UP = int(ReadingReason.WARM_UP)

FAMILY_COUNT = len(FAMILIES)
BASE = len(BAR_COLUMNS)
WIDTH = len(SIDE_COLUMNS)
(
    REASON,
    TARGET_PRICE,
    TARGET_NEAR,
    TARGET_FAR,
    TARGET_STRENGTH,
    TARGET_DISTANCE,
    TARGET_PULL,
    DISTANCE,
    CONFLICT,
    OPPOSITE_PRICE,
    OPPOSITE_NEAR,
    OPPOSITE_FAR,
    OPPOSITE_STRENGTH,
    OPPOSITE_PULL,
    OPPOSITE_ZONES,
    HEAVY_OPPOSITE_STRENGTH,
    PROTECTIVE_PRICE,
    PROTECTIVE_NEAR,
    PROTECTIVE_FAR,
    TARGET_ZONE,
    OPPOSITE_ZONE,
    PROTECTIVE_ZONE,
) = range(WIDTH)


@compiled_part
def gather_members(state: State, c: Constants, price: float, atr: float, close_time: int) -> None:
    """Write every living level within reach, with its strength, into ``state.members``."""
    state.counts[N_MEMBERS] = 0
    reach = c.level_reach * atr
    for position in range(state.counts[N_ACTIVE]):
        level = state.active[position]
        row = state.levels[level]
        if (
            row["dead_at"] >= 0
            or row["weight"] <= 0.0
            or abs(row["price"] - price) > reach
            or c.enabled[row["family"]] == 0
        ):
            continue
        member = state.members[state.counts[N_MEMBERS]]
        state.counts[N_MEMBERS] += 1
        touches = row["touch_sum"] * fade(close_time - row["touch_at"], row["half_life"])
        touch = 1.0 - np.exp(-0.5 * touches)
        recency = fade(close_time - row["created_at"], row["half_life"])
        volume = min(1.0, max(0.0, row["volume_rank"]))
        part = (
            c.strength_base
            + c.strength_touch * touch
            + c.strength_recency * recency
            + c.strength_volume * volume
        )
        member["level"] = level
        member["kind"] = row["kind"]
        member["family"] = row["family"]
        member["price"] = row["price"]
        member["strength"] = min(
            c.member_strength_max, row["weight"] * row["timeframe_factor"] * part
        )
        member["touch"] = touch
        member["recency"] = recency
        member["volume"] = volume
    if c.enabled[ROUND] == 1:
        add_round_lines(state, c, price, reach)


@compiled_part
def sort_members(state: State, price: float) -> None:
    """Order members by strength, then nearness to the price, then lower price."""
    members = state.members
    order = state.order
    for i in range(state.counts[N_MEMBERS]):
        own = members[i]
        strength = own["strength"]
        away = abs(own["price"] - price)
        j = i
        while j > 0:
            other = members[order[j - 1]]
            if other["strength"] > strength:
                break
            if other["strength"] == strength:
                other_away = abs(other["price"] - price)
                if other_away < away or (other_away == away and other["price"] <= own["price"]):
                    break
            order[j] = order[j - 1]
            j -= 1
        order[j] = i


@compiled_part
def form_zones(state: State, c: Constants, price: float, atr: float) -> int:
    """Join members to zones, strongest seed first; returns how many are kept (S >= 15, <= 6 A)."""
    n = state.counts[N_MEMBERS]
    members = state.members
    best = np.empty(FAMILY_COUNT)
    for i in range(n):
        members[i]["zone"] = -1
    zones = 0
    kept = 0
    for first in range(n):
        seed = members[state.order[first]]
        if seed["zone"] >= 0:
            continue
        centre = seed["price"]
        best[:] = 0.0
        low = high = centre
        for second in range(first, n):
            member = members[state.order[second]]
            if member["zone"] >= 0 or abs(member["price"] - centre) > c.merge_distance * atr:
                continue
            member["zone"] = zones
            low = min(low, member["price"])
            high = max(high, member["price"])
            family = member["family"]
            best[family] = max(best[family], member["strength"])
        absent = 1.0
        for family in range(FAMILY_COUNT):
            absent *= 1.0 - best[family]
        zone = state.zones[zones]
        zone["price"] = centre
        zone["low"] = low
        zone["high"] = high
        zone["strength"] = 100.0 * (1.0 - absent)
        zone["distance"] = abs(centre - price) / atr
        zone["pull"] = (
            max(0.0, zone["strength"] - c.ordinary_strength)
            / (100.0 - c.ordinary_strength)
            * np.exp(-zone["distance"] / c.pull_decay)
        )
        inside = zone["distance"] <= c.zone_reach and zone["strength"] >= c.zone_strength_min
        zone["kept"] = 1 if inside else 0
        kept += zone["kept"]
        zones += 1
    state.counts[N_ZONES] = zones
    return kept


@compiled_part
def read_direction(state: State, c: Constants, price: float, sign: float, row: Any) -> None:
    """Fill one direction's columns; ``sign`` +1 looks for targets above, -1 below.

    Ties of equal pull go to the nearer zone.
    """
    zones = state.zones
    target = opposite = protective = -1
    opposite_zones = 0
    heavy = 0.0
    for i in range(state.counts[N_ZONES]):
        zone = zones[i]
        if zone["kept"] == 0:
            continue
        d, pull = zone["distance"], zone["pull"]
        if (zone["price"] - price) * sign > 0.0:
            if d < c.target_distance_min or pull <= 0.0:
                continue
            if (
                target < 0
                or pull > zones[target]["pull"]
                or (pull == zones[target]["pull"] and d < zones[target]["distance"])
            ):
                target = i
            continue
        if d < c.opposite_distance_min:
            continue
        opposite_zones += 1
        if d <= c.heavy_zone_reach:
            heavy = max(heavy, zone["strength"])
        if pull > 0.0 and (
            opposite < 0
            or pull > zones[opposite]["pull"]
            or (pull == zones[opposite]["pull"] and d < zones[opposite]["distance"])
        ):
            opposite = i
        if (
            zone["strength"] >= c.protective_strength_min
            and c.protective_distance_min <= d <= c.protective_distance_max
            and (protective < 0 or d < zones[protective]["distance"])
        ):
            protective = i
    row[OPPOSITE_ZONES] = opposite_zones
    row[HEAVY_OPPOSITE_STRENGTH] = heavy
    if target >= 0:
        zone = zones[target]
        row[TARGET_PRICE] = zone["price"]
        row[TARGET_NEAR] = zone["low"] if sign > 0 else zone["high"]
        row[TARGET_FAR] = zone["high"] if sign > 0 else zone["low"]
        row[TARGET_STRENGTH] = zone["strength"]
        row[TARGET_DISTANCE] = zone["distance"]
        row[TARGET_PULL] = zone["pull"]
        row[DISTANCE] = min(zone["distance"], c.distance_max)
    if opposite >= 0:
        zone = zones[opposite]
        row[OPPOSITE_PRICE] = zone["price"]
        row[OPPOSITE_NEAR] = zone["high"] if sign > 0 else zone["low"]
        row[OPPOSITE_FAR] = zone["low"] if sign > 0 else zone["high"]
        row[OPPOSITE_STRENGTH] = zone["strength"]
        row[OPPOSITE_PULL] = zone["pull"]
    if protective >= 0:
        zone = zones[protective]
        row[PROTECTIVE_PRICE] = zone["price"]
        row[PROTECTIVE_NEAR] = zone["high"] if sign > 0 else zone["low"]
        row[PROTECTIVE_FAR] = zone["low"] if sign > 0 else zone["high"]
    row[TARGET_ZONE], row[OPPOSITE_ZONE], row[PROTECTIVE_ZONE] = target, opposite, protective
    if target < 0:
        row[REASON] = NO_TARGET
        return
    row[CONFLICT] = min(row[OPPOSITE_PULL] / row[TARGET_PULL], c.conflict_max)
    row[REASON] = UNMAPPED_SIDE if opposite_zones < c.opposite_zones_min else OK


@compiled_part
def clear_direction(row: Any) -> None:
    """A direction before anything is known: prices NaN, strengths and pulls 0."""
    row[:] = np.nan
    row[REASON] = WARM_UP
    row[TARGET_STRENGTH] = 0.0
    row[TARGET_PULL] = 0.0
    row[OPPOSITE_STRENGTH] = 0.0
    row[OPPOSITE_PULL] = 0.0
    row[OPPOSITE_ZONES] = 0.0
    row[HEAVY_OPPOSITE_STRENGTH] = 0.0
    row[TARGET_ZONE] = -1.0
    row[OPPOSITE_ZONE] = -1.0
    row[PROTECTIVE_ZONE] = -1.0


@compiled_part
def read_bar(
    state: State, c: Constants, price: float, atr: float, close_time: int, row: Any
) -> None:
    """Zones and both directions at the close of a bar; ``row`` is the bar's line of columns."""
    row[4] = 0.0
    state.counts[N_MEMBERS] = 0
    state.counts[N_ZONES] = 0
    long = row[BASE : BASE + WIDTH]
    short = row[BASE + WIDTH : BASE + 2 * WIDTH]
    clear_direction(long)
    clear_direction(short)
    if np.isnan(atr) or atr <= 0.0:
        return
    gather_members(state, c, price, atr, close_time)
    sort_members(state, price)
    row[4] = form_zones(state, c, price, atr)
    read_direction(state, c, price, 1.0, long)
    read_direction(state, c, price, -1.0, short)
