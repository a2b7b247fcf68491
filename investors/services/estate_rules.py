"""What a reported death refuses: the account is held until two people decide."""

from __future__ import annotations

from investors.models import DeathReport, EstateStep, Investor
from magnetfund.kernel.errors import NotAllowed


def open_report(investor: Investor) -> DeathReport | None:
    """The report by which an account is held, ``None`` without one."""
    rows = DeathReport.objects.filter(investor=investor, closed_at=None)
    return rows.defer("sealed_content").first()


def require_living(investor: Investor) -> None:
    """Raise :class:`NotAllowed` (``death_reported``) while a report holds the account."""
    if open_report(investor) is not None:
        raise NotAllowed(
            "a death was reported: nothing is ordered for this account", code="death_reported"
        )


def require_transmissible(giver: Investor, receiver: Investor) -> None:
    """Units of a dead holder move once his executor was taken by two people, and to nobody whose
    own account is held; raises :class:`NotAllowed` (``death_reported``, ``no_probate``)."""
    require_living(receiver)
    report = open_report(giver)
    if report is not None and not has_probate(report):
        raise NotAllowed(
            "a death was reported: units move once the grant of probate was decided on",
            code="no_probate",
        )


def has_probate(report: DeathReport) -> bool:
    """Whether two people took an executor by the grant of probate."""
    return EstateStep.objects.filter(
        report=report, kind=EstateStep.Kind.PROBATE, is_approved=True
    ).exists()


def say_holder(investor: Investor) -> str:
    """A holder's name as papers say it, with the day of his death where one was reported."""
    report = open_report(investor)
    if report is None:
        return investor.legal_name
    return f"{investor.legal_name} (death of {report.deceased} on {report.died_on:%-d %b %Y})"
