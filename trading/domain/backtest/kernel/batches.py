"""Variants of one slot side by side: each block of days is walked by all before the next begins.

A walk looks at a few thousand bars of tens of thousands, so most of its time is waiting for memory.
The bars of a block stay in the cache while every variant walks them.  Blocks end where days end, so
no stretch is cut in two and each variant ends as it would alone, to the last bit.
"""

from __future__ import annotations

from typing import Any

from trading.domain.backtest.kernel.decisions import run_decisions


def run_batch(
    blocks: Any,
    block_days: Any,
    ends: Any,
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
    stop_atr: Any,
    target_atr: Any,
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
    marks: Any,
    whole: bool,
) -> None:
    """Walk the blocks that begin at the bars ``blocks`` (the last is the end).

    Decisions, books and deepest falls have a row for each variant, and so has ``marks``, which
    receives the marks at the last bars of the days, ``ends``; ``block_days`` is the first day of
    each block.  Everything else is shared, ``ti`` to ``vf`` too: a later variant writes over them.
    """
    for b in range(blocks.shape[0] - 1):
        for v in range(enter.shape[0]):
            run_decisions(
                blocks[b], blocks[b + 1], times, bars_i, bars_f, flags, special, starts, dues, days,
                day_at, opens, severity, following, rows, base_i, base_f, told, enter[v], leave[v],
                leave_words[v], stop[v], target[v], closes, reach, stop_atr[v], target_atr[v], gi,
                gf, pi[v], pf[v], ri[v], rf[v], mi[v], mf[v], fi[v], ff[v], si[v], sf[v], ei[v],
                ef[v], zi, zf, lf, ti, tf, vi, vf, denials, losses, shares, af[v], equity, whole,
            )  # fmt: skip
            for day in range(block_days[b], block_days[b + 1]):
                marks[v, day] = equity[ends[day]]
