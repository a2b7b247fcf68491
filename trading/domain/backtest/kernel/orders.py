"""Step 7 of a bar: exits and entries of the signals become orders for the next open."""

from __future__ import annotations

from typing import Any

from trading.domain.backtest.kernel.layout import (
    BF_GAP_LONG,
    BF_GAP_SHORT,
    BI_CLOSE,
    BI_PRESENT,
    EI_ACTIVE,
    FF_EQUITY,
    FI_ORDERS,
    FI_TRIPPED_BY,
    GF_CONFLICT,
    GF_DISTANCE,
    GF_HEAVY_LONG,
    GF_HEAVY_SHORT,
    GF_RATIO,
    GF_SIGMA,
    GF_STOP,
    GF_STRENGTH,
    GF_TARGET,
    GF_ZONE_PRICE,
    GI_DIRECTION,
    GI_EXIT_LONG,
    GI_EXIT_SHORT,
    GI_TREND,
    LF_GAP_BOOK,
    LF_GAP_POSITION,
    LF_GROUP,
    LF_LEVERAGE_CAP,
    LF_LOSS_AT_STOP,
    LF_POSITION,
    LF_QUANTILE,
    LF_STOP_LIQUIDATION,
    LF_TIER_1,
    LF_TIER_2,
    LF_TIER_3,
    LF_TOTAL,
    LF_VOLATILITY_TARGET,
    LF_YEARS,
    MF_FEE,
    MF_GAP_FLOOR,
    MF_LEVERAGE_CAP,
    MF_LOT_SIZE,
    MF_MAINTENANCE,
    MF_NOTIONAL_MIN,
    MF_SLIPPAGE,
    MF_TICK_SIZE,
    MF_TICK_VALUE,
    MI_GROUP,
    MI_MARK,
    PF_ENTER_EQUITY,
    PF_ENTER_LEVERAGE,
    PF_ENTER_ZONE_PRICE,
    PF_ENTER_ZONE_STRENGTH,
    PF_LEVERAGE,
    PF_MARGIN,
    PI_ENTER_BINDING,
    PI_ENTER_DECISION,
    PI_ENTER_LOTS,
    PI_ENTER_SIDE,
    PI_ENTER_STOP,
    PI_ENTER_TARGET,
    PI_ENTER_TIER,
    PI_ENTRY_TIME,
    PI_EXIT_LOTS,
    PI_EXIT_REASON,
    PI_LOTS,
    PI_SIDE,
    RF_LIQUIDATION_SHARE,
    RF_MARGIN_POSITION,
    RF_RISK_SHARE,
    RI_BY_MAGNET,
    RI_CONFLICT,
    RI_HOLD_MS,
    RI_INSTRUMENT,
    RI_OPPOSITE,
    RI_STRATEGY,
    RI_TREND_FLIP,
    RI_VOLATILITY,
    SI_LOCK_UNTIL,
    ZF_CONFLICT,
    ZF_RATIO,
    ZI_ACTING,
    ZI_MARKET,
    ZI_TIMEFRAME_MS,
)
from trading.domain.backtest.kernel.watching import watch_instrument
from trading.domain.engine.decision import decide_lots, round_to_ticks

SIGNAL, TIME = 3, 4
DENIED_TRIPPED, DENIED_REDUCING, DENIED_LOCKED, DENIED_MARKET = 1, 2, 3, 9


