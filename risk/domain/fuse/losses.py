"""The fund's loss triggers: the UTC day, the peak, the trip, and how a trip ends.

Equity is tested before it may lift the peak.  TRIPPED is left by two people (:mod:`.resets`) or, in
a scenario, by its reset policy; a drawdown's reset re-bases the peak, and the unreset peak stays.
"""

from __future__ import annotations

import math
from dataclasses import replace

from risk.domain.fuse.rules import FuseRules
from risk.domain.fuse.thresholds import compute_loss_threshold, compute_rearm_time, is_drawdown_trip
from risk.domain.fuse.types import DAY_MS, NEVER_MS, FuseBook, FuseMove, Trigger


def turn_day(
    fuse: FuseBook, *, time_ms: int, equity: float, results: tuple[float, ...]
) -> tuple[FuseBook, FuseMove | None]:
    """Begin a new UTC day at the last mark, and re-arm a trip whose time has come.

    ``results`` is each strategy's result so far, open positions at their marks.
    """
    day = time_ms // DAY_MS * DAY_MS
    if day > fuse.day_start_ms:
        fuse = replace(fuse, day_start_ms=day, day_start_equity=equity, result_day_start=results)
    if not fuse.tripped_by or time_ms < fuse.rearm_at:
        return fuse, None
    by = fuse.tripped_by
    fuse = rearm(fuse, equity=equity)
    event = FuseMove(
        time_ms=time_ms,
        trigger=int(Trigger.RESET),
        value=float(by),
        threshold=fuse.peak_equity,
    )
    return fuse, event


def compute_trip_level(fuse: FuseBook, rules: FuseRules) -> float:
    """The equity at or below which the fund trips; without capital there is none."""
    if fuse.peak_equity <= 0.0:
        return -math.inf
    return compute_loss_threshold(
        fuse.day_start_equity, fuse.peak_equity, rules.daily_loss_share, rules.drawdown_share
    )


def trip_on_loss(
    fuse: FuseBook, *, equity: float, time_ms: int, positions: int, rules: FuseRules
) -> tuple[FuseBook, FuseMove]:
    """TRIPPED by the daily loss or, where equity fell that far, by the drawdown."""
    drawdown = is_drawdown_trip(equity, fuse.peak_equity, rules.drawdown_share)
    trigger = Trigger.DRAWDOWN if drawdown else Trigger.DAILY_LOSS
    base = fuse.peak_equity if drawdown else fuse.day_start_equity
    rearm_at = compute_rearm_time(time_ms, drawdown, int(rules.reset_policy), DAY_MS, NEVER_MS)
    event = FuseMove(
        time_ms=time_ms,
        trigger=int(trigger),
        value=1.0 - equity / base,
        threshold=rules.drawdown_share if drawdown else rules.daily_loss_share,
        severity=1.0,
        cut_share=1.0,
        positions=positions,
    )
    return replace(fuse, tripped_by=int(trigger), tripped_at=time_ms, rearm_at=rearm_at), event


def trip_from_outside(fuse: FuseBook, *, time_ms: int) -> FuseBook:
    """TRIPPED because a person, or another part of the platform, stopped the book."""
    return replace(fuse, tripped_by=int(Trigger.MANUAL), tripped_at=time_ms, rearm_at=NEVER_MS)


def rearm(fuse: FuseBook, *, equity: float) -> FuseBook:
    """ARMED again; the peak of a drawdown starts anew at ``equity``."""
    peak = equity if fuse.tripped_by == Trigger.DRAWDOWN else fuse.peak_equity
    return replace(fuse, tripped_by=0, tripped_at=0, rearm_at=NEVER_MS, peak_equity=peak)


def lift_peaks(fuse: FuseBook, *, equity: float) -> FuseBook:
    """Remember a new high; while TRIPPED only the unreset peak moves.  Called after the tests."""
    lifts = not fuse.tripped_by and equity > fuse.peak_equity
    if lifts:
        fuse = replace(fuse, peak_equity=equity)
    if equity > fuse.peak_equity_unreset:
        fuse = replace(fuse, peak_equity_unreset=equity)
    return fuse


def scale_for_flow(fuse: FuseBook, *, factor: float) -> FuseBook:
    """Day start and peaks after money came in or went out: they move as equity does."""
    return replace(
        fuse,
        day_start_equity=fuse.day_start_equity * factor,
        peak_equity=fuse.peak_equity * factor,
        peak_equity_unreset=fuse.peak_equity_unreset * factor,
    )


def begin_capital(fuse: FuseBook, *, equity: float) -> FuseBook:
    """Day start and peaks of a book that had no capital and got its first; or lost its last."""
    return replace(fuse, day_start_equity=equity, peak_equity=equity, peak_equity_unreset=equity)


def is_equity_stale(*, valued_ms: int | None, now_ms: int, rules: FuseRules) -> bool:
    """Whether the newest equity is missing or too old to act on."""
    return valued_ms is None or now_ms - valued_ms > rules.equity_age_max_ms
