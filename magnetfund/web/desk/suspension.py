"""Suspending dealing and opening it again, by a controller and a director."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from investors.models import Fund, SuspensionProposal
from investors.services.suspension import decide_suspension, propose_suspension
from magnetfund.core.actors import actor_of
from magnetfund.core.roles import Capability, Role
from magnetfund.core.services.signing import SignatureMissing
from magnetfund.kernel.errors import FundError
from magnetfund.web.desk.access import desk_view
from magnetfund.web.desk.frame import build_frame
from magnetfund.web.desk.signing import go_on_signing
from magnetfund.web.parts import render_page

PAST_SHOWN = 20


@require_http_methods(["GET", "HEAD", "POST"])
@desk_view()
def suspension(request: HttpRequest) -> HttpResponse:
    """The state, the proposal that waits, and the form for a new one."""
    user: Any = request.user
    may = user.can(Capability.DEALING_SUSPEND)
    fund = Fund.objects.filter(book=settings.MAGNET_BOOK).first()
    if request.method == "POST":
        if not may or fund is None:
            raise PermissionDenied
        try:
            propose_suspension(
                fund=fund,
                suspends=not fund.is_suspended,
                reason=request.POST.get("reason", ""),
                notice=request.POST.get("notice", ""),
                from_last_nav="from_last_nav" in request.POST,
                actor=actor_of(request),
            )
        except FundError as error:
            messages.error(request, f"Not proposed: {error.message}. ({error.code})")
        else:
            messages.success(request, "Proposed; a second person signs.")
        return redirect("desk_suspension")
    rows = SuspensionProposal.objects.filter(fund=fund).select_related("proposed_by", "decided_by")
    waiting = rows.filter(decided_at=None).first()
    context = {
        **build_frame(request, "nav"),
        "fund": fund,
        "may": may,
        "waiting": waiting,
        "is_own": waiting is not None and waiting.proposed_by.person == user.person,
        "other_role": "a director" if Role.CONTROLLER in user.roles else "a controller",
        "past": rows.exclude(decided_at=None)[:PAST_SHOWN],
    }
    return render_page(request, "desk/suspension.html", context, parts=())


@require_POST
@desk_view(Capability.DEALING_SUSPEND, step_up=True)
def decide(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The second person's decision, on his signature."""
    row = get_object_or_404(SuspensionProposal, pk=pk, fund__book=settings.MAGNET_BOOK)
    is_approved = request.POST.get("decision") == "approve"
    try:
        decide_suspension(proposal=row, is_approved=is_approved, actor=actor_of(request))
    except SignatureMissing as missing:
        return go_on_signing(request, missing, back=reverse("desk_suspension"))
    except FundError as error:
        messages.error(request, f"Not saved: {error.message}. ({error.code})")
    else:
        messages.success(request, "Signed; holders are told." if is_approved else "Declined.")
    return redirect("desk_suspension")
