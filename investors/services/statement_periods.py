"""The periods that statements are made of: a month, from one dealt strike to another.

A strike at the first instant of a month closes the month before.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime

from investors.models import DealingDay, Fund, NavStrike
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import Conflict, InvalidInput, NotFound


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """From one dealt strike (``None``: the first day) to another; ``name`` is YYYY-MM."""

    name: str
    opening: NavStrike | None
    closing: NavStrike

    @property
    def start(self) -> date:
        """The day on which the period begins: its opening strike's, or the first of the month."""
        if self.opening is not None:
            return self.opening.valuation_at.date()
        return date(int(self.name[:4]), int(self.name[5:]), 1)

    @property
    def end(self) -> date:
        return self.closing.valuation_at.date()


def find_period(fund: Fund, name: str) -> Period:
    """The period of a month (YYYY-MM): its last dealt strike, from the last one before the month.

    Raises :class:`InvalidInput` (``bad_period``), :class:`NotFound` (``no_strike``) where nothing
    was struck in the month, and :class:`Conflict` (``period_open``) while it runs or a dealing day
    of it waits for its NAV.
    """
    begin, end = _month(name)
    if utc_now() < end:
        raise Conflict(f"{name} is not over yet", code="period_open")
    dealt = NavStrike.objects.filter(fund=fund, state=NavStrike.State.DEALT).order_by(
        "-valuation_at"
    )
    closing = dealt.filter(valuation_at__gt=begin, valuation_at__lte=end).first()
    if closing is None:
        raise NotFound(f"no NAV was struck in {name}", code="no_strike")
    waiting = DealingDay.objects.filter(
        fund=fund,
        is_suspended=False,
        valuation_at__gt=closing.valuation_at,
        valuation_at__lte=end,
    ).order_by("valuation_at")
    if (day := waiting.first()) is not None:
        raise Conflict(f"the NAV of {day.day} is not struck yet", code="period_open")
    opening = dealt.filter(valuation_at__lte=begin).first()
    return Period(name=name, opening=opening, closing=closing)


def list_periods(fund: Fund) -> list[str]:
    """The months that have a period, newest first."""
    instants = NavStrike.objects.filter(fund=fund, state=NavStrike.State.DEALT).values_list(
        "valuation_at", flat=True
    )
    return sorted({name_of(at) for at in instants}, reverse=True)


def name_of(valuation_at: datetime) -> str:
    """The month that a strike closes; one at its first instant closes the month before."""
    at = valuation_at
    if (at.day, at.hour, at.minute, at.second, at.microsecond) == (1, 0, 0, 0, 0):
        year, month = divmod(at.year * 12 + at.month - 2, 12)
        return f"{year:04}-{month + 1:02}"
    return f"{at:%Y-%m}"


def _month(name: str) -> tuple[datetime, datetime]:
    try:
        begin = datetime.strptime(name, "%Y-%m").replace(tzinfo=UTC)
    except ValueError:
        raise InvalidInput("a period is written YYYY-MM", code="bad_period") from None
    year, month = divmod(begin.year * 12 + begin.month, 12)
    return begin, begin.replace(year=year, month=month + 1)
