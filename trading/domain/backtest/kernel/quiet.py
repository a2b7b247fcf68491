"""The bars of one slot on which nothing can happen, walked by stretches.

On a quiet bar nothing can happen: no order waits, no episode or trip holds, the signal asks for
nothing, and neither stop, target, liquidation nor a loss threshold is within its range.  An empty
book jumps to its next entry.  A held one goes by stretches between two instants at which cash or
the day changes (funding, midnight): their extremes, known before any variant runs, say whether a
level was within reach.  Where they cannot say so for certain, and where the fuse watches magnets,
bars are looked at one by one; :mod:`.decisions` gives every bar that is not quiet the full step of
:mod:`.loop`.  All use the arithmetic of the full step, so the result is the same to the last bit.
"""

from __future__ import annotations

from typing import Any

from risk.domain.fuse.thresholds import (
    compute_loss_threshold,
    compute_open_conflict,
)
from trading.domain.backtest.kernel.days import walk_days
from trading.domain.backtest.kernel.layout import (
    BI_CLOSE,
    BI_HIGH,
    BI_LOW,
    BI_OPEN,
    BI_WIDTH,
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
    GF_HEAVY_LONG,
    GF_HEAVY_SHORT,
    GF_OPPOSITE_LONG,
    GF_OPPOSITE_SHORT,
    GI_TREND,
    MF_TICK_SIZE,
    MF_TICK_VALUE,
    MI_MARK,
    PF_FUNDING,
    PF_ZONE_PRICE,
    PF_ZONE_STRENGTH,
    PI_CONFLICT_BARS,
    PI_ENTER_SIDE,
    PI_ENTRY,
    PI_EXIT_LOTS,
    PI_FLIP_BARS,
    PI_LIQUIDATION,
    PI_LOTS,
    PI_SIDE,
    PI_STOP,
    PI_TARGET,
    RI_CONFLICT,
    RI_OPPOSITE,
    RI_TREND_FLIP,
    SF_DAILY,
    ZF_CONFLICT,
    ZF_DAILY,
    ZF_DRAWDOWN,
    ZI_ACTING,
    ZI_MARKET,
)
from trading.domain.backtest.kernel.marks import (
    AF_DEEPEST,
    AF_FALL,
    AF_PEAK,
    ROUNDING,
    take_mark,
)

#: What is known of a bar before any variant runs.
FULL_STEP, NEW_DAY, FUNDING, HOT = 1, 2, 4, 8
#: Columns of a bar beside its own: the slow trend, the open time, the number of the decision; then
#: of the rest of its stretch the extremes of its bars and of their closes, all flags, the last
#: close and the bar after it; the number of the stretch.
KI_TREND, KI_TIME, KI_DECISION = BI_WIDTH, BI_WIDTH + 1, BI_WIDTH + 2
KI_LOW, KI_HIGH, KI_BOTTOM, KI_TOP, KI_FLAGS, KI_LAST, KI_NEXT, KI_STRETCH = range(8, 16)
KI_WIDTH = 16
#: A flag that every rest of a stretch bears: where a stretch may not be taken as one.
UNJOINED = 16
VOLATILITY = 4
DAY_MS = 86_400_000
NEVER = 2**62


def is_calm(pi: Any, fi: Any, ei: Any, sf: Any) -> bool:
    """Whether nothing waits and nothing holds that a bar must look at."""
    if sf[0, SF_DAILY] > 0.0:
        return False
    # An episode of volatility changes nothing while it lasts and does not deepen.
    if ei[0, EI_ACTIVE] != 0 and (ei[0, EI_TRIGGER] != VOLATILITY or ei[0, EI_CLEARED_AT] != 0):
        return False
    if pi[0, PI_EXIT_LOTS] != 0 or pi[0, PI_ENTER_SIDE] != 0:
        return False
    # A tripped book that holds nothing waits for its instant.
    return bool(fi[FI_TRIPPED_BY] == 0 or pi[0, PI_SIDE] == 0)


def find_change(t: int, end: int, flags: Any, severity: Any, deepest: float) -> int:
    """The first bar before ``end`` at which an episode of volatility deepens or begins to clear."""
    while t < end and flags[t] & (FULL_STEP | HOT) == HOT and severity[t] <= deepest:
        t += 1
    return t


def is_watched(
    t: int, bi: Any, base_i: Any, base_f: Any, pi: Any, pf: Any, ri: Any, mf: Any, zf: Any
) -> bool:
    """Whether a trigger that watches the open position speaks at bar t."""
    side, strength = pi[0, PI_SIDE], pf[0, PF_ZONE_STRENGTH]
    long = side > 0
    if ri[0, RI_TREND_FLIP] and base_i[t, 0, GI_TREND] * side < 0:
        return True
    heavy = base_f[t, 0, GF_HEAVY_LONG] if long else base_f[t, 0, GF_HEAVY_SHORT]
    if ri[0, RI_OPPOSITE] and heavy > strength:
        return True
    if ri[0, RI_CONFLICT] == 0:
        return False
    pull = base_f[t, 0, GF_OPPOSITE_LONG] if long else base_f[t, 0, GF_OPPOSITE_SHORT]
    price = bi[t, 0, BI_CLOSE] * mf[0, MF_TICK_SIZE]
    conflict = compute_open_conflict(
        price, base_f[t, 0, GF_ATR], pf[0, PF_ZONE_PRICE], strength, pull
    )
    return bool(conflict > zf[ZF_CONFLICT])


