"""Step 6 of a bar: the market triggers of the fuse, read off the bar and its signals, and the cuts.

What a trigger is and how an episode goes on is the fuse's (:mod:`risk.domain.fuse`); this module
hands it the readings of every slot and turns a cut into orders for the next open.
"""

from __future__ import annotations

import math
from dataclasses import replace

from risk.domain.fuse import (
    Condition,
    Episode,
    FuseMove,
    MarketReading,
    Move,
    PositionTest,
    Sight,
    Trigger,
    check_liquidity,
    check_position,
    check_volatility,
    compute_cut_lots,
    compute_open_conflict,
    find_worst,
    step_episode,
)
from trading.domain.engine.book import CloseReason, SlotPosition
from trading.domain.engine.working import Working, make_exit
from trading.domain.strategies.signals import Signal


def watch_market(working: Working, instrument: int) -> None:
    """Begin, deepen or end the REDUCING episode of an instrument."""
    episode = working.fuse.episodes[instrument]
    condition, sight = _read_market(working, instrument, episode)
    working.conditions[instrument] = condition
    if condition is None and not episode.active:
        return
    stepped, move = step_episode(
        episode=episode,
        condition=condition,
        sight=sight,
        now_ms=working.close_ms,
        rules=working.rules.fuse,
    )
    if stepped is not episode:
        episodes = list(working.fuse.episodes)
        episodes[instrument] = stepped
        working.fuse = replace(working.fuse, episodes=tuple(episodes))
    if move is Move.ENDED:
        working.events.append(
            FuseMove(time_ms=working.close_ms, trigger=int(Trigger.CLEARED), instrument=instrument)
        )
    elif move is not Move.NONE:
        assert condition is not None
        begins = move is Move.BEGUN
        touched = _order_cuts(working, instrument, stepped.cut_share, begins=begins)
        working.events.append(
            FuseMove(
                time_ms=working.close_ms,
                trigger=int(condition.trigger),
                instrument=instrument,
                value=condition.value,
                threshold=condition.threshold,
                severity=condition.severity,
                cut_share=stepped.cut_share,
                positions=touched,
            )
        )


def _order_cuts(working: Working, instrument: int, cut_share: float, *, begins: bool) -> int:
    notional = sum(
        working.marks[rules.instrument] * position.lots * working.slot_rules(slot)[1].tick_value
        for slot, (rules, position) in enumerate(
            zip(working.rules.slots, working.positions, strict=True)
        )
        if position is not None
    )
    touched, traded = 0, working.rules.instruments[instrument]
    for slot, position in enumerate(working.positions):
        if position is None or working.rules.slots[slot].instrument != instrument:
            continue
        if begins or not position.episode_lots:
            position = replace(position, episode_lots=position.lots)
            working.positions[slot] = position
        lots = compute_cut_lots(
            position.lots,
            position.episode_lots,
            cut_share,
            working.equity,
            notional,
            working.marks[instrument] * traded.tick_value,
            traded.notional_min,
        )
        if lots > 0:
            touched += 1
            working.exits[slot] = make_exit(working, slot, position, CloseReason.FUSE_CUT, lots)
    return touched


def _read_market(
    working: Working, instrument: int, episode: Episode
) -> tuple[Condition | None, Sight]:
    """The most severe trigger that holds on an instrument, and what could be seen of it."""
    rules = working.rules.fuse
    found: list[Condition] = []
    unseen: list[int] = []
    is_read = has_ratio = False
    for slot, slot_rules in enumerate(working.rules.slots):
        signal = working.signals[slot]
        if slot_rules.instrument != instrument or signal is None:
            continue
        is_read = True
        if slot_rules.traits.trigger_volatility:
            has_ratio = has_ratio or not math.isnan(signal.volatility_ratio)
            volatility = check_volatility(signal.volatility_ratio, rules)
            if volatility is not None:
                found.append(volatility)
        position = working.positions[slot]
        if position is not None:
            tested = _test_position(working, slot, position, signal)
            found += tested.conditions
            unseen += tested.unseen
    thin, is_dark = _test_depth(working, instrument)
    if thin is not None:
        found.append(thin)
    if is_dark:
        unseen.append(Trigger.LIQUIDITY)
    if not is_read:
        return find_worst(found), Sight.NOTHING
    if not has_ratio:
        unseen.append(Trigger.VOLATILITY)
    return find_worst(found), Sight.BLIND if episode.trigger in unseen else Sight.CLEAR


def _test_depth(working: Working, instrument: int) -> tuple[Condition | None, bool]:
    """The liquidity trigger against all that is held in an instrument, and whether it is unseen."""
    bar = working.bars[instrument]
    notional = sum(
        working.marks[instrument] * position.lots * working.slot_rules(slot)[1].tick_value
        for slot, position in enumerate(working.positions)
        if position is not None and working.rules.slots[slot].instrument == instrument
    )
    if bar is None or math.isnan(bar.depth_value):
        return None, notional > 0.0
    return check_liquidity(bar.depth_value, notional, working.rules.fuse), False


def _test_position(
    working: Working, slot: int, position: SlotPosition, signal: Signal
) -> PositionTest:
    """The triggers of an open position; its counters of closed bars move here."""
    long = position.side > 0
    tested = check_position(
        reading=MarketReading(
            side=position.side,
            conflict=compute_open_conflict(
                working.marks[working.rules.slots[slot].instrument]
                * working.slot_rules(slot)[1].tick_size,
                signal.atr,
                position.zone_price,
                position.zone_strength,
                signal.opposite_pull_long if long else signal.opposite_pull_short,
            ),
            opposite_strength=signal.heavy_opposite_long if long else signal.heavy_opposite_short,
            target_strength=position.zone_strength,
            trend=signal.trend,
        ),
        watched=working.rules.slots[slot].traits,
        rules=working.rules.fuse,
        conflict_bars=position.conflict_bars,
        flip_bars=position.flip_bars,
    )
    if (tested.conflict_bars, tested.flip_bars) != (position.conflict_bars, position.flip_bars):
        working.positions[slot] = replace(
            position, conflict_bars=tested.conflict_bars, flip_bars=tested.flip_bars
        )
    return tested
