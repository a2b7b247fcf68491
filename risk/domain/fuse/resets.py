"""What stands against re-arming, beside the signatures of two people.

Whether somebody holds a role, and that two people are two, is the service's question; PostgreSQL
asks again for what an arming row needs.  Denials are values with codes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from magnetfund.kernel.clock import utc_midnight
from risk.domain.fuse.rules import FuseRules
from risk.domain.fuse.types import Trigger


class ResetDenialCode(StrEnum):
    """Why a reset is refused; ``same_day`` and ``needs_director`` are stored and shown."""

    SAME_DAY = "same_day"
    NEEDS_DIRECTOR = "needs_director"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResetDenial:
    """One reason against a reset, in words."""

    code: ResetDenialCode
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Trip:
    """A trip that waits for its reset: the code of its trigger and when (aware UTC)."""

    trigger: str
    tripped_at: datetime


def find_reset_denial(
    *,
    trips: Sequence[Trip],
    drawdown_resets: Iterable[datetime],
    has_director: bool,
    at: datetime,
    rules: FuseRules,
) -> ResetDenial | None:
    """The first thing that stands against arming at ``at``, every trip since the last arming told.

    A daily loss waits for the next UTC day; a second drawdown reset within the approved number of
    days also takes a fund director.
    """
    for trip in trips:
        is_loss = trip.trigger == Trigger.DAILY_LOSS.code
        if is_loss and utc_midnight(at) <= utc_midnight(trip.tripped_at):
            words = "after a daily-loss trip the fuse can be re-armed from the next 00:00 UTC"
            return ResetDenial(code=ResetDenialCode.SAME_DAY, words=words)
    needed = is_director_needed(trips=trips, drawdown_resets=drawdown_resets, at=at, rules=rules)
    if needed and not has_director:
        words = (
            f"a second drawdown reset within {rules.second_drawdown_days:g} days also needs the "
            "approval of a fund director"
        )
        return ResetDenial(code=ResetDenialCode.NEEDS_DIRECTOR, words=words)
    return None


def is_director_needed(
    *,
    trips: Sequence[Trip],
    drawdown_resets: Iterable[datetime],
    at: datetime,
    rules: FuseRules,
) -> bool:
    """Whether this would be a second drawdown reset within the window."""
    if find_heaviest(trips) != Trigger.DRAWDOWN.code:
        return False
    window = timedelta(days=rules.second_drawdown_days)
    return any(at - reset < window for reset in drawdown_resets)


def find_heaviest(trips: Sequence[Trip]) -> str:
    """The trigger that a reset is filed under: drawdown before daily loss before the newest.

    ``trips`` come newest first; empty without any.
    """
    triggers = [trip.trigger for trip in trips]
    for heavy in (Trigger.DRAWDOWN.code, Trigger.DAILY_LOSS.code):
        if heavy in triggers:
            return heavy
    return triggers[0] if triggers else ""


def is_reconciled_since(*, reconciled_at: datetime | None, tripped_at: datetime | None) -> bool:
    """Whether a clean reconciliation is newer than the last trip; a request rests on it."""
    if reconciled_at is None:
        return False
    return tripped_at is None or reconciled_at >= tripped_at