def decide_slot(
    k: int,
    closing: int,
    bi: Any,
    bf: Any,
    gi: Any,
    gf: Any,
    pi: Any,
    pf: Any,
    ri: Any,
    rf: Any,
    mi: Any,
    mf: Any,
    fi: Any,
    ff: Any,
    si: Any,
    ei: Any,
    zi: Any,
    zf: Any,
    lf: Any,
    denials: Any,
) -> None:
    """Orders of slot k for the next open; a refused entry is counted by its reason."""
    m = ri[k, RI_INSTRUMENT]
    side = pi[k, PI_SIDE]
    direction = gi[k, GI_DIRECTION]
    leaving = False
    if side != 0:
        wanted = gi[k, GI_EXIT_LONG] if side > 0 else gi[k, GI_EXIT_SHORT]
        hold = ri[k, RI_HOLD_MS]
        expired = False
        if hold > 0:
            # Whole bars count, the one of the entry included, wherever in it the fill came.
            opened = pi[k, PI_ENTRY_TIME] // zi[ZI_TIMEFRAME_MS] * zi[ZI_TIMEFRAME_MS]
            expired = closing - opened >= hold
        if wanted or expired:
            pi[k, PI_EXIT_LOTS] = pi[k, PI_LOTS]
            pi[k, PI_EXIT_REASON] = SIGNAL if wanted else TIME
            fi[FI_ORDERS] += 1
            leaving = wanted and direction == -side
    if direction == 0 or (side != 0 and not leaving):
        return
    long = direction > 0
    denial = 0
    if fi[FI_TRIPPED_BY] != 0:
        denial = DENIED_TRIPPED
    elif ei[m, EI_ACTIVE]:
        denial = DENIED_REDUCING
    elif closing < si[ri[k, RI_STRATEGY], SI_LOCK_UNTIL]:
        denial = DENIED_LOCKED
    elif zi[ZI_ACTING] and zi[ZI_MARKET]:
        heavy = gf[k, GF_HEAVY_LONG] if long else gf[k, GF_HEAVY_SHORT]
        if (
            (ri[k, RI_VOLATILITY] and gf[k, GF_RATIO] > zf[ZF_RATIO])
            or (ri[k, RI_CONFLICT] and gf[k, GF_CONFLICT] > zf[ZF_CONFLICT])
            or (ri[k, RI_OPPOSITE] and heavy > gf[k, GF_STRENGTH])
            or (ri[k, RI_TREND_FLIP] and gi[k, GI_TREND] * direction < 0)
        ):
            denial = DENIED_MARKET
    if denial == 0:
        denial = size_slot(k, m, direction, bi, bf, gf, pi, pf, ri, rf, mi, mf, fi, ff, lf)
    if denial != 0:
        denials[denial] += 1


