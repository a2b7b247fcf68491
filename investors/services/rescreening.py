"""Screening again: every open file against lists that are new since its last time."""

from __future__ import annotations

from investors.models import Investor, Screening
from investors.services.applications import list_parties
from investors.services.kyc_work import CLOSED
from investors.services.screening import screen_investor
from magnetfund.kernel.errors import FundError, InvariantBroken


def screen_everybody() -> tuple[int, int]:
    """Files that were looked at, and hits that are new; a job runs it each day.

    Where the answers of an application cannot be read, its holder is screened by his name alone,
    and after everybody else was it raises :class:`InvariantBroken` (``answers_unreadable``).
    """
    files = hits = 0
    unread: list[str] = []
    rows = Investor.objects.exclude(kyc_state__in=(*CLOSED, "not_started"))
    for investor in rows.select_related("application"):
        application = getattr(investor, "application", None)
        names = [investor.legal_name]
        if application is not None and application.erased_at is None:
            try:
                names += list_parties(application)
            except FundError:
                unread.append(investor.number)
        before = _count_hits(investor)
        screen_investor(investor, parties=tuple(dict.fromkeys(names)))
        hits += _count_hits(investor) - before
        files += 1
    if unread:
        raise InvariantBroken(
            f"screened by name alone, for their answers cannot be read: {', '.join(unread)}",
            code="answers_unreadable",
        )
    return files, hits


def _count_hits(investor: Investor) -> int:
    return Screening.objects.filter(investor=investor, outcome=Screening.Outcome.POSSIBLE).count()
