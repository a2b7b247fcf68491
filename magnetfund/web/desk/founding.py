"""The page Founding: what is missing, who does it, and what waits for a second signature."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from investors.models import TermsProposal
from investors.services.policies import (
    approve_terms,
    build_terms,
    open_proposals,
    plain_terms,
    withdraw_terms,
)
from magnetfund.core.actors import actor_of
from magnetfund.core.models import User
from magnetfund.core.roles import Capability
from magnetfund.core.services.signing import LIMITS, TERMS, SignatureMissing, is_signed
from magnetfund.kernel.errors import FundError
from magnetfund.operations.founding_state import read_founding
from magnetfund.web.desk.access import desk_view
from magnetfund.web.desk.frame import build_frame
from magnetfund.web.desk.signing import go_to_sign, is_own
from magnetfund.web.parts import render_page
from magnetfund.web.setup_steps import PAGES
from risk.domain.limits import FIGURES, Limits
from risk.models import LimitProposal
from risk.services.limits import approve_limits

PROPOSALS_SHOWN = 20
#: Steps of rounding are shown with the others only where a class has its own.
_DEFAULTS = plain_terms(build_terms({}))


def _terms(row: TermsProposal) -> list[tuple[str, str]]:
    """The terms that differ from a class without any, as the approver reads them."""
    return [
        (name.replace("_", " "), ", ".join(map(str, value)) if isinstance(value, list) else value)
        for name, value in row.terms.items()
        if value != _DEFAULTS.get(name)
    ]


def _limits(row: LimitProposal, limits: Limits) -> list[dict[str, Any]]:
    """The proposed figures that differ from those in force."""
    changes = []
    for name, rule in FIGURES.items():
        before, plain = getattr(limits, name), row.figures.get(name)
        after = None if plain is None else Decimal(plain)
        if before != after:
            changes.append({"words": rule.words, "before": before, "after": after})
    return changes


def _may_sign(user: Any, maker: User, capability: Capability) -> bool:
    other = user.pk != maker.pk and user.person != maker.person
    return bool(other and user.can(capability))


@require_safe
@desk_view()
def founding(request: HttpRequest) -> HttpResponse:
    """The steps, and every proposal that waits for a second person."""
    book = settings.MAGNET_BOOK
    user: Any = request.user
    frame = build_frame(request, "today")
    terms = open_proposals().filter(share_class__fund__book=book)
    limits = LimitProposal.objects.filter(book=book, limit_set=None, withdrawn_at=None)
    context = {
        "founding": read_founding(book),
        "setup_pages": [page for page in PAGES.values() if user.can(page.form.capability)],
        "terms": [
            {
                "row": row,
                "lines": _terms(row),
                "may_sign": _may_sign(user, row.proposed_by, Capability.TERMS_APPROVE),
            }
            for row in terms.select_related("share_class", "proposed_by")[:PROPOSALS_SHOWN]
        ],
        "proposed_limits": [
            {
                "row": row,
                "changes": _limits(row, frame["limits"]),
                "may_sign": _may_sign(user, row.proposed_by, Capability.LIMITS_APPROVE),
                "is_own": row.proposed_by == user,
                "is_signed": is_signed(row.pk, row.proposed_by),
            }
            for row in limits.select_related("proposed_by").order_by("proposed_at")[
                :PROPOSALS_SHOWN
            ]
        ],
    }
    return render_page(request, "desk/founding.html", {**frame, **context}, parts=())


@require_POST
@desk_view(Capability.TERMS_APPROVE, step_up=True)
def decide_terms(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Put the terms that were shown in force, on one's signature, or return them with a reason."""
    row = get_object_or_404(TermsProposal, pk=pk, share_class__fund__book=settings.MAGNET_BOOK)
    try:
        if request.POST.get("decision") == "approve":
            seen = request.POST.get("hash", "")
            approve_terms(proposal=row, seen_hash=seen, actor=actor_of(request))
            messages.success(request, f"The terms of {row.share_class} are in force.")
        else:
            withdraw_terms(
                proposal=row, reason=request.POST.get("reason", ""), actor=actor_of(request)
            )
            messages.success(request, "Returned to the proposer.")
    except SignatureMissing:
        return go_to_sign(request, action=TERMS, subject=row.pk, back=reverse("desk_founding"))
    except FundError as error:
        messages.error(request, f"Not saved: {error.message}.")
    return redirect("desk_founding")


@require_POST
@desk_view(Capability.LIMITS_APPROVE, step_up=True)
def sign_limits(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Approve the limits that were shown; whoever has not signed them is sent to sign first."""
    row = get_object_or_404(LimitProposal, pk=pk, book=settings.MAGNET_BOOK)
    page = "desk_limits" if request.POST.get("from") == "limits" else "desk_founding"
    back = reverse(page)
    if row.proposed_by == request.user:
        return go_to_sign(request, action=LIMITS, subject=row.pk, back=back)
    try:
        limits = approve_limits(
            proposal=row, seen_hash=request.POST.get("hash", ""), actor=actor_of(request)
        )
    except SignatureMissing as error:
        if is_own(request, error):
            return go_to_sign(request, action=LIMITS, subject=row.pk, back=back)
        messages.error(request, f"Not saved: {error.message}.")
    except FundError as error:
        messages.error(request, f"Not saved: {error.message}.")
    else:
        messages.success(request, f"Limits version {limits.version} is approved.")
    return redirect(page)