def find_row(times: Any, instant: int) -> int:
    """The first bar at or after an instant."""
    low, high = 0, times.shape[0]
    while low < high:
        middle = (low + high) // 2
        if times[middle] < instant:
            low = middle + 1
        else:
            high = middle
    return low


def look_ahead_within(bars: Any, flags: Any, starts: Any) -> None:
    """Fill the columns of ``bars`` from :data:`KI_LOW` on.

    ``starts`` are the first bars of the stretches, and the end.
    """
    for k in range(starts.shape[0] - 1):
        end = starts[k + 1]
        for t in range(end - 1, starts[k] - 1, -1):
            close = bars[t, BI_CLOSE]
            bars[t, KI_LOW], bars[t, KI_HIGH] = bars[t, BI_LOW], bars[t, BI_HIGH]
            bars[t, KI_BOTTOM], bars[t, KI_TOP] = close, close
            bars[t, KI_FLAGS] = flags[t] | UNJOINED
            bars[t, KI_LAST], bars[t, KI_NEXT] = bars[end - 1, BI_CLOSE], end
            bars[t, KI_STRETCH] = k
            if t + 1 < end:
                bars[t, KI_LOW] = min(bars[t, KI_LOW], bars[t + 1, KI_LOW])
                bars[t, KI_HIGH] = max(bars[t, KI_HIGH], bars[t + 1, KI_HIGH])
                bars[t, KI_BOTTOM] = min(close, bars[t + 1, KI_BOTTOM])
                bars[t, KI_TOP] = max(close, bars[t + 1, KI_TOP])
                bars[t, KI_FLAGS] |= bars[t + 1, KI_FLAGS]


def walk_flat(
    t: int,
    end: int,
    times: Any,
    flags: Any,
    special: Any,
    starts: Any,
    bars_i: Any,
    severity: Any,
    fi: Any,
    ff: Any,
    ei: Any,
    ef: Any,
    equity: Any,
    whole: bool,
) -> int:
    """Mark an empty book up to ``end``; returns the first bar that needs the full step."""
    value, first = ff[FF_CASH], t
    if ei[0, EI_ACTIVE] == 0:
        t = min(end, special[t])
    else:
        t = find_change(t, end, flags, severity, ef[0])
    if t == first:
        return t
    day = times[t - 1] // DAY_MS * DAY_MS
    if day > fi[FI_DAY_START_MS]:
        fi[FI_DAY_START_MS] = day
        ff[FF_DAY_START] = value
    if whole:
        for j in range(first, t):
            equity[j] = value
    else:
        k = bars_i[first, 0, KI_STRETCH] + 1
        while k < starts.shape[0] and starts[k] <= t:
            equity[starts[k] - 1] = value
            k += 1
    return t


