"""Steps 5 to 7 of a bar: marks, the market triggers of the fuse, and orders for the next open."""

from __future__ import annotations

import math
from decimal import Decimal

from risk.domain.fuse import (
    Condition,
    MarketReading,
    check_strategy_day,
    compute_trip_level,
    find_entry_block,
    lift_peaks,
)
from trading.domain.engine.book import (
    Bar,
    CloseReason,
    Denial,
    OrderIntent,
    Refusal,
)
from trading.domain.engine.decision import decide_lots, round_to_ticks
from trading.domain.engine.rules import SlotRules, TradedInstrument
from trading.domain.engine.watching import watch_market
from trading.domain.engine.working import Working, make_exit
from trading.domain.strategies.signals import LeverageRule, Signal


def mark_at_closes(working: Working) -> tuple[float, int] | None:
    """Mark the book at the closes; equity and positions to close where the loss fuse trips there.

    Peaks are not moved yet: they move on what the trip leaves.
    """
    for index, bar in enumerate(working.bars):
        if bar is not None:
            working.marks[index] = bar.close
    mark(working)
    rules = working.rules.fuse
    armed = rules.acting and not working.fuse.tripped_by
    if armed and working.equity <= compute_trip_level(working.fuse, rules):
        return working.equity, len(working.held())
    return None


def decide(working: Working, *, last: bool) -> None:
    """Move the peaks, watch the market, and decide what the next open fills."""
    working.fuse = lift_peaks(working.fuse, equity=working.equity)
    if any(slot.limits.daily_loss_share is not None for slot in working.rules.slots):
        _test_strategies(working)
    if working.rules.fuse.acting and working.rules.fuse.market_acting:
        for index, bar in enumerate(working.bars):
            if bar is not None:
                watch_market(working, index)
    if last:
        working.exits = [None] * len(working.exits)
        working.entries = [None] * len(working.entries)
        return
    for slot, signal in enumerate(working.signals):
        bar = working.bar_of(slot)
        if signal is not None and bar is not None:
            _decide(working, slot, signal, bar)


def mark(working: Working) -> None:
    """Equity at the present marks."""
    working.equity = working.worth()


def _test_strategies(working: Working) -> None:
    for strategy, result in enumerate(working.results()):
        working.move_fuse(
            check_strategy_day(
                working.fuse,
                strategy=strategy,
                result=result,
                time_ms=working.time_ms,
                rules=working.rules.fuse,
                own=working.rules.limits_of(strategy),
            )
        )


def _decide(working: Working, slot: int, signal: Signal, bar: Bar) -> None:
    """Orders of one slot for the next open: leave, enter, or say why not."""
    position = working.positions[slot]
    hold = working.rules.slots[slot].traits.hold_ms_max
    leaving = False
    if position is not None:
        wanted = signal.exit_long if position.side > 0 else signal.exit_short
        # Whole bars count, the one of the entry included, wherever in it the fill came.
        opened = position.entry_time // working.rules.timeframe_ms * working.rules.timeframe_ms
        expired = hold > 0 and working.close_ms - opened >= hold
        if wanted or expired:
            reason = CloseReason.SIGNAL if wanted else CloseReason.TIME
            working.exits[slot] = make_exit(working, slot, position, reason, position.lots)
            leaving = wanted and signal.direction == -position.side
    if signal.direction == 0 or (position is not None and not leaving):
        return
    denial, condition = _find_denial(working, slot, signal)
    if denial is Denial.NONE:
        denial = _size_entry(working, slot, signal, bar)
    if denial is not Denial.NONE:
        working.events.append(
            Refusal(
                time_ms=working.close_ms,
                slot=slot,
                direction=signal.direction,
                denial=int(denial),
                condition=condition,
            )
        )


def _find_denial(working: Working, slot: int, signal: Signal) -> tuple[Denial, Condition | None]:
    """What forbids an entry before its size is asked for, and the trigger behind it."""
    rules = working.rules.slots[slot]
    if working.fuse.tripped_by:
        return Denial.FUSE_TRIPPED, None
    if working.fuse.episodes[rules.instrument].active:
        return Denial.INSTRUMENT_REDUCING, working.conditions[rules.instrument]
    if working.close_ms < working.fuse.lock_until[rules.strategy]:
        return Denial.STRATEGY_LOCKED, None
    long = signal.direction > 0
    block = find_entry_block(
        reading=MarketReading(
            side=signal.direction,
            volatility_ratio=signal.volatility_ratio,
            conflict=signal.conflict,
            opposite_strength=signal.heavy_opposite_long if long else signal.heavy_opposite_short,
            target_strength=signal.strength,
            trend=signal.trend,
        ),
        watched=rules.traits,
        rules=working.rules.fuse,
    )
    return (Denial.NONE, None) if block is None else (Denial.MARKET_TRIGGER, block)


