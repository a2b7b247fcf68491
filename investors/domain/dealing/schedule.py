"""The rule of a dealing calendar: the days that it makes, before anybody writes them.

One dealing day a month.  Its NAV is valued at 00:00 UTC; cut-off and funding deadline are local
times of the fund's zone, so daylight saving moves them in UTC and not on the wall.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from investors.domain.dealing.calendar import DealingDate
from magnetfund.kernel.errors import InvalidInput

_SATURDAY = 5
DAY_OF_MONTH_MAX = 28
MONTHS_MAX = 120
DAYS_BEFORE_MAX = 90


@dataclass(frozen=True, slots=True, kw_only=True)
class CalendarRule:
    """``day_of_month`` moves forward over holidays and, where asked, weekends.

    ``cutoff_days``, ``funding_days`` and ``settlement_days`` are calendar days: the first two
    before the dealing day, at ``cutoff_time`` in ``zone``; settlement after it.
    """

    zone: str = "UTC"
    day_of_month: int = 1
    skips_weekends: bool = False
    cutoff_days: int = 5
    cutoff_time: time = time(17, 0)
    funding_days: int = 2
    settlement_days: int = 0

    def __post_init__(self) -> None:
        find_zone(self.zone)
        if not 1 <= self.day_of_month <= DAY_OF_MONTH_MAX:
            raise InvalidInput(
                f"day_of_month runs from 1 to {DAY_OF_MONTH_MAX}", code="bad_day_of_month"
            )
        for name in ("cutoff_days", "funding_days", "settlement_days"):
            if not 0 <= getattr(self, name) <= DAYS_BEFORE_MAX:
                raise InvalidInput(f"{name} runs from 0 to {DAYS_BEFORE_MAX}", code="bad_days")
        if self.cutoff_time.tzinfo is not None:
            raise InvalidInput("cutoff_time is a local time without a zone", code="bad_time")
        if self.funding_days == 0 or self.cutoff_days == 0:
            raise InvalidInput(
                "cut-off and money lie at least one day before the valuation", code="not_forward"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedDay:
    """One day of the calendar with its settlement."""

    dealing: DealingDate
    settlement_day: date


def find_zone(name: str) -> ZoneInfo:
    """The zone of an IANA name; raises :class:`InvalidInput` (``unknown_zone``)."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise InvalidInput(
            f"there is no time zone {name!r}; write it as Europe/Zurich", code="unknown_zone"
        ) from None


def plan_calendar(
    *, rule: CalendarRule, first: date, months: int, holidays: Collection[date] = ()
) -> tuple[PlannedDay, ...]:
    """The dealing days of ``months`` months from that of ``first``, none before ``first``.

    Raises :class:`InvalidInput`: ``bad_months``, and ``not_forward`` where a cut-off or a deadline
    of money would not lie before its valuation.
    """
    if not 1 <= months <= MONTHS_MAX:
        raise InvalidInput(f"months runs from 1 to {MONTHS_MAX}", code="bad_months")
    days = (_day_of(rule, first, number, holidays) for number in range(months))
    return tuple(_plan(rule, day) for day in days if day >= first)


def _day_of(rule: CalendarRule, first: date, number: int, holidays: Collection[date]) -> date:
    year, month = divmod(first.year * 12 + first.month - 1 + number, 12)
    day = date(year, month + 1, rule.day_of_month)
    while day in holidays or (rule.skips_weekends and day.weekday() >= _SATURDAY):
        day += timedelta(days=1)
    return day


def _plan(rule: CalendarRule, day: date) -> PlannedDay:
    zone = find_zone(rule.zone)

    def local(days: int) -> datetime:
        wall = datetime.combine(day - timedelta(days=days), rule.cutoff_time, tzinfo=zone)
        return wall.astimezone(UTC)

    valuation_at, funding_at = datetime.combine(day, time(), tzinfo=UTC), local(rule.funding_days)
    if funding_at >= valuation_at:
        # West of Greenwich the evening before is the day of the valuation in UTC.
        raise InvalidInput(
            f"money could come in until {funding_at:%Y-%m-%d %H:%M} UTC, after the valuation; "
            "choose an earlier day or hour",
            code="not_forward",
        )
    return PlannedDay(
        dealing=DealingDate(
            day=day,
            cutoff_at=local(rule.cutoff_days),
            funding_deadline_at=funding_at,
            valuation_at=valuation_at,
        ),
        settlement_day=day + timedelta(days=rule.settlement_days),
    )
