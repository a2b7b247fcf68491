"""When an instrument's market is open.  Times are integer milliseconds UTC.

Crypto trades always; FX from Sunday to Friday, 17:00 New York; US equities in the exchange's hours.
New York's offset follows the federal rule of its time: daylight saving from the second Sunday of
March to the first of November since 2007, before that from the first Sunday of April to the last of
October (1987 to 2006).  Arithmetic instead of a zone database keeps this module pure; the tests
compare it with the database.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from magnetfund.kernel.errors import InvalidInput
from trading.domain.market.candles import DAY_MS, HOUR_MS, MINUTE_MS, IntArray
from trading.domain.market.instruments import DayRule

_EPOCH = date(1970, 1, 1)
_FIRST_YEAR = 1987
_SATURDAY, _SUNDAY = 5, 6


def new_york_offset_ms(*, times: IntArray) -> IntArray:
    """UTC offset of New York (ms, negative) at each instant; from 1987 on.

    Raises :class:`InvalidInput` for earlier times.
    """
    times = np.asarray(times, dtype=np.int64)
    if times.size == 0:
        return np.empty(0, dtype=np.int64)
    years = times.astype("datetime64[ms]").astype("datetime64[Y]").astype(np.int64) + 1970
    if int(years.min()) < _FIRST_YEAR:
        raise InvalidInput("New York days are known from 1987 on", code="day_rule_range")
    offset = np.full(times.shape, -5 * HOUR_MS, dtype=np.int64)
    for year in np.unique(years).tolist():
        start, end = _daylight_saving(year)
        offset[(times >= start) & (times < end)] = -4 * HOUR_MS
    return offset


def is_market_open(
    *, times: IntArray, day_rule: DayRule, holidays: Collection[date] = ()
) -> NDArray[np.bool_]:
    """Whether the market trades at each instant.

    Crypto always; FX from Sunday to Friday 17:00 New York; equities 09:30 to 16:00 New York on
    weekdays.  ``holidays`` are whole session dates on which it does not trade at all.
    """
    times = np.asarray(times, dtype=np.int64)
    if day_rule is DayRule.UTC_MIDNIGHT and not holidays:
        return np.ones(times.shape, dtype=np.bool_)
    local = _local(times, day_rule)
    days = local // DAY_MS
    open_ = np.ones(times.shape, dtype=np.bool_)
    if day_rule is not DayRule.UTC_MIDNIGHT:
        open_ &= (days + 3) % 7 < _SATURDAY
    if day_rule is DayRule.EXCHANGE_HOURS:
        minute = local % DAY_MS // MINUTE_MS
        open_ &= (minute >= 9 * 60 + 30) & (minute < 16 * 60)
    if holidays:
        closed = np.array([(day - _EPOCH).days for day in holidays], dtype=np.int64)
        open_ &= ~np.isin(days, closed)
    return open_


def _local(times: IntArray, day_rule: DayRule) -> IntArray:
    """Times shifted so that a session begins at a multiple of a day."""
    if day_rule is DayRule.UTC_MIDNIGHT:
        return times
    local = times + new_york_offset_ms(times=times)
    return local + 7 * HOUR_MS if day_rule is DayRule.NEW_YORK_17 else local


def _daylight_saving(year: int) -> tuple[int, int]:
    """Start and end (ms UTC) of daylight saving in New York."""
    if year >= 2007:
        start, end = _sunday(year, 3, 8), _sunday(year, 11, 1)
    else:
        start, end = _sunday(year, 4, 1), _sunday(year, 10, 25)
    return (
        (start - _EPOCH).days * DAY_MS + 7 * HOUR_MS,  # 02:00 at UTC-5
        (end - _EPOCH).days * DAY_MS + 6 * HOUR_MS,  # 02:00 at UTC-4
    )


def _sunday(year: int, month: int, day: int) -> date:
    """The first Sunday at or after a date."""
    start = date(year, month, day)
    return start + timedelta(days=(_SUNDAY - start.weekday()) % 7)
