"""Step 6 of a bar: the market triggers of the fuse and the cuts that they order."""

from __future__ import annotations

from typing import Any

from risk.domain.fuse.thresholds import (
    compute_cut_lots,
    compute_cut_share,
    compute_open_conflict,
    compute_severity,
)
from trading.domain.backtest.kernel.layout import (
    EI_ACTIVE,
    EI_CLEARED_AT,
    EI_NO_TRADES_UNTIL,
    EI_TRIGGER,
    FF_EQUITY,
    FI_ORDERS,
    GF_ATR,
    GF_HEAVY_LONG,
    GF_HEAVY_SHORT,
    GF_OPPOSITE_LONG,
    GF_OPPOSITE_SHORT,
    GF_RATIO,
    GI_TREND,
    MF_NOTIONAL_MIN,
    MF_TICK_SIZE,
    MF_TICK_VALUE,
    MI_MARK,
    PF_ZONE_PRICE,
    PF_ZONE_STRENGTH,
    PI_CONFLICT_BARS,
    PI_EPISODE_LOTS,
    PI_EXIT_LOTS,
    PI_EXIT_REASON,
    PI_FLIP_BARS,
    PI_LOTS,
    PI_SIDE,
    RI_CONFLICT,
    RI_CONFLICT_BARS,
    RI_INSTRUMENT,
    RI_OPPOSITE,
    RI_TREND_FLIP,
    RI_VOLATILITY,
    ZF_CONFLICT,
    ZF_CUT_MAX,
    ZF_CUT_MIN,
    ZF_RATIO,
    ZI_CONFIRMING,
    ZI_NO_TRADES_MS,
    ZI_REARM_MS,
)
from trading.domain.backtest.kernel.trades import note_event

FUSE_CUT = 6
VOLATILITY, CONFLICT, OPPOSITE_MAGNET, TREND_FLIP, CLEARED = 4, 5, 6, 7, 9


