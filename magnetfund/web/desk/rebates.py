"""Rebates of the manager's fees: agreements that wait and that count, and what is owed on them."""

from __future__ import annotations

import csv
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from investors.models import Investor, Rebate
from investors.services.payment_drafts import list_rebates
from investors.services.rebates import decide_rebate, in_force
from magnetfund.core.actors import actor_of
from magnetfund.core.roles import Capability
from magnetfund.core.spreadsheets import safe_cell
from magnetfund.kernel.clock import utc_now
from magnetfund.web.desk.access import desk_view
from magnetfund.web.desk.frame import build_frame
from magnetfund.web.desk.money import own_fund
from magnetfund.web.desk.signing import answer_decision, list_waiting
from magnetfund.web.forms import submit_once
from magnetfund.web.parts import render_page
from magnetfund.web.rebate_forms import RebateForm
from magnetfund.web.service_forms import bind

SHOWN = 100
COLUMNS = (
    "investor", "name", "share_class", "management_share", "performance_share", "first_day",
    "in_force", "letter", "proposed_by", "approved_by",
)  # fmt: skip


def _rows() -> Any:
    return Rebate.objects.filter(share_class__fund__book=settings.MAGNET_BOOK).select_related(
        "investor", "share_class", "proposed_by", "decided_by"
    )


@require_http_methods(["GET", "HEAD", "POST"])
@desk_view(Capability.HOLDERS_VIEW)
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
    approved = list(_rows().filter(is_approved=True).order_by("-first_day", "pk"))
    counting = in_force(approved, today)
    owed = {} if fund is None else list_rebates(fund)
    names = Investor.objects.in_bulk(list(owed))
    context = {
        **build_frame(request, "nav"),
        "form": form,
        "fund": fund,
        "may_propose": may_propose,
        "may_decide": user.can(Capability.TERMS_APPROVE),
        "waiting": list_waiting(request, _rows().filter(is_approved=None)[:SHOWN]),
        "agreed": [
            {"row": row, "counts": row.pk in counting, "is_ahead": row.first_day > today}
            for row in approved[:SHOWN]
        ],
        "left_out": max(0, len(approved) - SHOWN),
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
    return answer_decision(
        request, get_object_or_404(_rows(), pk=pk), decide=decide_rebate,
        back=reverse("desk_rebates"),
        approved=lambda done: f"it counts from {done.first_day:%-d %b %Y}",
    )  # fmt: skip


@require_safe
@desk_view(Capability.HOLDERS_VIEW)
def export(request: HttpRequest) -> HttpResponse:
    """Every approved agreement with exact shares."""
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = 'attachment; filename="rebates.csv"'
    writer = csv.writer(response)
    writer.writerow(COLUMNS)
    rows = list(_rows().filter(is_approved=True).order_by("first_day", "pk"))
    counting = in_force(rows, utc_now().date())
    for row in rows:
        writer.writerow(
            [
                row.investor.number, safe_cell(row.investor.legal_name), row.share_class.code,
                f"{row.management_share.normalize():f}", f"{row.performance_share.normalize():f}",
                row.first_day, row.pk in counting, safe_cell(row.reference),
                row.proposed_by.email, row.decided_by.email,
            ]
        )  # fmt: skip
    return response
