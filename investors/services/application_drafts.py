"""Several applications of one holder, who has one at a time: one that he began, one that the house
mailed him, and those that he took back."""

from __future__ import annotations

from investors.models import Application, Investor
from magnetfund.core.actors import Actor
from magnetfund.core.services.audit import record_audit

APPLICANT = "applicant"


def take_begun(investor: Investor) -> Application | None:
    """The application that a holder began by himself, now as his own; None without one."""
    begun = Application.objects.filter(
        email=investor.email, kind=investor.kind, state="draft", investor=None, erased_at=None
    ).first()
    if begun is not None:
        Application.objects.filter(pk=begun.pk).update(investor=investor)
    return begun


def free_of_withdrawn(investor: Investor) -> None:
    """Let go of an application that was taken back, so that a holder can have a new one."""
    withdrawn = Application.State.WITHDRAWN
    Application.objects.filter(investor=investor, state=withdrawn).update(investor=None)


def withdraw_drafts(investor: Investor, sent: Application) -> None:
    """Take back what a holder began beside the application that he sends in."""
    withdrawn = Application.State.WITHDRAWN
    for row in Application.objects.filter(investor=investor, state="draft").exclude(pk=sent.pk):
        Application.objects.filter(pk=row.pk).update(state=withdrawn, investor=None)
        record_audit(
            actor=Actor.system(APPLICANT), action="application.withdrawn",
            subject=("application", row.pk), body={"instead": str(sent.pk)},
        )  # fmt: skip
