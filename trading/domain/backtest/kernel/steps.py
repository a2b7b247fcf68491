"""Steps 1 to 5 of a bar on flat arrays; the loop that numba compiles.

Each function mirrors one of the readable engine (``opening``, ``intrabar``, ``working``) and is
written apart from it, so that a slip in either shows as a difference.  Plain numbers and arrays
only; see ``layout`` for the columns.
"""

from __future__ import annotations

from typing import Any

from risk.domain.fuse.thresholds import find_loss_threshold
from trading.domain.backtest.kernel.layout import (
    BF_FUNDING,
    BI_CLOSE,
    BI_HIGH,
    BI_LOW,
    BI_OPEN,
    BI_PRESENT,
    FF_CASH,
    FF_DAY_START,
    FF_EQUITY,
    FF_PEAK,
    FF_PEAK_UNRESET,
    FI_DAY_START_MS,
    FI_EVENTS,
    FI_ORDERS,
    FI_REARM_AT,
    FI_TRADES,
    FI_TRIPPED_BY,
    MF_FEE,
    MF_FUSE_SLIPPAGE,
    MF_MAINTENANCE,
    MF_SLIPPAGE,
    MF_TICK_VALUE,
    MI_MARK,
    PF_ENTER_EQUITY,
    PF_ENTER_LEVERAGE,
    PF_ENTER_ZONE_PRICE,
    PF_ENTER_ZONE_STRENGTH,
    PF_EQUITY,
    PF_FEES,
    PF_FUNDING,
    PF_LEVERAGE,
    PF_MARGIN,
    PF_REALISED,
    PF_ZONE_PRICE,
    PF_ZONE_STRENGTH,
    PI_AMBIGUOUS,
    PI_BINDING,
    PI_CONFLICT_BARS,
    PI_CUTS,
    PI_DECISION,
    PI_ENTER_BINDING,
    PI_ENTER_DECISION,
    PI_ENTER_LOTS,
    PI_ENTER_SIDE,
    PI_ENTER_STOP,
    PI_ENTER_TARGET,
    PI_ENTER_TIER,
    PI_ENTRY,
    PI_ENTRY_TIME,
    PI_EPISODE_LOTS,
    PI_EXIT_LOTS,
    PI_EXIT_REASON,
    PI_FLIP_BARS,
    PI_LIQUIDATION,
    PI_LOTS,
    PI_LOTS_OPENED,
    PI_OUT_PRICE,
    PI_OUT_REASON,
    PI_SIDE,
    PI_STOP,
    PI_TARGET,
    PI_TICKS_LOTS,
    PI_TIER,
    RI_INSTRUMENT,
    RI_STRATEGY,
    SI_LOCK_UNTIL,
    SI_LOSSES,
    TF_EQUITY,
    TF_FEES,
    TF_FUNDING,
    TF_LEVERAGE,
    TF_NET,
    TF_R,
    TI_AMBIGUOUS,
    TI_BINDING,
    TI_CUTS,
    TI_DECISION,
    TI_ENTRY,
    TI_ENTRY_TIME,
    TI_EXIT,
    TI_EXIT_TIME,
    TI_LOTS,
    TI_REASON,
    TI_SIDE,
    TI_SLOT,
    TI_STOP,
    TI_TARGET,
    TI_TICKS_LOTS,
    TI_TIER,
    VF_CUT,
    VF_SEVERITY,
    VF_THRESHOLD,
    VF_VALUE,
    VI_INSTRUMENT,
    VI_POSITIONS,
    VI_STRATEGY,
    VI_TIME,
    VI_TRIGGER,
    ZF_DAILY,
    ZF_DRAWDOWN,
    ZI_ACTING,
    ZI_LOSSES,
    ZI_POLICY,
)
from trading.domain.backtest.scalars import (
    find_book_trip_share,
    find_exit_share,
    find_liquidation_ticks,
    find_rearm_time,
    find_trip_ticks,
    is_beyond,
    is_drawdown_trip,
    is_reached,
    slipped_ticks,
)