def _size_entry(working: Working, slot: int, signal: Signal, bar: Bar) -> Denial:
    """Order the largest size that every law allows, or say which denial stopped it."""
    rules, instrument = working.slot_rules(slot)
    limits = working.rules.limits
    side = signal.direction
    stop_ticks = round_to_ticks(signal.stop, instrument.tick_size)
    gap_rate = bar.gap_rate_long if side > 0 else bar.gap_rate_short
    gap_rate = max(gap_rate, instrument.gap_rate_floor)
    committed = _find_committed(working, slot)
    number, lots, leverage, tier, binding = decide_lots(
        rules.traits.leverage_rule is LeverageRule.MAGNET,
        side,
        bar.close,
        stop_ticks,
        working.equity,
        signal.distance,
        signal.strength,
        signal.conflict,
        signal.volatility_ratio,
        signal.sigma,
        *committed,
        gap_rate,
        min(rules.risk_share, _own(rules.limits.loss_at_stop_share)),
        min(
            rules.traits.liquidation_share_max,
            limits.stop_liquidation_share_max,
            _own(rules.limits.stop_liquidation_share_max),
        ),
        instrument.tick_size,
        instrument.lot_size,
        instrument.notional_min,
        instrument.taker_fee_rate,
        instrument.slippage_rate,
        instrument.maintenance_rate,
        limits.margin_share_tier_1,
        limits.margin_share_tier_2,
        limits.margin_share_tier_3,
        min(limits.margin_share_position, _own(rules.limits.margin_share_position)),
        limits.margin_share_group,
        limits.margin_share_total,
        limits.loss_at_stop_share,
        limits.gap_share_position,
        limits.gap_share_book,
        min(limits.leverage_cap, instrument.leverage_cap),
        limits.volatility_target,
        limits.liquidation_quantile,
        limits.liquidation_years,
    )
    denial = Denial(number)
    if denial is Denial.NONE:
        intent = OrderIntent(
            slot=slot,
            decided_at=working.close_ms,
            side=side,
            lots=lots,
            reduces=False,
            close_reason=0,
            stop_ticks=stop_ticks,
            target_ticks=round_to_ticks(signal.target, instrument.tick_size),
            decision_ticks=bar.close,
            leverage=leverage,
            tier=tier,
            zone_price=signal.target_zone_price,
            zone_strength=signal.strength,
            equity=working.equity,
            binding=binding,
        )
        working.entries[slot] = intent
        working.events.append(intent)
    return denial


def _own(figure: Decimal | None) -> float:
    """A strategy's own figure; without one it bounds nothing."""
    return math.inf if figure is None else float(figure)


def _find_committed(working: Working, slot: int) -> tuple[float, float, float, float, float]:
    """Margin of instrument, group and book, gap loss of instrument and book, orders included.

    The slot's own position is left out: it is either none or closing in favour of this order.
    Every gap is the floor of its class, the figure that does not change with time.
    """
    own, own_instrument = working.slot_rules(slot)
    margins, gaps = [0.0, 0.0, 0.0], [0.0, 0.0]
    for index, rules in enumerate(working.rules.slots):
        if index == slot:
            continue
        instrument = working.rules.instruments[rules.instrument]
        margin, gap = _find_slot_commitment(working, index, rules, instrument)
        margins[2] += margin
        gaps[1] += gap
        if instrument.correlation_group == own_instrument.correlation_group:
            margins[1] += margin
        if rules.instrument == own.instrument:
            margins[0] += margin
            gaps[0] += gap
    return margins[0], margins[1], margins[2], gaps[0], gaps[1]


def _find_slot_commitment(
    working: Working, slot: int, rules: SlotRules, instrument: TradedInstrument
) -> tuple[float, float]:
    """Margin and gap loss that a slot holds or has ordered."""
    margin = gap = 0.0
    position, entry = working.positions[slot], working.entries[slot]
    if position is not None:
        notional = working.marks[rules.instrument] * position.lots * instrument.tick_value
        margin += position.margin
        gap += min(1.0 / position.leverage, instrument.gap_rate_floor) * notional
    if entry is not None:
        notional = entry.decision_ticks * entry.lots * instrument.tick_value
        margin += notional / entry.leverage
        gap += min(1.0 / entry.leverage, instrument.gap_rate_floor) * notional
    return margin, gap
