"""Steps 5 to 7 of a bar: marks, the market triggers of the fuse, and orders for the next open."""

from __future__ import annotations

from dataclasses import replace

from risk.domain.fuse.thresholds import find_cut_share, find_loss_threshold, find_severity
from trading.domain.engine.book import (
    Bar,
    CloseReason,
    Denial,
    Episode,
    OrderIntent,
    Position,
    Refusal,
    Trigger,
)
from trading.domain.engine.decision import decide_lots, find_stop_ticks
from trading.domain.engine.intrabar import trip
from trading.domain.engine.rules import InstrumentRules, SlotRules
from trading.domain.engine.scalars import find_cut_lots, find_open_conflict
from trading.domain.engine.working import Working, make_exit
from trading.domain.strategies.signals import LeverageRule, Signal

#: Closed bars in a row that a trend must stand against a position before it counts.
FLIP_BARS = 2


def mark_and_decide(working: Working, *, last: bool) -> None:
    """Mark the book at the closes, test the fuse there, and decide what the next open fills."""
    for index, bar in enumerate(working.bars):
        if bar is not None:
            working.marks[index] = bar.close
    _mark(working)
    _test_losses_at_close(working)
    if working.rules.fuse.acting and working.rules.fuse.market_acting:
        for index, bar in enumerate(working.bars):
            if bar is not None:
                _watch_market(working, index)
    if last:
        working.exits = [None] * len(working.exits)
        working.entries = [None] * len(working.entries)
        return
    for slot, signal in enumerate(working.signals):
        bar = working.bar_of(slot)
        if signal is not None and bar is not None:
            _decide(working, slot, signal, bar)


def _mark(working: Working) -> None:
    equity = working.cash
    for slot, position in enumerate(working.positions):
        if position is not None:
            equity += working.value_at(slot, working.marks[working.rules.slots[slot].instrument])
    working.equity = equity


def _test_losses_at_close(working: Working) -> None:
    """The loss fuse on the close; peaks move on closes alone."""
    fuse = working.rules.fuse
    if fuse.acting and not working.tripped_by:
        threshold = find_loss_threshold(
            working.day_start_equity,
            working.peak_equity,
            fuse.daily_loss_share,
            fuse.drawdown_share,
        )
        if working.equity <= threshold:
            held = working.held()
            equity = working.equity
            for slot, _, bar in held:
                working.fill_exit_at_market(slot, bar.close, CloseReason.FUSE)
            trip(working, equity=equity, closed=len(held))
            _mark(working)
    if not working.tripped_by:
        working.peak_equity = max(working.peak_equity, working.equity)
    working.peak_equity_unreset = max(working.peak_equity_unreset, working.equity)


def _watch_market(working: Working, instrument: int) -> None:
    """Begin, deepen or end the REDUCING episode of an instrument.

    Only a reading moves it: a bar between two closes of the strategies' timeframe says nothing.
    """
    if not _has_reading(working, instrument):
        return
    trigger, value, threshold, severity = _find_market_trigger(working, instrument)
    episode = working.episodes[instrument]
    if trigger is None:
        if not episode.active:
            return
        if not episode.cleared_at:
            working.episodes[instrument] = replace(episode, cleared_at=working.close_ms)
        elif working.close_ms - episode.cleared_at >= working.rules.fuse.rearm_after_clear_ms:
            working.episodes[instrument] = Episode()
            working.note(Trigger.CLEARED, at=working.close_ms, instrument=instrument)
        return
    begins = not episode.active
    if not begins and severity <= episode.severity:
        working.episodes[instrument] = replace(episode, cleared_at=0)
        return
    fuse = working.rules.fuse
    cut_share = find_cut_share(severity, fuse.cut_share_min, fuse.cut_share_max)
    working.episodes[instrument] = Episode(
        active=True,
        trigger=int(trigger),
        severity=severity,
        cut_share=cut_share,
        started_at=working.close_ms if begins else episode.started_at,
    )
    touched = _order_cuts(working, instrument, cut_share, begins=begins)
    working.note(
        trigger,
        at=working.close_ms,
        instrument=instrument,
        value=value,
        threshold=threshold,
        severity=severity,
        cut_share=cut_share,
        positions=touched,
    )


def _has_reading(working: Working, instrument: int) -> bool:
    return any(
        signal is not None and rules.instrument == instrument
        for rules, signal in zip(working.rules.slots, working.signals, strict=True)
    )


def _order_cuts(working: Working, instrument: int, cut_share: float, *, begins: bool) -> int:
    notional = sum(
        working.marks[rules.instrument] * position.lots * working.slot_rules(slot)[1].tick_value
        for slot, (rules, position) in enumerate(
            zip(working.rules.slots, working.positions, strict=True)
        )
        if position is not None
    )
    touched = 0
    for slot, position in enumerate(working.positions):
        if position is None or working.rules.slots[slot].instrument != instrument:
            continue
        if begins or not position.episode_lots:
            position = replace(position, episode_lots=position.lots)
            working.positions[slot] = position
        lots = find_cut_lots(
            position.lots, position.episode_lots, cut_share, working.equity, notional
        )
        if lots > 0:
            touched += 1
            working.exits[slot] = make_exit(working, slot, position, CloseReason.FUSE_CUT, lots)
    return touched


