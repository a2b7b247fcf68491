"""The loop of one slot that goes from event to event instead of from bar to bar.

Quiet bars are walked by :mod:`.quiet`; every other takes the full step of :mod:`.loop`.
"""

from __future__ import annotations

from typing import Any

from trading.domain.backtest.kernel.layout import (
    BI_CLOSE,
    EI_ACTIVE,
    FI_REARM_AT,
    FI_TRIPPED_BY,
    GF_STOP,
    GF_TARGET,
    GI_DIRECTION,
    GI_EXIT_LONG,
    GI_EXIT_SHORT,
    GI_TREND,
    MI_MARK,
    PI_ENTRY_TIME,
    PI_OUT_REASON,
    PI_SIDE,
    RI_HOLD_MS,
    SI_LOCK_UNTIL,
    ZI_BAR_MS,
)
from trading.domain.backtest.kernel.loop import step_bar
from trading.domain.backtest.kernel.marks import note_mark
from trading.domain.backtest.kernel.quiet import (
    KI_DECISION,
    KI_TIME,
    KI_TREND,
    find_row,
    is_calm,
    walk_flat,
    walk_held,
)
from trading.domain.strategies.sides import place_level

NAN = float("nan")
#: The lowest bit of each byte of a word.
LOWEST_BITS = 0x0101010101010101


def find_leave(place: int, count: int, leave: Any, words: Any, wanted: int) -> int:
    """The first decision from ``place`` on that leaves the side of bit ``wanted``, else ``count``.

    ``words`` are the bytes of ``leave``, eight at a time and zero after the last: a position is
    held for dozens of decisions.
    """
    bits = wanted * LOWEST_BITS
    while place < count and leave[place] & wanted == 0:
        place += 1
        if place & 7 == 0:
            while place < count and words[place >> 3] & bits == 0:
                place += 8
    return min(place, count)


def run_decisions(
    begin: int,
    finish: int,
    times: Any,
    bars_i: Any,
    bars_f: Any,
    flags: Any,
    special: Any,
    starts: Any,
    dues: Any,
    days: Any,
    day_at: Any,
    opens: Any,
    severity: Any,
    following: Any,
    rows: Any,
    base_i: Any,
    base_f: Any,
    told: Any,
    enter: Any,
    leave: Any,
    leave_words: Any,
    stop: Any,
    target: Any,
    closes: Any,
    reach: Any,
    stop_atr: float,
    target_atr: float,
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
    af: Any,
    equity: Any,
    whole: bool,
) -> None:
    """Work the bars ``[begin, finish)`` of one slot whose decisions stand at ``rows``.

    All that is known after a bar stands in the arrays, so a later call goes on where this one ends.
    ``following`` is the number of the first decision at or after each bar, ``base_i`` and
    ``base_f`` what the signals of all variants have in common, in the columns ``told`` (``gf`` is
    NaN in the others).  Stop and target of an entry are those given, or follow from ``closes`` and
    ``reach`` where these are.  ``equity`` receives every mark where ``whole`` is true, else those
    at the ends of stretches (and of days, which end one).
    """
    size, count = times.shape[0], rows.shape[0]
    t, entering, leaving, leaves = begin, -1, -1, 0
    while t < finish:
        if is_calm(pi, fi, ei, sf):
            side = pi[0, PI_SIDE]
            if side == 0:
                # Entries that a trip, an episode or a lock would deny are none.
                end = finish
                if fi[FI_TRIPPED_BY] != 0:
                    end = min(end, find_row(times, fi[FI_REARM_AT]))
                elif ei[0, EI_ACTIVE] == 0:
                    if entering < t:
                        place, until = following[t], si[0, SI_LOCK_UNTIL] - zi[ZI_BAR_MS]
                        while place < count and (enter[place] == 0 or times[rows[place]] < until):
                            place += 1
                        entering = min(finish, rows[place]) if place < count else finish
                    end = entering
                first = t
                t = walk_flat(
                    t, end, times, flags, special, starts, bars_i, severity, fi, ff, ei, ef, equity,
                    whole,
                )  # fmt: skip
                if t > first:
                    mi[0, MI_MARK] = bars_i[t - 1, 0, BI_CLOSE]
            else:
                wanted = 1 if side > 0 else 2
                if leaving < t or leaves != wanted:
                    leaves = wanted
                    place = find_leave(following[t], count, leave, leave_words, wanted)
                    leaving = min(finish, rows[place]) if place < count else finish
                end = leaving
                if ri[0, RI_HOLD_MS] > 0:
                    until = pi[0, PI_ENTRY_TIME] + ri[0, RI_HOLD_MS] - zi[ZI_BAR_MS]
                    end = min(end, find_row(times, until))
                t = walk_held(
                    t, end, times, bars_i, flags, starts, dues, days, day_at, opens, severity,
                    base_i, base_f, pi, pf, ri, mi, mf, fi, ff, ei, ef, zi, zf, af, equity, whole,
                )  # fmt: skip
            pi[0, PI_OUT_REASON] = -1 if pi[0, PI_SIDE] == 0 else 0
            if t >= finish:
                break
        gi[0, GI_TREND] = bars_i[t, 0, KI_TREND]
        for c in range(told.shape[0]):
            gf[0, told[c]] = base_f[t, 0, told[c]]
        gf[0, GF_STOP] = NAN
        gf[0, GF_TARGET] = NAN
        gi[0, GI_DIRECTION] = 0
        gi[0, GI_EXIT_LONG] = 0
        gi[0, GI_EXIT_SHORT] = 0
        place = bars_i[t, 0, KI_DECISION]
        if place >= 0:
            gi[0, GI_DIRECTION] = enter[place]
            gi[0, GI_EXIT_LONG] = leave[place] & 1
            gi[0, GI_EXIT_SHORT] = leave[place] >> 1
            if reach.shape[0] == 0:
                gf[0, GF_STOP] = stop[place]
                gf[0, GF_TARGET] = target[place]
            elif enter[place] != 0:
                side = enter[place]
                gf[0, GF_STOP] = place_level(closes[place], side, stop_atr, reach[place])
                if target_atr != 0.0:
                    gf[0, GF_TARGET] = place_level(closes[place], side, -target_atr, reach[place])
        equity[t] = step_bar(
            bars_i[t, 0, KI_TIME], t == size - 1, bars_i[t], bars_f[t], gi, gf, pi, pf, ri, rf, mi,
            mf, fi, ff, si, sf, ei, ef, zi, zf, lf, ti, tf, vi, vf, denials, losses, shares,
        )  # fmt: skip
        note_mark(equity[t], af)
        t += 1
