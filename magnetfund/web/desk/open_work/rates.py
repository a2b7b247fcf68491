"""Tasks of rates: what was entered and waits, and a NAV that no rate could value."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db.models import (
    DateTimeField,
    Exists,
    ExpressionWrapper,
    F,
    OuterRef,
    QuerySet,
    Subquery,
    Value,
)
from django.db.models.functions import Least

from investors.domain.coins import RATE_AGE_MAX
from investors.models import CoinRate, DealingDay, NavStrike, ParTerm, RateProposal
from magnetfund.core.roles import Role
from magnetfund.web.desk.open_work.tasks import Source, columns_of, name_of
from trading.domain.market.symbols import SIMULATED
from trading.models import BookMember

#: So long before a valuation a missing rate is a task.
AHEAD = timedelta(days=1)


def _select_entered(book: str, now: datetime) -> QuerySet[Any, dict[str, Any]]:
    rows = RateProposal.objects.filter(fund__book=book, is_approved=None)
    return columns_of(rows, since="proposed_at", who=name_of("proposed_by"), words="coin")


def _select_par(book: str, now: datetime) -> QuerySet[Any, dict[str, Any]]:
    rows = ParTerm.objects.filter(fund__book=book, is_approved=None)
    return columns_of(rows, since="proposed_at", who=name_of("proposed_by"), words="coin")


def _select_missing(book: str, now: datetime) -> QuerySet[Any, dict[str, Any]]:
    """Dealing days, due or of tomorrow, whose coin has no rate that a NAV could take."""
    struck = NavStrike.objects.filter(fund=OuterRef("fund"), valuation_at=OuterRef("valuation_at"))
    members = BookMember.objects.filter(book=OuterRef("fund__book"))
    coin = members.exclude(instrument__venue=SIMULATED).order_by("pk").values("instrument__settle")
    rates = CoinRate.objects.filter(
        coin=OuterRef("coin"), currency=OuterRef("fund__currency"), held="",
        observed_at__gte=OuterRef("oldest"), observed_at__lte=OuterRef("valuation_at"),
    )  # fmt: skip
    rows = (
        DealingDay.objects.filter(
            ~Exists(struck), fund__book=book, fund__is_simulated=False, fund__is_suspended=False,
            is_suspended=False, valuation_at__lte=now + AHEAD,
        )
        .annotate(
            coin=Subquery(coin[:1]),
            oldest=ExpressionWrapper(
                Least(F("valuation_at"), Value(now)) - Value(RATE_AGE_MAX),
                output_field=DateTimeField(),
            ),
        )
        .exclude(coin=None)
        .exclude(coin=F("fund__currency"))
        .filter(~Exists(rates))
    )  # fmt: skip
    return columns_of(rows, since="valuation_at", day="valuation_at", words="coin")


SOURCES = {
    "rate_entered": Source(
        kind="NAV",
        role=Role.CONTROLLER,
        url_name="desk_rates",
        select=_select_entered,
        describe=lambda row: (
            f"Approve or decline a rate of {row['words']}",
            f"entered by {row['who']}; no NAV takes it before",
        ),
    ),
    "par_proposed": Source(
        kind="NAV",
        role=Role.CONTROLLER,
        url_name="desk_rates",
        select=_select_par,
        describe=lambda row: (
            f"Approve or decline a term of par of {row['words']}",
            f"proposed by {row['who']}; no NAV takes it before",
        ),
    ),
    "rate_missing": Source(
        kind="NAV",
        role=Role.ACCOUNTANT,
        url_name="desk_rates",
        select=_select_missing,
        describe=lambda row: (
            f"{row['words']} has no rate for the NAV of {row['on_day'].day} {row['on_day']:%b %Y}",
            "a NAV takes one of the six hours before it; without it none is struck",
        ),
    ),
}
