"""The loop of one slot that steps over bars on which nothing can happen.

A quiet bar only marks the book: no order waits, no episode or trip holds, the signal asks for
nothing, and neither stop, target, liquidation nor a loss threshold is within its range.  Such bars
are marked in a short loop with the arithmetic of the full step; every other bar takes the full step
of :mod:`.loop`, so the result is the same to the last bit.
"""

from __future__ import annotations

from typing import Any

from risk.domain.fuse.thresholds import compute_loss_threshold, compute_severity
from trading.domain.backtest.kernel.layout import (
    BF_FUNDING,
    BI_CLOSE,
    BI_HIGH,
    BI_LOW,
    BI_OPEN,
    EI_ACTIVE,
    EI_CLEARED_AT,
    EI_TRIGGER,
    FF_CASH,
    FF_DAY_START,
    FF_EQUITY,
    FF_PEAK,
    FF_PEAK_UNRESET,
    FI_DAY_START_MS,
    FI_TRIPPED_BY,
    GF_ATR,
    GF_RATIO,
    GF_SIGMA,
    GF_STOP,
    GF_TARGET,
    GI_DIRECTION,
    GI_EXIT_LONG,
    GI_EXIT_SHORT,
    MF_TICK_VALUE,
    MI_MARK,
    PF_FUNDING,
    PI_ENTER_SIDE,
    PI_ENTRY,
    PI_ENTRY_TIME,
    PI_EXIT_LOTS,
    PI_LIQUIDATION,
    PI_LOTS,
    PI_OUT_REASON,
    PI_SIDE,
    PI_STOP,
    PI_TARGET,
    RI_CONFLICT,
    RI_HOLD_MS,
    RI_OPPOSITE,
    RI_TREND_FLIP,
    SF_DAILY,
    ZF_DAILY,
    ZF_DRAWDOWN,
    ZF_RATIO,
    ZI_ACTING,
    ZI_BAR_MS,
)
from trading.domain.backtest.kernel.loop import step_bar

#: What is known of a bar before any variant: by the market, and whether the rule decides at it.
FULL_STEP, NEW_DAY, FUNDING, DECISION, HOT = 1, 2, 4, 8, 16
VOLATILITY = 4
DAY_MS = 86_400_000
#: A loss threshold nearer than this share counts as met: the full step decides.
ROUNDING = 1e-9
NAN = float("nan")


def is_calm(pi: Any, ri: Any, fi: Any, ei: Any, sf: Any) -> bool:
    """Whether nothing waits and nothing holds that a bar must look at."""
    if fi[FI_TRIPPED_BY] != 0 or sf[0, SF_DAILY] > 0.0:
        return False
    # An episode of volatility changes nothing while it lasts and does not deepen.
    if ei[0, EI_ACTIVE] != 0 and (ei[0, EI_TRIGGER] != VOLATILITY or ei[0, EI_CLEARED_AT] != 0):
        return False
    if pi[0, PI_EXIT_LOTS] != 0 or pi[0, PI_ENTER_SIDE] != 0:
        return False
    watched = ri[0, RI_CONFLICT] + ri[0, RI_OPPOSITE] + ri[0, RI_TREND_FLIP]
    return bool(pi[0, PI_SIDE] == 0 or watched == 0)


def must_step(flag: int, reducing: int, ratio: float, deepest: float, limit: float) -> bool:
    """Whether the market alone asks for the full step: an episode begins, deepens or clears."""
    if flag & FULL_STEP or (flag & HOT != 0) != (reducing != 0):
        return True
    return reducing != 0 and compute_severity(ratio, limit) > deepest


def walk_flat(
    t: int,
    size: int,
    times: Any,
    flags: Any,
    places: Any,
    enter: Any,
    ratio: Any,
    fi: Any,
    ff: Any,
    ei: Any,
    ef: Any,
    zf: Any,
    equity: Any,
) -> int:
    """Mark quiet bars of an empty book; returns the first bar that needs the full step."""
    value = ff[FF_CASH]
    reducing, deepest, limit = ei[0, EI_ACTIVE], ef[0], zf[ZF_RATIO]
    while t < size:
        flag = flags[t]
        if must_step(flag, reducing, ratio[t], deepest, limit):
            break
        if flag & DECISION and enter[places[t]] != 0:
            break
        if flag & NEW_DAY:
            fi[FI_DAY_START_MS] = times[t] // DAY_MS * DAY_MS
            ff[FF_DAY_START] = value
        equity[t] = value
        t += 1
    return t


