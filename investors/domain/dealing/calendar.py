"""The dealing calendar: which day an order takes, and whether a subscription is dealt on it.

Forward pricing is a law here: an order takes a day whose cut-off is not yet past when the order is
complete, so nobody deals at a price already known.  There is no override.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

from magnetfund.kernel.clock import require_utc
from magnetfund.kernel.errors import InvalidInput

_SATURDAY = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class DealingDate:
    """One day of the calendar; instants are UTC and the cut-off lies before the valuation."""

    day: date
    cutoff_at: datetime
    funding_deadline_at: datetime
    valuation_at: datetime
    is_suspended: bool = False

    def __post_init__(self) -> None:
        for instant in (self.cutoff_at, self.funding_deadline_at, self.valuation_at):
            require_utc(instant)
        if self.cutoff_at >= self.valuation_at:
            raise InvalidInput("the cut-off must be before the valuation point", code="not_forward")


class SubscriptionStep(StrEnum):
    """What happens to a subscription on its dealing day."""

    DEAL = "deal"
    ROLL = "roll"
    REFUND = "refund"


def count_business_days(*, after: date, until: date, holidays: Collection[date] = ()) -> int:
    """Business days in (``after``, ``until``]: weekdays that are no holiday of the fund."""
    span = (until - after).days
    days = (after + timedelta(days=step) for step in range(1, span + 1))
    return sum(day.weekday() < _SATURDAY and day not in holidays for day in days)


def choose_dealing_date(
    *,
    calendar: Sequence[DealingDate],
    received_at: datetime,
    notice_days: int = 0,
    holidays: Collection[date] = (),
) -> DealingDate:
    """First open day with ``received_at <= cutoff_at`` and ``notice_days`` of notice.

    Notice counts business days after the UTC day of receipt up to the dealing day.  "Next" is the
    next day of the calendar, not the next day.  Raises ``InvalidInput`` (``no_dealing_day``) where
    the calendar ends before, and ``negative`` for a negative notice.
    """
    received = require_utc(received_at)
    if notice_days < 0:
        raise InvalidInput("the notice period must not be negative", code="negative")
    for candidate in sorted(calendar, key=lambda date_: date_.day):
        if candidate.is_suspended or received > candidate.cutoff_at:
            continue
        notice = count_business_days(after=received.date(), until=candidate.day, holidays=holidays)
        if notice >= notice_days:
            return candidate
    raise InvalidInput("no dealing day is open for this order", code="no_dealing_day")


def decide_subscription(
    *,
    dealing_date: DealingDate,
    is_kyc_approved: bool,
    cleared_at: datetime | None,
    rolls: int,
    rolls_max: int,
) -> SubscriptionStep:
    """Deal only with approval and money cleared by the deadline; else roll, and at last refund.

    ``rolls`` is how often the order has rolled before today.  A suspended day never deals.
    """
    in_time = cleared_at is not None and require_utc(cleared_at) <= dealing_date.funding_deadline_at
    if is_kyc_approved and in_time and not dealing_date.is_suspended:
        return SubscriptionStep.DEAL
    return SubscriptionStep.ROLL if rolls < rolls_max else SubscriptionStep.REFUND
