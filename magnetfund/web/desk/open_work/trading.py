"""Tasks of risk officers and operators: the fuse, limits, orders, reconciliation."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db.models import (
    F,
    QuerySet,
    Subquery,
)
from django.db.models.fields.json import KT

from magnetfund.core.roles import Role
from magnetfund.web.desk.open_work.tasks import Source, columns_of, name_of
from risk.models import FuseReset, LimitProposal
from trading.domain.market.events import MarketEventKind
from trading.models import MarketEvent, Order, Reconciliation

#: An order that is neither at the venue nor finished after this long needs a look.
PENDING_AFTER = timedelta(minutes=1)


def _select_resets(book: str, now: datetime) -> QuerySet[Any, dict[str, Any]]:
    rows = FuseReset.objects.filter(book=book, withdrawn_at=None, approved_at=None)
    return columns_of(rows, since="proposed_at", who=name_of("proposed_by"), words="reason")


def _select_unknown(book: str, now: datetime) -> QuerySet[Any, dict[str, Any]]:
    rows = Order.objects.filter(book=book, state="UNKNOWN", closed_at=None)
    return columns_of(rows, since="occurred_at", who="instrument__symbol", words="side")


def _select_pending(book: str, now: datetime) -> QuerySet[Any, dict[str, Any]]:
    rows = Order.objects.filter(
        book=book,
        state__in=["INTENT", "SENDING", "CANCEL_PENDING"],
        closed_at=None,
        occurred_at__lt=now - PENDING_AFTER,
    )
    return columns_of(rows, since="occurred_at", who="instrument__symbol", words="state")


def _select_breaks(book: str, now: datetime) -> QuerySet[Any, dict[str, Any]]:
    newest = Reconciliation.objects.filter(book=book).order_by("-occurred_at").values("pk")[:1]
    rows = Reconciliation.objects.filter(pk=Subquery(newest), is_clean=False)
    return columns_of(rows, since="occurred_at")


def _select_limits(book: str, now: datetime) -> QuerySet[Any, dict[str, Any]]:
    rows = LimitProposal.objects.filter(book=book, limit_set=None, withdrawn_at=None)
    return columns_of(rows, since="proposed_at", who=name_of("proposed_by"), words="reason")


def _select_refused_terms(book: str, now: datetime) -> QuerySet[Any, dict[str, Any]]:
    # A refresh that takes the terms over is newer than the refusal.
    rows = MarketEvent.objects.filter(
        kind=MarketEventKind.TERMS_REFUSED,
        instrument__is_active=True,
        occurred_at__gt=F("instrument__metadata_at"),
    ).annotate(why=KT("detail__reason"))
    return columns_of(rows, since="occurred_at", who="instrument__symbol", words="why")


SOURCES = {
    "fuse_reset": Source(
        kind="Fuse",
        role=Role.RISK_OFFICER,
        url_name="desk_risk",
        select=_select_resets,
        describe=lambda row: (
            "Request to re-arm the fuse: a second risk officer approves",
            f"{row['words']} (by {row['who']})",
        ),
    ),
    "order_unknown": Source(
        kind="Order",
        role=Role.OPERATOR,
        url_name="desk_trading",
        anchor="orders",
        select=_select_unknown,
        describe=lambda row: (
            f"Order of unknown outcome: {row['words']} {row['who']}",
            "the trader asks the venue at each beat; without a trader, manage.py settle_orders",
        ),
    ),
    "order_pending": Source(
        kind="Order",
        role=Role.OPERATOR,
        url_name="desk_trading",
        anchor="orders",
        select=_select_pending,
        describe=lambda row: (
            f"Order pending: {row['who']}, {row['words'].replace('_', ' ').lower()}",
            "not sent or not finished after a minute",
        ),
    ),
    "break": Source(
        kind="Reconciliation",
        role=Role.OPERATOR,
        url_name="desk_risk",
        select=_select_breaks,
        describe=lambda row: (
            "Break between books and venue",
            "new entries wait until a reconciliation is clean",
        ),
    ),
    "terms_refused": Source(
        kind="Data",
        role=Role.OPERATOR,
        url_name="desk_market",
        select=_select_refused_terms,
        describe=lambda row: (f"New terms of {row['who']} were not taken over", row["words"]),
    ),
    "limits_proposed": Source(
        kind="Limits",
        role=Role.RISK_OFFICER,
        url_name="desk_founding",
        anchor="limits",
        select=_select_limits,
        describe=lambda row: (
            "Proposed limits wait for a second risk officer",
            f"{row['words']} (by {row['who']})",
        ),
    ),
}
