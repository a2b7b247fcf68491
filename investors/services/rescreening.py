"""Screening again: every open file against lists that are new since its last time."""

from __future__ import annotations

from investors.models import Investor, Screening
from investors.services.applications import list_parties
from investors.services.kyc_work import CLOSED
from investors.services.screening import screen_investor


def screen_everybody() -> tuple[int, int]:
    """Files that were looked at, and hits that are new; a job runs it each day."""
    files = hits = 0
    rows = Investor.objects.exclude(kyc_state__in=(*CLOSED, "not_started"))
    for investor in rows.select_related("application"):
        application = getattr(investor, "application", None)
        names = [investor.legal_name]
        if application is not None and application.erased_at is None:
            names += list_parties(application)
        before = _count_hits(investor)
        screen_investor(investor, parties=tuple(dict.fromkeys(names)))
        hits += _count_hits(investor) - before
        files += 1
    return files, hits


def _count_hits(investor: Investor) -> int:
    return Screening.objects.filter(investor=investor, outcome=Screening.Outcome.POSSIBLE).count()
