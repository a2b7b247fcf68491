"""The loop of the moving-average yardstick; see ``moving_average`` for what it stands for."""

from __future__ import annotations

from typing import Any

from risk.domain.fuse.thresholds import compute_loss_threshold, is_drawdown_trip
from trading.domain.engine.scalars import (
    compute_liquidation_ticks,
    find_trip_ticks,
    slipped_ticks,
)

_DAY_MS = 86_400_000
_NEVER = 2**62
# CloseReason and ResetPolicy as plain numbers: the compiler takes no enumerations.
_TARGET, _STOP, _SIGNAL, _FUSE, _LIQUIDATION, _END = 1, 2, 3, 5, 7, 0
_RESET_NONE, _RESET_NEXT_DAY = 0, 1


def find_trip_share(equity_open: float, equity_adverse: float, threshold: float) -> float:
    """How far from the open to the adverse extreme equity met the threshold: 0 open, 1 extreme.

    0 also when the open was already at or below it (gapped).
    """
    if equity_open <= threshold or equity_adverse >= equity_open:
        return 0.0
    share = (equity_open - threshold) / (equity_open - equity_adverse)
    return min(1.0, max(0.0, share))


def walk_bars(
    time_ms: Any,
    open_: Any,
    high: Any,
    low: Any,
    close: Any,
    true_range: Any,
    trades: Any,
    equity: Any,
    cash: float,
    fast: int,
    slow: int,
    atr_length: int,
    stop_atr: float,
    target_atr: float,
    fee_rate: float,
    slippage_rate: float,
    fuse_slippage_rate: float,
    maintenance_rate: float,
    equity_share: float,
    leverage: float,
    fuse_on: bool,
    daily_loss_share: float,
    drawdown_share: float,
    reset_policy: int,
    close_at_end: bool,
) -> tuple[int, float, float, int, int, int]:
    """Walk all bars; money in ticks times lots.  Runs on lists and, compiled, on arrays.

    Returns (trades, final equity, largest drawdown, ambiguous bars, fuse trips, liquidations).
    Rows beyond the size of ``trades`` or ``equity`` are counted but not stored.
    """
    n = len(close)
    stored = len(trades)
    marking = len(equity) == n
    side, lots, entry, entry_bar, stop, target, liquidation, margin = 0, 0, 0, 0, 0, 0, 0, 0.0
    pending, pending_range = 0, 0
    fast_sum, slow_sum, range_sum, spread_before = 0, 0, 0, 0
    peak, drawdown_max, mark = cash, 0.0, cash
    fuse_peak, day, day_start = cash, -1, cash
    tripped, rearm_at = False, _NEVER
    rebase = False
    count, ambiguous, trips, liquidations = 0, 0, 0, 0

    for i in range(n):
        o = open_[i]
        c = close[i]
        if fuse_on:
            today = time_ms[i] // _DAY_MS
            if today != day:
                day = today
                day_start = mark
            if tripped and time_ms[i] >= rearm_at:
                tripped = False
                if rebase:
                    fuse_peak = mark

        # 1. The open: what it jumped, then the pending order.
        out, reason = 0, _END
        if side != 0:
            if liquidation > 0 and (o - liquidation) * side <= 0:
                out, reason = o, _LIQUIDATION
            elif (o - stop) * side <= 0:
                out, reason = slipped_ticks(o, -side, slippage_rate), _STOP
            elif (o - target) * side >= 0:
                out, reason = o, _TARGET
            elif pending != 0 and pending != side:
                out, reason = slipped_ticks(o, -side, slippage_rate), _SIGNAL
            if out != 0:
                gain = float((out - entry) * side) * lots
                if reason == _LIQUIDATION:
                    gain = max(gain, -margin)
                    liquidations += 1
                cash += gain - fee_rate * lots * float(out)
                if count < stored:
                    row = trades[count]
                    row[0], row[1], row[2], row[3] = entry_bar, i, side, lots
                    row[4], row[5], row[6] = entry, out, reason
                count += 1
                side = 0
        if pending != 0:
            if side == 0 and cash > 0.0 and not tripped:
                fill = slipped_ticks(o, pending, slippage_rate)
                lots = int(equity_share * leverage * cash / (fill * (1.0 + fee_rate)))
                if lots > 0:
                    side, entry, entry_bar = pending, fill, i
                    cash -= fee_rate * lots * float(fill)
                    margin = float(fill) * lots / leverage
                    atr = pending_range / atr_length
                    stop = fill - side * round(stop_atr * atr)
                    target = fill + side * round(target_atr * atr)
                    liquidation = compute_liquidation_ticks(fill, side, leverage, maintenance_rate)
            pending = 0

        # 2. Inside the bar: the stop first, liquidation only where it lies nearer.
        fused = False
        if side != 0:
            worst = low[i] if side > 0 else high[i]
            best = high[i] if side > 0 else low[i]
            out, reason = 0, _END
            if liquidation > 0 and (liquidation - stop) * side > 0:
                if (worst - liquidation) * side <= 0:
                    out, reason = liquidation, _LIQUIDATION
            elif (worst - stop) * side <= 0:
                out, reason = slipped_ticks(stop, -side, slippage_rate), _STOP
                if (best - target) * side >= 0:
                    ambiguous += 1
            if out == 0 and (best - target) * side >= 0:
                out, reason = target, _TARGET
            # 3. The loss fuse, where equity meets its threshold before the exit on the loss side.
            if fuse_on and reason != _TARGET:
                threshold = compute_loss_threshold(
                    day_start, fuse_peak, daily_loss_share, drawdown_share
                )
                reach = worst
                if reason == _STOP:
                    reach = stop
                elif reason == _LIQUIDATION:
                    reach = liquidation
                adverse = cash + float((reach - entry) * side) * lots
                if adverse <= threshold:
                    at_open = cash + float((o - entry) * side) * lots
                    share = find_trip_share(at_open, adverse, threshold)
                    price = find_trip_ticks(o, reach, share, side)
                    out, reason = slipped_ticks(price, -side, fuse_slippage_rate), _FUSE
                    fused = True
            if out != 0:
                gain = float((out - entry) * side) * lots
                if reason == _LIQUIDATION:
                    gain = max(gain, -margin)
                    liquidations += 1
                cash += gain - fee_rate * lots * float(out)
                if count < stored:
                    row = trades[count]
                    row[0], row[1], row[2], row[3] = entry_bar, i, side, lots
                    row[4], row[5], row[6] = entry, out, reason
                count += 1
                side = 0

        # 4. Mark at the close; peak and drawdown move on closes alone.
        mark = cash if side == 0 else cash + float((c - entry) * side) * lots
        if mark > peak:
            peak = mark
        elif mark < peak * (1.0 + drawdown_max):
            drawdown_max = mark / peak - 1.0
        if fuse_on and not tripped:
            threshold = compute_loss_threshold(
                day_start, fuse_peak, daily_loss_share, drawdown_share
            )
            if fused or mark <= threshold:
                tripped, trips, pending = True, trips + 1, 0
                rebase = is_drawdown_trip(min(mark, threshold), fuse_peak, drawdown_share)
                rearm_at = (day + 1) * _DAY_MS
                if reset_policy == _RESET_NONE:
                    rearm_at = _NEVER
                elif rebase and reset_policy != _RESET_NEXT_DAY:
                    rearm_at = time_ms[i] + 7 * _DAY_MS
            elif mark > fuse_peak:
                fuse_peak = mark
        if marking:
            equity[i] = mark

        # 5. The signal on the close, an order for the next open.
        fast_sum += c
        slow_sum += c
        range_sum += true_range[i]
        if i >= fast:
            fast_sum -= close[i - fast]
        if i >= atr_length:
            range_sum -= true_range[i - atr_length]
        if i >= slow:
            slow_sum -= close[i - slow]
        if i >= slow - 1:
            spread = fast_sum * slow - slow_sum * fast
            if i >= slow and i < n - 1 and i >= atr_length - 1 and not tripped:
                if spread > 0 and spread_before <= 0:
                    pending, pending_range = 1, range_sum
                elif spread < 0 and spread_before >= 0:
                    pending, pending_range = -1, range_sum
            spread_before = spread

    if side != 0 and close_at_end:
        out = slipped_ticks(close[n - 1], -side, slippage_rate)
        cash += float((out - entry) * side) * lots - fee_rate * lots * float(out)
        if count < stored:
            row = trades[count]
            row[0], row[1], row[2], row[3] = entry_bar, n - 1, side, lots
            row[4], row[5], row[6] = entry, out, _END
        count += 1
        mark = cash
        drawdown_max = min(drawdown_max, mark / peak - 1.0)
        if marking:
            equity[n - 1] = mark
    return count, mark, drawdown_max, ambiguous, trips, liquidations