def walk_held(
    t: int,
    size: int,
    times: Any,
    bars_i: Any,
    bars_f: Any,
    flags: Any,
    places: Any,
    leave: Any,
    ratio: Any,
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
    equity: Any,
) -> int:
    """Mark quiet bars of the open position; returns the first bar that needs the full step."""
    side, lots, entry = pi[0, PI_SIDE], pi[0, PI_LOTS], pi[0, PI_ENTRY]
    unit = mf[0, MF_TICK_VALUE]
    acting = zi[ZI_ACTING] != 0
    leaves = 1 if side > 0 else 2
    # The levels as one lower and one upper bound that the bar may not touch.
    near, far = pi[0, PI_STOP], pi[0, PI_TARGET]
    level = pi[0, PI_LIQUIDATION]
    if level > 0 and (near <= 0 or (level - near) * side > 0):
        near = level
    lower, upper = near, far
    if side < 0:
        lower, upper = far, near
    if upper <= 0:
        upper = 2**62
    until = 2**62
    if ri[0, RI_HOLD_MS] > 0:
        until = pi[0, PI_ENTRY_TIME] + ri[0, RI_HOLD_MS] - zi[ZI_BAR_MS]
    daily, fall = zf[ZF_DAILY], zf[ZF_DRAWDOWN]
    cash, value, day_start = ff[FF_CASH], ff[FF_EQUITY], ff[FF_DAY_START]
    peak, unreset = ff[FF_PEAK], ff[FF_PEAK_UNRESET]
    reducing, deepest, limit = ei[0, EI_ACTIVE], ef[0], zf[ZF_RATIO]
    first = t
    while t < size:
        flag = flags[t]
        low, high = bars_i[t, 0, BI_LOW], bars_i[t, 0, BI_HIGH]
        if low <= lower or high >= upper or times[t] >= until:
            break
        if must_step(flag, reducing, ratio[t], deepest, limit):
            break
        if flag & DECISION and leave[places[t]] & leaves:
            break
        paid, start = 0.0, day_start
        if flag & FUNDING:
            notional = bars_i[t, 0, BI_OPEN] * lots * unit
            paid = -side * notional * bars_f[t, 0, BF_FUNDING]
        if flag & NEW_DAY:
            start = value
        if acting:
            worst = low if side > 0 else high
            threshold = compute_loss_threshold(start, peak, daily, fall)
            adverse = cash + paid + (worst - entry) * side * lots * unit
            if adverse <= threshold + abs(threshold) * ROUNDING:
                break
        if flag & NEW_DAY:
            day_start = start
            fi[FI_DAY_START_MS] = times[t] // DAY_MS * DAY_MS
        if flag & FUNDING:
            cash += paid
            pf[0, PF_FUNDING] += paid
        value = cash + (bars_i[t, 0, BI_CLOSE] - entry) * side * lots * unit
        peak = max(peak, value)
        unreset = max(unreset, value)
        equity[t] = value
        t += 1
    if t > first:
        mi[0, MI_MARK] = bars_i[t - 1, 0, BI_CLOSE]
        ff[FF_CASH], ff[FF_EQUITY], ff[FF_DAY_START] = cash, value, day_start
        ff[FF_PEAK], ff[FF_PEAK_UNRESET] = peak, unreset
    return t