def walk_held(
    t: int,
    end: int,
    times: Any,
    bars_i: Any,
    flags: Any,
    starts: Any,
    dues: Any,
    days: Any,
    day_at: Any,
    opens: Any,
    severity: Any,
    base_i: Any,
    base_f: Any,
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
    af: Any,
    equity: Any,
    whole: bool,
) -> int:
    """Mark the open position up to ``end``; returns the first bar that needs the full step."""
    side, lots, entry = pi[0, PI_SIDE], pi[0, PI_LOTS], pi[0, PI_ENTRY]
    unit = mf[0, MF_TICK_VALUE]
    acting = zi[ZI_ACTING] != 0
    watched = acting and zi[ZI_MARKET] != 0
    watched = watched and ri[0, RI_CONFLICT] + ri[0, RI_OPPOSITE] + ri[0, RI_TREND_FLIP] != 0
    # The levels as one lower and one upper bound that the bar may not touch.
    near, far = pi[0, PI_STOP], pi[0, PI_TARGET]
    level = pi[0, PI_LIQUIDATION]
    if level > 0 and (near <= 0 or (level - near) * side > 0):
        near = level
    lower, upper = near, far
    if side < 0:
        lower, upper = far, near
    if upper <= 0:
        upper = NEVER
    daily, fall = zf[ZF_DAILY], zf[ZF_DRAWDOWN]
    cash, value, day_start = ff[FF_CASH], ff[FF_EQUITY], ff[FF_DAY_START]
    peak, unreset, funding = ff[FF_PEAK], ff[FF_PEAK_UNRESET], pf[0, PF_FUNDING]
    top, sunk, deeper = af[AF_PEAK], af[AF_FALL], af[AF_DEEPEST]
    loud, begun = FULL_STEP | HOT, fi[FI_DAY_START_MS]
    if ei[0, EI_ACTIVE] != 0:
        # All bars are hot until the episode changes.
        end = find_change(t, end, flags, severity, ef[0])
        loud = FULL_STEP
    if watched:
        loud |= UNJOINED
    first, k, by_days = t, bars_i[t, 0, KI_STRETCH], not (whole or watched)
    begins = t == starts[k]
    while t < end:
        if begins and by_days and day_at[k] >= 0:
            before = k
            k, cash, funding, value, day_start, turned = walk_days(
                day_at[k], end, days, opens, dues, side, lots, entry, unit, lower, upper, loud,
                acting, daily, fall, cash, funding, value, day_start, peak, min(top, peak, unreset),
                deeper, equity,
            )  # fmt: skip
            if turned >= 0:
                begun = times[starts[turned]]
            if k != before:
                t = starts[k]
                continue
        last, flag = bars_i[t, 0, KI_NEXT], bars_i[t, 0, KI_FLAGS]
        until = last
        # What holds for the rest of a stretch holds for each of its bars, cash and day included.
        joined = (
            last <= end
            and flag & loud == 0
            and bars_i[t, 0, KI_LOW] > lower
            and bars_i[t, 0, KI_HIGH] < upper
        )
        worst, close = bars_i[t, 0, KI_LOW], bars_i[t, 0, KI_LAST]
        best, lowest = bars_i[t, 0, KI_TOP], bars_i[t, 0, KI_BOTTOM]
        if side < 0:
            best, lowest, worst = lowest, best, bars_i[t, 0, KI_HIGH]
        if not joined:
            last, flag, close = t + 1, flags[t], bars_i[t, 0, BI_CLOSE]
            best, lowest, worst = close, close, bars_i[t, 0, BI_HIGH]
            if side > 0:
                worst = bars_i[t, 0, BI_LOW]
            if bars_i[t, 0, BI_LOW] <= lower or bars_i[t, 0, BI_HIGH] >= upper:
                break
            if flag & loud:
                break
            if watched and is_watched(t, bars_i, base_i, base_f, pi, pf, ri, mf, zf):
                break
        paid, start = 0.0, day_start
        if flag & FUNDING:
            notional = bars_i[t, 0, BI_OPEN] * lots * unit
            paid = -side * notional * dues[k]
        if flag & NEW_DAY:
            start = value
        after = cash + paid
        high = after + (best - entry) * side * lots * unit
        if acting:
            reached = peak
            if joined:
                reached = max(peak, high)
            threshold = compute_loss_threshold(start, reached, daily, fall)
            adverse = after + (worst - entry) * side * lots * unit
            if adverse <= threshold + abs(threshold) * ROUNDING:
                if not joined:
                    break
                # Somewhere in the stretch it may be met: look at its bars, the first one now.
                joined, last = False, t + 1
                close = bars_i[t, 0, BI_CLOSE]
                best, lowest, worst = close, close, bars_i[t, 0, BI_HIGH]
                if side > 0:
                    worst = bars_i[t, 0, BI_LOW]
                threshold = compute_loss_threshold(start, peak, daily, fall)
                adverse = after + (worst - entry) * side * lots * unit
                if adverse <= threshold + abs(threshold) * ROUNDING:
                    break
                high = after + (best - entry) * side * lots * unit
        if flag & NEW_DAY:
            day_start, begun = start, times[t]
        if flag & FUNDING:
            cash = after
            funding += paid
        value = cash + (close - entry) * side * lots * unit
        low = cash + (lowest - entry) * side * lots * unit
        if high <= top:
            top, sunk, deeper = take_mark(low, top, sunk, deeper)
        elif low <= high * (1.0 + sunk) * (1.0 + ROUNDING):
            for j in range(t, last):
                mark = cash + (bars_i[j, 0, BI_CLOSE] - entry) * side * lots * unit
                top, sunk, deeper = take_mark(mark, top, sunk, deeper)
        else:
            top, sunk, deeper = take_mark(high, top, sunk, deeper)
        peak = max(peak, high)
        unreset = max(unreset, high)
        if whole:
            for j in range(t, last):
                equity[j] = cash + (bars_i[j, 0, BI_CLOSE] - entry) * side * lots * unit
        else:
            equity[last - 1] = value
        t = last
        begins = t == until
        if begins:
            k += 1
    if t > first:
        mi[0, MI_MARK] = bars_i[t - 1, 0, BI_CLOSE]
        ff[FF_CASH], ff[FF_EQUITY], ff[FF_DAY_START] = cash, value, day_start
        ff[FF_PEAK], ff[FF_PEAK_UNRESET] = peak, unreset
        af[AF_PEAK], af[AF_FALL], af[AF_DEEPEST] = top, sunk, deeper
        fi[FI_DAY_START_MS] = begun // DAY_MS * DAY_MS
        pf[0, PF_FUNDING] = funding
        if watched:
            pi[0, PI_CONFLICT_BARS] = 0
            pi[0, PI_FLIP_BARS] = 0
    return t
