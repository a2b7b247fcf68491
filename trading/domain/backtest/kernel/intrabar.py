"""Steps 3 to 5 of a bar: targets, stops, the loss fuse inside the bar and at its close, marks."""

from __future__ import annotations

from typing import Any

from risk.domain.fuse.thresholds import (
    compute_loss_threshold,
    compute_rearm_time,
    is_drawdown_trip,
)
from trading.domain.backtest.kernel.layout import (
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
    FI_ORDERS,
    FI_REARM_AT,
    FI_TRIPPED_BY,
    MF_FUSE_SLIPPAGE,
    MF_SLIPPAGE,
    MF_TICK_VALUE,
    MI_MARK,
    PI_AMBIGUOUS,
    PI_ENTER_SIDE,
    PI_ENTRY,
    PI_EXIT_LOTS,
    PI_EXIT_REASON,
    PI_LIQUIDATION,
    PI_LOTS,
    PI_OUT_PRICE,
    PI_OUT_REASON,
    PI_SIDE,
    PI_STOP,
    PI_TARGET,
    RI_INSTRUMENT,
    SF_DAILY,
    SF_DAY_START,
    SI_LOCK_UNTIL,
    ZF_DAILY,
    ZF_DRAWDOWN,
    ZI_ACTING,
    ZI_POLICY,
)
from trading.domain.backtest.kernel.trades import close_lots, note_event, result_of
from trading.domain.engine.scalars import (
    compute_book_trip_share,
    compute_exit_share,
    find_trip_ticks,
    is_beyond,
    is_reached,
    slipped_ticks,
)

DAY_MS = 86_400_000
NEVER_MS = 2**62
TARGET, STOP, FUSE, LIQUIDATION = 1, 2, 5, 7
DAILY_LOSS, DRAWDOWN, STRATEGY_DAILY_LOSS = 1, 2, 13


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
    sf: Any,
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
            close_lots(
                k, target, TARGET, 0, time, pi, pf, ri, mf, fi, ff, si, sf, zi, ti, tf, vi, vf
            )
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
        if share <= 1.0 and (reason == 0 or compute_exit_share(o, price, worst) > share):
            pi[k, PI_OUT_REASON] = FUSE
            pi[k, PI_OUT_PRICE] = find_trip_ticks(o, worst, share, side)
            closed += 1
            continue
        if reason == STOP:
            price = slipped_ticks(price, -side, mf[m, MF_SLIPPAGE])
        if reason > 0:
            close_lots(
                k, price, reason, 0, time, pi, pf, ri, mf, fi, ff, si, sf, zi, ti, tf, vi, vf
            )
    if share > 1.0:
        return
    trip(equity, closed, time, bi, pi, ri, fi, ff, zi, zf, vi, vf)
    for k in range(count):
        if pi[k, PI_OUT_REASON] == FUSE:
            m = ri[k, RI_INSTRUMENT]
            price = slipped_ticks(pi[k, PI_OUT_PRICE], -pi[k, PI_SIDE], mf[m, MF_FUSE_SLIPPAGE])
            close_lots(k, price, FUSE, 0, time, pi, pf, ri, mf, fi, ff, si, sf, zi, ti, tf, vi, vf)


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
            shares[waiting] = compute_exit_share(o, pi[k, PI_OUT_PRICE], worst)
        waiting += 1
    threshold = compute_loss_threshold(ff[FF_DAY_START], ff[FF_PEAK], zf[ZF_DAILY], zf[ZF_DRAWDOWN])
    share = compute_book_trip_share(equity, threshold, losses, shares, waiting)
    return share, min(equity, threshold)


def trip(
    equity: float,
    closed: int,
    time: int,
    bi: Any,
    pi: Any,
    ri: Any,
    fi: Any,
    ff: Any,
    zi: Any,
    zf: Any,
    vi: Any,
    vf: Any,
) -> None:
    """TRIPPED: waiting entries fall, what has no price now waits for its next open."""
    drawdown = is_drawdown_trip(equity, ff[FF_PEAK], zf[ZF_DRAWDOWN])
    trigger, base, limit = DAILY_LOSS, ff[FF_DAY_START], zf[ZF_DAILY]
    if drawdown:
        trigger, base, limit = DRAWDOWN, ff[FF_PEAK], zf[ZF_DRAWDOWN]
    fi[FI_TRIPPED_BY] = trigger
    fi[FI_REARM_AT] = compute_rearm_time(time, drawdown, zi[ZI_POLICY], DAY_MS, NEVER_MS)
    for k in range(pi.shape[0]):
        pi[k, PI_ENTER_SIDE] = 0
        if pi[k, PI_SIDE] != 0 and bi[ri[k, RI_INSTRUMENT], BI_PRESENT] == 0:
            pi[k, PI_EXIT_LOTS] = pi[k, PI_LOTS]
            pi[k, PI_EXIT_REASON] = FUSE
            fi[FI_ORDERS] += 1
    note_event(fi, vi, vf, time, trigger, -1, -1, 1.0 - equity / base, limit, 1.0, 1.0, closed)


def stop_strategies(
    time: int,
    pi: Any,
    pf: Any,
    ri: Any,
    mi: Any,
    mf: Any,
    fi: Any,
    ff: Any,
    si: Any,
    sf: Any,
    vi: Any,
    vf: Any,
) -> None:
    """Lock the strategies whose own loss of the day reached their share of the fund."""
    for s in range(si.shape[0]):
        if sf[s, SF_DAILY] <= 0.0 or si[s, SI_LOCK_UNTIL] > time:
            continue
        loss = (sf[s, SF_DAY_START] - result_of(s, pi, pf, ri, mi, mf, sf)) / ff[FF_DAY_START]
        if loss >= sf[s, SF_DAILY]:
            si[s, SI_LOCK_UNTIL] = (time // DAY_MS + 1) * DAY_MS
            note_event(
                fi, vi, vf, time, STRATEGY_DAILY_LOSS, -1, s, loss, sf[s, SF_DAILY], 0.0, 0.0, 0
            )


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
    sf: Any,
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
        threshold = compute_loss_threshold(
            ff[FF_DAY_START], ff[FF_PEAK], zf[ZF_DAILY], zf[ZF_DRAWDOWN]
        )
        if ff[FF_EQUITY] <= threshold:
            closed = 0
            for k in range(pi.shape[0]):
                if pi[k, PI_SIDE] != 0 and bi[ri[k, RI_INSTRUMENT], BI_PRESENT] != 0:
                    closed += 1
            trip(ff[FF_EQUITY], closed, time, bi, pi, ri, fi, ff, zi, zf, vi, vf)
            for k in range(pi.shape[0]):
                m = ri[k, RI_INSTRUMENT]
                side = pi[k, PI_SIDE]
                if side != 0 and bi[m, BI_PRESENT] != 0:
                    price = slipped_ticks(bi[m, BI_CLOSE], -side, mf[m, MF_FUSE_SLIPPAGE])
                    close_lots(
                        k, price, FUSE, 0, time, pi, pf, ri, mf, fi, ff, si, sf, zi, ti, tf, vi, vf
                    )
            mark_book(pi, ri, mi, mf, ff)
    if fi[FI_TRIPPED_BY] == 0 and ff[FF_EQUITY] > ff[FF_PEAK]:
        ff[FF_PEAK] = ff[FF_EQUITY]
    if ff[FF_EQUITY] > ff[FF_PEAK_UNRESET]:
        ff[FF_PEAK_UNRESET] = ff[FF_EQUITY]
    if zi[ZI_ACTING]:
        stop_strategies(time, pi, pf, ri, mi, mf, fi, ff, si, sf, vi, vf)