def size_slot(
    k: int,
    m: int,
    direction: int,
    bi: Any,
    bf: Any,
    gf: Any,
    pi: Any,
    pf: Any,
    ri: Any,
    rf: Any,
    mi: Any,
    mf: Any,
    fi: Any,
    ff: Any,
    lf: Any,
) -> int:
    """Order the largest size that every law allows; returns the denial, 0 for an order."""
    margin_own, margin_group, margin_total, gap_own, gap_book = 0.0, 0.0, 0.0, 0.0, 0.0
    for j in range(pi.shape[0]):
        if j == k:
            continue
        at = ri[j, RI_INSTRUMENT]
        floor, unit = mf[at, MF_GAP_FLOOR], mf[at, MF_TICK_VALUE]
        margin, gap = 0.0, 0.0
        if pi[j, PI_SIDE] != 0:
            notional = mi[at, MI_MARK] * pi[j, PI_LOTS] * unit
            margin += pf[j, PF_MARGIN]
            gap += min(1.0 / pf[j, PF_LEVERAGE], floor) * notional
        if pi[j, PI_ENTER_SIDE] != 0:
            notional = pi[j, PI_ENTER_DECISION] * pi[j, PI_ENTER_LOTS] * unit
            margin += notional / pf[j, PF_ENTER_LEVERAGE]
            gap += min(1.0 / pf[j, PF_ENTER_LEVERAGE], floor) * notional
        margin_total += margin
        gap_book += gap
        if mi[at, MI_GROUP] == mi[m, MI_GROUP]:
            margin_group += margin
        if at == m:
            margin_own += margin
            gap_own += gap
    tick_size = mf[m, MF_TICK_SIZE]
    stop = round_to_ticks(gf[k, GF_STOP], tick_size)
    gap_rate = bf[m, BF_GAP_LONG] if direction > 0 else bf[m, BF_GAP_SHORT]
    gap_rate = max(gap_rate, mf[m, MF_GAP_FLOOR])
    denial, lots, leverage, tier, binding = decide_lots(
        ri[k, RI_BY_MAGNET] != 0,
        direction,
        bi[m, BI_CLOSE],
        stop,
        ff[FF_EQUITY],
        gf[k, GF_DISTANCE],
        gf[k, GF_STRENGTH],
        gf[k, GF_CONFLICT],
        gf[k, GF_RATIO],
        gf[k, GF_SIGMA],
        margin_own,
        margin_group,
        margin_total,
        gap_own,
        gap_book,
        gap_rate,
        rf[k, RF_RISK_SHARE],
        min(rf[k, RF_LIQUIDATION_SHARE], lf[LF_STOP_LIQUIDATION]),
        tick_size,
        mf[m, MF_LOT_SIZE],
        mf[m, MF_NOTIONAL_MIN],
        mf[m, MF_FEE],
        mf[m, MF_SLIPPAGE],
        mf[m, MF_MAINTENANCE],
        lf[LF_TIER_1],
        lf[LF_TIER_2],
        lf[LF_TIER_3],
        min(lf[LF_POSITION], rf[k, RF_MARGIN_POSITION]),
        lf[LF_GROUP],
        lf[LF_TOTAL],
        lf[LF_LOSS_AT_STOP],
        lf[LF_GAP_POSITION],
        lf[LF_GAP_BOOK],
        min(lf[LF_LEVERAGE_CAP], mf[m, MF_LEVERAGE_CAP]),
        lf[LF_VOLATILITY_TARGET],
        lf[LF_QUANTILE],
        lf[LF_YEARS],
    )
    if denial != 0:
        return denial
    pi[k, PI_ENTER_SIDE] = direction
    pi[k, PI_ENTER_LOTS] = lots
    pi[k, PI_ENTER_STOP] = stop
    pi[k, PI_ENTER_TARGET] = round_to_ticks(gf[k, GF_TARGET], tick_size)
    pi[k, PI_ENTER_DECISION] = bi[m, BI_CLOSE]
    pi[k, PI_ENTER_TIER] = tier
    pi[k, PI_ENTER_BINDING] = binding
    pf[k, PF_ENTER_LEVERAGE] = leverage
    pf[k, PF_ENTER_ZONE_PRICE] = gf[k, GF_ZONE_PRICE]
    pf[k, PF_ENTER_ZONE_STRENGTH] = gf[k, GF_STRENGTH]
    pf[k, PF_ENTER_EQUITY] = ff[FF_EQUITY]
    fi[FI_ORDERS] += 1
    return 0


def order_slots(
    closing: int,
    last: bool,
    bi: Any,
    bf: Any,
    gi: Any,
    gf: Any,
    pi: Any,
    pf: Any,
    ri: Any,
    rf: Any,
    mi: Any,
    mf: Any,
    fi: Any,
    ff: Any,
    si: Any,
    ei: Any,
    ef: Any,
    zi: Any,
    zf: Any,
    lf: Any,
    vi: Any,
    vf: Any,
    denials: Any,
) -> None:
    """Market triggers of every instrument, then the orders of every slot."""
    if zi[ZI_ACTING] and zi[ZI_MARKET]:
        for m in range(bi.shape[0]):
            if bi[m, BI_PRESENT] != 0:
                watch_instrument(
                    m, closing, gi, gf, pi, pf, ri, mi, mf, fi, ff, ei, ef, zi, zf, vi, vf
                )
    for k in range(pi.shape[0]):
        if last:
            pi[k, PI_EXIT_LOTS] = 0
            pi[k, PI_ENTER_SIDE] = 0
        elif bi[ri[k, RI_INSTRUMENT], BI_PRESENT] != 0:
            decide_slot(
                k, closing, bi, bf, gi, gf, pi, pf, ri, rf, mi, mf, fi, ff, si, ei, zi, zf, lf,
                denials,
            )  # fmt: skip
