"""Step 1 and 2 of a bar: the day turns, what the open jumped, waiting orders, funding."""

from __future__ import annotations

from typing import Any

from trading.domain.backtest.kernel.layout import (
    BF_FUNDING,
    BI_OPEN,
    BI_PRESENT,
    FF_CASH,
    FF_DAY_START,
    FF_EQUITY,
    FF_PEAK,
    FI_DAY_START_MS,
    FI_REARM_AT,
    FI_TRIPPED_BY,
    MF_FEE,
    MF_FUSE_SLIPPAGE,
    MF_MAINTENANCE,
    MF_SLIPPAGE,
    MF_TICK_VALUE,
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
    PI_SIDE,
    PI_STOP,
    PI_TARGET,
    PI_TICKS_LOTS,
    PI_TIER,
    RI_INSTRUMENT,
    SF_DAY_START,
)
from trading.domain.backtest.kernel.trades import close_lots, note_event, result_of
from trading.domain.engine.scalars import (
    compute_liquidation_ticks,
    is_beyond,
    is_reached,
    slipped_ticks,
)

DAY_MS = 86_400_000
NEVER_MS = 2**62
TARGET, STOP, FUSE, FUSE_CUT, LIQUIDATION = 1, 2, 5, 6, 7
DRAWDOWN, RESET = 2, 8


def turn_day(
    time: int,
    pi: Any,
    pf: Any,
    ri: Any,
    mi: Any,
    mf: Any,
    fi: Any,
    ff: Any,
    sf: Any,
    vi: Any,
    vf: Any,
) -> None:
    """A new UTC day starts at the last mark; a trip whose time has come is re-armed."""
    day = time // DAY_MS * DAY_MS
    if day > fi[FI_DAY_START_MS]:
        fi[FI_DAY_START_MS] = day
        ff[FF_DAY_START] = ff[FF_EQUITY]
        for s in range(sf.shape[0]):
            sf[s, SF_DAY_START] = result_of(s, pi, pf, ri, mi, mf, sf)
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
    sf: Any,
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
            close_lots(
                k, price, reason, lots, time, pi, pf, ri, mf, fi, ff, si, sf, zi, ti, tf, vi, vf
            )
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
    pi[k, PI_LIQUIDATION] = compute_liquidation_ticks(filled, side, leverage, mf[m, MF_MAINTENANCE])
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