def watch_instrument(
    m: int,
    closing: int,
    gi: Any,
    gf: Any,
    pi: Any,
    pf: Any,
    ri: Any,
    mi: Any,
    mf: Any,
    fi: Any,
    ff: Any,
    ei: Any,
    ef: Any,
    zi: Any,
    zf: Any,
    vi: Any,
    vf: Any,
) -> None:
    """Begin, deepen or end the REDUCING episode of instrument m."""
    trigger, value, limit, severity = 0, 0.0, 0.0, 0.0
    # Whether the episode's own trigger had a source: what is not seen is not cleared.
    own = ei[m, EI_TRIGGER]
    blind = own == VOLATILITY
    for k in range(pi.shape[0]):
        if ri[k, RI_INSTRUMENT] != m:
            continue
        ratio = gf[k, GF_RATIO]
        if ri[k, RI_VOLATILITY] and ratio == ratio and own == VOLATILITY:
            blind = False
        if ri[k, RI_VOLATILITY] and ratio > zf[ZF_RATIO]:
            found = compute_severity(ratio, zf[ZF_RATIO])
            if trigger == 0 or found > severity:
                trigger, value, limit, severity = VOLATILITY, ratio, zf[ZF_RATIO], found
        side = pi[k, PI_SIDE]
        if side == 0:
            continue
        strength = pf[k, PF_ZONE_STRENGTH]
        if ri[k, RI_CONFLICT]:
            pull = gf[k, GF_OPPOSITE_LONG] if side > 0 else gf[k, GF_OPPOSITE_SHORT]
            price = mi[m, MI_MARK] * mf[m, MF_TICK_SIZE]
            conflict = compute_open_conflict(
                price, gf[k, GF_ATR], pf[k, PF_ZONE_PRICE], strength, pull
            )
            if conflict > zf[ZF_CONFLICT]:
                pi[k, PI_CONFLICT_BARS] += 1
            else:
                pi[k, PI_CONFLICT_BARS] = 0
            if conflict != conflict and own == CONFLICT:
                blind = True
            if pi[k, PI_CONFLICT_BARS] >= min(ri[k, RI_CONFLICT_BARS], zi[ZI_CONFIRMING]):
                found = compute_severity(conflict, zf[ZF_CONFLICT])
                if trigger == 0 or found > severity:
                    trigger, value, limit, severity = CONFLICT, conflict, zf[ZF_CONFLICT], found
        if ri[k, RI_OPPOSITE]:
            heavy = gf[k, GF_HEAVY_LONG] if side > 0 else gf[k, GF_HEAVY_SHORT]
            if heavy != heavy and own == OPPOSITE_MAGNET:
                blind = True
            if heavy > strength:
                found = compute_severity(heavy, strength)
                if trigger == 0 or found > severity:
                    trigger, value, limit, severity = OPPOSITE_MAGNET, heavy, strength, found
        if ri[k, RI_TREND_FLIP]:
            trend = gi[k, GI_TREND]
            if trend * side < 0:
                pi[k, PI_FLIP_BARS] += 1
            else:
                pi[k, PI_FLIP_BARS] = 0
            if pi[k, PI_FLIP_BARS] >= zi[ZI_CONFIRMING] and trigger == 0:
                trigger, value, limit, severity = TREND_FLIP, float(trend), 0.0, 0.0
    if trigger == 0:
        if ei[m, EI_ACTIVE]:
            if blind:
                ei[m, EI_CLEARED_AT] = 0
            elif ei[m, EI_CLEARED_AT] == 0:
                ei[m, EI_CLEARED_AT] = closing
            elif (
                closing - ei[m, EI_CLEARED_AT] >= zi[ZI_REARM_MS]
                and closing >= ei[m, EI_NO_TRADES_UNTIL]
            ):
                ei[m, EI_ACTIVE] = 0
                ei[m, EI_CLEARED_AT] = 0
                ei[m, EI_TRIGGER] = 0
                ef[m] = 0.0
                note_event(fi, vi, vf, closing, CLEARED, m, -1, 0.0, 0.0, 0.0, 0.0, 0)
        return
    begins = ei[m, EI_ACTIVE] == 0
    ei[m, EI_CLEARED_AT] = 0
    if not begins and severity <= ef[m]:
        return
    ei[m, EI_ACTIVE] = 1
    ei[m, EI_TRIGGER] = trigger
    ei[m, EI_NO_TRADES_UNTIL] = closing + zi[ZI_NO_TRADES_MS]
    ef[m] = severity
    cut = compute_cut_share(severity, zf[ZF_CUT_MIN], zf[ZF_CUT_MAX])
    touched = order_cuts(m, cut, begins, pi, ri, mi, mf, fi, ff)
    note_event(fi, vi, vf, closing, trigger, m, -1, value, limit, severity, cut, touched)


def order_cuts(
    m: int, cut: float, begins: bool, pi: Any, ri: Any, mi: Any, mf: Any, fi: Any, ff: Any
) -> int:
    """Order the cut of every position on instrument m; returns how many are touched."""
    notional = 0.0
    for k in range(pi.shape[0]):
        if pi[k, PI_SIDE] != 0:
            at = ri[k, RI_INSTRUMENT]
            notional += mi[at, MI_MARK] * pi[k, PI_LOTS] * mf[at, MF_TICK_VALUE]
    touched = 0
    for k in range(pi.shape[0]):
        if ri[k, RI_INSTRUMENT] != m or pi[k, PI_SIDE] == 0:
            continue
        if begins or pi[k, PI_EPISODE_LOTS] == 0:
            pi[k, PI_EPISODE_LOTS] = pi[k, PI_LOTS]
        lots = compute_cut_lots(
            pi[k, PI_LOTS],
            pi[k, PI_EPISODE_LOTS],
            cut,
            ff[FF_EQUITY],
            notional,
            mi[m, MI_MARK] * mf[m, MF_TICK_VALUE],
            mf[m, MF_NOTIONAL_MIN],
        )
        if lots > 0:
            touched += 1
            pi[k, PI_EXIT_LOTS] = lots
            pi[k, PI_EXIT_REASON] = FUSE_CUT
            fi[FI_ORDERS] += 1
    return touched
