"""The loop over all bars of a run."""

from __future__ import annotations

from typing import Any

from trading.domain.backtest.kernel.intrabar import close_bar, trade_slots
from trading.domain.backtest.kernel.layout import FF_EQUITY, ZI_BAR_MS
from trading.domain.backtest.kernel.opening import open_slots, turn_day
from trading.domain.backtest.kernel.orders import order_slots


def step_bar(
    time: int,
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
) -> float:
    """Work one bar in its order; returns equity at its close."""
    equity: float = trade_bar(
        time, bi, bf, pi, pf, ri, mi, mf, fi, ff, si, sf, zi, zf, ti, tf, vi, vf, losses, shares
    )
    order_slots(
        time + zi[ZI_BAR_MS], last, bi, bf, gi, gf, pi, pf, ri, rf, mi, mf, fi, ff, si, ei, ef, zi,
        zf, lf, vi, vf, denials,
    )  # fmt: skip
    return equity


def trade_bar(
    time: int,
    bi: Any,
    bf: Any,
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
) -> float:
    """Everything of a bar but its decisions; returns equity at its close."""
    turn_day(time, pi, pf, ri, mi, mf, fi, ff, sf, vi, vf)
    open_slots(time, bi, bf, pi, pf, ri, mf, fi, ff, si, sf, zi, ti, tf, vi, vf)
    trade_slots(
        time, bi, pi, pf, ri, mi, mf, fi, ff, si, sf, zi, zf, ti, tf, vi, vf, losses, shares
    )
    close_bar(time, bi, pi, pf, ri, mi, mf, fi, ff, si, sf, zi, zf, ti, tf, vi, vf)
    equity: float = ff[FF_EQUITY]
    return equity


def run_bars(
    times: Any,
    bars_i: Any,
    bars_f: Any,
    signals_i: Any,
    signals_f: Any,
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
    """Work every bar in its order; all results are written into the arrays given."""
    size = times.shape[0]
    for t in range(size):
        equity[t] = step_bar(
            times[t], t == size - 1, bars_i[t], bars_f[t], signals_i[t], signals_f[t], pi, pf, ri,
            rf, mi, mf, fi, ff, si, sf, ei, ef, zi, zf, lf, ti, tf, vi, vf, denials, losses, shares,
        )  # fmt: skip


def run_slices(
    times: Any,
    closes: Any,
    decisions: Any,
    bars_i: Any,
    bars_f: Any,
    signals_i: Any,
    signals_f: Any,
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
    """Work every slice in its order; decide where ``decisions`` names a row of the signals."""
    size = times.shape[0]
    for t in range(size):
        mark = trade_bar(
            times[t], bars_i[t], bars_f[t], pi, pf, ri, mi, mf, fi, ff, si, sf, zi, zf, ti, tf, vi,
            vf, losses, shares,
        )  # fmt: skip
        row = decisions[t]
        if row >= 0:
            equity[row] = mark
            order_slots(
                closes[t], t == size - 1, bars_i[t], bars_f[t], signals_i[row], signals_f[row], pi,
                pf, ri, rf, mi, mf, fi, ff, si, ei, ef, zi, zf, lf, vi, vf, denials,
            )  # fmt: skip
