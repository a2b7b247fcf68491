"""What a reported death refuses: the account is held until two people decide."""

from __future__ import annotations

from investors.models import DeathReport, EstateStep, Investor, PayeeAccount
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


def find_probate(investor: Investor) -> EstateStep | None:
    """The newest decision that took an executor for a holder whose death is reported."""
    steps = EstateStep.objects.filter(
        report__investor=investor,
        report__closed_at=None,
        kind=EstateStep.Kind.PROBATE,
        is_approved=True,
    )
    found = steps.select_related("executor").defer("sealed_content").order_by("-decided_at")
    return found.first()


def find_paid_executor(investor: Investor, payee: PayeeAccount) -> Investor | None:
    """The executor whom an account pays what a dead holder is owed: it is in his name, and was
    signed after the decision that took him.  ``None`` for every other account."""
    step = find_probate(investor)
    if step is None or step.executor is None or payee.approved_at is None:
        return None
    assert step.decided_at is not None
    is_his = payee.name.casefold() == step.executor.legal_name.casefold()
    return step.executor if is_his and payee.approved_at > step.decided_at else None


def say_holder(investor: Investor) -> str:
    """A holder's name as papers say it, with the day of his death where one was reported."""
    report = open_report(investor)
    if report is None:
        return investor.legal_name
    return f"{investor.legal_name} (death of {report.deceased} on {report.died_on:%-d %b %Y})"
