"""Distributions of the fund: the form, what each holder would get, and the second person."""

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

from investors.models import Distribution, Investor
from investors.services.distributions import decide_distribution, preview_distribution
from magnetfund.core.actors import actor_of
from magnetfund.core.roles import Capability
from magnetfund.core.services.signing import SignatureMissing
from magnetfund.kernel.errors import FundError
from magnetfund.web.dealing_forms import DistributionForm
from magnetfund.web.desk.access import desk_view
from magnetfund.web.desk.frame import build_frame
from magnetfund.web.desk.signing import go_on_signing
from magnetfund.web.forms import submit_once
from magnetfund.web.parts import render_page
from magnetfund.web.service_forms import bind

SHOWN = 20
HOLDERS_SHOWN = 200


@require_http_methods(["GET", "HEAD", "POST"])
@desk_view(Capability.HOLDERS_VIEW)
def distributions(request: HttpRequest) -> HttpResponse:
    """What waits for a second person, what was declared, and the form."""
    user: Any = request.user
    may_propose = user.can(Capability.DEALING_PROCESS)
    bound = bind(DistributionForm, actor_of(request))
    form = bound()
    if request.method == "POST":
        if not may_propose:
            raise PermissionDenied
        form = bound(request.POST)
        if submit_once(request, form, verb="proposed", after="a second person declares it."):
            return HttpResponseRedirect(reverse("desk_distributions"), status=303)
    rows = (
        Distribution.objects.filter(share_class__fund__book=settings.MAGNET_BOOK)
        .select_related("share_class__fund", "strike", "proposed_by", "decided_by")
        .defer("strike__inputs")
    )
    context = {
        **build_frame(request, "nav"),
        "form": form,
        "may_propose": may_propose,
        "may_decide": user.can(Capability.DEALING_APPROVE),
        "waiting": [_preview(row) for row in rows.filter(decided_at=None)[:SHOWN]],
        "past": rows.exclude(decided_at=None).order_by("-decided_at")[:SHOWN],
        "key": request.POST.get("key") or uuid4(),
    }
    answer = render_page(request, "desk/distributions.html", context, parts=())
    answer.status_code = 422 if request.method == "POST" else 200
    return answer


def _preview(row: Distribution) -> dict[str, Any]:
    """A waiting proposal with what each holder would get, the largest first."""
    found = preview_distribution(row)
    people = Investor.objects.in_bulk([UUID(who) for who in found.shares])
    shares = [
        {
            "investor": people[UUID(who)],
            "amount": amount,
            "in_units": row.is_in_units != (people[UUID(who)].number in row.exceptions),
        }
        for who, amount in sorted(found.shares.items(), key=lambda item: -item[1])
    ]
    return {
        "row": row,
        "total": found.total,
        "per_unit": found.per_unit,
        "count": len(shares),
        "shares": shares[:HOLDERS_SHOWN],
    }


@require_POST
@desk_view(Capability.DEALING_APPROVE, step_up=True)
def decide(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The second person's decision; approving declares it, on his signature."""
    row = get_object_or_404(Distribution, pk=pk, share_class__fund__book=settings.MAGNET_BOOK)
    is_approved = request.POST.get("decision") == "approve"
    try:
        decide_distribution(distribution=row, is_approved=is_approved, actor=actor_of(request))
    except SignatureMissing as missing:
        return go_on_signing(request, missing, back=reverse("desk_distributions"))
    except FundError as error:
        messages.error(request, f"Not decided: {error.message}. ({error.code})")
    else:
        messages.success(request, "Declared; the holders are told." if is_approved else "Declined.")
    return redirect("desk_distributions")