def run_decisions(
    times: Any,
    bars_i: Any,
    bars_f: Any,
    flags: Any,
    places: Any,
    enter: Any,
    leave: Any,
    stop: Any,
    target: Any,
    ratio: Any,
    sigma: Any,
    atr: Any,
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
    sf: Any,
    ei: Any,
    ef: Any,
    zi: Any,
    zf: Any,
    lf: Any,
    ti: Any,
    tf: Any,
    vi: Any,
    vf: Any,
    denials: Any,
    losses: Any,
    shares: Any,
    equity: Any,
) -> None:
    """Work every bar of one slot whose signals come at ``places`` (-1: none at that bar)."""
    size = times.shape[0]
    t = 0
    while t < size:
        if is_calm(pi, ri, fi, ei, sf):
            if pi[0, PI_SIDE] == 0:
                first = t
                t = walk_flat(
                    t, size, times, flags, places, enter, ratio, fi, ff, ei, ef, zf, equity
                )
                if t > first:
                    mi[0, MI_MARK] = bars_i[t - 1, 0, BI_CLOSE]
            else:
                t = walk_held(
                    t, size, times, bars_i, bars_f, flags, places, leave, ratio, pi, pf, ri, mi,
                    mf, fi, ff, ei, ef, zi, zf, equity,
                )  # fmt: skip
            pi[0, PI_OUT_REASON] = -1 if pi[0, PI_SIDE] == 0 else 0
            if t >= size:
                break
        place = places[t]
        gi[0, GI_DIRECTION] = 0
        gi[0, GI_EXIT_LONG] = 0
        gi[0, GI_EXIT_SHORT] = 0
        gf[0, GF_STOP] = NAN
        gf[0, GF_TARGET] = NAN
        if place >= 0:
            gi[0, GI_DIRECTION] = enter[place]
            gi[0, GI_EXIT_LONG] = leave[place] & 1
            gi[0, GI_EXIT_SHORT] = leave[place] >> 1
            gf[0, GF_STOP] = stop[place]
            gf[0, GF_TARGET] = target[place]
        gf[0, GF_RATIO] = ratio[t]
        gf[0, GF_SIGMA] = sigma[t]
        gf[0, GF_ATR] = atr[t]
        equity[t] = step_bar(
            times[t], t == size - 1, bars_i[t], bars_f[t], gi, gf, pi, pf, ri, rf, mi, mf, fi, ff,
            si, sf, ei, ef, zi, zf, lf, ti, tf, vi, vf, denials, losses, shares,
        )  # fmt: skip
        t += 1


def summarise(equity: Any, ends: Any, cut: int, start: float, returns: Any, sums: Any) -> float:
    """Daily returns of a run and their moments; returns the deepest fall (a fraction <= 0).

    ``ends`` are the last bars of the days.  ``sums`` receives the total return, mean, deviation
    (ddof 1) and second to fourth central moments of all days, then mean and deviation of the days
    before ``cut`` and of those from it on.
    """
    peak, fall, deepest = start, 0.0, start
    for t in range(equity.shape[0]):
        value = equity[t]
        if value > peak:
            peak = value
            deepest = peak * (1.0 + fall)
        elif value <= deepest and peak > 0.0:
            fall = min(fall, value / peak - 1.0)
            deepest = peak * (1.0 + fall) * (1.0 + ROUNDING)
    before, growth = start, 1.0
    days = ends.shape[0]
    for j in range(days):
        value = equity[ends[j]]
        change = max(value / before - 1.0, -1.0) if before > 0.0 else 0.0
        returns[j] = change
        growth *= 1.0 + change
        before = value
    sums[0] = growth - 1.0
    measure_part(returns, 0, days, sums, 1)
    second, third, fourth = 0.0, 0.0, 0.0
    for j in range(days):
        away = returns[j] - sums[1]
        square = away * away
        second += square
        third += square * away
        fourth += square * square
    sums[3] = second / days
    sums[4] = third / days
    sums[5] = fourth / days
    measure_part(returns, 0, cut, sums, 6)
    measure_part(returns, cut, days, sums, 8)
    return fall


def measure_part(returns: Any, first: int, stop: int, sums: Any, at: int) -> None:
    """Mean and deviation (ddof 1) of some days; zero where there are too few."""
    count = stop - first
    sums[at] = 0.0
    sums[at + 1] = 0.0
    if count < 1:
        return
    total = 0.0
    for j in range(first, stop):
        total += returns[j]
    mean = total / count
    sums[at] = mean
    if count < 2:
        return
    squares = 0.0
    for j in range(first, stop):
        squares += (returns[j] - mean) ** 2
    sums[at + 1] = (squares / (count - 1)) ** 0.5
