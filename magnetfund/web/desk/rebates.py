"""Rebates of the manager's fees: agreements that wait and that count, and what is owed on them."""

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

from investors.models import Investor, Rebate
from investors.services.payment_drafts import list_rebates
from investors.services.rebates import decide_rebate, in_force
from magnetfund.core.actors import actor_of
from magnetfund.core.roles import Capability
from magnetfund.core.services.signing import SignatureMissing
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import FundError
from magnetfund.web.desk.access import desk_view
from magnetfund.web.desk.frame import build_frame
from magnetfund.web.desk.money import own_fund
from magnetfund.web.desk.signing import go_on_signing, reason_of
from magnetfund.web.forms import submit_once
from magnetfund.web.parts import render_page
from magnetfund.web.rebate_forms import RebateForm
from magnetfund.web.service_forms import bind

SHOWN = 100


def _rows() -> Any:
    return Rebate.objects.filter(share_class__fund__book=settings.MAGNET_BOOK).select_related(
        "investor", "share_class", "proposed_by", "decided_by"
    )


@require_http_methods(["GET", "HEAD", "POST"])
@desk_view()
def rebates(request: HttpRequest) -> HttpResponse:
    """What waits for a second person, what NAVs give back, what is owed, and the form."""
    user: Any = request.user
    may_propose = user.can(Capability.TERMS_PROPOSE)
    bound = bind(RebateForm, actor_of(request))
    form = bound()
    if request.method == "POST":
        if not may_propose:
            raise PermissionDenied
        form = bound(request.POST)
        if submit_once(request, form, verb="proposed", after="a controller approves it."):
            return HttpResponseRedirect(reverse("desk_rebates"), status=303)
    fund, today = own_fund(), utc_now().date()
    approved = list(_rows().filter(is_approved=True).order_by("-first_day")[:SHOWN])
    counting = in_force(approved, today)
    owed = {} if fund is None else list_rebates(fund)
    names = Investor.objects.in_bulk(list(owed))
    context = {
        **build_frame(request, "nav"),
        "form": form,
        "fund": fund,
        "may_propose": may_propose,
        "may_decide": user.can(Capability.TERMS_APPROVE),
        "waiting": [
            {
                "row": row,
                "is_own": row.proposed_by_id == user.pk,
                "reason": reason_of(request, row.pk),
            }
            for row in _rows().filter(is_approved=None)[:SHOWN]
        ],
        "agreed": [
            {"row": row, "counts": row.pk in counting, "is_ahead": row.first_day > today}
            for row in approved
        ],
        "owed": [(names[who], amount) for who, amount in owed.items()],
        "declined": _rows().filter(is_approved=False).order_by("-decided_at")[:SHOWN],
        "key": request.POST.get("key") or uuid4(),
    }
    answer = render_page(request, "desk/rebates.html", context, parts=())
    answer.status_code = 422 if request.method == "POST" else 200
    return answer


@require_POST
@desk_view(Capability.TERMS_APPROVE, step_up=True)
def decide(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The second person's decision on a rebate, on his signature."""
    row, given = get_object_or_404(_rows(), pk=pk), request.POST
    reason = given.get("reason", "")
    try:
        done = decide_rebate(
            proposal=row, is_approved=given.get("decision") == "approve", reason=reason,
            actor=actor_of(request),
        )  # fmt: skip
    except SignatureMissing as missing:
        return go_on_signing(request, missing, back=reverse("desk_rebates"), reason=reason)
    except FundError as error:
        messages.error(request, f"Not decided: {error.message}. ({error.code})")
    else:
        words = f"Approved; it counts from {done.first_day:%-d %b %Y}."
        messages.success(request, words if done.is_approved else "Declined.")
    return redirect("desk_rebates")
