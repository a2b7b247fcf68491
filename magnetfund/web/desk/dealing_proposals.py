"""Dealings that the house proposes for holders: the form, what waits, and the second person."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from investors.models import DealingProposal
from investors.services.dealing_proposals import decide_dealing
from magnetfund.core.actors import actor_of
from magnetfund.core.roles import Capability
from magnetfund.core.services.idempotency import StoredAnswer
from magnetfund.core.services.signing import TRANSFER, SignatureMissing
from magnetfund.kernel.errors import FundError, InvalidInput
from magnetfund.web.dealing_forms import DealingProposalForm
from magnetfund.web.desk.access import desk_view
from magnetfund.web.desk.frame import build_frame
from magnetfund.web.desk.signing import go_to_sign
from magnetfund.web.forms import send_once
from magnetfund.web.parts import render_page

SHOWN = 40


@require_http_methods(["GET", "HEAD", "POST"])
@desk_view()
def proposals(request: HttpRequest) -> HttpResponse:
    """What waits for a second person, what was decided, and the form for those who propose."""
    user: Any = request.user
    may_propose = user.can(Capability.DEALING_PROCESS) or user.can(Capability.DEALING_APPROVE)
    bound = type("BoundForm", (DealingProposalForm,), {"actor": actor_of(request)})
    form = bound()
    if request.method == "POST":
        if not may_propose:
            raise PermissionDenied
        form = bound(request.POST)
        refusal = _propose(request, form)
        if refusal is None:
            return HttpResponseRedirect(reverse("desk_dealing_proposals"), status=303)
    rows = DealingProposal.objects.filter(
        share_class__fund__book=settings.MAGNET_BOOK
    ).select_related(
        "investor", "receiver", "share_class__fund", "into_class", "proposed_by", "decided_by",
        "order",
    )  # fmt: skip
    context = {
        **build_frame(request, "nav"),
        "form": form,
        "may_propose": may_propose,
        "may_decide": user.can(Capability.DEALING_APPROVE),
        "waiting": rows.filter(decided_at=None)[:SHOWN],
        "past": rows.exclude(decided_at=None).order_by("-decided_at")[:SHOWN],
        "key": request.POST.get("key") or uuid4(),
    }
    answer = render_page(request, "desk/dealing_proposals.html", context, parts=())
    answer.status_code = 422 if request.method == "POST" else 200
    return answer


def _propose(request: HttpRequest, form: DealingProposalForm) -> str | None:
    """The refusal in words, which the form shows; ``None`` where it is proposed, now or before."""

    def execute() -> StoredAnswer:
        if not form.is_valid():
            raise InvalidInput("the form has errors", code="bad_form")
        return StoredAnswer(status=303, body=b"", content_type="text/plain")

    try:
        answer = send_once(request, execute)
    except FundError as error:
        if error.code != "bad_form":
            messages.error(request, f"Not proposed: {error.message}. ({error.code})")
        return error.message
    if answer.is_replay:
        messages.info(request, "This had been proposed already; it was not proposed again.")
    else:
        messages.success(request, "Proposed; a second person decides.")
    return None


@require_POST
@desk_view(Capability.DEALING_APPROVE, step_up=True)
def decide(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The second person's decision; approving carries it out."""
    row = get_object_or_404(DealingProposal, pk=pk, share_class__fund__book=settings.MAGNET_BOOK)
    is_approved = request.POST.get("decision") == "approve"
    try:
        decide_dealing(proposal=row, is_approved=is_approved, actor=actor_of(request))
    except SignatureMissing:
        back = reverse("desk_dealing_proposals")
        return go_to_sign(request, action=TRANSFER, subject=row.pk, back=back)
    except FundError as error:
        messages.error(request, f"Not decided: {error.message}. ({error.code})")
    else:
        messages.success(request, "Done; the holder is told." if is_approved else "Declined.")
    return redirect("desk_dealing_proposals")
