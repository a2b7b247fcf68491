"""Locks of one strategy: losses in a row, and its own daily loss; both until the next 00:00 UTC.

A loss is a round trip with net result below zero, fuse closures included.  A lock begins the count
anew, so the first loss of the next day is the first again.  Open positions keep their protection.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from risk.domain.fuse.rules import FuseRules
from risk.domain.fuse.types import DAY_MS, FuseBook, FuseMove, Trigger
from risk.domain.limits import NO_STRATEGY_LIMITS, StrategyLimits

_T = TypeVar("_T")


def count_round_trip(
    fuse: FuseBook,
    *,
    strategy: int,
    net: float,
    time_ms: int,
    rules: FuseRules,
    own: StrategyLimits = NO_STRATEGY_LIMITS,
) -> tuple[FuseBook, FuseMove | None]:
    """Count one finished round trip of a strategy; the last loss of a row locks it."""
    fuse = replace(
        fuse, result_closed=_set(fuse.result_closed, strategy, fuse.result_closed[strategy] + net)
    )
    losses = 0 if net >= 0.0 else fuse.losses_in_a_row[strategy] + 1
    limit = losses_allowed(rules, own)
    if not rules.acting or losses < limit:
        return _with_losses(fuse, strategy, losses), None
    fuse = _lock(_with_losses(fuse, strategy, 0), strategy, time_ms)
    return fuse, FuseMove(
        time_ms=time_ms,
        trigger=int(Trigger.LOSS_STREAK),
        strategy=strategy,
        value=float(losses),
        threshold=float(limit),
    )


def check_strategy_day(
    fuse: FuseBook,
    *,
    strategy: int,
    result: float,
    time_ms: int,
    rules: FuseRules,
    own: StrategyLimits,
) -> tuple[FuseBook, FuseMove | None]:
    """Lock a strategy whose loss of the UTC day reached its own share of the fund's equity.

    ``result`` is the strategy's result so far, open positions at their marks.
    """
    if not rules.acting or own.daily_loss_share is None or fuse.lock_until[strategy] > time_ms:
        return fuse, None
    if fuse.day_start_equity <= 0.0:
        return fuse, None
    loss = (fuse.result_day_start[strategy] - result) / fuse.day_start_equity
    limit = float(own.daily_loss_share)
    if not loss >= limit:
        return fuse, None
    return _lock(fuse, strategy, time_ms), FuseMove(
        time_ms=time_ms,
        trigger=int(Trigger.STRATEGY_DAILY_LOSS),
        strategy=strategy,
        value=loss,
        threshold=limit,
    )


def losses_allowed(rules: FuseRules, own: StrategyLimits) -> int:
    """Losses in a row that lock: the fund's number or the strategy's stricter one."""
    if own.losses_in_a_row_count is None:
        return rules.losses_in_a_row
    return min(rules.losses_in_a_row, own.losses_in_a_row_count)


def lock_end(time_ms: int) -> int:
    """The first 00:00 UTC after an instant."""
    return (time_ms // DAY_MS + 1) * DAY_MS


def _lock(fuse: FuseBook, strategy: int, time_ms: int) -> FuseBook:
    return replace(fuse, lock_until=_set(fuse.lock_until, strategy, lock_end(time_ms)))


def _with_losses(fuse: FuseBook, strategy: int, losses: int) -> FuseBook:
    return replace(fuse, losses_in_a_row=_set(fuse.losses_in_a_row, strategy, losses))


def _set(items: tuple[_T, ...], index: int, value: _T) -> tuple[_T, ...]:
    return (*items[:index], value, *items[index + 1 :])
