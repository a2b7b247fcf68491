"""The arithmetic of size on plain numbers; the backtest compiles these very functions.

No object, no exception, no allocation.  Callers check their inputs: every price, lot and leverage
is positive and finite, rates are not negative.  Sides are +1 long, -1 short.

Law: with the returned lots each limit holds as computed by the functions of this module, so
rounding never carries a trade over one.
"""

from __future__ import annotations

import math

LOTS_MAX = 2**53
"""Beyond it float64 no longer counts whole lots."""

BOUND_NONE = 0
BOUND_RISK = 1
BOUND_TIER_MARGIN = 2
BOUND_POSITION_MARGIN = 3
BOUND_GROUP_MARGIN = 4
BOUND_TOTAL_MARGIN = 5
BOUND_GAP_POSITION = 6
BOUND_GAP_BOOK = 7


def stop_loss_rate_core(
    entry: float,
    stop: float,
    fee_in: float,
    slip_in: float,
    fee_out: float,
    slip_out: float,
    funding: float,
) -> float:
    """Loss at the stop per unit: |EP - stop| + EP (fee + slip) + stop (fee + slip) + EP funding."""
    return (
        abs(entry - stop)
        + entry * (fee_in + slip_in)
        + stop * (fee_out + slip_out)
        + entry * max(0.0, funding)
    )


def gap_loss_rate_core(
    entry: float,
    side: int,
    leverage: float,
    gap: float,
    fee_in: float,
    fee_out: float,
    is_isolated: bool,
) -> float:
    """Loss per unit when price jumps by ``gap`` against the position, with both fees.

    EP min(1/L, g) for an isolated wallet, EP g for a shared one.  The closing fee of a long is
    taken on the entry price (more than it will be), so that a larger gap never costs less.
    """
    rate = min(1.0 / leverage, gap) if is_isolated else gap
    after = 1.0 if side > 0 else 1.0 + gap
    return entry * rate + entry * fee_in + entry * after * fee_out


def lots_within_core(money: float, rate_per_lot: float) -> int:
    """Whole lots whose cost of ``rate_per_lot`` each stays within ``money``; 0 when none does."""
    if not money > 0.0:
        return 0
    if rate_per_lot <= 0.0:
        return LOTS_MAX
    ratio = money / rate_per_lot
    if ratio >= LOTS_MAX:
        return LOTS_MAX
    lots = math.floor(ratio)
    if lots > 0 and lots * rate_per_lot > money:
        lots -= 1
    return lots


def lots_core(
    entry: float,
    leverage: float,
    lot_units: float,
    loss_rate: float,
    gap_rate: float,
    risk_room: float,
    tier_room: float,
    position_room: float,
    group_room: float,
    total_room: float,
    gap_position_room: float,
    gap_book_room: float,
) -> tuple[int, int]:
    """``(lots, binding)``: the largest size within every limit, and the binding limit.

    ``loss_rate`` and ``gap_rate`` are losses per unit of the base; the rooms are money: the loss
    allowed at the stop, the margins still free, the gap losses still free.  Of equal laws the
    first in this order is named.
    """
    margin_per_lot = lot_units * entry / leverage
    gap_per_lot = lot_units * gap_rate
    lots = lots_within_core(risk_room, lot_units * loss_rate)
    binding = BOUND_RISK
    other = lots_within_core(tier_room, margin_per_lot)
    if other < lots:
        lots, binding = other, BOUND_TIER_MARGIN
    other = lots_within_core(position_room, margin_per_lot)
    if other < lots:
        lots, binding = other, BOUND_POSITION_MARGIN
    other = lots_within_core(group_room, margin_per_lot)
    if other < lots:
        lots, binding = other, BOUND_GROUP_MARGIN
    other = lots_within_core(total_room, margin_per_lot)
    if other < lots:
        lots, binding = other, BOUND_TOTAL_MARGIN
    other = lots_within_core(gap_position_room, gap_per_lot)
    if other < lots:
        lots, binding = other, BOUND_GAP_POSITION
    other = lots_within_core(gap_book_room, gap_per_lot)
    if other < lots:
        lots, binding = other, BOUND_GAP_BOOK
    return lots, binding


def liquidation_price_core(
    entry: float, side: int, leverage: float, maintenance_rate: float
) -> float:
    """Isolated liquidation price in one margin tier, 0.0 where there is none.

    Long EP (1 - 1/L) / (1 - mmr), short EP (1 + 1/L) / (1 + mmr).
    Source: Binance, USDT-margined liquidation price, wallet = entry notional / L.
    """
    if side > 0:
        return max(0.0, entry * (1.0 - 1.0 / leverage) / (1.0 - maintenance_rate))
    return entry * (1.0 + 1.0 / leverage) / (1.0 + maintenance_rate)


def is_stop_before_liquidation_core(
    entry: float, stop: float, liquidation: float, share_max: float
) -> bool:
    """Whether the stop lies within ``share_max`` of the way from the entry to liquidation."""
    return abs(entry - stop) <= share_max * abs(entry - liquidation)
