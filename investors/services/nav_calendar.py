"""When a NAV may be struck: its instant, what may not be passed over, its version."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from django.db.models import Exists, OuterRef

from investors.domain.fees import ClassTerms, is_crystallisation_day
from investors.models import (
    DealingDay,
    DealingProposal,
    Distribution,
    Fund,
    NavStrike,
)
from investors.services.nav_inputs import last_dealt
from investors.services.policies import terms_in_force
from magnetfund.kernel.errors import Conflict, InvalidInput


def require_instant(
    fund: Fund, valuation_at: datetime, dealing_day: DealingDay | None, at: datetime
) -> None:
    if valuation_at > at:
        raise InvalidInput("the valuation point has not been reached yet", code="too_early")
    if dealing_day is not None and (
        dealing_day.fund_id != fund.pk or dealing_day.valuation_at != valuation_at
    ):
        raise InvalidInput(
            "this is not the valuation point of the dealing day", code="wrong_dealing_day"
        )
    if NavStrike.objects.filter(
        fund=fund, valuation_at__gt=valuation_at, state=NavStrike.State.DEALT
    ).exists():
        raise Conflict("a later NAV has already been dealt", code="later_dealt")
    if DealingProposal.objects.filter(
        share_class__fund=fund,
        kind=DealingProposal.Kind.TRANSFER,
        is_approved=True,
        decided_at__gt=valuation_at,
    ).exists():
        raise Conflict("units were transferred after this instant", code="units_moved")
    if Distribution.objects.filter(
        share_class__fund=fund, is_approved=True, decided_at__gt=valuation_at
    ).exists():
        raise Conflict("a distribution was declared after this instant", code="marks_moved")
    _require_nothing_between(fund, valuation_at)


def _require_nothing_between(fund: Fund, valuation_at: datetime) -> None:
    """No NAV passes over the end of a fiscal period, nor over a dealing day with orders."""
    previous = last_dealt(fund, before=valuation_at)
    if previous is None:
        return
    ends = find_due_period_end(fund, before=valuation_at)
    if ends is not None:
        raise Conflict(
            f"the fiscal period ends at {ends:%Y-%m-%d %H:%M} UTC; strike that NAV first",
            code="period_end_unstruck",
            details={"valuation_at": ends.isoformat()},
        )
    passed_over = DealingDay.objects.filter(
        fund=fund,
        is_suspended=False,
        valuation_at__gt=previous.valuation_at,
        valuation_at__lt=valuation_at,
        orders__state__in=("accepted", "funded", "deferred"),
    ).first()
    if passed_over is not None:
        raise Conflict(
            f"orders wait for the dealing day {passed_over.day}; strike its NAV first",
            code="day_unstruck",
        )


def find_due_period_end(fund: Fund, *, before: datetime) -> datetime | None:
    """The first instant after the last dealt NAV and strictly before ``before`` at which a fiscal
    period of a class with units ends; it takes a NAV of its own."""
    previous = last_dealt(fund, before=before)
    if previous is None:
        return None
    instant = previous.valuation_at
    while True:
        year, month = divmod(instant.year * 12 + instant.month, 12)
        instant = datetime(year, month + 1, 1, tzinfo=UTC)
        if instant >= before:
            return None
        for item in fund.classes.filter(holdings__units__gt=0).distinct():
            if ends_period(terms_in_force(item, at=instant), instant):
                return instant


def find_due(fund: Fund, *, at: datetime) -> tuple[datetime, DealingDay | None] | None:
    """The instant that needs a NAV next and the dealing day that it deals, if any is due.

    That is the oldest dealing day that has come without a NAV in force or waiting; a fiscal period
    that ended before it has a NAV of its own first.  Nothing is due while dealing is suspended, nor
    on a day that came while it was.
    """
    if Fund.objects.filter(pk=fund.pk, is_suspended=True).exists():
        return None
    done = NavStrike.objects.filter(
        fund=fund,
        valuation_at=OuterRef("valuation_at"),
        state__in=["prepared", "approved", "dealt"],
    )
    day = (
        DealingDay.objects.filter(
            ~Exists(done), fund=fund, is_suspended=False, valuation_at__lte=at
        )
        .order_by("day")
        .first()
    )
    if day is None:
        return None
    ends = find_due_period_end(fund, before=day.valuation_at)
    return (day.valuation_at, day) if ends is None else (ends, None)


def next_version(fund: Fund, valuation_at: datetime) -> int:
    rows = list(NavStrike.objects.filter(fund=fund, valuation_at=valuation_at))
    if any(row.state in ("prepared", "approved", "dealt") for row in rows):
        raise Conflict("a NAV for this valuation point already exists", code="strike_exists")
    if NavStrike.objects.filter(
        fund=fund, valuation_at__lt=valuation_at, state=NavStrike.State.PREPARED
    ).exists():
        raise Conflict(
            "an earlier NAV is awaiting approval; decide on it first", code="earlier_open"
        )
    return max((row.version for row in rows), default=0) + 1


def ends_period(terms: ClassTerms, valuation_at: datetime) -> bool:
    """Whether a valuation ends a fiscal period of the class: its fees become final there."""
    day = (valuation_at - timedelta(microseconds=1)).date()
    return is_crystallisation_day(terms=terms, day=day)
