"""Closing lots and writing what happened: the parts that every step of a bar uses.

Each function of this package mirrors one of the readable engine (``opening``, ``intrabar``,
``closing``, ``working``) and is written apart from it, so that a slip in either shows as a
difference.  Plain numbers and arrays only; see ``layout`` for the columns.
"""

from __future__ import annotations

from typing import Any

from trading.domain.backtest.kernel.layout import (
    FF_CASH,
    FI_EVENTS,
    FI_TRADES,
    MF_FEE,
    MF_TICK_VALUE,
    MI_MARK,
    PF_EQUITY,
    PF_FEES,
    PF_FUNDING,
    PF_LEVERAGE,
    PF_MARGIN,
    PF_REALISED,
    PI_AMBIGUOUS,
    PI_BINDING,
    PI_CUTS,
    PI_DECISION,
    PI_ENTRY,
    PI_ENTRY_TIME,
    PI_EXIT_LOTS,
    PI_LOTS,
    PI_LOTS_OPENED,
    PI_OUT_REASON,
    PI_SIDE,
    PI_STOP,
    PI_TARGET,
    PI_TICKS_LOTS,
    PI_TIER,
    RI_INSTRUMENT,
    RI_LOSSES,
    RI_STRATEGY,
    SF_CLOSED,
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
    ZI_ACTING,
)

DAY_MS = 86_400_000
LIQUIDATION = 7
LOSS_STREAK = 3


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
    sf: Any,
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
    sf[s, SF_CLOSED] += net
    if net >= 0.0:
        si[s, SI_LOSSES] = 0
        return
    si[s, SI_LOSSES] += 1
    if zi[ZI_ACTING] and si[s, SI_LOSSES] >= ri[k, RI_LOSSES]:
        si[s, SI_LOSSES] = 0
        si[s, SI_LOCK_UNTIL] = (time // DAY_MS + 1) * DAY_MS
        limit = float(ri[k, RI_LOSSES])
        note_event(fi, vi, vf, time, LOSS_STREAK, -1, s, limit, limit, 0.0, 0.0, 0)


def result_of(s: int, pi: Any, pf: Any, ri: Any, mi: Any, mf: Any, sf: Any) -> float:
    """A strategy's result so far: finished round trips, and what is open at its mark."""
    result: float = sf[s, SF_CLOSED]
    for k in range(pi.shape[0]):
        side = pi[k, PI_SIDE]
        if side != 0 and ri[k, RI_STRATEGY] == s:
            m = ri[k, RI_INSTRUMENT]
            moved = (mi[m, MI_MARK] - pi[k, PI_ENTRY]) * side * pi[k, PI_LOTS]
            result += (
                pf[k, PF_REALISED] - pf[k, PF_FEES] + pf[k, PF_FUNDING]
                + moved * mf[m, MF_TICK_VALUE]
            )  # fmt: skip
    return result
