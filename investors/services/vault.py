"""The vault: every paper that was made, for whom, whether a newer version stands, who took it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Exists, OuterRef, Q, QuerySet

from investors.models import (
    DealingOrder,
    DealingProposal,
    Fund,
    Investor,
    NavStrike,
    Paper,
    UnitEntry,
)
from magnetfund.core.models import AuditEvent

#: Lines of the audit trail that tell who took a paper, or read it in another's portal.
TAKEN = ("paper.downloaded", "paper.read")


def papers_of_fund(fund: Fund | None) -> QuerySet[Paper]:
    """Every paper of a fund without its content; ``is_superseded`` where a newer version stands."""
    return _with_versions(Paper.objects.filter(strike__fund=fund))


def papers_of(investor: Investor) -> QuerySet[Paper]:
    """Every paper of one investor, as :func:`papers_of_fund`."""
    return _with_versions(Paper.objects.filter(investor=investor))


def _with_versions(rows: QuerySet[Paper]) -> QuerySet[Paper]:
    newer = Paper.objects.filter(
        kind=OuterRef("kind"),
        investor=OuterRef("investor"),
        period=OuterRef("period"),
        version__gt=OuterRef("version"),
    ).exclude(period="")
    return rows.defer("content").annotate(is_superseded=Exists(newer))


@dataclass(frozen=True, slots=True, kw_only=True)
class DealtNote:
    """A contract note of one investor, made when it is first asked for."""

    order: DealingOrder
    strike: NavStrike


def notes_of(investor: Investor, *, most: int) -> list[DealtNote]:
    """What was dealt for an investor, each with its note, newest first."""
    pairs = list(
        UnitEntry.objects.filter(
            lot__holding__investor=investor, order__investor=investor, strike__state="dealt"
        )
        .values_list("order", "strike", "strike__valuation_at")
        .distinct()
        .order_by("-strike__valuation_at", "order")[:most]
    )
    orders = DealingOrder.objects.select_related("share_class").in_bulk([row[0] for row in pairs])
    strikes = NavStrike.objects.only("valuation_at", "fund").in_bulk([row[1] for row in pairs])
    return [
        DealtNote(order=orders[order], strike=strikes[strike])
        for order, strike, _ in pairs
        if order in orders
    ]


def transfers_of(investor: Investor, *, most: int) -> list[DealingProposal]:
    """Transfers of units from or to an investor, each with its note, newest first."""
    return list(
        DealingProposal.objects.filter(
            Q(investor=investor) | Q(receiver=investor),
            kind=DealingProposal.Kind.TRANSFER,
            is_approved=True,
        )
        .select_related("share_class", "investor", "receiver")
        .order_by("-decided_at")[:most]
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """Somebody took a paper."""

    who: str
    at: datetime


def downloads_of(papers: Collection[UUID]) -> dict[UUID, list[Download]]:
    """Who took or, as an adviser, read some papers, newest first, by the audit trail."""
    names = {str(pk): pk for pk in papers}
    found: dict[UUID, list[Download]] = {}
    lines: Any = AuditEvent.objects.filter(
        action__in=TAKEN, subject_type="paper", subject_id__in=list(names)
    ).order_by("-seq")
    for subject, who, at in lines.values_list("subject_id", "actor_label", "occurred_at"):
        found.setdefault(names[subject], []).append(Download(who=who, at=at))
    return found
