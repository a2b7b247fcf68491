"""Steps 1 and 2 of a bar: the day turns, the open fills what it jumped and what waited, funding."""

from __future__ import annotations

from dataclasses import replace

from risk.domain.fuse import turn_day as fuse_turn_day
from trading.domain.engine.book import (
    Bar,
    CloseReason,
    Fill,
    Funding,
    OrderIntent,
    Position,
)
from trading.domain.engine.scalars import (
    find_liquidation_ticks,
    is_beyond,
    is_reached,
    slipped_ticks,
)
from trading.domain.engine.working import Working
from trading.domain.strategies.signals import DAY_MS


def turn_day(working: Working) -> None:
    """Start a new UTC day at the last mark, and re-arm a trip whose time has come."""
    fuse, time_ms = working.fuse, working.time_ms
    if time_ms // DAY_MS * DAY_MS > fuse.day_start_ms or fuse.tripped_by:
        working.move_fuse(
            fuse_turn_day(fuse, time_ms=time_ms, equity=working.equity, results=working.results())
        )


def open_bar(working: Working) -> None:
    """Fill at the open what the open jumped, then the waiting orders, then charge funding."""
    for slot, position, bar in working.held():
        _leave_at_open(working, slot, position, bar)
    for slot, intent in enumerate(working.entries):
        entry_bar = working.bar_of(slot)
        if intent is not None and entry_bar is not None:
            working.entries[slot] = None
            if working.positions[slot] is None:
                _enter(working, slot, intent, entry_bar)
    for slot, position, bar in working.held():
        if bar.funding_rate != 0.0:
            _fund(working, slot, position, bar)


def _leave_at_open(working: Working, slot: int, position: Position, bar: Bar) -> None:
    side = position.side
    if is_beyond(bar.open, position.liquidation_ticks, side):
        working.fill_exit(slot, bar.open, CloseReason.LIQUIDATION, gapped=True)
    elif is_beyond(bar.open, position.stop_ticks, side):
        working.fill_exit_at_market(slot, bar.open, CloseReason.STOP, gapped=True)
    elif is_reached(bar.open, position.target_ticks, side):
        working.fill_exit(slot, bar.open, CloseReason.TARGET, gapped=True)
    else:
        intent = working.exits[slot]
        working.exits[slot] = None
        if intent is not None:
            reason = CloseReason(intent.close_reason)
            working.fill_exit_at_market(slot, bar.open, reason, lots=intent.lots)


def _enter(working: Working, slot: int, intent: OrderIntent, bar: Bar) -> None:
    instrument = working.slot_rules(slot)[1]
    filled = slipped_ticks(bar.open, intent.side, instrument.slippage_rate)
    notional = filled * intent.lots * instrument.tick_value
    fee = notional * instrument.taker_fee_rate
    working.cash -= fee
    working.positions[slot] = Position(
        side=intent.side,
        lots=intent.lots,
        lots_opened=intent.lots,
        entry_ticks=filled,
        decision_ticks=intent.decision_ticks,
        entry_time=working.time_ms,
        stop_ticks=intent.stop_ticks,
        target_ticks=intent.target_ticks,
        liquidation_ticks=find_liquidation_ticks(
            filled, intent.side, intent.leverage, instrument.maintenance_rate
        ),
        leverage=intent.leverage,
        margin=notional / intent.leverage,
        tier=intent.tier,
        zone_price=intent.zone_price,
        zone_strength=intent.zone_strength,
        fees=fee,
        funding=0.0,
        realised=0.0,
        ticks_lots_realised=0,
        conflict_bars=0,
        flip_bars=0,
        episode_lots=0,
        cuts=0,
        ambiguous=False,
        equity_at_entry=intent.equity,
        binding=intent.binding,
    )
    working.events.append(
        Fill(
            time_ms=working.time_ms,
            slot=slot,
            side=intent.side,
            lots=intent.lots,
            price_ticks=filled,
            fee=fee,
            close_reason=0,
            gapped=False,
        )
    )


def _fund(working: Working, slot: int, position: Position, bar: Bar) -> None:
    """Long pays a positive rate on the notional at the stamp, short receives it."""
    instrument = working.slot_rules(slot)[1]
    notional = bar.open * position.lots * instrument.tick_value
    cash = -position.side * notional * bar.funding_rate
    working.cash += cash
    working.positions[slot] = replace(position, funding=position.funding + cash)
    working.events.append(
        Funding(
            time_ms=working.time_ms,
            slot=slot,
            rate=bar.funding_rate,
            notional=notional,
            cash=cash,
        )
    )