DAY_MS = 86_400_000
NEVER_MS = 2**62
# CloseReason and Trigger as numbers.
TARGET, STOP, FUSE, FUSE_CUT, LIQUIDATION = 1, 2, 5, 6, 7
DAILY_LOSS, DRAWDOWN, LOSS_STREAK, RESET = 1, 2, 3, 8


def note_event(
    fi: Any,
    vi: Any,
    vf: Any,
    time: int,
    trigger: int,
    instrument: int,
    strategy: int,
    value: float,
    threshold: float,
    severity: float,
    cut: float,
    positions: int,
) -> None:
    """Append one fuse event."""
    row = fi[FI_EVENTS]
    vi[row, VI_TIME] = time
    vi[row, VI_TRIGGER] = trigger
    vi[row, VI_INSTRUMENT] = instrument
    vi[row, VI_STRATEGY] = strategy
    vi[row, VI_POSITIONS] = positions
    vf[row, VF_VALUE] = value
    vf[row, VF_THRESHOLD] = threshold
    vf[row, VF_SEVERITY] = severity
    vf[row, VF_CUT] = cut
    fi[FI_EVENTS] = row + 1


def close_lots(
    k: int,
    price: int,
    reason: int,
    wanted: int,
    time: int,
    pi: Any,
    pf: Any,
    ri: Any,
    mf: Any,
    fi: Any,
    ff: Any,
    si: Any,
    zi: Any,
    ti: Any,
    tf: Any,
    vi: Any,
    vf: Any,
) -> None:
    """Close lots (0 = all) of slot k at a price; write the trade when nothing is left."""
    m = ri[k, RI_INSTRUMENT]
    unit = mf[m, MF_TICK_VALUE]
    held = pi[k, PI_LOTS]
    lots = held
    if wanted > 0 and wanted < held:
        lots = wanted
    moved = (price - pi[k, PI_ENTRY]) * pi[k, PI_SIDE] * lots
    gain = moved * unit
    if reason == LIQUIDATION:
        gain = max(gain, -pf[k, PF_MARGIN])
    fee = price * lots * unit * mf[m, MF_FEE]
    ff[FF_CASH] += gain - fee
    pf[k, PF_FEES] += fee
    pf[k, PF_REALISED] += gain
    pi[k, PI_TICKS_LOTS] += moved
    kept = held - lots
    pf[k, PF_MARGIN] = pf[k, PF_MARGIN] * kept / held
    pi[k, PI_LOTS] = kept
    if kept > 0:
        pi[k, PI_CUTS] += 1
        return
    net = pf[k, PF_REALISED] - pf[k, PF_FEES] + pf[k, PF_FUNDING]
    at_risk = abs(pi[k, PI_DECISION] - pi[k, PI_STOP]) * pi[k, PI_LOTS_OPENED] * unit
    row = fi[FI_TRADES]
    ti[row, TI_SLOT] = k
    ti[row, TI_SIDE] = pi[k, PI_SIDE]
    ti[row, TI_LOTS] = pi[k, PI_LOTS_OPENED]
    ti[row, TI_ENTRY_TIME] = pi[k, PI_ENTRY_TIME]
    ti[row, TI_EXIT_TIME] = time
    ti[row, TI_ENTRY] = pi[k, PI_ENTRY]
    ti[row, TI_EXIT] = price
    ti[row, TI_STOP] = pi[k, PI_STOP]
    ti[row, TI_TARGET] = pi[k, PI_TARGET]
    ti[row, TI_REASON] = reason
    ti[row, TI_TICKS_LOTS] = pi[k, PI_TICKS_LOTS]
    ti[row, TI_TIER] = pi[k, PI_TIER]
    ti[row, TI_DECISION] = pi[k, PI_DECISION]
    ti[row, TI_BINDING] = pi[k, PI_BINDING]
    ti[row, TI_AMBIGUOUS] = pi[k, PI_AMBIGUOUS]
    ti[row, TI_CUTS] = pi[k, PI_CUTS]
    tf[row, TF_FEES] = pf[k, PF_FEES]
    tf[row, TF_FUNDING] = pf[k, PF_FUNDING]
    tf[row, TF_NET] = net
    tf[row, TF_R] = net / at_risk if at_risk > 0.0 else 0.0
    tf[row, TF_LEVERAGE] = pf[k, PF_LEVERAGE]
    tf[row, TF_EQUITY] = pf[k, PF_EQUITY]
    fi[FI_TRADES] = row + 1
    pi[k, PI_SIDE] = 0
    pi[k, PI_EXIT_LOTS] = 0
    pi[k, PI_OUT_REASON] = -1
    s = ri[k, RI_STRATEGY]
    if net >= 0.0:
        si[s, SI_LOSSES] = 0
        return
    si[s, SI_LOSSES] += 1
    if zi[ZI_ACTING] and si[s, SI_LOSSES] >= zi[ZI_LOSSES]:
        si[s, SI_LOSSES] = 0
        si[s, SI_LOCK_UNTIL] = (time // DAY_MS + 1) * DAY_MS
        limit = float(zi[ZI_LOSSES])
        note_event(fi, vi, vf, time, LOSS_STREAK, -1, s, limit, limit, 0.0, 0.0, 0)


def turn_day(time: int, fi: Any, ff: Any, vi: Any, vf: Any) -> None:
    """A new UTC day starts at the last mark; a trip whose time has come is re-armed."""
    day = time // DAY_MS * DAY_MS
    if day > fi[FI_DAY_START_MS]:
        fi[FI_DAY_START_MS] = day
        ff[FF_DAY_START] = ff[FF_EQUITY]
    by = fi[FI_TRIPPED_BY]
    if by != 0 and time >= fi[FI_REARM_AT]:
        if by == DRAWDOWN:
            ff[FF_PEAK] = ff[FF_EQUITY]
        note_event(fi, vi, vf, time, RESET, -1, -1, float(by), ff[FF_PEAK], 0.0, 0.0, 0)
        fi[FI_TRIPPED_BY] = 0
        fi[FI_REARM_AT] = NEVER_MS


def open_slots(
    time: int,
    bi: Any,
    bf: Any,
    pi: Any,
    pf: Any,
    ri: Any,
    mf: Any,
    fi: Any,
    ff: Any,
    si: Any,
    zi: Any,
    ti: Any,
    tf: Any,
    vi: Any,
    vf: Any,
) -> None:
    """What the open jumped, then waiting orders, then funding."""
    count = pi.shape[0]
    for k in range(count):
        m = ri[k, RI_INSTRUMENT]
        side = pi[k, PI_SIDE]
        if side == 0 or bi[m, BI_PRESENT] == 0:
            continue
        o = bi[m, BI_OPEN]
        price, reason, lots = 0, 0, 0
        if is_beyond(o, pi[k, PI_LIQUIDATION], side):
            price, reason = o, LIQUIDATION
        elif is_beyond(o, pi[k, PI_STOP], side):
            price, reason = slipped_ticks(o, -side, mf[m, MF_SLIPPAGE]), STOP
        elif is_reached(o, pi[k, PI_TARGET], side):
            price, reason = o, TARGET
        elif pi[k, PI_EXIT_LOTS] > 0:
            reason, lots = pi[k, PI_EXIT_REASON], pi[k, PI_EXIT_LOTS]
            rate = mf[m, MF_SLIPPAGE]
            if reason in (FUSE, FUSE_CUT):
                rate = mf[m, MF_FUSE_SLIPPAGE]
            price = slipped_ticks(o, -side, rate)
        pi[k, PI_EXIT_LOTS] = 0
        if reason != 0:
            close_lots(k, price, reason, lots, time, pi, pf, ri, mf, fi, ff, si, zi, ti, tf, vi, vf)
    for k in range(count):
        m = ri[k, RI_INSTRUMENT]
        if pi[k, PI_ENTER_SIDE] != 0 and bi[m, BI_PRESENT] != 0:
            if pi[k, PI_SIDE] == 0:
                enter_slot(k, m, time, bi[m, BI_OPEN], pi, pf, mf, ff)
            pi[k, PI_ENTER_SIDE] = 0
    for k in range(count):
        m = ri[k, RI_INSTRUMENT]
        rate = bf[m, BF_FUNDING]
        if pi[k, PI_SIDE] != 0 and bi[m, BI_PRESENT] != 0 and rate != 0.0:
            notional = bi[m, BI_OPEN] * pi[k, PI_LOTS] * mf[m, MF_TICK_VALUE]
            cash = -pi[k, PI_SIDE] * notional * rate
            ff[FF_CASH] += cash
            pf[k, PF_FUNDING] += cash


def enter_slot(k: int, m: int, time: int, o: int, pi: Any, pf: Any, mf: Any, ff: Any) -> None:
    """Fill the waiting entry of slot k at the open."""
    side, lots = pi[k, PI_ENTER_SIDE], pi[k, PI_ENTER_LOTS]
    filled = slipped_ticks(o, side, mf[m, MF_SLIPPAGE])
    notional = filled * lots * mf[m, MF_TICK_VALUE]
    fee = notional * mf[m, MF_FEE]
    leverage = pf[k, PF_ENTER_LEVERAGE]
    ff[FF_CASH] -= fee
    pi[k, PI_SIDE] = side
    pi[k, PI_LOTS] = lots
    pi[k, PI_LOTS_OPENED] = lots
    pi[k, PI_ENTRY] = filled
    pi[k, PI_DECISION] = pi[k, PI_ENTER_DECISION]
    pi[k, PI_ENTRY_TIME] = time
    pi[k, PI_STOP] = pi[k, PI_ENTER_STOP]
    pi[k, PI_TARGET] = pi[k, PI_ENTER_TARGET]
    pi[k, PI_LIQUIDATION] = find_liquidation_ticks(filled, side, leverage, mf[m, MF_MAINTENANCE])
    pi[k, PI_TIER] = pi[k, PI_ENTER_TIER]
    pi[k, PI_BINDING] = pi[k, PI_ENTER_BINDING]
    pi[k, PI_CONFLICT_BARS] = 0
    pi[k, PI_FLIP_BARS] = 0
    pi[k, PI_EPISODE_LOTS] = 0
    pi[k, PI_CUTS] = 0
    pi[k, PI_AMBIGUOUS] = 0
    pi[k, PI_TICKS_LOTS] = 0
    pf[k, PF_LEVERAGE] = leverage
    pf[k, PF_MARGIN] = notional / leverage
    pf[k, PF_ZONE_PRICE] = pf[k, PF_ENTER_ZONE_PRICE]
    pf[k, PF_ZONE_STRENGTH] = pf[k, PF_ENTER_ZONE_STRENGTH]
    pf[k, PF_FEES] = fee
    pf[k, PF_FUNDING] = 0.0
    pf[k, PF_REALISED] = 0.0
    pf[k, PF_EQUITY] = pf[k, PF_ENTER_EQUITY]


def trade_slots(
    time: int,
    bi: Any,
    pi: Any,
    pf: Any,
    ri: Any,
    mi: Any,
    mf: Any,
    fi: Any,
    ff: Any,
    si: Any,
    zi: Any,
    zf: Any,
    ti: Any,
    tf: Any,
    vi: Any,
    vf: Any,
    losses: Any,
    shares: Any,
) -> None:
    """Targets first, then stops and liquidations, or the trip of the loss fuse before them."""
    count = pi.shape[0]
    waiting = 0
    for k in range(count):
        m = ri[k, RI_INSTRUMENT]
        side = pi[k, PI_SIDE]
        pi[k, PI_OUT_REASON] = -1
        if side == 0 or bi[m, BI_PRESENT] == 0:
            continue
        worst = bi[m, BI_LOW] if side > 0 else bi[m, BI_HIGH]
        best = bi[m, BI_HIGH] if side > 0 else bi[m, BI_LOW]
        stop, target, liquidation = pi[k, PI_STOP], pi[k, PI_TARGET], pi[k, PI_LIQUIDATION]
        nearer = liquidation > 0 and (liquidation - stop) * side > 0
        if nearer and is_beyond(worst, liquidation, side):
            pi[k, PI_OUT_PRICE], pi[k, PI_OUT_REASON] = liquidation, LIQUIDATION
        elif not nearer and is_beyond(worst, stop, side):
            pi[k, PI_OUT_PRICE], pi[k, PI_OUT_REASON] = stop, STOP
            if is_reached(best, target, side):
                pi[k, PI_AMBIGUOUS] = 1
        elif is_reached(best, target, side):
            close_lots(k, target, TARGET, 0, time, pi, pf, ri, mf, fi, ff, si, zi, ti, tf, vi, vf)
            continue
        else:
            pi[k, PI_OUT_PRICE], pi[k, PI_OUT_REASON] = worst, 0
        waiting += 1
    if waiting == 0:
        return
    share, equity = 2.0, 0.0
    if zi[ZI_ACTING] and fi[FI_TRIPPED_BY] == 0:
        share, equity = find_trip(bi, pi, ri, mi, mf, ff, zf, losses, shares)
    closed = 0
    for k in range(count):
        reason = pi[k, PI_OUT_REASON]
        if reason < 0:
            continue
        m = ri[k, RI_INSTRUMENT]
        side = pi[k, PI_SIDE]
        o = bi[m, BI_OPEN]
        worst = bi[m, BI_LOW] if side > 0 else bi[m, BI_HIGH]
        price = pi[k, PI_OUT_PRICE]
        if share <= 1.0 and (reason == 0 or find_exit_share(o, price, worst) > share):
            reason = FUSE
            at = find_trip_ticks(o, worst, share, side)
            price = slipped_ticks(at, -side, mf[m, MF_FUSE_SLIPPAGE])
            closed += 1
        elif reason == STOP:
            price = slipped_ticks(price, -side, mf[m, MF_SLIPPAGE])
        if reason > 0:
            close_lots(k, price, reason, 0, time, pi, pf, ri, mf, fi, ff, si, zi, ti, tf, vi, vf)
    if share <= 1.0:
        trip(equity, closed, time, pi, fi, ff, zi, zf, vi, vf)


def find_trip(
    bi: Any,
    pi: Any,
    ri: Any,
    mi: Any,
    mf: Any,
    ff: Any,
    zf: Any,
    losses: Any,
    shares: Any,
) -> tuple[float, float]:
    """Where on the way to the adverse extremes the loss fuse trips, and equity there."""
    equity = ff[FF_CASH]
    waiting = 0
    for k in range(pi.shape[0]):
        side = pi[k, PI_SIDE]
        if side == 0:
            continue
        m = ri[k, RI_INSTRUMENT]
        unit = mf[m, MF_TICK_VALUE]
        lots, entry = pi[k, PI_LOTS], pi[k, PI_ENTRY]
        if bi[m, BI_PRESENT] == 0:
            equity += (mi[m, MI_MARK] - entry) * side * lots * unit
            continue
        o = bi[m, BI_OPEN]
        equity += (o - entry) * side * lots * unit
        if pi[k, PI_OUT_REASON] < 0:
            continue
        worst = bi[m, BI_LOW] if side > 0 else bi[m, BI_HIGH]
        losses[waiting] = (o - entry) * side * lots * unit - (worst - entry) * side * lots * unit
        shares[waiting] = 1.0
        if pi[k, PI_OUT_REASON] > 0:
            shares[waiting] = find_exit_share(o, pi[k, PI_OUT_PRICE], worst)
        waiting += 1
    threshold = find_loss_threshold(ff[FF_DAY_START], ff[FF_PEAK], zf[ZF_DAILY], zf[ZF_DRAWDOWN])
    share = find_book_trip_share(equity, threshold, losses, shares, waiting)
    return share, min(equity, threshold)


def trip(
    equity: float,
    closed: int,
    time: int,
    pi: Any,
    fi: Any,
    ff: Any,
    zi: Any,
    zf: Any,
    vi: Any,
    vf: Any,
) -> None:
    """TRIPPED: waiting entries fall, what could not be closed waits for its next open."""
    drawdown = is_drawdown_trip(equity, ff[FF_PEAK], zf[ZF_DRAWDOWN])
    trigger, base, limit = DAILY_LOSS, ff[FF_DAY_START], zf[ZF_DAILY]
    if drawdown:
        trigger, base, limit = DRAWDOWN, ff[FF_PEAK], zf[ZF_DRAWDOWN]
    fi[FI_TRIPPED_BY] = trigger
    fi[FI_REARM_AT] = find_rearm_time(time, drawdown, zi[ZI_POLICY], DAY_MS, NEVER_MS)
    for k in range(pi.shape[0]):
        pi[k, PI_ENTER_SIDE] = 0
        if pi[k, PI_SIDE] != 0:
            pi[k, PI_EXIT_LOTS] = pi[k, PI_LOTS]
            pi[k, PI_EXIT_REASON] = FUSE
            fi[FI_ORDERS] += 1
    note_event(fi, vi, vf, time, trigger, -1, -1, 1.0 - equity / base, limit, 1.0, 1.0, closed)


def mark_book(pi: Any, ri: Any, mi: Any, mf: Any, ff: Any) -> None:
    """Equity at the present marks."""
    equity = ff[FF_CASH]
    for k in range(pi.shape[0]):
        side = pi[k, PI_SIDE]
        if side != 0:
            m = ri[k, RI_INSTRUMENT]
            moved = (mi[m, MI_MARK] - pi[k, PI_ENTRY]) * side * pi[k, PI_LOTS]
            equity += moved * mf[m, MF_TICK_VALUE]
    ff[FF_EQUITY] = equity


def close_bar(
    time: int,
    bi: Any,
    pi: Any,
    pf: Any,
    ri: Any,
    mi: Any,
    mf: Any,
    fi: Any,
    ff: Any,
    si: Any,
    zi: Any,
    zf: Any,
    ti: Any,
    tf: Any,
    vi: Any,
    vf: Any,
) -> None:
    """Mark at the closes, test the loss fuse there, move the peaks."""
    for m in range(bi.shape[0]):
        if bi[m, BI_PRESENT] != 0:
            mi[m, MI_MARK] = bi[m, BI_CLOSE]
    mark_book(pi, ri, mi, mf, ff)
    if zi[ZI_ACTING] and fi[FI_TRIPPED_BY] == 0:
        threshold = find_loss_threshold(
            ff[FF_DAY_START], ff[FF_PEAK], zf[ZF_DAILY], zf[ZF_DRAWDOWN]
        )
        if ff[FF_EQUITY] <= threshold:
            equity = ff[FF_EQUITY]
            closed = 0
            for k in range(pi.shape[0]):
                m = ri[k, RI_INSTRUMENT]
                side = pi[k, PI_SIDE]
                if side != 0 and bi[m, BI_PRESENT] != 0:
                    price = slipped_ticks(bi[m, BI_CLOSE], -side, mf[m, MF_FUSE_SLIPPAGE])
                    close_lots(
                        k, price, FUSE, 0, time, pi, pf, ri, mf, fi, ff, si, zi, ti, tf, vi, vf
                    )
                    closed += 1
            trip(equity, closed, time, pi, fi, ff, zi, zf, vi, vf)
            mark_book(pi, ri, mi, mf, ff)
    if fi[FI_TRIPPED_BY] == 0 and ff[FF_EQUITY] > ff[FF_PEAK]:
        ff[FF_PEAK] = ff[FF_EQUITY]
    if ff[FF_EQUITY] > ff[FF_PEAK_UNRESET]:
        ff[FF_PEAK_UNRESET] = ff[FF_EQUITY]
