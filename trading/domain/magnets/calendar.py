"""Periods of UTC time: four hours, days, weeks from Monday, months, years (times in ms).

Civil dates by the days-from-civil arithmetic of the proleptic Gregorian calendar.
"""

from __future__ import annotations

from trading.domain.compiled import compiled
from trading.domain.magnets.parameters import DAY_MS, HOUR_MS
from trading.domain.magnets.state import DAY, FOUR_HOURS, MONTH, WEEK

FOUR_HOURS_MS = 4 * HOUR_MS
WEEK_MS = 7 * DAY_MS
MONDAY_OFFSET_MS = 3 * DAY_MS
"""1970-01-01 was a Thursday, three days after a Monday."""


@compiled
def civil_year_month(day: int) -> tuple[int, int]:
    """Year and month (1..12) of a day counted from 1970-01-01."""
    shifted = day + 719468
    era = shifted // 146097
    day_of_era = shifted - era * 146097
    year_of_era = (
        day_of_era - day_of_era // 1460 + day_of_era // 36524 - day_of_era // 146096
    ) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    slot = (5 * day_of_year + 2) // 153
    month = slot + 3 if slot < 10 else slot - 9
    year = year_of_era + era * 400 + (1 if month <= 2 else 0)
    return year, month


@compiled
def day_of_month_start(year: int, month: int) -> int:
    """Day number, from 1970-01-01, of the first of a month; month 13 is the next January."""
    if month > 12:
        year, month = year + 1, month - 12
    shifted_year = year - 1 if month <= 2 else year
    era = shifted_year // 400
    year_of_era = shifted_year - era * 400
    slot = month - 3 if month > 2 else month + 9
    day_of_year = (153 * slot + 2) // 5
    day_of_era = year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year
    return era * 146097 + day_of_era - 719468


@compiled
def period_start(period: int, time: int) -> int:
    """Open time of the period (code as in ``state``) that holds ``time``."""
    if period == FOUR_HOURS:
        return time // FOUR_HOURS_MS * FOUR_HOURS_MS
    if period == DAY:
        return time // DAY_MS * DAY_MS
    if period == WEEK:
        return (time + MONDAY_OFFSET_MS) // WEEK_MS * WEEK_MS - MONDAY_OFFSET_MS
    year, month = civil_year_month(time // DAY_MS)
    if period == MONTH:
        return day_of_month_start(year, month) * DAY_MS
    return day_of_month_start(year, 1) * DAY_MS


@compiled
def period_end(period: int, start: int) -> int:
    """End (exclusive) of the period that opens at ``start``."""
    if period == FOUR_HOURS:
        return start + FOUR_HOURS_MS
    if period == DAY:
        return start + DAY_MS
    if period == WEEK:
        return start + WEEK_MS
    year, month = civil_year_month(start // DAY_MS)
    if period == MONTH:
        return day_of_month_start(year, month + 1) * DAY_MS
    return day_of_month_start(year + 1, 1) * DAY_MS