def _find_market_trigger(
    working: Working, instrument: int
) -> tuple[Trigger | None, float, float, float]:
    """The most severe trigger that holds on an instrument, with its value, limit and severity."""
    fuse = working.rules.fuse
    found: tuple[Trigger | None, float, float, float] = (None, 0.0, 0.0, 0.0)
    for slot, rules in enumerate(working.rules.slots):
        signal = working.signals[slot]
        if rules.instrument != instrument or signal is None:
            continue
        candidates: list[tuple[Trigger, float, float, float]] = []
        ratio, limit = signal.volatility_ratio, fuse.volatility_ratio_max
        if rules.traits.trigger_volatility and ratio > limit:
            candidates.append((Trigger.VOLATILITY, ratio, limit, find_severity(ratio, limit)))
        position = working.positions[slot]
        if position is not None:
            candidates += _test_position(working, slot, position, signal)
        for candidate in candidates:
            if found[0] is None or candidate[3] > found[3]:
                found = candidate
    return found


def _test_position(
    working: Working, slot: int, position: Position, signal: Signal
) -> list[tuple[Trigger, float, float, float]]:
    """The triggers of an open position; its counters of closed bars move here."""
    traits, limit = working.rules.slots[slot].traits, working.rules.fuse.conflict_max
    found: list[tuple[Trigger, float, float, float]] = []
    long = position.side > 0
    if traits.trigger_conflict:
        conflict = find_open_conflict(
            working.marks[working.rules.slots[slot].instrument]
            * working.slot_rules(slot)[1].tick_size,
            signal.atr,
            position.zone_price,
            position.zone_strength,
            signal.opposite_pull_long if long else signal.opposite_pull_short,
        )
        bars = position.conflict_bars + 1 if conflict > limit else 0
        position = replace(position, conflict_bars=bars)
        if bars >= traits.conflict_bars:
            found.append((Trigger.CONFLICT, conflict, limit, find_severity(conflict, limit)))
    if traits.trigger_opposite:
        heavy = signal.heavy_opposite_long if long else signal.heavy_opposite_short
        strength = position.zone_strength
        if heavy > strength:
            found.append((Trigger.OPPOSITE_MAGNET, heavy, strength, find_severity(heavy, strength)))
    if traits.trigger_trend_flip:
        bars = position.flip_bars + 1 if signal.trend * position.side < 0 else 0
        position = replace(position, flip_bars=bars)
        if bars >= FLIP_BARS:
            found.append((Trigger.TREND_FLIP, float(signal.trend), 0.0, 0.0))
    working.positions[slot] = position
    return found


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
    denial = _find_denial(working, slot, signal)
    if denial is Denial.NONE:
        denial = _size_entry(working, slot, signal, bar)
    if denial is not Denial.NONE:
        working.events.append(
            Refusal(
                time_ms=working.close_ms,
                slot=slot,
                direction=signal.direction,
                denial=int(denial),
            )
        )


def _find_denial(working: Working, slot: int, signal: Signal) -> Denial:
    """What forbids an entry before its size is asked for."""
    rules, fuse = working.rules.slots[slot], working.rules.fuse
    if working.tripped_by:
        return Denial.FUSE_TRIPPED
    if working.episodes[rules.instrument].active:
        return Denial.INSTRUMENT_REDUCING
    if working.close_ms < working.lock_until[rules.strategy]:
        return Denial.STRATEGY_LOCKED
    traits = rules.traits
    if fuse.acting and fuse.market_acting and traits.entry_checks_triggers:
        long = signal.direction > 0
        heavy = signal.heavy_opposite_long if long else signal.heavy_opposite_short
        if (
            (traits.trigger_conflict and signal.conflict > fuse.conflict_max)
            or (traits.trigger_opposite and heavy > signal.strength)
            or (traits.trigger_trend_flip and signal.trend * signal.direction < 0)
        ):
            return Denial.OWN_TRIGGER
    return Denial.NONE


def _size_entry(working: Working, slot: int, signal: Signal, bar: Bar) -> Denial:
    """Order the largest size that every law allows, or say which denial stopped it."""
    rules, instrument = working.slot_rules(slot)
    limits = working.rules.limits
    side = signal.direction
    stop_ticks = find_stop_ticks(signal.stop, instrument.tick_size)
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
        rules.risk_share,
        rules.traits.liquidation_share_max,
        instrument.tick_size,
        instrument.lot_size,
        instrument.notional_min,
        instrument.taker_fee_rate,
        instrument.slippage_rate,
        instrument.maintenance_rate,
        limits.margin_share_tier_1,
        limits.margin_share_tier_2,
        limits.margin_share_tier_3,
        limits.margin_share_position,
        limits.margin_share_group,
        limits.margin_share_total,
        limits.loss_at_stop_share,
        limits.gap_share_position,
        limits.gap_share_book,
        limits.leverage_cap,
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
            target_ticks=find_stop_ticks(signal.target, instrument.tick_size),
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
    working: Working, slot: int, rules: SlotRules, instrument: InstrumentRules
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
